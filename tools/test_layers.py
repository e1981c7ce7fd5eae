"""Tests of the layer rules; `make test-native` runs them."""

import tempfile
import unittest
from pathlib import Path

import layers
import rustsource


def findings(files: dict[str, str]) -> list[str]:
    with tempfile.TemporaryDirectory() as folder:
        for name, source in files.items():
            path = Path(folder) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(source, encoding="utf-8")
        return [*layers.crate_findings(Path(folder)), *layers.ignored_findings(Path(folder))]


class Layers(unittest.TestCase):
    def assert_found(self, name: str, source: str, *, count: int = 1):
        self.assertEqual(len(found := findings({f"guest/src/{name}": source})), count, found)

    def assert_fine(self, name: str, source: str):
        self.assert_found(name, source, count=0)

    def test_only_the_platform_names_wasi(self):
        self.assert_found("server.rs", "use wasi::io::poll;")
        self.assert_found("server.rs", "use std::x;\nfn f() { ::wasi::io::poll(); }")
        self.assert_found("sys/mod.rs", "use wasi as w;")
        self.assert_found("rt/mod.rs", "use {std::x, wasi::io};")
        self.assert_fine("sys/wasi/reactor.rs", "use wasi::io::poll;")
        self.assert_fine("os/wasi.rs", "use wasi::io::poll;")
        self.assert_fine("server.rs", "// wasi::io\nuse crate::sys::wasi::X; use wasi_streams::y; use crate::{sys::{wasi::Z}};")
        self.assert_fine("sys/mod.rs", "mod wasi;\npub(crate) use self::wasi::X;\nfn f() { wasi::f() }")

    def test_layers_point_down(self):
        self.assert_found("proto/buffer.rs", "use crate::sys;")
        self.assert_found("proto/buffer.rs", "use crate::{\n    error::{Error, rt},\n    rt::sleep,\n};")
        self.assert_found("proto/buffer.rs", "use super::super::connection::Connection;")
        self.assert_found("proto/mod.rs", "use super::rt;")
        self.assert_found("reader.rs", "fn f() { crate::sys::now(); }")
        self.assert_fine("reader.rs", "use crate::rt;\n#[cfg(test)]\nmod tests { use crate::sys::sim; }")
        self.assert_fine("proto/buffer.rs", "use crate::error::{Error, rt};\nuse super::sys_like;")
        self.assert_fine("connection/mod.rs", "use crate::sys;")

    def test_no_panics_outside_tests(self):
        self.assert_found("a.rs", "fn f() { x.unwrap(); todo!() }", count=2)
        self.assert_found("a.rs", "#[cfg(test)]\nmod tests { fn f() { panic!() } }\nfn g() { panic!() }")
        self.assert_fine("a.rs", "#[cfg(any(test, fuzzing))]\nmod fuzzing { fn f() { panic!() } }")
        self.assert_found("a.rs", "#[cfg(test)]\nuse std::x;\nfn g() { dbg!(1); }")
        self.assert_fine("a.rs", '/// x.unwrap()\nfn f() { x.expect("panic!"); y.unwrap_or(1); }')
        self.assert_fine("sys/sim/mod.rs", "fn f() { panic!() }")
        self.assert_fine("a.rs", '#[expect(clippy::panic, reason = "why")]\nfn f() -> ! {\n    panic!("x")\n}')
        self.assert_found("a.rs", '#[expect(clippy::panic, reason = "why")]\nfn f() {}\nfn g() {\n    panic!("x")\n}')
        self.assertEqual(
            findings({"guest/src/a.rs": "#[cfg(test)]\nmod tests;", "guest/src/a/tests.rs": "fn f() { x.unwrap() }"}), []
        )

    def test_nothing_is_ignored(self):
        self.assert_found("a.rs", '#[cfg(test)] mod t { #[test]\n#[ignore = "why"]\nfn f() {} }')
        self.assert_found("a.rs", "/// ```ignore\n/// x\n/// ```\nfn f() {}")
        self.assertEqual(len(findings({"host-tests/tests/a.rs": "#[test]\n#[ignore]\nfn f() {}"})), 1)

    def test_files_stay_short(self):
        self.assert_fine("a.rs", "// x\n" * 400)
        self.assert_found("a.rs", "// x\n" * 401)
        self.assert_fine("a.rs", "// x\n" * 390 + "#[cfg(test)]\nmod tests {\n" + "    // x\n    fn f() {}\n" * 100 + "}\n")

    def test_every_program_has_a_test(self):
        with tempfile.TemporaryDirectory() as folder:
            tests = Path(folder) / "host-tests/tests"
            tests.mkdir(parents=True)
            (tests / "a.rs").write_text('run("echo-server-slow")', encoding="utf-8")
            found = list(layers.program_findings(Path(folder), ["echo-server", "echo-server-slow"]))
            self.assertEqual(len(found), 1)


class Source(unittest.TestCase):
    def test_blanking_keeps_positions(self):
        source = 'a /* x\n */ "y\\"" b r##"z"# "## c // d\ne'
        code = rustsource.code_only(source)
        self.assertEqual(len(code), len(source))
        self.assertEqual(code.split(), ["a", "b", "c", "e"])
        self.assertEqual(code.count("\n"), 2)


if __name__ == "__main__":
    unittest.main()

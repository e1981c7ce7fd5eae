"""Tests of tools/wasm-cc, with compilers that print their name and arguments."""

import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

WASM_CC = Path(__file__).resolve().with_name("wasm-cc")
BREW = [Path("/opt/homebrew/opt/llvm/bin/clang"), Path("/usr/local/opt/llvm/bin/clang")]


class WasmCc(unittest.TestCase):
    def setUp(self):
        self.root = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.bin = self.root / "bin"
        for tool in ["bash", "cat", "dirname"]:
            self.program(f"bin/{tool}", f'exec {shutil.which(tool)} "$@"')
        (self.root / "tools").mkdir()
        shutil.copy(WASM_CC, self.root / "tools")

    def program(self, path, script):
        path = self.root / path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!{shutil.which('bash')}\n{script}\n")
        path.chmod(0o755)

    def run_it(self, *arguments, **environment):
        command = [shutil.which("bash"), self.root / "tools" / "wasm-cc", *arguments]
        environment["PATH"] = str(self.bin)
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    def test_clang_gets_the_arguments_as_they_are(self):
        self.program("bin/clang", 'echo clang "$@"')
        done = self.run_it("--target=wasm32-wasip2", "-c", "a b.c")
        self.assertEqual((done.stdout, done.returncode), ("clang --target=wasm32-wasip2 -c a b.c\n", 0), done.stderr)

    def test_the_clang_of_the_wasi_sdk_goes_first(self):
        self.program("bin/clang", 'echo clang "$@"')
        self.program("a sdk/bin/clang", 'echo sdk "$@"')
        done = self.run_it("-c", WASI_SDK_PATH=str(self.root / "a sdk"))
        self.assertEqual(done.stdout, "sdk -c\n", done.stderr)

    @unittest.skipIf(any(path.exists() for path in BREW), "Homebrew's clang would be found")
    def test_zig_stands_in_for_a_clang_without_webassembly(self):
        self.program("bin/clang", "exit 1")
        self.program("target/tools/ziglang/ziglang/zig", 'echo zig "$@"')
        done = self.run_it("--target=wasm32-wasip2", "-c", "a.c")
        self.assertEqual(done.stdout, "zig cc --target=wasm32-wasi -c a.c -fno-sanitize=undefined\n", done.stderr)

    @unittest.skipIf(any(path.exists() for path in BREW), "Homebrew's clang would be found")
    def test_without_any_it_says_what_to_do(self):
        done = self.run_it("-c", "a.c")
        self.assertEqual(done.returncode, 1)
        for remedy in ["apt install clang", "brew install llvm", "pip install --target", "CC_wasm32_wasip2"]:
            self.assertIn(remedy, done.stderr)


if __name__ == "__main__":
    unittest.main()

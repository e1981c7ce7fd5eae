#!/usr/bin/env python3
"""Checks the rules of the code that no compiler checks; prints one line per finding and fails when there is one.

* Only `sys/wasi/`, `os/wasi.rs` and the generated `component/bindings.rs` name `wasi::`.
* `proto/` uses neither `rt` nor `sys` nor `connection`; `reader`, `writer` and `component` never use `sys`.
* No `unwrap()`, `panic!`, `todo!`, `unimplemented!`, `dbg!` in the library, its tests and the simulated network apart.
* No `#[ignore]`d test and no ignored documentation example anywhere.
* No file of the library has more than 400 lines, tests apart.
* Every example and every fixture is named by a host test.
"""

import re
import sys
from pathlib import Path
from typing import Iterator

import rustsource
from bins import bins

ROOT = Path(__file__).resolve().parent.parent
LIBRARY = "guest/src"
MAY_NAME_WASI = re.compile(r"sys/wasi(?:\.rs|/)|os/wasi\.rs|component/bindings\.rs")
MAY_PANIC = re.compile(r"sys/sim(?:\.rs|/)")
# Which of the crate's top-level modules a part of it must not use.
FORBIDDEN = {
    re.compile(r"proto(?:\.rs|/)"): {"rt", "sys", "connection"},
    re.compile(r"(?:reader|writer|component)(?:\.rs|/)"): {"sys"},
}
# The function around a panic that no caller's result could report says so: `#[expect(clippy::panic, reason = "…")]`.
EXPECTED_PANIC = re.compile(r"#\[expect\(clippy::panic\b[^\]]*\]\s*fn [^{]*\{\s*\Z")
PANICS = re.compile(r"\.unwrap\(\)|\b(?:panic|todo|unimplemented|dbg)!")
LONGEST = 400
PROGRAMS = ["wasi-streams-examples", "wasi-streams-fixtures"]


def names_of_wasi(code: str) -> Iterator[int]:
    """Positions where the code names the crate `wasi` (or `wasip2`), not a module of its own called so."""
    # `use crate::sys::{wasi::x}` is about a module of ours.
    own_imports = re.compile(r"\buse\s+(?!::|wasi|\{)[^;]*;")
    code = own_imports.sub(lambda found: rustsource.blank(found[0]), code)
    names = r"wasip2" if re.search(r"\bmod\s+wasi\b", code) else r"(?:wasi|wasip2)"
    for found in re.finditer(rf"(?<!\w)(?<!\w::){names}\s*::|\b(?:use|extern\s+crate)\s+{names}\b(?!\s*::)", code):
        yield found.start()


def modules_used(code: str, depth: int) -> Iterator[tuple[int, str]]:
    """Every top-level module of the crate that the code names by `crate::` or by `super::` up to the top; `depth` is that of the file."""
    roots = r"\bcrate\s*::" + (rf"|(?<!\w)(?<!::)(?:super\s*::\s*){{{depth}}}" if depth else "")
    for root in re.finditer(rf"(?:{roots})\s*(?P<first>\w+|\{{)", code):
        if root["first"] != "{":
            yield root.start(), root["first"]
            continue
        level, position = 0, root.start("first")
        for token in re.compile(r"[{},]\s*(?P<name>\w*)").finditer(code, root.start("first")):
            level += {"{": 1, "}": -1}.get(token[0][0], 0)
            if level == 0:
                break
            if level == 1 and token["name"]:
                yield position, token["name"]


def crate_findings(root: Path) -> Iterator[str]:
    library = root / LIBRARY
    sources = {file.relative_to(library).as_posix(): file.read_text(encoding="utf-8") for file in library.rglob("*.rs")}
    codes = {name: rustsource.code_only(source) for name, source in sources.items()}
    tests = tuple(prefix for name, code in codes.items() for prefix in _test_files(name, code))
    for name, code in sorted(codes.items()):
        is_test = name.startswith(tests) if tests else False
        shipped = "" if is_test else rustsource.without_tests(code)

        def at(position: int) -> str:
            return f"{LIBRARY}/{name}:{code.count(chr(10), 0, position) + 1}"

        if not MAY_NAME_WASI.match(name):
            for position in names_of_wasi(code):
                yield f"{at(position)}: names `wasi::`; only sys/wasi/ and os/wasi.rs may"
        for part, forbidden in FORBIDDEN.items():
            if part.match(name):
                for position, module in modules_used(shipped, _depth(name)):
                    if module in forbidden:
                        yield f"{at(position)}: uses `{module}`, which {name.split('/')[0].removesuffix('.rs')} must not"
        if not MAY_PANIC.match(name):
            for found in PANICS.finditer(shipped):
                if EXPECTED_PANIC.search(shipped[: found.start()]):
                    continue
                yield f"{at(found.start())}: `{found[0].lstrip('.')}` in the library; return an error or say the invariant with `expect`"
        length = _lines(code)
        if not is_test and length > LONGEST:
            yield f"{LIBRARY}/{name}: {length} lines without its tests, {LONGEST} is the most"


def ignored_findings(root: Path) -> Iterator[str]:
    for file in sorted(file for folder in ("guest", "host-tests", "examples") for file in (root / folder).rglob("*.rs")):
        source = file.read_text(encoding="utf-8")
        for function in rustsource.functions(rustsource.code_only(source)):
            if function.is_ignored:
                yield f"{file.relative_to(root)}:{function.line}: {function.name} is ignored; make it run or take it away"
        for number, line in enumerate(source.splitlines(), 1):
            if re.match(r"\s*//[/!]\s*```.*\bignore\b", line):
                yield f"{file.relative_to(root)}:{number}: an ignored example; make it compile, with `no_run` if it needs a network"


def program_findings(root: Path, programs: list[str]) -> Iterator[str]:
    tests = "\n".join(file.read_text(encoding="utf-8") for file in (root / "host-tests/tests").rglob("*.rs"))
    for program in programs:
        if not re.search(rf"(?<![\w-]){re.escape(program)}(?![\w-])", tests):
            yield f"{program}: no test in host-tests/tests names this program"


def main() -> int:
    findings = [*crate_findings(ROOT), *ignored_findings(ROOT)]
    try:
        findings += program_findings(ROOT, bins(PROGRAMS))
    except KeyError as missing:
        findings.append(f"Cargo.toml: the workspace has no package {missing}")
    for finding in findings:
        print(f"layers: {finding}", file=sys.stderr)
    return 1 if findings else 0


def _depth(name: str) -> int:
    """How many `super::` lead from a file's module to the top of the crate."""
    parts = name.removesuffix(".rs").split("/")
    return len(parts) - (parts[-1] in ("mod", "lib"))


def _test_files(name: str, code: str) -> Iterator[str]:
    own = name.removesuffix(".rs")
    folder = "" if own == "lib" else (own.removesuffix("mod") if own.endswith("/mod") else own + "/")
    for module in rustsource.test_module_files(code):
        yield from (f"{folder}{module}.rs", f"{folder}{module}/")


def _lines(code: str) -> int:
    return code.count("\n") - sum(code.count("\n", start, end) for start, end in rustsource.test_items(code))


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""Says of every row of CONFORMANCE.md which tests prove it, or why none can; `--write` puts that into its status column,
and how many there are of each kind into the introduction.

A test names the rows it proves at the start of its name: `fn h02_h03_attempts_overlap`. Reasons are in
tools/conformance-reasons.toml. Tests run over Unix sockets too if guest/tests/over_unix.rs includes their file. Fails when

* a row of level M has neither a test nor a reason,
* a test or a reason names a row that does not exist,
* a file that guest/tests/over_unix.rs includes has tests in worlds that are not checked for Unix sockets,
* the status column, or the line with the numbers, is not what it would be now.
"""

import argparse
import re
import sys
import tomllib
from pathlib import Path
from typing import NamedTuple

import rustsource

ROOT = Path(__file__).resolve().parent.parent
TABLE = "CONFORMANCE.md"
REASONS = "tools/conformance-reasons.toml"
TEST_FOLDERS = ["guest/src", "guest/tests", "host-tests/tests"]
# Tests of the library on the simulated network: of these, a row's mark speaks.
SIMULATED = "guest/tests/"
OVER_UNIX = "guest/tests/over_unix.rs"
# Whose tests are over Unix sockets in the first place.
OF_UNIX = ["guest/tests/unix.rs"]
# Nobody removes a row by mistake.
ROWS = 247

_ROW = re.compile(r"^\| (?P<id>[A-Z]\d\d) \|")
_NUMBERS = re.compile(r"^Of the \d+ rows, .*$", re.MULTILINE)
_INCLUSION = re.compile(r'^#\[path = "(?P<file>[\w/]+\.rs)"\]\s*mod\b', re.MULTILINE)
_UNCHECKED_WORLD = re.compile(r"\bNetwork::(?:new|current)\(\)")
_NAMED_ROWS = re.compile(r"^(?:[rfwdcxohstu]\d\d_)+")


class Row(NamedTuple):
    id: str
    behaviour: str
    level: str
    status: str


class Test(NamedTuple):
    name: str
    file: str
    line: int
    over_unix: bool = False

    @property
    def rows(self) -> list[str]:
        named = _NAMED_ROWS.match(self.name)
        return named[0].rstrip("_").upper().split("_") if named else []


class Evidence(NamedTuple):
    tests: list[Test]
    # Why the row needs no test. It may stand beside tests, which then prove what can be proven.
    reason: str | None
    # What a reader should know beside the tests; not a reason to have none.
    note: str | None

    @property
    def is_missing(self) -> bool:
        return not self.tests and self.reason is None

    @property
    def over_unix(self) -> str | None:
        """The mark of a row some of whose tests on the simulated network, or all, run over Unix sockets."""
        simulated = [test.over_unix for test in self.tests if test.file.startswith(SIMULATED)]
        if not any(simulated):
            return None
        return "over Unix too" if all(simulated) else "over Unix too in part"

    def status(self) -> str:
        names = list(dict.fromkeys(f"`{test.name}`" for test in self.tests))
        parts = [", ".join(names)] if names else []
        parts += [self.over_unix] if self.over_unix else []
        parts += [self.reason] if self.reason else []
        parts += ["MISSING"] if self.is_missing else []
        parts += [self.note] if self.note else []
        return "; ".join(parts).replace("|", "\\|")

    def report(self) -> str:
        places = [f"{test.file}:{test.line}{', over Unix too' if test.over_unix else ''}" for test in self.tests]
        parts = [f"proven by {test.name} ({place})" for test, place in zip(self.tests, places)]
        parts += [f"reason: {self.reason}"] if self.reason else []
        parts += ["MISSING"] if self.is_missing else []
        parts += [f"note: {self.note}"] if self.note else []
        return ("\n" + " " * 9).join(parts)


def read_rows(markdown: str) -> list[Row]:
    lines = [line for line in markdown.splitlines() if _ROW.match(line)]
    rows = []
    for line in lines:
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if len(cells) != 4 or cells[2] not in ("M", "S", "Q", "H"):
            raise ValueError(f"{TABLE}: not `| id | behaviour | level | status |`: {line}")
        rows.append(Row(*cells))
    return rows


def find_tests(root: Path) -> list[Test]:
    """Every test that runs (the ignored prove nothing) and names a row, in a stable order."""
    tests = []
    over_unix = {*files_over_unix(root), *OF_UNIX}
    for file in sorted(file for folder in TEST_FOLDERS for file in (root / folder).rglob("*.rs")):
        for function in rustsource.functions(rustsource.code_only(file.read_text(encoding="utf-8"))):
            if function.is_test and not function.is_ignored:
                path = file.relative_to(root).as_posix()
                test = Test(function.name, path, function.line, path in over_unix)
                tests += [test] if test.rows else []
    return tests


def files_over_unix(root: Path) -> list[str]:
    """The test files that are run a second time, over Unix sockets: modules with a path, outside of comments."""
    file = root / OVER_UNIX
    if not file.exists():
        return []
    source = file.read_text(encoding="utf-8")
    code = rustsource.code_only(source)
    inclusions = [found for found in _INCLUSION.finditer(source) if code.startswith("#[path", found.start())]
    return [(Path(OVER_UNIX).parent / found["file"]).as_posix() for found in inclusions]


def unchecked_worlds(root: Path) -> list[str]:
    """Where a test that shall run over Unix sockets could use TCP, or no socket, unnoticed."""
    problems = []
    for file in files_over_unix(root):
        code = rustsource.code_only((root / file).read_text(encoding="utf-8"))
        for found in _UNCHECKED_WORLD.finditer(code):
            line = code.count("\n", 0, found.start()) + 1
            problems.append(f"{file}:{line}: {OVER_UNIX} includes it: `simulate` and `network` of common check their worlds")
    return problems


def read_reasons(toml: str, ids: list[str], kind: str) -> tuple[dict[str, str], list[str]]:
    """The texts of one kind ("reason" or "note") by row, and what is wrong with them. `T01-T18` stands for all between."""
    texts, problems = {}, []
    for entry in tomllib.loads(toml).get(kind, []):
        for item in entry["rows"]:
            first, _, last = item.partition("-")
            named = [id for id in ids if first <= id <= (last or first)]
            if first not in ids or (last and last not in ids):
                problems.append(f"{REASONS}: {kind} for an unknown row: {item}")
            for id in named:
                if id in texts:
                    problems.append(f"{REASONS}: two {kind}s for {id}")
                texts[id] = entry["text"]
    return texts, problems


def gather(rows: list[Row], tests: list[Test], toml: str) -> tuple[dict[str, Evidence], list[str]]:
    """The evidence for every row, and every problem that is not about a single row's lack of it."""
    ids = [row.id for row in rows]
    reasons, problems = read_reasons(toml, ids, "reason")
    notes, more = read_reasons(toml, ids, "note")
    problems += more
    if len(set(ids)) != len(ids):
        problems.append(f"{TABLE}: a row is there twice: {', '.join(sorted({id for id in ids if ids.count(id) > 1}))}")
    for test in tests:
        for id in test.rows:
            if id not in ids:
                problems.append(f"{test.file}:{test.line}: {test.name} names {id}, which is no row of {TABLE}")
    evidence = {
        id: Evidence([test for test in tests if id in test.rows], reasons.get(id), notes.get(id)) for id in ids
    }
    return evidence, problems


def numbers(evidence: dict[str, Evidence]) -> str:
    marks = [one.over_unix for one in evidence.values() if one.tests]
    whole, part = marks.count("over Unix too"), marks.count("over Unix too in part")
    return (
        f"Of the {len(evidence)} rows, {len(marks)} are proven by tests: {whole} of these over Unix sockets too, "
        f"{part} in part, {marks.count(None)} not."
    )


def with_statuses(markdown: str, evidence: dict[str, Evidence]) -> str:
    def line_of(line: str) -> str:
        if not (found := _ROW.match(line)):
            return line
        cells = re.split(r"(?<!\\)\|", line)
        return "|".join(cells[:4]) + f"| {evidence[found['id']].status()} |"

    markdown = _NUMBERS.sub(numbers(evidence), markdown, count=1)
    return "\n".join(line_of(line) for line in markdown.split("\n"))


def main(root: Path = ROOT) -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--write", action="store_true", help=f"rewrite the generated parts of {TABLE}")
    arguments.add_argument("--quiet", action="store_true", help="print only what is missing, and the summary")
    options = arguments.parse_args()

    table = root / TABLE
    markdown = table.read_text(encoding="utf-8")
    rows = read_rows(markdown)
    evidence, problems = gather(rows, find_tests(root), (root / REASONS).read_text(encoding="utf-8"))
    if len(rows) != ROWS:
        problems.append(f"{TABLE}: {len(rows)} rows instead of {ROWS}")

    if not _NUMBERS.search(markdown):
        problems.append(f"{TABLE}: no line that begins with `Of the {ROWS} rows, `")
    problems += unchecked_worlds(root)

    current = with_statuses(markdown, evidence)
    if options.write:
        if current != markdown:
            table.write_text(current, encoding="utf-8")
        print(f"{TABLE}: {'rewritten' if current != markdown else 'already up to date'}")

    for row in rows:
        if not options.quiet or evidence[row.id].is_missing:
            print(f"{row.id}  {row.level}    {evidence[row.id].report()}")
    missing = [row for row in rows if evidence[row.id].is_missing]
    proven = sum(bool(evidence[row.id].tests) for row in rows)
    must = [row.id for row in missing if row.level == "M"]
    print(
        f"{len(rows)} rows: {proven} proven by tests, {len(rows) - proven - len(missing)} with a reason, "
        f"{len(missing)} missing, of which {len(must)} of level M"
    )
    print(numbers(evidence))

    if options.write:
        must = []
    elif current != markdown:
        problems.append(f"{TABLE}: the generated parts are stale; run `make conformance-write`")
    if must:
        problems.append(f"neither test nor reason for {', '.join(must)}")
    for problem in problems:
        print(f"conformance: {problem}", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())

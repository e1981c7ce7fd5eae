"""Just enough of Rust's syntax to ask questions of a source file: what is code, what is a test, what carries which attribute.

It does not parse Rust. It blanks out comments and literals, so that a pattern looked for in the rest means what it says.
"""

import re
from typing import Iterator, NamedTuple

_OPENERS = re.compile(
    r"""//[^\n]*
      | /\*
      | \b[bc]?r(?P<hashes>\#*)"
      | [bc]?"(?:\\.|[^"\\])*"
      | b?'(?:\\(?:u\{[^}]*\}|x[0-9a-fA-F]{2}|.)|[^\\'\n])'
    """,
    re.VERBOSE | re.DOTALL,
)
_ATTRIBUTE = r"\#!?\[[^\[\]]*(?:\[[^\[\]]*\][^\[\]]*)*\]"
_FUNCTION = re.compile(
    rf"(?P<attributes>(?:{_ATTRIBUTE}\s*)*)"
    r"(?:pub(?:\([^)]*\))?\s+)?(?:(?:const|async|unsafe|extern)\s+)*\bfn\s+(?P<name>\w+)"
)
# `fuzzing` is set by `make fuzz` alone.
_TEST_ONLY = re.compile(rf"\#\[cfg\((?:test|any\(test, fuzzing\)|all\(\s*test\b[^\]]*)\)\](?:\s*{_ATTRIBUTE})*")


class Function(NamedTuple):
    name: str
    line: int
    attributes: list[str]

    @property
    def is_test(self) -> bool:
        """`#[test]`, `#[tokio::test(…)]`, `#[sim_test]`: any attribute whose path says so. `#[cfg(test)]` does not."""
        paths = [re.match(r"#!?\[\s*(?:unsafe\()?\s*([\w:]*)", attribute)[1] for attribute in self.attributes]
        return any("test" in path for path in paths if not path.startswith("cfg"))

    @property
    def is_ignored(self) -> bool:
        return any(
            re.match(r"#\[\s*(?:ignore\b|cfg_attr\b.*\bignore\b)", attribute, re.DOTALL) for attribute in self.attributes
        )


def blank(text: str) -> str:
    """The same number of characters and lines, with nothing in them."""
    return re.sub(r"[^\n]", " ", text)


def code_only(source: str) -> str:
    """The source with every comment and literal blanked out; positions and line numbers stay."""
    parts, position = [], 0
    while opener := _OPENERS.search(source, position):
        end = _end_of(source, opener)
        parts += [source[position : opener.start()], blank(source[opener.start() : end])]
        position = end
    return "".join(parts) + source[position:]


def test_items(code: str) -> Iterator[tuple[int, int]]:
    """Start and end of every item under `#[cfg(test)]` in the code (see `code_only`)."""
    position = 0
    while attribute := _TEST_ONLY.search(code, position):
        position = _end_of_item(code, attribute.end())
        yield attribute.start(), position


def without_tests(code: str) -> str:
    """The code with every item under `#[cfg(test)]` blanked out."""
    for start, end in test_items(code):
        code = code[:start] + blank(code[start:end]) + code[end:]
    return code


def test_module_files(code: str) -> Iterator[str]:
    """Names of the modules declared by `#[cfg(test)] mod name;`, whose files are tests as a whole."""
    for attribute in _TEST_ONLY.finditer(code):
        if module := re.match(r"\s*(?:pub(?:\([^)]*\))?\s+)?mod\s+(\w+)\s*;", code[attribute.end() :]):
            yield module[1]


def functions(code: str) -> Iterator[Function]:
    """Every `fn` of the code, with the attributes that stand above it."""
    for found in _FUNCTION.finditer(code):
        line = code.count("\n", 0, found.start("name")) + 1
        yield Function(found["name"], line, re.findall(_ATTRIBUTE, found["attributes"]))


def _end_of(source: str, opener: re.Match) -> int:
    if opener[0] == "/*":
        depth = 0
        for bracket in re.compile(r"/\*|\*/").finditer(source, opener.start()):
            depth += 1 if bracket[0] == "/*" else -1
            if depth == 0:
                return bracket.end()
        return len(source)
    if opener["hashes"] is not None:
        close = source.find('"' + opener["hashes"], opener.end())
        return len(source) if close < 0 else close + 1 + len(opener["hashes"])
    return opener.end()


def _end_of_item(code: str, start: int) -> int:
    """An item ends at its first `;` outside brackets or at the brace that closes its first `{`."""
    depth = 0
    for token in re.compile(r"[;{}()\[\]]").finditer(code, start):
        if token[0] in "{([":
            depth += 1
        elif token[0] in "})]":
            depth -= 1
            if depth == 0 and token[0] == "}":
                return token.end()
        elif depth == 0:
            return token.end()
    return len(code)

#!/usr/bin/env python3
"""Runs the consumers in examples/compose, each plugged into wasi-streams.wasm, against real peers, and checks what they print.
`make compose` builds what this needs first; `make compose ONLY=rust` runs those of one language."""

import sys
import tempfile
from pathlib import Path

import compose_c
import compose_javascript
import compose_jco
import compose_push
import compose_python
import compose_rust
from composed import Composed
from demo import run_steps

LANGUAGES = {
    "rust": compose_rust.STEPS,
    "push": compose_push.STEPS,
    "python": compose_python.STEPS,
    "javascript": compose_javascript.STEPS,
    "c": compose_c.STEPS,
    "jco": compose_jco.STEPS,
}


def main(only: list[str]) -> int:
    if unknown := set(only) - set(LANGUAGES):
        print(f"compose: no steps for {', '.join(sorted(unknown))}; there are {', '.join(LANGUAGES)}", file=sys.stderr)
        return 2
    steps = [step for language, steps in LANGUAGES.items() if language in (only or LANGUAGES) for step in steps]
    with tempfile.TemporaryDirectory() as folder:
        return run_steps("compose", steps, Composed(Path(folder)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

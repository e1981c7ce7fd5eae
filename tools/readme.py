#!/usr/bin/env python3
"""Runs the commands of README.md: every line of its `sh` blocks must succeed.

`make` targets that run this, or are run beside it by `make test`, are left out. A `console` block shows what needs a
program that is not installed here (the stock wasmtime).
"""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BLOCKS = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
RUN_ELSEWHERE = {"make demo", "make test", "make components", "make compose"}
DEADLINE = 900  # seconds; the first cargo command may have to build


def commands(text: str) -> list[str]:
    """The commands of the `sh` blocks of `text`, without comments and blank lines."""
    lines = (line.split("#", 1)[0].strip() for block in BLOCKS.findall(text) for line in block.splitlines())
    return [line for line in lines if line]


def main() -> int:
    failed = 0
    todo = [c for c in commands((ROOT / "README.md").read_text(encoding="utf-8")) if c not in RUN_ELSEWHERE]
    if not todo:
        print("readme: README.md has no commands to run; is it still the one that tools/readme.py expects?")
        return 1
    for command in todo:
        print(f"readme: {command}", flush=True)
        done = subprocess.run(["bash", "-c", command], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=DEADLINE, check=False)
        if done.returncode != 0:
            failed += 1
            print(f"readme: FAILED with exit status {done.returncode}; it printed:\n{done.stdout}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

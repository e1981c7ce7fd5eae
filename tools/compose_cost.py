#!/usr/bin/env python3
"""Measures what composition costs: an echo server that has the library by composition against one that is linked with it, both in
the same runner. Prints the table that README.md has."""

import contextlib
import datetime
import statistics
import subprocess
import sys
from pathlib import Path

from demo import COMPONENTS, ROOT, RUNNER, Failure, running

LOAD = ROOT / "target/release/wasi-streams-load"
ROUNDS = 9
# How long each figure is measured, in milliseconds.
TIME = 1000

# The same loop each time: read up to 64 KiB, write, drain.
LINKED = "echo-server", "--stream", "--port", "0"
ONE_BY_ONE = "composed/rust-echo-one-by-one", "127.0.0.1", "0"
WAITING = "composed/rust-echo-server", "127.0.0.1", "0"
PUSHED = "composed/rust-push", "--port", "0"

SMALL, BULK = (64, "turns"), (64 * 1024, "flood")
# What is measured: the composed server, how it waits, connections, and messages.
CASES = (
    (ONE_BY_ONE, "blocking", 1, SMALL),
    (WAITING, "`wait`", 1, SMALL),
    (WAITING, "`wait`", 50, SMALL),
    (PUSHED, "push driver", 50, SMALL),
    (ONE_BY_ONE, "blocking", 1, BULK),
    (WAITING, "`wait`", 1, BULK),
    (WAITING, "`wait`", 50, BULK),
)


@contextlib.contextmanager
def serving(name: str, *arguments: str):
    """A server's address."""
    command = [str(RUNNER), str(COMPONENTS / f"{name}.wasm"), *arguments]
    with running(name, command) as server:
        yield server.wait_for(r"^Serving on (127\.0\.0\.1:\d+)$")[1]


def figure(address: str, connections: int, size: int, how: str) -> float:
    """Messages in a second."""
    command = [str(LOAD), address, str(connections), str(size), how, str(TIME)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout)


def row(server: tuple[str, ...], waits: str, connections: int, messages: tuple[int, str]) -> str:
    size, how = messages
    with serving(*server) as composed, serving(*LINKED) as linked:
        # In turns, so that whatever else the machine does concerns both.
        rounds = [(figure(composed, connections, size, how), figure(linked, connections, size, how)) for _ in range(ROUNDS)]
    ratios = sorted(one / other for one, other in rounds)
    middle = [statistics.median(figures) for figures in zip(*rounds)]
    rates = [f"{rate:,.0f} /s" if how == "turns" else f"{rate * size / 1e6:,.0f} MB/s" for rate in middle]
    what = f"{size} bytes, to and fro" if how == "turns" else f"{size // 1024} KiB pieces, one way and back at once"
    spread = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f}–{ratios[-1]:.2f})"
    return f"| {what} | {connections} | {waits} | {rates[0]} | {rates[1]} | {spread} |"


def main() -> int:
    version = subprocess.run([str(RUNNER), "--version"], check=True, capture_output=True, text=True).stdout.strip()
    print(f"{datetime.date.today()}, {version}, {ROUNDS} rounds in turns; the ratio is the median of the rounds' (least–most)\n")
    print("| messages | connections | waits by | composed | linked | ratio |")
    print("|---|---|---|---|---|---|")
    for case in CASES:
        print(row(*case), flush=True)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (Failure, subprocess.CalledProcessError) as failure:
        sys.exit(f"compose-cost: {failure}")

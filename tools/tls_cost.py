#!/usr/bin/env python3
"""Measures what TLS costs in a guest, against the same program natively; prints the table that README.md has.

Both ends run in one thread and in memory, so a figure is for both sides of the work together.
"""

import datetime
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RUNNER = ROOT / "target/release/wasi-streams-run"
GUEST = ROOT / "target/components/tls-cost.wasm"
NATIVE = ROOT / "target/release/tls-cost"
ROUNDS = 3
# How long each figure is measured, in milliseconds.
TIME = "2000"


def certificates(folder: Path) -> list[str]:
    """An authority, a certificate for localhost and its key, ECDSA P-256."""
    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    openssl("req", "-x509", *key, "-subj", "/CN=authority", "-keyout", "ca.key", "-out", "ca.pem", "-days", "2")
    openssl("req", "-x509", *key, "-subj", "/CN=server", "-keyout", "server.key", "-out", "server.pem", "-days", "2",
            "-addext", "subjectAltName=DNS:localhost", "-addext", "basicConstraints=critical,CA:FALSE",
            "-CA", "ca.pem", "-CAkey", "ca.key")
    return ["ca.pem", "server.pem", "server.key", TIME]


def figures(command: list[str], folder: Path) -> dict[str, float]:
    done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True, timeout=120)
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in done.stdout.splitlines())}


def main() -> int:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = certificates(folder)
        guest = [str(RUNNER), "--dir", f"{folder}::.", str(GUEST), *files]
        native = [str(NATIVE), *files]
        # In turns, so that whatever else the machine does concerns both.
        rounds = [(figures(guest, folder), figures(native, folder)) for _ in range(ROUNDS)]
    print(f"{datetime.date.today()}, {ROUNDS} rounds, the median of each; both ends together, one thread\n")
    print("| a second | in a guest | natively | ratio |")
    print("|---|---|---|---|")
    for figure in rounds[0][0]:
        middle = sorted(((g[figure], n[figure]) for g, n in rounds), key=lambda pair: pair[0] / pair[1])[ROUNDS // 2]
        print(f"| {figure} | {middle[0]:.0f} | {middle[1]:.0f} | {middle[0] / middle[1]:.2f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""Prints the name of every program (bin target) of the given packages of this workspace, one a line."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def bins(packages: list[str]) -> list[str]:
    """Raises KeyError for a package that the workspace does not have."""
    command = ["cargo", "metadata", "--locked", "--no-deps", "--format-version", "1"]
    metadata = json.loads(subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout)
    targets = {package["name"]: package["targets"] for package in metadata["packages"]}
    return [target["name"] for package in packages for target in targets[package] if "bin" in target["kind"]]


if __name__ == "__main__":
    try:
        print("\n".join(bins(sys.argv[1:])))
    except KeyError as missing:
        sys.exit(f"bins: the workspace has no package {missing}")
    except subprocess.CalledProcessError as failed:
        sys.exit(failed.returncode)

#!/usr/bin/env python3
"""Writes the WIT packages that ours depend on, from those in the locked crate `wasip2`; with --check, fails where they differ.

They are what `wit-deps` and `wkg` would fetch, with two changes. The version is 0.2.0: components for that run on every host of WASI
0.2, and tools take the highest version in a composition for all. And where only some interfaces of a package are wanted, the others
are left out, or they would want the packages that they use.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CRATE = "wasip2"
VERSION = "0.2.0"
# The folders, and in each the packages of WASI, or as `package/interface` the only interfaces of them; or a folder of ours.
FOLDERS = {
    "wit/deps": ["io"],
    "wit/unix/deps": ["io"],
    "examples/compose/wit/deps": ["io", "clocks/monotonic-clock", "cli/run", "cli/environment"],
    "examples/compose/wit/deps/net": ["./wit"],
}


class Unusable(Exception):
    """What is wanted is not in the crate."""


def crate_folder() -> Path:
    command = ["cargo", "metadata", "--locked", "--format-version", "1"]
    metadata = json.loads(subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout)
    found = [package for package in metadata["packages"] if package["name"] == CRATE]
    if len(found) != 1:
        raise Unusable(f"{len(found)} versions of the crate {CRATE} are locked: they would be as many sets of types")
    return Path(found[0]["manifest_path"]).parent / "wit" / "deps"


def excerpt(text: str, interfaces: set[str]) -> str:
    """The package line and those interfaces, with what is written above them."""
    header, *blocks = re.split(r"(?<=^}\n)\n*|(?<=;\n)\n+(?=///|@|interface|world)", text, flags=re.MULTILINE)
    wanted = [block for block in blocks if (name := re.search(r"^interface ([\w-]+)", block, re.M)) and name[1] in interfaces]
    if len(wanted) != len(interfaces):
        raise Unusable(f"{header.strip()} has not all of {', '.join(sorted(interfaces))}")
    return "\n".join([header, *wanted])


def at_version(text: str) -> str:
    """The same of WASI 0.2.0; nothing that came later may be in it."""
    if later := set(re.findall(r"@since\(version = ([\d.]+)\)", text)) - {VERSION}:
        raise Unusable(f"{text.splitlines()[0]} has items of {', '.join(sorted(later))}: name the interfaces without them")
    if "@unstable" in text:
        raise Unusable(f"{text.splitlines()[0]} has unstable items: name the interfaces without them")
    return re.sub(r"(wasi:[\w/-]+@)[\d.]+\d", rf"\g<1>{VERSION}", text)


def files(crate: Path, wanted: list[str]) -> dict[str, str]:
    """What belongs into a folder, by name."""
    result: dict[str, str] = {}
    interfaces: dict[str, set[str]] = {}
    for name in wanted:
        if name.startswith("./"):
            result |= {path.name: path.read_text(encoding="utf-8") for path in sorted((ROOT / name).glob("*.wit"))}
            continue
        package, _, interface = name.partition("/")
        interfaces.setdefault(package, set()).update([interface] if interface else [])
    for package, only in interfaces.items():
        text = (crate / f"{package}.wit").read_text(encoding="utf-8")
        text = at_version(excerpt(text, only) if only else text)
        result[f"{package}.wit"] = f"// Written by tools/wit_deps.py from the crate {CRATE}.\n{text}"
    return result


def differences(folder: Path, wanted: dict[str, str]) -> list[str]:
    """The names of files that are missing, different, or not wanted."""
    present = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.wit")}
    return sorted(name for name in present | wanted if present.get(name) != wanted.get(name))


def main(check: bool) -> int:
    crate, stale = crate_folder(), 0
    for folder, names in FOLDERS.items():
        wanted = files(crate, names)
        for name in differences(ROOT / folder, wanted):
            path, stale = ROOT / folder / name, stale + 1
            if check:
                print(f"wit-deps: {folder}/{name} is not what tools/wit_deps.py writes; run it", file=sys.stderr)
            elif name in wanted:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(wanted[name], encoding="utf-8")
            else:
                path.unlink()
    print(f"==> wit-deps: {len(FOLDERS)} folders, {stale} files {'differ' if check else 'written'}")
    return 1 if check and stale else 0


if __name__ == "__main__":
    if sys.argv[1:] not in ([], ["--check"]):
        sys.exit("usage: wit_deps.py [--check]")
    try:
        sys.exit(main(check=bool(sys.argv[1:])))
    except (Unusable, OSError) as error:
        sys.exit(f"wit-deps: {error}")
    except subprocess.CalledProcessError as failed:
        sys.exit(failed.returncode)

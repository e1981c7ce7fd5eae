#!/usr/bin/env python3
"""Makes a component of a Python program whose asyncio is `wasi_streams`.

    pip install componentize-py
    python3 build.py echo_client.py -o echo_client.wasm --plug wasi-streams.wasm

Without --plug the library is still to be joined: `wac plug app.wasm --plug wasi-streams.wasm -o echo_client.wasm`.

Modules are looked for beside the program and in the site-packages of an active virtual environment. Several programs make one
component, whose first argument names the one to be run.
"""

import argparse
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
WORLD = "app"
MODULE = "wasi_streams_program"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("programs", metavar="PROGRAM", nargs="+", type=Path, help="a Python file")
    parser.add_argument("-o", "--output", metavar="FILE", required=True, type=Path, help="where the component is written to")
    parser.add_argument("--plug", metavar="FILE", type=Path, help="the library, wasi-streams.wasm, to be joined to it")
    parser.add_argument("--wit", metavar="FOLDER", default=HERE.parent / "wit", type=Path, help="the WIT with the world `app`")
    parser.add_argument("--componentize-py", metavar="COMMAND", default="componentize-py", help="the tool, if it is elsewhere")
    parser.add_argument("--wac", metavar="COMMAND", default="wac", help="the tool that joins, if it is elsewhere")
    return parser.parse_args()


def componentize(programs: list[Path], output: Path, wit: Path, tool: list[str]) -> None:
    sources = {program.name: program.read_text(encoding="utf-8") for program in programs}
    with tempfile.TemporaryDirectory() as folder:
        text = f"from wasi_streams.command import command\n\nPROGRAMS = {sources!r}\n\nRun = command(PROGRAMS)\n"
        Path(folder, f"{MODULE}.py").write_text(text, encoding="utf-8")
        # Each folder once, in this order.
        paths = dict.fromkeys([folder, *(str(program.resolve().parent) for program in programs), str(HERE)])
        search = [part for path in paths for part in ("-p", path)]
        command = [*tool, "-q", "-d", str(wit), "-w", WORLD, "componentize", MODULE, *search, "-o", str(output)]
        subprocess.run(command, check=True)


def main() -> int:
    options = arguments()
    try:
        if options.plug is None:
            componentize(options.programs, options.output, options.wit, shlex.split(options.componentize_py))
            return 0
        with tempfile.TemporaryDirectory() as folder:
            application = Path(folder, "application.wasm")
            componentize(options.programs, application, options.wit, shlex.split(options.componentize_py))
            plug = [*shlex.split(options.wac), "plug", str(application), "--plug", str(options.plug), "-o", str(options.output)]
            subprocess.run(plug, check=True)
        return 0
    except OSError as error:
        print(f"build: {error}", file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as failed:
        print(f"build: {failed.cmd[0]} failed with status {failed.returncode}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())

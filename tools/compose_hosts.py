"""Builds components, and starts them on a host: our runner, which is wasmtime, or jco on Node.js."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from composed import PROVIDER, Composed
from demo import ROOT, RUNNER, Failure, running

TOOLS = ROOT / "target/tools/bin"
WIT = ROOT / "examples/compose/wit"
NODE_MODULES = ROOT / "target/tools/npm/node_modules"
KEPT = ROOT / "target/compose"
# Which versions of the compilers there are is said here.
COMPILERS = (ROOT / "tools/compose-setup.sh", ROOT / "tools/compose")


def build(
    composed: Composed, name: str, sources: Iterable[Path], compile_to: Callable[[Path], None], *, plugs: bool = False
) -> Path:
    """The component `name`, plugged: here, unless what compiles it `plugs`. It is kept while the sources are the same: no two builds of
    JavaScript are, and for each the runner would compile an engine anew."""
    kept = KEPT / f"{name}.wasm"
    roots = [*sources, *COMPILERS, WIT, PROVIDER]
    files = [file for root in roots for file in (root.rglob("*") if root.is_dir() else [root])]
    if not kept.exists() or kept.stat().st_mtime <= max(file.stat().st_mtime for file in files):
        application = composed.folder / "applications" / kept.name
        application.parent.mkdir(exist_ok=True)
        compile_to(application)
        KEPT.mkdir(parents=True, exist_ok=True)
        shutil.move(application if plugs else composed.plug(application), kept)
    return kept


def copied(composed: Composed, language: str) -> Path:
    """The folder of a language, copied out of the repository with `wit/` beside it, as the READMEs say."""
    examples, copies = WIT.parent, composed.folder / "copies"
    for name in (language, WIT.name):
        shutil.copytree(examples / name, copies / name, ignore=shutil.ignore_patterns("target"), dirs_exist_ok=True)
    return copies / language


def run_tool(tool: str, *arguments: str | Path) -> None:
    """Runs a tool of target/tools/bin, which must print nothing: that would be a warning. It may take minutes: zig builds its C library
    when it first runs."""
    command = [str(TOOLS / tool), *map(str, arguments)]
    output = {"stdin": subprocess.DEVNULL, "capture_output": True, "text": True, "errors": "replace"}
    done = subprocess.run(command, cwd=ROOT, timeout=600, check=False, **output)
    if done.returncode != 0 or done.stdout or done.stderr:
        raise Failure(f"{tool} ended with status {done.returncode}; its output:\n{done.stdout}{done.stderr}")


def wasmtime(
    component: Path,
    *arguments: str,
    trust: Path | None = None,
    environment: Mapping[str, str] | None = None,
    files: int | None = None,
):
    """Runs a component, which trusts this authority; the host has so many files and sockets at the most."""
    options = ["--dir", f"{trust.parent}::/certs", "--env", f"SSL_CERT_FILE=/certs/{trust.name}"] if trust else []
    for name, value in (environment or {}).items():
        options += ["--env", f"{name}={value}"]
    limit = ["sh", "-c", f'ulimit -n {files}; exec "$@"', "sh"] if files else []
    return running(title(component, arguments), [*limit, str(RUNNER), *options, str(component), *arguments])


def title(component: Path, arguments: Iterable[str]) -> str:
    return " ".join([component.stem, *arguments])


# A module that jco loads before the program. Without one there are no folders, all of the environment, and all of the network.
OPEN_FOLDER = """
import { _addPreopen } from "SHIM/dist/nodejs/filesystem.js";
_addPreopen("/certs", process.env.CERTS);
"""
NO_NETWORK = """
import { _denyDnsLookup, _denyTcp } from "SHIM/dist/nodejs/sockets.js";
_denyTcp();
_denyDnsLookup();
"""


class Jco:
    """Node.js with the shim of WASI that jco comes with; `network=False` denies sockets and lookup."""

    def __init__(self, folder: Path, network: bool = True):
        shim = (NODE_MODULES / "@bytecodealliance/preview2-shim").as_uri()
        self.setup = folder / f"jco-{network}.mjs"
        self.setup.write_text((OPEN_FOLDER if network else NO_NETWORK).replace("SHIM", shim), encoding="utf-8")

    def __call__(self, component: Path, *arguments: str, trust: Path | None = None, environment: Mapping[str, str] | None = None):
        variables = {"PATH": os.environ["PATH"], "CERTS": str(trust.parent if trust else self.setup.parent), **(environment or {})}
        if trust:
            variables["SSL_CERT_FILE"] = f"/certs/{trust.name}"
        settings = [f"{name}={value}" for name, value in variables.items()]
        # Its own folder would stay behind when the program is ended.
        options = ["--jco-dir", str(self.setup.parent / f"jco-{component.stem}"), "--jco-import", str(self.setup)]
        command = ["env", "-i", *settings, str(TOOLS / "jco"), "run", *options, str(component), *arguments]
        return group(f"jco run {title(component, arguments)}", command)


@contextlib.contextmanager
def group(name: str, command: list[str]):
    """As `running`, and ends what the program has started too: of jco, that is the component."""
    leader = "import os, sys; os.setsid(); os.execvp(sys.argv[1], sys.argv[1:])"
    with running(name, [sys.executable, "-c", leader, *command]) as program:
        try:
            yield program
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(program.process.pid, signal.SIGKILL)

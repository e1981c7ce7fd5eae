"""What the steps of `make compose` share: programs plugged into wasi-streams.wasm."""

from pathlib import Path

from demo import COMPONENTS, ROOT, RUNNER, running

PLUG = ROOT / "target/debug/wasi-streams-compose"
BUILT = ROOT / "target/wasm32-wasip2/component"
PROVIDER = COMPONENTS / "wasi-streams.wasm"


class Composed:
    """Applications plugged into the library, in a folder of their own."""

    def __init__(self, folder: Path):
        self.folder = folder

    def plug(self, application: Path) -> Path:
        composed = self.folder / application.name
        command = [str(PLUG), "plug", str(application), "--plug", str(PROVIDER), "-o", str(composed)]
        with running(" ".join(["plug", application.stem]), command) as plugging:
            plugging.finish()
        return composed

    def run(self, application: str, *arguments: str, folder: Path | None = None, options: tuple[str, ...] = ()):
        composed = self.plug(BUILT / f"{application}.wasm")
        mounted = ["--dir", f"{folder}::/certs"] if folder else []
        return running(" ".join([application, *arguments]), [str(RUNNER), *mounted, *options, str(composed), *arguments])

"""What the steps of `make compose` share: programs plugged into wasi-streams.wasm, and CPython's own asyncio as their peer."""

import sys
from pathlib import Path

from demo import COMPONENTS, ROOT, RUNNER, running

PLUG = ROOT / "target/debug/wasi-streams-compose"
BUILT = ROOT / "target/wasm32-wasip2/component"
PROVIDER = COMPONENTS / "wasi-streams.wasm"

ECHO_CLIENT = """
import asyncio, sys

async def main():
    reader, writer = await asyncio.open_connection('127.0.0.1', int(sys.argv[1]))
    writer.write(b'from CPython')
    print('Received:', (await reader.readexactly(12)).decode())
    writer.close()
    await writer.wait_closed()

asyncio.run(main())
"""
ECHO_SERVER = """
import asyncio

async def echo(reader, writer):
    writer.write(await reader.read(100))
    await writer.drain()
    writer.close()

async def main():
    server = await asyncio.start_server(echo, '127.0.0.1', 0)
    print('Serving on port', server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()

asyncio.run(main())
"""


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

#!/usr/bin/env python3
"""Runs the consumers in examples/compose, each plugged into wasi-streams.wasm, against real peers, and checks what they print.
`make compose` builds what this needs first."""

import sys
import tempfile
from pathlib import Path

import demo
from demo import COMPONENTS, HEADERS, HTTPS_SERVER, ROOT, RUNNER, Failure, certificates, component, running, website

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


def rust_echo(composed: Composed) -> None:
    with composed.run("rust-echo-server", "127.0.0.1", "0") as server:
        port = server.wait_for(r"^Serving on 127\.0\.0\.1:(\d+)")[1]
        with composed.run("rust-echo-client", "127.0.0.1", port, "Hello World!") as client:
            client.finish()
            client.expect(r'Send: "Hello World!"', r'Received: "Hello World!"', r"Close the connection")
        with running("CPython's client", [sys.executable, "-c", ECHO_CLIENT, port]) as client:
            client.finish()
            client.expect(r"Received: from CPython")
    with running("CPython's server", [sys.executable, "-c", ECHO_SERVER]) as server:
        port = server.wait_for(r"^Serving on port (\d+)")[1]
        with composed.run("rust-echo-client", "127.0.0.1", port, "Hello CPython!") as client:
            client.finish()
            client.expect(r'Received: "Hello CPython!"')


def rust_echo_over_tls(composed: Composed) -> None:
    with certificates() as certs:
        files = ["/certs/server.pem", "/certs/server.key"]
        with composed.run("rust-echo-server", "127.0.0.1", "0", *files, folder=certs) as server:
            port = server.wait_for(r"^Serving on 127\.0\.0\.1:(\d+)")[1]
            # The client is the crate itself, not composed.
            with component("echo-client", "--port", port, "--tls", "--ca", "/certs/ca.pem", folder=certs) as client:
                client.finish()
                client.expect(rf"Received: {demo.HELLO}")


def rust_https_headers(composed: Composed) -> None:
    with certificates() as certs, website() as folder:
        command = [sys.executable, "-u", "-c", HTTPS_SERVER, folder, str(certs / "server.pem"), str(certs / "server.key")]
        with running("Python's http.server over TLS", command) as server:
            port = server.wait_for(r"^Serving HTTPS on port (\d+)")[1]
            trust = ("--env", "SSL_CERT_FILE=/certs/ca.pem")
            arguments = ["127.0.0.1", port, "/page.html"]
            with composed.run("rust-https-headers", *arguments, folder=certs, options=trust) as client:
                client.finish()
                client.expect(*HEADERS)


def main() -> int:
    try:
        with tempfile.TemporaryDirectory() as folder:
            composed = Composed(Path(folder))
            for step in (rust_echo, rust_echo_over_tls, rust_https_headers):
                print(f"==> compose: {step.__name__.replace('_', ' ')}", flush=True)
                step(composed)
    except (Failure, OSError) as failure:
        print(f"compose: {failure}", file=sys.stderr)
        return 1
    print("==> compose: all as expected")
    return 0


if __name__ == "__main__":
    sys.exit(main())

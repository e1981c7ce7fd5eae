"""The peers of programs in any language, and what is the same for all of them: web servers, echo, and what goes wrong.

A program is given as a function that starts it: `run(*arguments, trust=CERTIFICATE)`, where `trust` is the authority to be trusted.
"""

import contextlib
import re
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from demo import HEADERS, Failure, Program, certificates, http_server, https_server, running

Run = Callable[..., contextlib.AbstractContextManager[Program]]

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
# A line, because some servers echo lines.
CLIENT = """
import asyncio, sys

async def main():
    reader, writer = await asyncio.open_connection('127.0.0.1', int(sys.argv[1]))
    writer.write(b'from CPython\\n')
    print('Received:', (await reader.readline()).decode().rstrip())
    writer.close()
    await writer.wait_closed()

asyncio.run(main())
"""
# The first client does not read what it gets; the three others do not suffer from that.
STALLING_CLIENTS = """
import asyncio, sys

async def main():
    address = ('127.0.0.1', int(sys.argv[1]))
    _, stalled = await asyncio.open_connection(*address, limit=1000)
    stalled.write(bytes(16 << 20))
    await asyncio.sleep(0.2)
    for number in range(3):
        reader, writer = await asyncio.open_connection(*address)
        data = bytes([number]) * 200_000
        writer.write(data)
        writer.write_eof()
        assert await asyncio.wait_for(reader.read(-1), 20) == data
        writer.close()
    assert stalled.transport.get_write_buffer_size() > 0, 'nothing held the stalled client up'
    print('Echoed: 3')
    stalled.transport.abort()

asyncio.run(main())
"""


def fails(run: Run, *arguments: str, message: str, **options: Any) -> None:
    """It prints this, and ends with status 1."""
    with run(*arguments, **options) as program:
        program.finish(1)
        if not any(re.search(message, line) for line in program.lines):
            raise Failure(f"{program.name} printed no {message!r}, but {program.lines}")
        program.expect()


@contextlib.contextmanager
def refusing_port():
    """A port that is taken, and that nobody listens on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield str(taken.getsockname()[1])


def echo_client(run: Run) -> None:
    with running("CPython's server", [sys.executable, "-c", ECHO_SERVER]) as server:
        port = server.wait_for(r"^Serving on port (\d+)")[1]
        with run("127.0.0.1", port, "Hello CPython!") as client:
            client.finish()
            client.expect(r"Send: .Hello CPython!.", r"Received: .Hello CPython!.", r"Close the connection")


def echo_server(run: Run, clients: str = CLIENT, received: str = r"Received: from CPython") -> None:
    with run("127.0.0.1", "0") as server:
        port = server.wait_for(r"^Serving on .*127\.0\.0\.1\D+(\d+)")[1]
        with running("CPython's clients", [sys.executable, "-c", clients, port]) as peer:
            peer.finish()
            peer.expect(received)


def http_headers(run: Run) -> None:
    with http_server() as (_, port), run("127.0.0.1", port, "/page.html") as client:
        client.finish()
        client.expect(*HEADERS)


def https_headers(run: Run) -> None:
    with certificates() as certs, https_server(certs) as (_, port):
        with run("127.0.0.1", port, "/page.html", trust=certs / "ca.pem") as client:
            client.finish()
            client.expect(*HEADERS)


def refused(run: Run) -> None:
    with refusing_port() as port, certificates() as certs:
        fails(run, "127.0.0.1", port, "/", trust=certs / "ca.pem", message=r"connection[- ]refused")


def distrusted(run: Run, message: str) -> None:
    """The authority that has issued the server's certificate is not the trusted one."""
    with certificates() as certs, https_server(certs) as (_, port):
        fails(run, "127.0.0.1", port, "/page.html", trust=another_authority(certs), message=message)


def checks(run: Run, names: tuple[str, ...]) -> None:
    """Those that a program makes of itself."""
    with run(*names) as program:
        program.finish()
        program.expect(*(f"{name}: as expected" for name in names))


def another_authority(certs: Path) -> Path:
    certificate = certs / "another.pem"
    new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", str(certs / "another.key")]
    with running("openssl", ["openssl", "req", "-x509", *new_key, "-subj", "/CN=another", "-out", str(certificate)]) as making:
        making.finish()
    return certificate

"""An application that is handed its connections, on three floors: wasi-streams.wasm, examples/compose/rust-push, the driver."""

import contextlib
import re
import subprocess
import sys
from pathlib import Path

from composed import BUILT, PLUG, PROVIDER, Composed
from demo import COMPONENTS, DEADLINE, RUNNER, Failure, certificates, running

APPLICATION = BUILT / "rust_push.wasm"
DRIVER = COMPONENTS / "wasi-streams-driver.wasm"

# What the clients share: a connection, over TLS if there is an authority, and a line that is answered.
CLIENT = """
import asyncio, socket, ssl, struct, sys

port, *ca = sys.argv[1:]
context = ssl.create_default_context(cafile=ca[0]) if ca else None

async def connect():
    return await asyncio.open_connection('127.0.0.1', int(port), ssl=context)

async def answer(reader):
    return await asyncio.wait_for(reader.readline(), 30)

async def ask(reader, writer, line):
    writer.write(line)
    assert await answer(reader) == line.upper(), line

async def leave(reader, writer):
    writer.close()
    await writer.wait_closed()
"""
# One is in the middle of a line, one resets the connection, the line of one is too long: the others do not notice.
MANY = CLIENT + """
async def talk(name):
    reader, writer = await connect()
    for number in range(50):
        await ask(reader, writer, f'{name} says {number}\\n'.encode())
    await leave(reader, writer)
    print(name, 'was answered')

async def misbehave():
    reader, writer = await connect()
    await ask(reader, writer, b'bye\\n')
    writer.get_extra_info('socket').setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
    writer.transport.abort()
    reader, writer = await connect()
    writer.write(b'x' * 200_000)
    try:
        assert await asyncio.wait_for(reader.read(), 30) == b''
    except ConnectionError:
        pass

async def main():
    reader, writer = await connect()
    await ask(reader, writer, b'first\\n')
    writer.write(b'half a l')
    await asyncio.gather(misbehave(), *(talk(f'client {number}') for number in range(8)))
    writer.write(b'ine\\n')
    print('the last answer is', (await answer(reader)).decode().strip())
    await leave(reader, writer)

asyncio.run(main())
"""
# There is room for two.
CROWD = CLIENT + """
async def main():
    first, second = await connect(), await connect()
    await ask(*first, b'one\\n')
    await ask(*second, b'two\\n')
    reader, writer = await connect()
    writer.write(b'three\\n')
    third = asyncio.ensure_future(answer(reader))
    await asyncio.sleep(0.3)
    for number in range(50):
        await ask(*second, b'two again\\n')
    print('before the first leaves, the third is answered:', third.done())
    await leave(*first)
    print('after that it is answered', (await third).decode().strip())

asyncio.run(main())
"""
# Takes its answers slowly; its last line ends the session by an error, with answers still to be sent.
SLOW = CLIENT + """
LINES = b''.join(b'line %06d of many\\n' % number for number in range(600_000))

async def send(writer):
    writer.write(LINES + b'x' * 65_600)
    await writer.drain()

async def main():
    reader, writer = await connect()
    sending = asyncio.ensure_future(send(writer))
    answers = bytearray()
    while piece := await asyncio.wait_for(reader.read(65536), 30):
        answers += piece
        await asyncio.sleep(0.002)
    await sending
    print('every line was answered:', answers == LINES.upper())

asyncio.run(main())
"""
BAD_ARGUMENTS = {
    ("--port", "many"): r"cannot parse argument \"many\": .+ \(--help shows the options\)",
    ("--colour",): r"invalid option '--colour' \(--help shows the options\)",
    ("--max-connections", "0"): r"--max-connections must be at least 1 \(--help shows the options\)",
    ("--tls-cert", "/certs/server.pem"): r"every --tls-cert needs a --tls-key, .+",
    ("--tls-cert", "/certs/none.pem", "--tls-key", "/certs/none.key"): r"cannot read /certs/none\.pem: .+",
    ("--tls-cert", "/certs/server.key", "--tls-key", "/certs/server.key"): r".*certificate.*",
    ("--backlog", "0"): r".*backlog.*",
}


def composed_at_once(composed: Composed) -> Path:
    """The three floors by one command."""
    result = composed.folder / "push.wasm"
    tool("compose", str(PROVIDER), str(APPLICATION), str(DRIVER), "-o", str(result))
    return result


def composed_in_two_steps(composed: Composed) -> Path:
    """The same by two plugs, as `wac` does it: the driver's, and that of both."""
    served, result = composed.folder / "served.wasm", composed.folder / "push-in-two-steps.wasm"
    tool("plug", str(DRIVER), "--plug", str(APPLICATION), "-o", str(served))
    tool("plug", str(served), "--plug", str(PROVIDER), "-o", str(result))
    return result


def tool(*arguments: str) -> None:
    with running(f"wasi-streams-compose {arguments[0]}", [str(PLUG), *arguments]) as composing:
        composing.finish()


@contextlib.contextmanager
def serving(component: Path, *options: str, folder: Path | None = None):
    """The server and its port."""
    mounted = ["--dir", f"{folder}::/certs"] if folder else []
    command = [str(RUNNER), *mounted, str(component), "--port", "0", *options]
    with running(" ".join(["push driver", *options]), command) as server:
        yield server, server.wait_for(r"^Serving on 127\.0\.0\.1:(\d+)$")[1]


def clients(name: str, script: str, *arguments: str, expected: tuple[str, ...]) -> None:
    with running(name, [sys.executable, "-c", script, *arguments]) as peers:
        peers.finish()
        peers.expect(*expected)


def serve_many(component: Path, *options: str, folder: Path | None = None) -> None:
    ca = [str(folder / "ca.pem")] if folder else []
    with serving(component, *options, folder=folder) as (server, port):
        clients("CPython's clients", MANY, port, *ca, expected=("the last answer is HALF A LINE",))
        server.wait_for(r"^wasi-streams-driver: 127\.0\.0\.1:\d+: .*reset")
        server.wait_for(r"^wasi-streams-driver: 127\.0\.0\.1:\d+: .*limit")
        clients("CPython's clients again", MANY, port, *ca, expected=("the last answer is HALF A LINE",))


def push(composed: Composed) -> None:
    serve_many(composed_at_once(composed))


def push_composed_in_two_steps(composed: Composed) -> None:
    serve_many(composed_in_two_steps(composed))


def push_over_tls(composed: Composed) -> None:
    with certificates() as certs:
        files = ["--tls-cert", "/certs/server.pem", "--tls-key", "/certs/server.key"]
        serve_many(composed_at_once(composed), *files, folder=certs)


def push_with_a_bound(composed: Composed) -> None:
    with serving(composed_at_once(composed), "--max-connections", "2", "--backlog", "10") as (_, port):
        told = ("before the first leaves, the third is answered: False", "after that it is answered THREE")
        clients("three of CPython's clients", CROWD, port, expected=told)


def push_what_a_session_has_left(composed: Composed) -> None:
    with serving(composed_at_once(composed)) as (server, port):
        clients("a slow client of CPython", SLOW, port, expected=("every line was answered: True",))
        server.wait_for(r"^wasi-streams-driver: .*limit")


def push_with_bad_arguments(composed: Composed) -> None:
    component = composed_at_once(composed)
    with certificates() as certs:
        for arguments, told in BAD_ARGUMENTS.items():
            command = [str(RUNNER), "--dir", f"{certs}::/certs", str(component), "--port", "0", *arguments]
            done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE, check=False)
            print(f"--- push driver {' '.join(arguments)}\n    {done.stderr.rstrip()}")
            if done.returncode != 1 or not re.fullmatch(f"wasi-streams-driver: {told}\n", done.stderr):
                raise Failure(f"status 1 and one line like {told!r} were expected, not {done}")


STEPS = (
    push,
    push_composed_in_two_steps,
    push_over_tls,
    push_with_a_bound,
    push_what_a_session_has_left,
    push_with_bad_arguments,
)

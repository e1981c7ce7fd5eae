"""What the behaviours share: how they are listed and shown, and both ends of a connection."""

import contextlib
import sys

from wasi_streams import asyncio

PATIENCE = 20
HOST = "127.0.0.1"
BEHAVIOURS = []


def behaviour(function):
    """Adds it to what is shown."""
    BEHAVIOURS.append(function)
    return function


def since(*version):
    """As `behaviour`, of Pythons from that version on; it compares with what it expects itself, for others do not show it."""

    def decorate(function):
        if sys.version_info >= version:
            BEHAVIOURS.append(function)
        return function

    return decorate


async def show_all():
    for function in BEHAVIOURS:
        print(f"--- {function.__name__}")
        try:
            async with asyncio.timeout(PATIENCE):
                await function()
        except Exception as error:
            print(f"UNEXPECTED {type(error).__name__}: {error}")


async def outcome(awaitable, patience=5):
    """What comes out: the result, or the name of the exception."""
    try:
        return await asyncio.wait_for(awaitable, patience)
    except Exception as error:
        return type(error).__name__


def raised(function, *arguments, **options):
    """The exception that a function raises, or none."""
    try:
        function(*arguments, **options)
    except Exception as error:
        return f"{type(error).__name__}: {error}"


async def failure(awaitable):
    try:
        return f"no failure but {await awaitable!r}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"


@contextlib.asynccontextmanager
async def serving(callback, **options):
    """A server, as the pair of itself and its port."""
    server = await asyncio.start_server(callback, HOST, 0, **options)
    try:
        yield server, server.sockets[0].getsockname()[1]
    finally:
        server.close()


@contextlib.asynccontextmanager
async def connected(callback, server_options=None, **options):
    """The client's reader and writer; the server runs `callback`."""
    async with serving(callback, **(server_options or {})) as (_, port):
        reader, writer = await asyncio.open_connection(HOST, port, **options)
        try:
            yield reader, writer
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


def sends(*pieces, pause=0.02):
    """A callback that sends these one after another, and ends."""

    async def callback(_reader, writer):
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause)
        writer.close()
        await writer.wait_closed()

    return callback


async def echo(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()
    await writer.wait_closed()

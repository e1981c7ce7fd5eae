"""How it is when the peer breaks off. The port of a server that resets its connections is an argument of the program."""

import sys

from stage import HOST, behaviour, outcome
from wasi_streams import asyncio


@behaviour
async def the_peer_resets():
    reader, writer = await asyncio.open_connection(HOST, int(sys.argv[2]))
    reads = asyncio.create_task(outcome(reader.readline()))
    await asyncio.sleep(0.05)
    writer.write(b"reset\n")
    print(await reads, await outcome(reader.read()), writer.is_closing())
    print(await outcome(writer.drain()), await outcome(writer.wait_closed()), await outcome(writer.wait_closed()))
    writer.close()
    print(await outcome(writer.wait_closed()))


@behaviour
async def an_idle_connection_is_reset():
    _, writer = await asyncio.open_connection(HOST, int(sys.argv[2]))
    writer.write(b"reset\n")
    await asyncio.sleep(0.3)
    print(writer.is_closing())
    writer.write(b"into the void")
    print(await outcome(writer.drain()))

"""How it is with peers that are rude. An argument of the program is the port of a server that answers `flood` with lines for ever, and
all else by a reset."""

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


@behaviour
async def a_flood_starves_nobody():
    loop = asyncio.get_running_loop()
    reader, writer = await asyncio.open_connection(HOST, int(sys.argv[2]))
    writer.write(b"flood\n")
    ticks = 0

    async def tick():
        nonlocal ticks
        while True:
            await asyncio.sleep(0.01)
            ticks += 1

    ticker, end = asyncio.create_task(tick()), loop.time() + 1
    while loop.time() < end:
        await reader.readline()
    ticker.cancel()
    writer.transport.abort()
    print("ticks" if ticks >= 10 else f"only {ticks} ticks")

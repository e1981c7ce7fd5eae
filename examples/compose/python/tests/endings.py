"""The ways in which a program ends."""

import sys

from wasi_streams import asyncio


async def silent(reader, _writer):
    await reader.read()


async def forget(port):
    """Leaves everything open, with something written, and a task that waits."""
    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection("127.0.0.1", int(port))
    writer.write(b"last words\n" * 1000)
    waits = asyncio.create_task(reader.readline())
    await asyncio.sleep(0.05)
    print("forgotten", server.is_serving(), waits.done())


async def nobody():
    await asyncio.Event().wait()


def fail():
    raise LookupError("of the program")


match sys.argv[1:]:
    case ["forget", port]:
        asyncio.run(forget(port))
    case ["nobody"]:
        asyncio.run(nobody())
    case ["exit", "text"]:
        sys.exit("a text")
    case ["exit", number]:
        print("leaving")
        sys.exit(int(number))
    case ["fail"]:
        fail()

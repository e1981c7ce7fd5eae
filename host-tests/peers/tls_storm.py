"""Many TLS clients of a server that echoes lines. Arguments: the folder of the certificates, then `storm`, the address and a number,
or `established` and the address.

`storm` opens so many connections at once, which a server that stands still does not answer, uses them when a line comes, and closes
them. `established` uses one again and again, and
answers lines: `count` by the number of answers so far, `pause` and `go on` when it has.
"""

import asyncio
import ssl
import sys

FOLDER, WHAT, ADDRESS, *COUNT = sys.argv[1:]
HOST, PORT = ADDRESS.split(":")


def context():
    """One each: no connection resumes another's session."""
    return ssl.create_default_context(cafile=f"{FOLDER}/ca.pem")


async def connect(made):
    return await asyncio.open_connection(HOST, int(PORT), ssl=made, server_hostname="server.test")


async def ask(reader, writer):
    writer.write(b"hello\n")
    assert await reader.readline() == b"hello\n"


async def command():
    return (await asyncio.to_thread(sys.stdin.readline)).strip()


async def storm():
    made = [context() for _ in range(int(COUNT[0]))]
    connecting = asyncio.gather(*map(connect, made))
    # Time for all of them to say their part.
    await asyncio.sleep(1)
    print("waiting")
    connections = await connecting
    print("connected", len(connections))
    await command()
    await asyncio.gather(*(ask(*connection) for connection in connections))
    print("echoed", len(connections))
    for _, writer in connections:
        writer.close()
    await asyncio.gather(*(writer.wait_closed() for _, writer in connections))


async def established():
    reader, writer = await connect(context())
    answers, going_on, asking = 0, asyncio.Event(), asyncio.Lock()

    async def ask_on():
        nonlocal answers
        while await going_on.wait():
            async with asking:
                await ask(reader, writer)
                answers += 1

    going_on.set()
    task = asyncio.create_task(ask_on())
    print("connected")
    while line := await command():
        match line:
            case "count":
                print("answers", answers)
            case "pause":
                going_on.clear()
                async with asking:
                    print("paused")
            case "go on":
                going_on.set()
    async with asking:
        task.cancel()
    writer.close()
    await writer.wait_closed()


asyncio.run({"storm": storm, "established": established}[WHAT]())

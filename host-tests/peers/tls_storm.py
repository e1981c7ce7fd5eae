"""Many TLS clients of a server that echoes lines. Arguments: the folder of the certificates, then `storm`, the address and a number,
or `established` and the address.

`storm` opens so many connections at once, and uses and closes them when a line comes. `established` uses one again and again, and
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
    connections = await asyncio.gather(*map(connect, made))
    print("connected", len(connections))
    await command()
    await asyncio.gather(*(ask(*connection) for connection in connections))
    print("echoed", len(connections))
    for _, writer in connections:
        writer.close()
    await asyncio.gather(*(writer.wait_closed() for _, writer in connections))


async def established():
    reader, writer = await connect(context())
    print("connected")
    answers, going_on = 0, True
    next_command = asyncio.create_task(command())
    while True:
        if going_on:
            await ask(reader, writer)
            answers += 1
        if next_command.done() or not going_on:
            match await next_command:
                case "count":
                    print("answers", answers)
                case "pause":
                    going_on = False
                    print("paused")
                case "go on":
                    going_on = True
                case "":
                    break
            next_command = asyncio.create_task(command())
    writer.close()
    await writer.wait_closed()


asyncio.run({"storm": storm, "established": established}[WHAT]())

"""Answers each line with its length, until a line says `bye`; then sends one more line without an end, and closes.

The protocol is read with readline, readexactly and readuntil, whichever the line asks for. It ends with its standard input.
"""

import asyncio
import sys


async def handle(reader, writer):
    async for line in reader:
        word, _, rest = line.decode().strip().partition(" ")
        if word == "bye":
            break
        if word == "exactly":
            rest = (await reader.readexactly(int(rest))).decode()
        elif word == "until":
            rest = (await reader.readuntil(rest.encode())).decode()
        writer.writelines([word.encode(), b" ", str(len(rest)).encode(), b"\n"])
        await writer.drain()
    writer.write(b"the end")
    writer.close()
    await writer.wait_closed()


async def main():
    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    print("Serving on {}:{}".format(*server.sockets[0].getsockname()))
    async with server:
        await asyncio.to_thread(sys.stdin.read)


asyncio.run(main())

"""Data arrives at a socket that exists already and that asyncio's streams take over."""

import asyncio
import socket


async def main():
    ours, theirs = socket.socketpair()
    reader, writer = await asyncio.open_connection(sock=ours)
    asyncio.get_running_loop().call_soon(theirs.send, b"abc")
    print("Received:", (await reader.read(100)).decode())
    writer.close()
    await writer.wait_closed()
    theirs.close()


asyncio.run(main())

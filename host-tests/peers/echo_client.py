"""An echo client on asyncio's streams. Arguments: host, port, and the message."""

import asyncio
import sys


async def main(host, port, text):
    reader, writer = await asyncio.open_connection(host, port)
    print(f"Send: {text!r}")
    writer.write(text.encode())
    await writer.drain()
    answer = await reader.read(100)
    print(f"Received: {answer.decode()!r}")
    print("Close the connection")
    writer.close()
    await writer.wait_closed()


asyncio.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3]))

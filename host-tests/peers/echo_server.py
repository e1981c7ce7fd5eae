"""An echo server on asyncio's streams: each connection is read once, answered, and closed.

Arguments: the address to listen on, and `stream` to echo everything until the end instead. It ends with its standard input.
"""

import asyncio
import sys


async def echo_once(reader, writer):
    data = await reader.read(100)
    text = data.decode()
    peer = writer.get_extra_info("peername")
    print(f"Received {text!r} from {peer!r}")
    print(f"Send: {text!r}")
    writer.write(data)
    await writer.drain()
    print("Close the connection")
    writer.close()
    await writer.wait_closed()


async def echo_stream(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.write_eof()
    writer.close()
    await writer.wait_closed()


async def main(host, handler):
    server = await asyncio.start_server(handler, host, 0)
    host, port = server.sockets[0].getsockname()[:2]
    print(f"Serving on {f'[{host}]' if ':' in host else host}:{port}")
    async with server:
        await asyncio.to_thread(sys.stdin.read)


asyncio.run(main(sys.argv[1], echo_stream if "stream" in sys.argv else echo_once))

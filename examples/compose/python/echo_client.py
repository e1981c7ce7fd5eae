"""Sends a message to an echo server and shows the answer.

    python3 echo_client.py HOST PORT MESSAGE

As a component:

    python3 build.py echo_client.py -o echo_client.wasm --plug wasi-streams.wasm
    wasmtime run -S tcp,inherit-network,allow-ip-name-lookup echo_client.wasm 127.0.0.1 8888 'Hello World!'
"""

import sys

from wasi_streams import asyncio


async def main(host, port, message):
    reader, writer = await asyncio.open_connection(host, port)

    print(f"Send: {message!r}")
    writer.write(message.encode())
    await writer.drain()

    answer = await reader.read(100)
    print(f"Received: {answer.decode()!r}")

    print("Close the connection")
    writer.close()
    await writer.wait_closed()


asyncio.run(main(*sys.argv[1:]))

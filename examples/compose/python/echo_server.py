"""Echoes the lines of any number of clients, until each has ended its side.

    python3 echo_server.py HOST PORT [CERTIFICATE KEY]

As a component:

    python3 build.py echo_server.py -o echo_server.wasm --plug wasi-streams.wasm
    wasmtime run -S tcp,inherit-network,allow-ip-name-lookup echo_server.wasm 127.0.0.1 8888

With a certificate and its key, PEM files, the server speaks TLS; wasmtime opens their folder by `--dir FOLDER`.
"""

import sys

from wasi_streams import asyncio
from wasi_streams import ssl


async def echo(reader, writer):
    address = writer.get_extra_info("peername")
    print(f"Connected: {address!r}")
    async for line in reader:
        print(f"Echo {line!r} to {address!r}")
        writer.write(line)
        await writer.drain()
    print(f"Close the connection of {address!r}")
    writer.close()
    await writer.wait_closed()


async def main(host, port, *identity):
    context = None
    if identity:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*identity)
    server = await asyncio.start_server(echo, host, port, ssl=context)
    addresses = ", ".join(str(sock.getsockname()) for sock in server.sockets)
    print(f"Serving on {addresses}")
    async with server:
        await server.serve_forever()


asyncio.run(main(*sys.argv[1:]))

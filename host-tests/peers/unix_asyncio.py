"""asyncio's streams over Unix sockets: `serve PATH`, or `connect PATH`; then over TLS `FOLDER`, with the certificates there.

A server echoes until its standard input ends; a client sends 1 MiB, half closes where it can, and compares.
"""

import asyncio
import random
import ssl
import sys

ROLE, PATH, *FOLDER = sys.argv[1:]
DATA = random.Random(7).randbytes(1 << 20)


async def echo(reader, writer):
    print("peername", repr(writer.get_extra_info("peername")), "sockname", writer.get_extra_info("sockname") == PATH)
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()
    await writer.wait_closed()
    print("ended")


async def serve():
    context = None
    if FOLDER:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(f"{FOLDER[0]}/server.pem", f"{FOLDER[0]}/server.key")
    server = await asyncio.start_unix_server(echo, PATH, ssl=context)
    print("Serving")
    await asyncio.to_thread(sys.stdin.read)
    server.close()


async def connect():
    tls = {}
    if FOLDER:
        tls = {"ssl": ssl.create_default_context(cafile=f"{FOLDER[0]}/ca.pem"), "server_hostname": "server.test"}
    reader, writer = await asyncio.open_unix_connection(PATH, **tls)

    async def send():
        for start in range(0, len(DATA), 30000):
            writer.write(DATA[start : start + 30000])
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()

    sending = asyncio.create_task(send())
    data = await reader.readexactly(len(DATA))
    await sending
    if not FOLDER:
        data += await reader.read()
    print("echoed", data == DATA)
    writer.close()
    await writer.wait_closed()


asyncio.run({"serve": serve, "connect": connect}[ROLE]())

"""Sends much over TLS and receives as much, both at once, on asyncio, and tells the digests of both.

Arguments: the folder of the certificates, `serve` for one client or the address of a server, `1.2` or `1.3`, the number of bytes, and
`slow` to read nothing before a line comes from standard input, and little at a time then. It says that it is `stuck` for each second in which its sending does not get on, and `receiving` for each 4 MiB.
"""

import asyncio
import hashlib
import random
import ssl
import sys

FOLDER, ADDRESS, VERSION, BYTES, PACE = sys.argv[1:]
VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
BYTES = int(BYTES)
PIECE = random.Random(7).randbytes(1 << 20)


async def send(writer):
    digest, left = hashlib.sha256(), BYTES
    while left > 0:
        piece = PIECE[: min(left, len(PIECE) - left % 1000)]
        digest.update(piece)
        writer.write(piece)
        left -= len(piece)
        while True:
            try:
                await asyncio.wait_for(writer.drain(), 1)
                break
            except TimeoutError:
                print("stuck")
    print("sent", digest.hexdigest())


async def receive(reader):
    digest, left = hashlib.sha256(), BYTES
    if PACE == "slow":
        await asyncio.to_thread(sys.stdin.readline)
    while left > 0:
        slowly = PACE == "slow" and left > BYTES - (4 << 20)
        data = await reader.read(20_000 if slowly else 1 << 20)
        assert data, f"{left} bytes are missing"
        digest.update(data)
        before, left = left, left - len(data)
        if before >> 22 != left >> 22:
            print("receiving")
        if slowly:
            await asyncio.sleep(0.001)
    assert left == 0
    print("received", digest.hexdigest())


async def exchange(reader, writer):
    await asyncio.gather(send(writer), receive(reader))
    assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()


def context(purpose):
    made = ssl.create_default_context(purpose, cafile=f"{FOLDER}/ca.pem")
    made.minimum_version = made.maximum_version = VERSIONS[VERSION]
    return made


async def serve():
    made = context(ssl.Purpose.CLIENT_AUTH)
    made.load_cert_chain(f"{FOLDER}/server.pem", f"{FOLDER}/server.key")
    over = asyncio.Future()

    async def handle(reader, writer):
        try:
            over.set_result(await exchange(reader, writer))
        except Exception as error:
            over.set_exception(error)

    async with await asyncio.start_server(handle, "127.0.0.1", 0, ssl=made) as server:
        print("Serving on {}:{}".format(*server.sockets[0].getsockname()))
        await over


async def connect():
    host, port = ADDRESS.split(":")
    made = context(ssl.Purpose.SERVER_AUTH)
    await exchange(*await asyncio.open_connection(host, int(port), ssl=made, server_hostname="server.test"))


asyncio.run(serve() if ADDRESS == "serve" else connect())

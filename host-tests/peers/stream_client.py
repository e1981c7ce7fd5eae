"""Sends much to an echo and checks what comes back, both at once; then the end in each direction.

Arguments: host, port, the number of bytes, and `slow` to read in small pieces.
"""

import asyncio
import hashlib
import random
import sys


async def send(writer, data):
    for start in range(0, len(data), 100_000):
        writer.write(data[start : start + 100_000])
        await writer.drain()
    writer.write_eof()


async def receive(reader, most):
    digest, length = hashlib.sha256(), 0
    while data := await reader.read(most):
        digest.update(data)
        length += len(data)
    return digest.digest(), length


async def main(host, port, length, most):
    data = random.Random(7).randbytes(length)
    reader, writer = await asyncio.open_connection(host, port)
    _, (digest, received) = await asyncio.gather(send(writer, data), receive(reader, most))
    assert reader.at_eof()
    writer.close()
    await writer.wait_closed()
    print(f"{received} bytes, {'as sent' if digest == hashlib.sha256(data).digest() else 'changed'}")


asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), 1000 if "slow" in sys.argv else 1_000_000))

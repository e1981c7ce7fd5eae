#!/usr/bin/env python3
"""The servers of the benchmark on CPython's asyncio. Usage: asyncio_peer.py echo | churn | lines | tls-echo CERTIFICATE KEY"""

import asyncio
import ssl
import sys
from asyncio import StreamReader, StreamWriter

CHUNK = 64 * 1024


async def echo(reader: StreamReader, writer: StreamWriter) -> None:
    while data := await reader.read(CHUNK):
        writer.write(data)
        await writer.drain()
    await close(writer)


async def churn(reader: StreamReader, writer: StreamWriter) -> None:
    writer.write(await reader.readline())
    await close(writer)


async def lines(reader: StreamReader, writer: StreamWriter) -> None:
    count = 0
    while await reader.readline():
        count += 1
    writer.write(b"%d\n" % count)
    await close(writer)


async def close(writer: StreamWriter) -> None:
    writer.close()
    await writer.wait_closed()


def context(files: list[str]) -> ssl.SSLContext | None:
    if not files:
        return None
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(*files)
    return made


async def main(mode: str, *files: str) -> None:
    handler = {"echo": echo, "churn": churn, "lines": lines, "tls-echo": echo}[mode]
    server = await asyncio.start_server(handler, "127.0.0.1", 0, backlog=1024, ssl=context(list(files)))
    # Clients leave as they like; a traceback for each would be measured too.
    asyncio.get_running_loop().set_exception_handler(lambda loop, told: None)
    print("port", server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))

"""The headers of a web server's answer, by asyncio's streams. The argument is a URL, which may have a port."""

import asyncio
import sys
import urllib.parse


async def main(url):
    parts = urllib.parse.urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port or 80)
    writer.write(f"HEAD {parts.path or '/'} HTTP/1.0\r\nHost: {parts.netloc}\r\n\r\n".encode("latin-1"))
    while line := await reader.readline():
        if text := line.decode("latin-1").rstrip():
            print(f"HTTP header> {text}")
    writer.close()
    await writer.wait_closed()


asyncio.run(main(sys.argv[1]))

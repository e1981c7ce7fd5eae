"""Shows the headers that a web server answers with, over http or https.

    python3 http_headers.py URL

As a component:

    python3 build.py http_headers.py -o http_headers.wasm --plug wasi-streams.wasm
    wasmtime run -S tcp,inherit-network,allow-ip-name-lookup http_headers.wasm https://example.org/

The authorities are those of the web (natively those of the system), or those in the file that the environment variable
`SSL_CERT_FILE` names; wasmtime passes it by `--env` and opens its folder by `--dir`.
"""

import sys
from urllib.parse import urlsplit

from wasi_streams import asyncio


async def main(url):
    url = urlsplit(url)
    if url.scheme == "https":
        reader, writer = await asyncio.open_connection(url.hostname, url.port or 443, ssl=True)
    else:
        reader, writer = await asyncio.open_connection(url.hostname, url.port or 80)

    writer.write(f"HEAD {url.path or '/'} HTTP/1.0\r\nHost: {url.hostname}\r\n\r\n".encode("latin-1"))
    async with asyncio.timeout(30):
        while line := (await reader.readline()).decode("latin-1").rstrip():
            print(f"HTTP header> {line}")

    # The body is of no interest.
    writer.close()
    await writer.wait_closed()


asyncio.run(main(*sys.argv[1:]))

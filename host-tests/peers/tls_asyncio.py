"""asyncio's streams with `ssl=`, as server and as client. Arguments: the folder of the certificates, the role, and for a client the
address; then `1.2` or `1.3`, and options.

Either side echoes or sends 1 MiB and tells what was agreed on. A server ends with its standard input.
"""

import asyncio
import hashlib
import random
import ssl
import sys

FOLDER, ROLE, *ARGUMENTS = sys.argv[1:]
DATA = random.Random(7).randbytes(1 << 20)
VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


def context(purpose, version):
    made = ssl.create_default_context(purpose, cafile=f"{FOLDER}/ca.pem")
    made.minimum_version = made.maximum_version = VERSIONS[version]
    made.set_alpn_protocols(["first", "second"])
    return made


def agreed(writer):
    ssl_object = writer.get_extra_info("ssl_object")
    name, version, bits = writer.get_extra_info("cipher")
    subject = writer.get_extra_info("peercert") or {}
    names = ",".join(f"{kind}:{name}" for kind, name in subject.get("subjectAltName", ()))
    return f"{ssl_object.version()} {name} {bits} alpn={ssl_object.selected_alpn_protocol()} peer={names or '-'}"


async def echo(reader, writer):
    print("accepted", agreed(writer))
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()
    await writer.wait_closed()
    print("ended")


async def serve(version, *options):
    made = context(ssl.Purpose.CLIENT_AUTH, version)
    made.load_cert_chain(f"{FOLDER}/server.pem", f"{FOLDER}/server.key")
    made.sni_callback = lambda _socket, name, _context: print("asked for", name)
    if "require" in options:
        made.verify_mode = ssl.CERT_REQUIRED
    server = await asyncio.start_server(echo, "127.0.0.1", 0, ssl=made)
    print("Serving on {}:{}".format(*server.sockets[0].getsockname()))
    async with server:
        await asyncio.to_thread(sys.stdin.read)


async def connect(address, version, *options):
    made = context(ssl.Purpose.SERVER_AUTH, version)
    if "identity" in options:
        made.load_cert_chain(f"{FOLDER}/client.pem", f"{FOLDER}/client.key")
    host, port = address.split(":")
    reader, writer = await asyncio.open_connection(host, int(port), ssl=made, server_hostname="server.test")
    print("connected", agreed(writer))
    writer.write(DATA + b"\n")
    received = await reader.readexactly(len(DATA) + 1)
    print("echoed", received == DATA + b"\n")
    writer.close()
    await writer.wait_closed()


asyncio.run({"serve": serve, "connect": connect}[ROLE](*ARGUMENTS))

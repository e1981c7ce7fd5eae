"""How TLS behaves. The folder of the certificates is an argument of the program."""

import sys

from stage import HOST, behaviour, connected, echo, failure, outcome, raised, serving
from wasi_streams import asyncio
from wasi_streams import ssl

# A refusal comes as an alert, or as the end of the connection if that is seen first.
REFUSALS = ("SSLError", "ConnectionResetError", "IncompleteReadError")


def path(name):
    return f"{sys.argv[1]}/{name}"


def server_context(**values):
    return changed(ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), path("server.pem"), **values)


def client_context(**values):
    return changed(ssl.create_default_context(cafile=path("ca.pem")), **values)


def changed(context, certificate=None, *, alpn=None, **values):
    if certificate:
        context.load_cert_chain(certificate, path("server.key"))
    if alpn:
        context.set_alpn_protocols(alpn)
    for name, value in values.items():
        setattr(context, name, value)
    return context


@behaviour
async def a_conversation():
    async with connected(echo, {"ssl": server_context()}, ssl=client_context()) as (reader, writer):
        writer.write(b"hello" * 100_000)
        print(len(await reader.readexactly(500_000)), writer.can_write_eof(), raised(writer.write_eof).split(":")[0])
        print(writer.transport.get_write_buffer_limits())


@behaviour
async def what_is_known():
    context, told = client_context(alpn=["h2", "http/1.1"]), asyncio.get_running_loop().create_future()

    async def tells(_reader, writer):
        tls = writer.get_extra_info("ssl_object")
        told.set_result((tls.version(), tls.selected_alpn_protocol(), tls.server_side, writer.get_extra_info("peercert")))
        writer.close()

    server = server_context(alpn=["http/1.1"])
    async with connected(tells, {"ssl": server}, ssl=context, server_hostname="localhost") as (_, writer):
        print(await told)
        tls, certificate = writer.get_extra_info("ssl_object"), writer.get_extra_info("peercert")
        print(tls.version(), tls.selected_alpn_protocol(), tls.server_side, tls.compression(), tls.session_reused)
        print(writer.get_extra_info("cipher") == tls.cipher(), tls.cipher()[1], writer.get_extra_info("compression", 5))
        print({name: certificate[name] for name in ("subject", "issuer", "subjectAltName", "notBefore", "notAfter", "serialNumber")})
        print(writer.get_extra_info("sslcontext") is context, len(tls.getpeercert(binary_form=True)) > 100)


@behaviour
async def versions():
    for minimum, maximum in (("TLSv1_2", "TLSv1_2"), ("TLSv1_3", "TLSv1_3")):
        context = client_context(minimum_version=ssl.TLSVersion[minimum], maximum_version=ssl.TLSVersion[maximum])
        async with connected(echo, {"ssl": server_context()}, ssl=context) as (_, writer):
            print(writer.get_extra_info("ssl_object").version(), context.minimum_version.name)
    newer = server_context(minimum_version=ssl.TLSVersion.TLSv1_3)
    async with serving(echo, ssl=newer) as (_, port):
        older = client_context(maximum_version=ssl.TLSVersion.TLSv1_2)
        print(await outcome(asyncio.open_connection(HOST, port, ssl=older)) in REFUSALS)


@behaviour
async def certificates_that_do_not_convince():
    async with serving(echo, ssl=server_context()) as (_, port):
        try:
            await asyncio.open_connection(HOST, port, ssl=True)
        except ssl.SSLCertVerificationError as error:
            print("nobody known:", type(error).__name__, isinstance(error, ssl.SSLError), isinstance(error, ValueError))
        wrong = asyncio.open_connection(HOST, port, ssl=client_context(), server_hostname="other.example")
        print("wrong name:", await outcome(wrong))
        bare = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        print("bare:", await outcome(asyncio.open_connection(HOST, port, ssl=bare)))
        for context in (
            client_context(check_hostname=False),
            changed(ssl.create_default_context(), check_hostname=False, verify_mode=ssl.CERT_NONE),
        ):
            _, writer = await asyncio.open_connection(HOST, port, ssl=context, server_hostname="other.example")
            print(writer.get_extra_info("peercert") == {}, context.verify_mode.name)
            writer.close()
            await writer.wait_closed()


@behaviour
async def contexts():
    context = ssl.create_default_context()
    print(context.check_hostname, context.verify_mode.name, raised(setattr, context, "verify_mode", ssl.CERT_NONE))
    bare = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    print(bare.check_hostname, bare.verify_mode.name)
    bare = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    print(bare.check_hostname, bare.verify_mode.name)
    print(raised(context.load_verify_locations), raised(context.load_verify_locations, "/nowhere.pem").split(":")[0])
    print(raised(context.load_verify_locations, cadata="nonsense").split(":")[0])
    print(raised(context.load_cert_chain, path("ca.srl")).split(":")[0])
    with open(path("ca.pem"), encoding="ascii") as file:
        text = file.read()
    for data in (text, ssl.PEM_cert_to_DER_cert(text)):
        context = ssl.create_default_context(cadata=data)
        async with connected(echo, {"ssl": server_context()}, ssl=context) as (_, writer):
            print(writer.get_extra_info("ssl_object").version())


@behaviour
async def certificates_of_clients():
    names = []

    async def hello(reader, writer):
        names.append((writer.get_extra_info("peercert") or {}).get("subject"))
        writer.write(b"hello")
        await echo(reader, writer)

    required = server_context(verify_mode=ssl.CERT_REQUIRED)
    required.load_verify_locations(path("ca.pem"))
    async with connected(hello, {"ssl": required}, ssl=changed(client_context(), path("server.pem"))) as (reader, _):
        print(await reader.readexactly(5), names)
    async with serving(hello, ssl=required) as (_, port):
        reader, writer = await asyncio.open_connection(HOST, port, ssl=client_context())  # TLS 1.3: the refusal comes later
        print(await outcome(reader.readexactly(5)) in REFUSALS)
        writer.close()


@behaviour
async def peers_without_tls():
    async def plain(reader, writer):
        await reader.read(10)
        writer.write(b"what is that?\r\n" * 10)
        writer.close()

    async with serving(plain) as (_, port):
        print(await outcome(asyncio.open_connection(HOST, port, ssl=client_context())))

    async def silent(reader, _writer):
        await asyncio.sleep(3)

    async with serving(silent) as (_, port):
        late = asyncio.open_connection(HOST, port, ssl=client_context(), ssl_handshake_timeout=0.2)
        print(await outcome(late))

    async def ends(_reader, writer):
        writer.close()

    async with serving(ends) as (_, port):
        print(await outcome(asyncio.open_connection(HOST, port, ssl=client_context())) in ("ConnectionResetError", "BrokenPipeError"))

    async with serving(echo, ssl=server_context()) as (_, port):
        reader, writer = await asyncio.open_connection(HOST, port)
        writer.write(b"no TLS at all\n" * 10)
        print(await outcome(reader.read()) in (b"", "ConnectionResetError") or "something came")
        writer.close()
        reader, writer = await asyncio.open_connection(HOST, port, ssl=client_context())
        writer.write(b"others are served\n")
        print(await reader.readline())
        writer.close()
        await writer.wait_closed()


async def offers_tls(reader, writer):
    """STARTTLS, as a mail server has it."""
    if await reader.readline() == b"STARTTLS\n":
        writer.write(b"go ahead\n")
        await writer.drain()
        await writer.start_tls(server_context())
    await echo(reader, writer)


@behaviour
async def starting_tls():
    async with connected(offers_tls) as (reader, writer):
        writer.write(b"STARTTLS\n")
        print(await reader.readline(), writer.get_extra_info("sslcontext"), writer.can_write_eof())
        context = client_context()
        print(await writer.start_tls(context, server_hostname="localhost"))
        writer.write(b"secret\n")
        print(await reader.readline(), writer.get_extra_info("sslcontext") is context, writer.can_write_eof())
        print(writer.get_extra_info("ssl_object").version(), writer.get_extra_info("peercert")["subjectAltName"])


@behaviour
async def starting_tls_with_the_wrong_name():
    async with connected(offers_tls) as (reader, writer):
        writer.write(b"STARTTLS\n")
        await reader.readline()
        print(await outcome(writer.start_tls(client_context(), server_hostname="other.example")), writer.is_closing())


@behaviour
async def starting_tls_too_slowly():
    async def silent(reader, _writer):
        await asyncio.sleep(3)

    async with serving(silent) as (_, port):
        _, writer = await asyncio.open_connection(HOST, port)
        start = writer.start_tls(client_context(), server_hostname="localhost", ssl_handshake_timeout=0.2)
        print(await outcome(start), writer.is_closing())


@behaviour
async def starting_tls_with_nonsense():
    async with connected(echo) as (reader, writer):
        print((await failure(writer.start_tls("a context"))).split(":")[0])
        writer.write(b"still plain")
        print(await reader.readexactly(11))

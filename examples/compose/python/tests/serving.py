"""How connecting and serving behave."""

import errno
import socket

from stage import HOST, behaviour, connected, echo, failure, outcome, raised, serving, since
from wasi_streams import asyncio

MISTAKES = ("OverflowError", "TypeError", "UnicodeEncodeError", "AttributeError", "gaierror", "NotImplementedError")


@behaviour
async def nobody_there():
    async with serving(echo) as (_, port):
        pass
    try:
        await asyncio.open_connection(HOST, port)
    except OSError as error:
        print(type(error).__name__, error.errno == errno.ECONNREFUSED)


@behaviour
async def a_name_that_is_unknown():
    print(await outcome(asyncio.open_connection("name.invalid", 80), 15))


@behaviour
async def arguments_of_clients():
    for options in (
        {},
        {"host": HOST, "port": 9, "server_hostname": "name"},
        {"port": 9, "ssl": True},
        {"host": HOST, "port": 9, "ssl_handshake_timeout": 1},
        {"host": HOST, "port": 9, "ssl_shutdown_timeout": 1},
    ):
        print(await failure(asyncio.open_connection(**options)))
    async with serving(echo) as (_, port):
        print(await failure(asyncio.open_connection(HOST, port, ssl=True, ssl_handshake_timeout=0)))
    for host, port in ((HOST, 70000), (HOST, -1), (7, 80), ("\ud800", 80), (HOST, "http/80")):
        print(await outcome(asyncio.open_connection(host, port)) in MISTAKES)


@behaviour
async def ways_to_connect():
    async with serving(echo) as (_, port):
        for options in (
            {"host": HOST, "port": str(port)},
            {"port": port, "family": socket.AF_INET},
            {"host": HOST, "port": port, "local_addr": (HOST, 0)},
            {"host": HOST, "port": port, "happy_eyeballs_delay": 0.25},
            {"host": HOST, "port": port, "happy_eyeballs_delay": 0.25, "interleave": 2},
        ):
            reader, writer = await asyncio.open_connection(**options)
            writer.write(b"hello")
            writer.write_eof()
            print(await reader.read(), writer.get_extra_info("sockname")[0])
            writer.close()
            await writer.wait_closed()


@behaviour
async def the_life_of_a_server():
    server = await asyncio.start_server(echo, HOST, 0)
    print(server.is_serving(), len(server.sockets), server.sockets[0].getsockname()[0], server.get_loop() is asyncio.get_running_loop())
    await server.start_serving()
    async with server:
        print(server.is_serving())
    print(server.is_serving(), server.sockets, server.close(), await outcome(server.wait_closed()))
    print((await failure(server.serve_forever())).split(":")[0])


@behaviour
async def a_server_that_starts_later():
    server = await asyncio.start_server(echo, HOST, 0, start_serving=False)
    port = server.sockets[0].getsockname()[1]
    print(server.is_serving())
    await server.start_serving()
    print(server.is_serving())
    reader, writer = await asyncio.open_connection(HOST, port)
    writer.write(b"now")
    writer.write_eof()
    print(await reader.read())
    writer.close()
    server.close()


@behaviour
async def several_hosts():
    async def nothing(_reader, writer):
        writer.close()

    server = await asyncio.start_server(nothing, [HOST, "127.0.0.2", HOST], 0)
    print(sorted(sock.getsockname()[0] for sock in server.sockets))
    server.close()
    for host in (None, ""):
        server = await asyncio.start_server(nothing, host, 0)
        print(sorted(sock.getsockname()[0] for sock in server.sockets))
        server.close()


@behaviour
async def arguments_of_servers():
    print(await failure(asyncio.start_server(echo)))
    print(await failure(asyncio.start_server(echo, HOST, 0, ssl=True)))
    print(await failure(asyncio.start_server(echo, HOST, 0, ssl_handshake_timeout=1)))
    print(await failure(asyncio.start_server(echo, HOST, 0, ssl_shutdown_timeout=1)))


@behaviour
async def an_address_in_use():
    async with serving(echo) as (_, port):
        try:
            await asyncio.start_server(echo, HOST, port)
        except OSError as error:
            print(type(error).__name__, error.errno == errno.EADDRINUSE)


@behaviour
async def serving_for_ever():
    server = await asyncio.start_server(echo, HOST, 0)
    first = asyncio.create_task(server.serve_forever())
    await asyncio.sleep(0.01)
    print("already being awaited" in await failure(server.serve_forever()), server.is_serving())
    first.cancel()
    print(await asyncio.gather(first, return_exceptions=True), server.is_serving())
    server = await asyncio.start_server(echo, HOST, 0)
    first = asyncio.create_task(server.serve_forever())
    await asyncio.sleep(0.01)
    server.close()
    print(await asyncio.gather(first, return_exceptions=True))


@behaviour
async def callbacks_that_fail():
    loop, reports = asyncio.get_running_loop(), []
    loop.set_exception_handler(lambda _, context: reports.append((context["message"], context["exception"])))

    async def fails(reader, _writer):
        raise KeyError(await reader.readline())

    async with connected(fails) as (reader, writer):
        writer.write(b"line\n")
        print(await reader.read())
    loop.set_exception_handler(None)
    print(reports)


@behaviour
async def a_plain_callback():
    tasks = []

    def plain(reader, writer):
        tasks.append(asyncio.create_task(echo(reader, writer)))

    async with connected(plain) as (reader, writer):
        writer.write(b"plain")
        print(await reader.readexactly(5), len(tasks))


@behaviour
async def one_client_stalls():
    async def talk(port, number):
        reader, writer = await asyncio.open_connection(HOST, port)
        for _ in range(5):
            writer.write(b"%d\n" % number)
            assert await reader.readline() == b"%d\n" % number
        writer.close()
        await writer.wait_closed()
        return number

    async with serving(echo) as (_, port):
        _, stalled = await asyncio.open_connection(HOST, port)
        stalled.write(bytes(16 * 1024 * 1024))  # and never reads the echo
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(talk(port, number)) for number in range(8)]
        print(sorted(task.result() for task in tasks))
        print(await outcome(stalled.drain(), 0.1))
        stalled.transport.abort()


@behaviour
async def timeouts():
    async def silent(reader, _writer):
        await reader.read()

    async with connected(silent) as (reader, _):
        start = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(0.2):
                await reader.readline()
        except TimeoutError:
            print("timed out", 0.19 < asyncio.get_running_loop().time() - start < 2)


@behaviour
async def a_group_ends_together():
    async def silent(reader, _writer):
        await reader.read()

    async def fails():
        await asyncio.sleep(0.05)
        raise KeyError("one of them")

    async with connected(silent) as (reader, writer):
        try:
            async with asyncio.TaskGroup() as group:
                reads = group.create_task(reader.readline())
                group.create_task(fails())
        except* KeyError as errors:
            print(errors.exceptions, reads.cancelled())


@behaviour
async def the_rest_of_asyncio():
    queue, done = asyncio.Queue(2), asyncio.Event()

    async def fill():
        for number in range(5):
            await queue.put(number)
        done.set()

    async def take():
        return [await queue.get() for _ in range(5)]

    print(await asyncio.gather(fill(), take()), done.is_set())
    first, _ = await asyncio.wait([asyncio.create_task(asyncio.sleep(t, t)) for t in (0.01, 5)], return_when=asyncio.FIRST_COMPLETED)
    print([task.result() for task in first], asyncio.current_task() in asyncio.all_tasks())
    print(asyncio.iscoroutinefunction(fill), asyncio.exceptions.TimeoutError is TimeoutError)


@since(3, 12)
async def a_server_waits_for_its_clients():
    server = await asyncio.start_server(echo, HOST, 0)
    _, writer = await asyncio.open_connection(HOST, server.sockets[0].getsockname()[1])
    await asyncio.sleep(0.05)
    assert await outcome(server.wait_closed(), 0.05) == "TimeoutError"
    server.close()
    assert await outcome(server.wait_closed(), 0.05) == "TimeoutError"
    writer.close()
    assert await outcome(server.wait_closed(), 5) is None


@since(3, 13)
async def a_callback_that_is_cancelled():
    async def is_cancelled(_reader, _writer):
        raise asyncio.CancelledError

    async with connected(is_cancelled) as (reader, _):
        assert await reader.read() == b""


@since(3, 13)
async def nothing_to_bind_to():
    assert (await failure(asyncio.start_server(echo, [], 0))).startswith("OSError: could not bind")


@since(3, 13)
async def a_server_ends_its_clients():
    async def stalls(_reader, writer):
        writer.write(b"queued")
        await asyncio.sleep(60)

    for end in ("close_clients", "abort_clients"):
        server = await asyncio.start_server(stalls, HOST, 0)
        reader, writer = await asyncio.open_connection(HOST, server.sockets[0].getsockname()[1])
        assert await reader.readexactly(6) == b"queued"
        server.close()
        getattr(server, end)()
        assert await outcome(server.wait_closed(), 5) is None, end
        assert await outcome(reader.read()) in (b"", "ConnectionResetError"), end
        writer.close()


@behaviour
async def what_is_not_there():
    print(raised(asyncio.StreamReader, 1, 2, 3, 4).split(":")[0])

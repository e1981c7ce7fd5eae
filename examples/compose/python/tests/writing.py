"""How writing and closing behave."""

import gc
import types

from stage import HOST, behaviour, connected, echo, failure, outcome, raised, sends, serving, since
from wasi_streams import asyncio


@behaviour
async def what_can_be_written():
    async with connected(echo) as (reader, writer):
        writer.write(b"a")
        writer.write(bytearray(b"b"))
        writer.write(memoryview(b"c"))
        writer.write(b"")
        writer.writelines([b"d", bytearray(b"e"), memoryview(b"f")])
        writer.writelines([])
        print(raised(writer.write, "text").split(":")[0], raised(writer.write, None).split(":")[0])
        writer.write_eof()
        print(await reader.read())


@behaviour
async def half_a_close():
    got = asyncio.get_running_loop().create_future()

    async def late(reader, writer):
        got.set_result(await reader.read())
        writer.write(b"answer after the end")
        writer.close()
        await writer.wait_closed()

    async with connected(late) as (reader, writer):
        writer.write(b"question")
        print(writer.can_write_eof(), writer.write_eof(), writer.write_eof(), writer.is_closing())
        for write, data in ((writer.write, b"more"), (writer.write, b""), (writer.writelines, [b"more"])):
            print(raised(write, data).split(":")[0])
        await writer.drain()
        print(await reader.read(), await got, writer.is_closing())


@behaviour
async def back_pressure():
    go_on, total = asyncio.Event(), 32 * 1024 * 1024
    got = asyncio.get_running_loop().create_future()

    async def slow(reader, writer):
        await go_on.wait()
        size = 0
        while data := await reader.read(1 << 20):
            size += len(data)
        got.set_result(size)
        writer.close()

    async with connected(slow) as (_, writer):
        writer.write(bytes(total))
        print(await outcome(writer.drain(), 0.3), writer.transport.get_write_buffer_size() > 64 * 1024)
        go_on.set()
        await writer.drain()
        print(writer.transport.get_write_buffer_size() <= 16 * 1024)
        writer.write_eof()
        print(await got == total)


@behaviour
async def write_buffer_limits():
    async with connected(echo) as (_, writer):
        transport = writer.transport
        for limits in ({}, {"high": 1000}, {"low": 100}, {"high": 10, "low": 5}, {"high": 0}, {"low": 7, "high": 5}, {"low": -1}):
            print(raised(transport.set_write_buffer_limits, **limits), transport.get_write_buffer_limits())


@behaviour
async def closing():
    async with connected(sends(b"unread", pause=0.2)) as (reader, writer):
        await asyncio.sleep(0.05)
        print(writer.is_closing(), writer.close(), writer.is_closing(), writer.transport.is_closing(), writer.close())
        print(await outcome(writer.wait_closed()), await outcome(writer.wait_closed()))
        print(await reader.read(100), await reader.read(100), await reader.readline(), reader.at_eof())
        print(await outcome(writer.drain()))
        writer.write(b"into the void")
        print(writer.get_extra_info("peername")[0])


@behaviour
async def closing_wakes_a_read():
    async with connected(echo) as (reader, writer):
        reads = asyncio.create_task(reader.readexactly(3))
        await asyncio.sleep(0.01)
        writer.close()
        print(await failure(reads))


@behaviour
async def aborting():
    async def silent(reader, _writer):
        await asyncio.sleep(3)

    async with connected(silent) as (reader, writer):
        writer.write(bytes(16 * 1024 * 1024))
        drains = asyncio.create_task(outcome(writer.drain()))
        await asyncio.sleep(0.05)
        writer.transport.abort()
        print(await outcome(writer.wait_closed()), await drains, await reader.read(), await outcome(writer.drain()))


@since(3, 13)
async def a_writer_that_is_lost_is_closed():
    async def loses(_reader, writer):
        writer.write(b"last words")

    async with connected(loses) as (reader, _):
        assert await reader.read() == b"last words"


@behaviour
async def circles_of_garbage():
    """Coroutines that are never ended, and what their `finally` does."""
    done = []

    async def forgotten(_reader, writer):
        try:
            await never()
        finally:
            writer.write(b"x")
            writer.close()
            done.append(writer.is_closing())

    async with serving(echo) as (_, port):
        for _ in range(3):
            coroutine = forgotten(*await asyncio.open_connection(HOST, port))
            coroutine.send(None)
            circle = [coroutine]
            circle.append(circle)
        del coroutine, circle
        gc.collect()
        print(done)


@types.coroutine
def never():
    yield


@behaviour
async def pausing_reading():
    async with connected(sends(b"ab", pause=0.3)) as (reader, writer):
        print(await reader.readexactly(1), writer.transport.is_reading())
        writer.transport.pause_reading()
        print(writer.transport.is_reading())
        writer.transport.resume_reading()
        print(writer.transport.is_reading(), await reader.read())


@behaviour
async def information():
    addresses = asyncio.get_running_loop().create_future()

    async def tells(_reader, writer):
        addresses.set_result((writer.get_extra_info("peername"), writer.get_extra_info("sockname")))
        writer.close()

    async with serving(tells) as (_, port):
        _, writer = await asyncio.open_connection(HOST, port)
        there, here = writer.get_extra_info("peername"), writer.get_extra_info("sockname")
        print(there == (HOST, port), (here, there) == await addresses)
        print(writer.get_extra_info("nothing"), writer.get_extra_info("nothing", 7), writer.get_extra_info("sslcontext"))
        print(writer.get_extra_info("socket").getpeername() == there, writer.transport.get_extra_info("sockname") == here)
        writer.close()
        await writer.wait_closed()

"""How reading behaves."""

from stage import behaviour, connected, failure, outcome, sends, since
from wasi_streams import asyncio


@behaviour
async def read_gives_what_is_there():
    async with connected(sends(b"abc", b"defgh")) as (reader, _):
        print(await reader.read(2), await reader.read(100), await reader.read(0))
        print(await reader.read(), await reader.read(), await reader.read(5), reader.at_eof())


@behaviour
async def a_negative_number_is_all():
    async with connected(sends(b"abc", b"", b"def" * 100_000)) as (reader, _):
        data = await reader.read(-7)
        print(len(data), data[:5], reader.at_eof())


@behaviour
async def exactly():
    async with connected(sends(b"abc", b"defgh", b"ij")) as (reader, _):
        print(await reader.readexactly(5), await reader.readexactly(0), reader.at_eof())
        print(await failure(reader.readexactly(-1)))
        try:
            await reader.readexactly(9)
        except asyncio.IncompleteReadError as error:
            print(error, error.partial, error.expected, reader.at_eof())
        print(await failure(reader.readexactly(1)))


@behaviour
async def exactly_more_than_the_limit():
    async with connected(sends(b"x" * 300_000), limit=1000) as (reader, _):
        print(len(await reader.readexactly(200_000)), len(await reader.read()))


@behaviour
async def lines():
    async with connected(sends(b"one\ntw", b"o\n\nfour")) as (reader, _):
        print([await reader.readline() for _ in range(5)], reader.at_eof())


@behaviour
async def iteration():
    async with connected(sends(b"one\ntw", b"o\n\nfour")) as (reader, _):
        print([line async for line in reader])


@behaviour
async def until():
    async with connected(sends(b"a;b", b"b;", b";cc--", b"-d")) as (reader, _):
        print(await reader.readuntil(b";"), await reader.readuntil(bytearray(b";;")), await reader.readuntil(b"---"))
        print(await failure(reader.readuntil(b"")), await outcome(reader.readuntil([b"\n"])))
        try:
            await reader.readuntil()
        except asyncio.IncompleteReadError as error:
            print(error, error.partial, error.expected, reader.at_eof())


@since(3, 13)
async def until_the_first_of_several():
    async with connected(sends(b"ABCDEFG\r\n\r\n")) as (reader, _):
        assert await reader.readuntil((b"DEF", b"BCDE")) == b"ABCDE"
        assert await reader.readuntil((b"\r\n", b"\r")) == b"FG\r"
        assert await failure(reader.readuntil(())) == "ValueError: Separator should contain at least one element"


@behaviour
async def a_limit_and_no_separator():
    async with connected(sends(b"0123456789abcdef", b"\nrest"), limit=8) as (reader, _):
        try:
            await reader.readuntil(b"\n")
        except asyncio.LimitOverrunError as error:
            print(error, error.consumed)
            print(await reader.readexactly(error.consumed))
        print(await reader.readuntil(b"\n"), await reader.read())


@behaviour
async def a_limit_and_a_separator_behind_it():
    async with connected(sends(b"01234567\n0123456789\n0\n"), limit=8) as (reader, _):
        print(await reader.readuntil(b"\n"))
        try:
            await reader.readuntil(b"\n")
        except asyncio.LimitOverrunError as error:
            print(error, error.consumed)
        print(await reader.readexactly(11), await reader.readline())


@behaviour
async def lines_that_are_too_long():
    async with connected(sends(b"0123456789\n1\n", b"2\n"), limit=8) as (reader, _):
        print(await failure(reader.readline()), await reader.readline(), await reader.readline())
    async with connected(sends(b"0123456789", b"tail\n1\n"), limit=8) as (reader, _):
        print(await failure(reader.readline()), await reader.readline(), await reader.readline())


@behaviour
async def limits_that_make_no_sense():
    for limit in (0, -1):
        print(await failure(asyncio.open_connection("127.0.0.1", 9, limit=limit)))


@behaviour
async def numbers_that_are_none():
    async with connected(sends(b"0123456789")) as (reader, _):
        await reader.readexactly(1)
        for number in (2.5, "2", None):
            print(await outcome(reader.read(number)), await outcome(reader.readexactly(number)))
        print(await reader.read(1))


@behaviour
async def one_waits_at_a_time():
    async with connected(sends(b"", b"line\n", pause=0.2)) as (reader, _):
        first = asyncio.create_task(reader.readline())
        await asyncio.sleep(0)
        print(await failure(reader.read(1)), await failure(reader.readexactly(1)), await failure(reader.readline()))
        print(await first)


@behaviour
async def a_cancelled_read_loses_nothing():
    async with connected(sends(b"ab", b"cd", b"ef\n", pause=0.2)) as (reader, _):
        for read in (lambda: reader.readexactly(6), reader.readline, lambda: reader.readuntil(b"\n"), lambda: reader.readexactly(7)):
            print(await outcome(read(), 0.05))
        task = asyncio.create_task(reader.readline())
        await asyncio.sleep(0.01)
        task.cancel()
        print(await asyncio.gather(task, return_exceptions=True))
        print(await reader.readline())


@behaviour
async def the_end_may_be_fed():
    async with connected(sends(b"abc", b"never seen", pause=1)) as (reader, _):
        print(await reader.readexactly(1))
        asyncio.get_running_loop().call_later(0.05, reader.feed_eof)
        print(await failure(reader.readexactly(5)), await reader.read(), await reader.readline())

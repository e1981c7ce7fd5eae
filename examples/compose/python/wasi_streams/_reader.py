"""The reading side of a connection."""

import asyncio
import operator

from wit_world.imports import connections

from ._errors import call
from ._holder import Holder

# The component counts in 32 bits. There is never that much, so to ask for it is to ask for everything.
EVERYTHING = 2**32 - 1


class StreamReader(Holder):
    """Made by `open_connection` and `start_server`. A read that is cancelled has taken nothing."""

    def __init__(self, resource):
        super().__init__(resource, connections.Reader)
        self._interest = connections.Interest_Readable(resource)
        self._waiter = None
        self._ended = False

    def __repr__(self):
        return f"<StreamReader{' eof' if self._ended or self._resource.at_eof() else ''}>"

    async def read(self, n=-1):
        """At most `n` bytes, as soon as there is one; all up to the end if `n` is negative."""
        n = operator.index(n)
        if n < 0:
            try:
                return await self.readexactly(EVERYTHING)
            except asyncio.IncompleteReadError as end:
                return end.partial
        data = await self._take("read", self._resource.try_read, min(n, EVERYTHING))
        return self._rest() if data is None else data

    async def readline(self):
        """A line with its newline; without one only at the end.

        Raises ValueError if the line is longer than the limit; what is there of it is dropped.
        """
        try:
            line = await self._take("readuntil", self._resource.try_read_line)
        except asyncio.LimitOverrunError as overrun:
            raise ValueError(*overrun.args) from None
        return self._rest() if line is None else line

    async def readexactly(self, n):
        """`n` bytes.

        Raises IncompleteReadError if the stream ends before.
        """
        n = operator.index(n)
        if not 0 <= n <= EVERYTHING:
            raise ValueError("readexactly size can not be less than zero" if n < 0 else f"readexactly size is above {EVERYTHING}")
        data = await self._take("readexactly", self._resource.try_read_exactly, n)
        if data is None:
            raise asyncio.IncompleteReadError(self._rest(), n)
        return data

    async def readuntil(self, separator=b"\n"):
        """Everything up to and including the separator, or the one of a tuple that ends first.

        Raises LimitOverrunError if none is within the limit, and takes nothing then; IncompleteReadError if the stream ends before.
        """
        separators = separator if isinstance(separator, tuple) else (separator,)
        if not all(isinstance(one, bytes | bytearray | memoryview) for one in separators):
            raise TypeError("a separator is bytes, or several of them in a tuple")
        if not separators:
            raise ValueError("Separator should contain at least one element")
        if not all(separators):
            raise ValueError("Separator should be at least one-byte string")
        data = await self._take("readuntil", self._resource.try_read_until, [bytes(one) for one in separators])
        if data is None:
            raise asyncio.IncompleteReadError(self._rest(), None)
        return data

    def at_eof(self):
        """Whether the stream has ended and everything was read."""
        return self._resource.at_eof()

    def feed_eof(self):
        """Reads end with what is there, whatever may come."""
        self._ended = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def __aiter__(self):
        return self

    async def __anext__(self):
        line = await self.readline()
        if not line:
            raise StopAsyncIteration
        return line

    async def _take(self, name, function, *arguments):
        """What the function answers; none after `feed_eof`, if it has no answer by then."""
        loop = asyncio.get_running_loop()
        await loop.take_turns()
        while (data := call(function, *arguments)) is None and not self._ended:
            if self._waiter is not None:
                raise RuntimeError(f"{name}() called while another coroutine is already waiting for incoming data")
            self._waiter = loop.create_future()
            try:
                await loop.ready(self._interest, self._waiter)
            finally:
                self._waiter = None
        return data

    def _rest(self):
        return call(self._resource.try_read, EVERYTHING) or b""

"""Performs operations on CPython's StreamReader and says what came of each.

One sequence a line on standard input, one line of answers on standard output. A sequence is `LIMIT` and operations,
an answer is `OUTCOME|STATE` for each operation; all are separated by spaces, bytes are written with escapes.
`differential.rs` says what the operations, outcomes and states are.
"""

import asyncio
import codecs
import signal
import sys

# Nobody waits for an answer for ever, whatever goes wrong.
DEADLINE_SECONDS = 30
# A read that was woken runs in the next turn of the loop; the others are to spare.
TURNS = 3


class Stored(Exception):
    """What `set_exception` stores."""


class FakeTransport:
    """Notes whether reading is paused; being told so twice is an error of the reader."""

    def __init__(self):
        self.is_paused = False

    def pause_reading(self):
        assert not self.is_paused, "paused twice"
        self.is_paused = True

    def resume_reading(self):
        assert self.is_paused, "resumed twice"
        self.is_paused = False


class Sequence:
    def __init__(self, limit):
        self.reader = asyncio.StreamReader(limit)
        self.transport = FakeTransport()
        self.reader.set_transport(self.transport)
        self.limit = limit
        self.pending = None
        self.pending_name = ""
        # What the pending read can have seen so far.
        self.seen = b""

    async def perform(self, operation):
        name, _, argument = operation.partition(":")
        outcome = self.start(name, argument)
        if name == "+feed":
            return outcome + "|"
        for _ in range(TURNS):
            await asyncio.sleep(0)
        if self.pending is not None:
            outcome = self.resolve(outcome)
        return outcome + "|" + self.state()

    def start(self, name, argument):
        if name in ("feed", "+feed"):
            return self.feed(unescape(argument))
        if name == "eof":
            self.reader.feed_eof()
            return "-"
        if name == "error":
            self.reader.set_exception(Stored())
            return "-"
        if name == "cancel":
            if self.pending is not None:
                self.pending.cancel()
            return "-"
        if self.pending is not None:
            return "busy"
        self.pending = asyncio.ensure_future(self.read(name, argument))
        self.pending_name = name
        self.seen = bytes(self.reader._buffer)
        return "-"

    def feed(self, data):
        try:
            self.reader.feed_data(data)
        except AssertionError:
            return "refused"
        self.seen += data
        return "-"

    def read(self, name, argument):
        if name == "read":
            return self.reader.read(int(argument))
        if name == "all":
            return self.reader.read(-1)
        if name == "exactly":
            return self.reader.readexactly(int(argument))
        if name in ("line", "line_ref"):
            return self.reader.readline()
        if name == "next":
            return self.reader.__anext__()
        if name == "until":
            if argument == "()":
                return self.reader.readuntil(())
            separators = tuple(unescape(part) for part in argument.split(","))
            return self.reader.readuntil(separators if len(separators) > 1 else separators[0])
        raise ValueError(f"no such operation: {name}")

    def resolve(self, outcome):
        if not self.pending.done():
            return "wait"
        task, self.pending = self.pending, None
        if task.cancelled():
            if self.pending_name == "all":
                self.put_back()
            return "cancelled"
        try:
            return "ok:" + escape(task.result())
        except StopAsyncIteration:
            return "end"
        except Stored:
            return "error"
        except asyncio.IncompleteReadError as error:
            return f"incomplete:{escape(error.partial)}:{error.expected}"
        except asyncio.LimitOverrunError as error:
            return f"overrun:{error.consumed}:{is_found(error)}"
        except ValueError as error:
            is_argument = str(error).startswith("Separator should")
            return "invalid" if is_argument else f"too_long:{is_found(error)}"

    def put_back(self):
        """What CPython loses when `read(-1)` is cancelled, put back as this crate does it (R18)."""
        buffer = self.reader._buffer
        buffer[:0] = self.seen[: len(self.seen) - len(buffer)]
        if len(buffer) > 2 * self.limit and not self.reader._paused:
            self.transport.pause_reading()
            self.reader._paused = True

    def state(self):
        reader = self.reader
        assert reader._paused == self.transport.is_paused
        flags = [("p", reader._paused), ("x", reader.exception() is not None), ("e", reader.at_eof())]
        return str(len(reader._buffer)) + "".join(letter for letter, is_set in flags if is_set)


def is_found(error):
    return "found" if "is found" in error.args[0] else "missing"


def unescape(text):
    return codecs.escape_decode(text)[0]


def escape(data):
    return codecs.escape_encode(data)[0].decode("ascii")


async def main():
    for line in sys.stdin:
        set_deadline(DEADLINE_SECONDS)
        limit, *operations = line.split()
        sequence = Sequence(int(limit))
        answers = [await sequence.perform(operation) for operation in operations]
        if sequence.pending is not None:
            sequence.pending.cancel()
            await asyncio.sleep(0)
        print(*answers, flush=True)
        set_deadline(0)


def set_deadline(seconds):
    """Ends the program after so long; 0 is never. Systems without alarms do without."""
    if hasattr(signal, "alarm"):
        signal.alarm(seconds)


asyncio.run(main())

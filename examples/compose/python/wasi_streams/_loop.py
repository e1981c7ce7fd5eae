"""An event loop that sleeps in `connections.wait`.

All of it is asyncio's `BaseEventLoop`; what a loop usually asks of a selector, this one asks of the component. So nothing that could be
polled ever leaves the component, and everything there goes on while this loop waits.
"""

import asyncio
import math
import weakref

from wit_world.imports import connections

from ._errors import call

# How long connections that are closed may take, after the program's end, to hand over what was written.
GOODBYE = 5.0
# So long a task may go on without waiting, until the others have their turn.
TURN = 0.02


class EventLoop(asyncio.BaseEventLoop):
    def __init__(self):
        super().__init__()
        # BaseEventLoop calls select() of it, and _process_events() with the result.
        self._selector = self
        self._watched = {}
        self._closing = {}
        self._writers = weakref.WeakSet()
        self._turn = self.time()

    def watch(self, interest, callback, *arguments):
        """Calls back in every turn in which that may go on; the answer is for `unwatch`."""
        handle = asyncio.Handle(callback, arguments, self)
        self._watched[handle] = interest
        return handle

    def unwatch(self, handle):
        self._watched.pop(handle, None)
        handle.cancel()

    async def ready(self, interest, waiter=None):
        """Waits until that may go on, or until somebody wakes the waiter."""
        waiter = waiter or self.create_future()
        handle = self.watch(interest, wake, waiter)
        try:
            await waiter
        finally:
            self.unwatch(handle)

    async def take_turns(self):
        """Lets the others go on if they have waited for long. To be called before something is taken, or a cancellation loses it."""
        if self.time() - self._turn > TURN:
            await asyncio.sleep(0)

    def opened(self, writer):
        """What is still open at the end is closed then."""
        self._writers.add(writer)

    def see_off(self, connection):
        """Keeps a closed connection until it is gone, and with it what was written."""
        if connection not in self._closing and not is_gone(connection):
            self._closing[connection] = self.watch(connections.Interest_Closed(connection), self._seen_off, connection)

    def _seen_off(self, connection):
        if is_gone(connection):
            self.unwatch(self._closing.pop(connection))

    def select(self, timeout):
        handles = list(self._watched)
        if timeout is None and not handles:
            raise RuntimeError("every task waits for something that nobody will do")
        self._turn = self.time()
        milliseconds = None if timeout is None else math.ceil(max(timeout, 0) * 1000)  # rounded down it would spin for the rest
        ready = call(connections.wait, [self._watched[handle] for handle in handles], milliseconds)
        self._turn = self.time()
        return [handles[index] for index in ready]

    def _process_events(self, handles):
        self._ready.extend(handles)

    def _write_to_self(self):
        pass  # wakes a loop from another thread; there is none

    def close(self):
        if not self.is_running() and not self.is_closed():
            self._say_goodbye()
        super().close()

    def _say_goodbye(self):
        for writer in list(self._writers):
            writer.close()
        deadline = self.time() + GOODBYE
        while self._closing and (left := deadline - self.time()) > 0:
            closing = list(self._closing)
            for index in call(connections.wait, [connections.Interest_Closed(one) for one in closing], math.ceil(left * 1000)):
                self._seen_off(closing[index])


def wake(waiter):
    if not waiter.done():
        waiter.set_result(None)


def is_gone(connection):
    try:
        return call(connection.try_wait_closed)
    except OSError:
        return True


async def attempt(interest, function, *arguments):
    """What a `try-` function answers once it has an answer."""
    loop = asyncio.get_running_loop()
    await loop.take_turns()
    while (answer := call(function, *arguments)) is None or answer is False:
        await loop.ready(interest)
    return answer

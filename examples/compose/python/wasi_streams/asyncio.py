"""The standard library's asyncio, with streams that exist in a component, and the event loop that they need.

Tasks, timeouts, queues, locks and all the rest are the standard library's own.
"""

import asyncio as _asyncio
from asyncio import *  # noqa: F403

from ._connect import open_connection
from ._loop import EventLoop
from ._reader import StreamReader
from ._server import Server, start_server
from ._writer import StreamWriter

__all__ = [*_asyncio.__all__, "EventLoop", "Server", "open_unix_connection", "start_unix_server"]


def run(main, *, debug=None, loop_factory=None):
    """Runs a coroutine on an event loop of its own, to its end."""
    return _asyncio.run(main, debug=debug, loop_factory=loop_factory or EventLoop)


class Runner(_asyncio.Runner):
    """Runs several coroutines on one event loop."""

    def __init__(self, *, debug=None, loop_factory=None):
        super().__init__(debug=debug, loop_factory=loop_factory or EventLoop)


def new_event_loop():
    return EventLoop()


async def open_unix_connection(*_arguments, **_options):
    raise NotImplementedError("WASI 0.2 has no Unix sockets: use open_connection")


async def start_unix_server(*_arguments, **_options):
    raise NotImplementedError("WASI 0.2 has no Unix sockets: use start_server")


def __getattr__(name):
    return getattr(_asyncio, name)  # what asyncio has and does not list, as its submodules

"""Serving."""

import asyncio
import weakref

from wit_world.imports import connections

from . import _options
from ._connect import running_loop
from ._errors import call
from ._holder import Holder
from ._information import Socket
from ._loop import attempt
from ._reader import StreamReader
from ._writer import StreamWriter
from .ssl import SSLContext

# How long accepting pauses when it fails, for want of memory say.
RETRY = 1.0


async def start_server(
    client_connected_cb,
    host=None,
    port=None,
    *,
    limit=_options.DEFAULT_LIMIT,
    family=0,
    flags=0,
    sock=None,
    backlog=100,
    ssl=None,
    reuse_address=None,
    reuse_port=None,
    keep_alive=None,
    ssl_handshake_timeout=None,
    ssl_shutdown_timeout=None,
    start_serving=True,
):
    """Listens, and calls back with a StreamReader and a StreamWriter for each client; a coroutine becomes a task.

    An address is always bound as with `reuse_address`.
    """
    loop = running_loop()
    _options.refuse(
        sock=(sock is not None, "a component cannot take over a socket; give host and port"),
        flags=(flags, "the host looks names up, and takes no flags"),
        reuse_address=(reuse_address is False, "the host always reuses addresses"),
        keep_alive=(keep_alive, "not for servers"),
    )
    if reuse_port:
        raise ValueError("reuse_port not supported by WASI 0.2")
    if host is None and port is None:
        raise ValueError("Neither host/port nor sock were specified")
    if ssl is not None and not isinstance(ssl, SSLContext):
        raise TypeError("ssl argument must be an SSLContext or None")
    options = connections.ListenOptions()
    options.set_limit(_options.limit(limit))
    options.set_backlog(_options.count("backlog", backlog))
    if ssl is not None:
        options.set_tls(ssl.server_config())
    _options.tls_timeouts(options, ssl, ssl_handshake_timeout, ssl_shutdown_timeout)
    one_family = _options.family(family)
    if one_family:
        options.set_family(one_family)
    resource = call(connections.listen, hosts(host), _options.port(port), options)
    server = Server(resource, loop, client_connected_cb, ssl, backlog)
    if start_serving:
        server._start_serving()
    return server


def hosts(host):
    """As the component takes them: none is every interface."""
    if host is None:
        return []
    if isinstance(host, str | bytes):
        return [_options.host(host)]
    several = [_options.host(one) for one in host]
    if not several:
        raise OSError("could not bind on any address out of []")
    return several


class Server(Holder):
    """Made by `start_server`."""

    def __init__(self, resource, loop, callback, context, backlog):
        super().__init__(resource, connections.Server)
        self._loop = loop
        self._callback = callback
        self._context = context
        self._backlog = backlog
        # Connections that were accepted and are not gone.
        self._clients = weakref.WeakSet()
        self._accepting = None
        self._forever = None
        self._closed = asyncio.Event()

    def __repr__(self):
        return f"<Server sockets={self.sockets!r}>"

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_exception):
        self.close()
        await self.wait_closed()

    @property
    def sockets(self):
        """Where it listens: `getsockname()` of each."""
        if self._closed.is_set():
            return ()
        return tuple(Socket(local=address) for address in self._resource.local_addresses())

    def get_loop(self):
        return self._loop

    def is_serving(self):
        return self._accepting is not None

    async def start_serving(self):
        self._start_serving()

    async def serve_forever(self):
        """Serves until the server is closed, or the task that waits here is cancelled."""
        if self._forever is not None:
            raise RuntimeError(f"server {self!r} is already being awaited on serve_forever()")
        self._start_serving()
        self._forever = self._loop.create_future()
        try:
            await self._forever
        except asyncio.CancelledError:
            self.close()
            await self.wait_closed()
            raise
        finally:
            self._forever = None

    def close(self):
        """Stops listening; connections go on."""
        if self._closed.is_set():
            return
        self._closed.set()
        self._pause()
        self._resource.close()
        if self._forever is not None:
            self._forever.cancel()

    async def wait_closed(self):
        """Waits until the server is closed and its last connection is gone."""
        await self._closed.wait()
        for client in list(self._clients):
            try:
                await attempt(connections.Interest_Closed(client), client.try_wait_closed)
            except OSError:
                pass  # however it went, it is gone

    def close_clients(self):
        """Closes every connection behind what is queued."""
        for client in list(self._clients):
            client.close()
            self._loop.see_off(client)

    def abort_clients(self):
        """Ends every connection at once."""
        for client in list(self._clients):
            client.abort()

    def _start_serving(self):
        if self._closed.is_set():
            raise RuntimeError(f"server {self!r} is closed")
        if self._accepting is None:
            self._accepting = self._loop.watch(connections.Interest_Acceptable(self._resource), self._accept)

    def _pause(self):
        if self._accepting is not None:
            self._loop.unwatch(self._accepting)
            self._accepting = None

    def _accept(self):
        # Not all at once if there are many: the others have their turn.
        for _ in range(self._backlog + 1):
            if self._closed.is_set():
                return
            try:
                accepted = call(self._resource.try_accept)
            except OSError as error:
                self._report("accepting failed; goes on in a second", error)
                self._pause()
                self._loop.call_later(RETRY, lambda: self._closed.is_set() or self._start_serving())
                return
            if accepted is None:
                return
            self._connected(*accepted)

    def _connected(self, reader, writer):
        self._clients.add(writer)
        streams = StreamReader(reader), StreamWriter(writer, self._loop, server_side=True, context=self._context)
        try:
            result = self._callback(*streams)
        except Exception as error:
            self._failed(writer, error)
            return
        if asyncio.iscoroutine(result):
            self._loop.create_task(result).add_done_callback(lambda task: self._done(task, writer))

    def _done(self, task, writer):
        if task.cancelled():
            writer.close()
            self._loop.see_off(writer)
        elif error := task.exception():
            self._failed(writer, error)

    def _failed(self, writer, error):
        self._report("Unhandled exception in client_connected_cb", error)
        writer.close()
        self._loop.see_off(writer)

    def _report(self, message, error):
        self._loop.call_exception_handler({"message": message, "exception": error, "server": self})

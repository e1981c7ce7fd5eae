"""The writing side of a connection."""

import asyncio
import operator
import warnings

from wit_world.imports import connections

from . import _options
from ._errors import call
from ._holder import Holder
from ._information import Information
from ._loop import attempt
from .ssl import SSLContext


class StreamWriter(Holder):
    """Made by `open_connection` and `start_server`."""

    def __init__(self, resource, loop, *, server_side, host=None, context=None):
        super().__init__(resource, connections.Writer)
        self._loop = loop
        self._host = host
        self._information = Information(resource, server_side, context)
        self._transport = Transport(resource, loop, self._information)
        loop.opened(self)

    def __repr__(self):
        return f"<StreamWriter{' closing' if self.is_closing() else ''} peername={self.get_extra_info('peername')}>"

    @property
    def transport(self):
        return self._transport

    def write(self, data):
        """Queues bytes. It never waits: `drain` does."""
        if not isinstance(data, bytes | bytearray | memoryview):
            raise TypeError(f"data argument must be a bytes-like object, not {type(data).__name__!r}")
        call(self._resource.write, bytes(data))

    def writelines(self, data):
        self.write(b"".join(data))

    async def drain(self):
        """Waits while too much is queued."""
        await self._loop.take_turns()
        while not call(self._resource.try_drain):
            await self._loop.ready(connections.Interest_Drained(self._resource))
            if self._is_gone_by_will():
                return

    def write_eof(self):
        """Ends our direction behind what is queued; the other goes on."""
        call(self._resource.write_eof)

    def can_write_eof(self):
        return self._resource.can_write_eof()

    def close(self):
        """Closes both directions behind what is queued."""
        self._resource.close()
        self._loop.see_off(self._resource)

    def is_closing(self):
        return self._resource.is_closing()

    async def wait_closed(self):
        """Waits until the connection is gone, with everything handed over."""
        await attempt(connections.Interest_Closed(self._resource), self._resource.try_wait_closed)

    def get_extra_info(self, name, default=None):
        """peername, sockname, socket; over TLS also sslcontext, ssl_object, peercert, cipher, compression."""
        return self._information.get(name, default)

    async def start_tls(self, sslcontext, *, server_hostname=None, ssl_handshake_timeout=None, ssl_shutdown_timeout=None):
        """Goes on over TLS: as the server where the connection was accepted, else as the client."""
        if not isinstance(sslcontext, SSLContext):
            raise TypeError(f"sslcontext is expected to be an instance of ssl.SSLContext, got {sslcontext!r}")
        timeouts = (
            _options.tls_timeout("ssl_handshake_timeout", ssl_handshake_timeout),
            _options.tls_timeout("ssl_shutdown_timeout", ssl_shutdown_timeout),
        )
        if server_hostname is not None:
            _options.text("server_hostname", server_hostname)
        await self.drain()
        self._resource.set_start_tls_timeouts(*timeouts)
        if self._information.server_side:
            call(self._resource.start_tls_server, sslcontext.server_config())
        else:
            # An empty name is one that is not checked; none is the host that was connected to.
            config = sslcontext.client_config(check_name=server_hostname != "")
            call(self._resource.start_tls_client, config, server_hostname or self._host)
        try:
            await attempt(connections.Interest_Handshaken(self._resource), self._resource.try_handshake)
        except asyncio.CancelledError:
            self._resource.abort()
            raise
        self._information.context = sslcontext

    def _is_gone_by_will(self):
        try:
            return call(self._resource.try_wait_closed)
        except OSError:
            return False

    def __del__(self):
        if "_transport" in self.__dict__ and not self.is_closing():
            self.close()
            warnings.warn(f"unclosed {self!r}", ResourceWarning, source=self, stacklevel=1)
        super().__del__()


class Transport:
    """What `StreamWriter.transport` gives: the low-level side of a connection."""

    def __init__(self, resource, loop, information):
        self._resource = resource
        self._loop = loop
        self._information = information
        self._reading = True
        self._limits = None

    def abort(self):
        """Ends the connection at once; what is queued is dropped."""
        self._resource.abort()

    def close(self):
        self._resource.close()
        self._loop.see_off(self._resource)

    def is_closing(self):
        return self._resource.is_closing()

    def get_extra_info(self, name, default=None):
        return self._information.get(name, default)

    def get_write_buffer_size(self):
        return self._resource.write_buffer_size()

    def get_write_buffer_limits(self):
        """The low and the high mark."""
        if self._limits is None:
            high = 64 * 1024 if self._resource.tls() is None else 512 * 1024
            return high // 4, high
        return self._limits

    def set_write_buffer_limits(self, high=None, low=None):
        """`drain` waits above `high`, until at or below `low`."""
        high, low = (None if mark is None else operator.index(mark) for mark in (high, low))
        if high is None:
            high = self.get_write_buffer_limits()[1] if low is None else 4 * low
        if low is None:
            low = high // 4
        if not high >= low >= 0:
            raise ValueError(f"high ({high!r}) must be >= low ({low!r}) must be >= 0")
        call(self._resource.set_write_buffer_limits, high, low)
        self._limits = low, high

    def pause_reading(self):
        self._reading = False
        self._resource.pause_reading(True)

    def resume_reading(self):
        self._reading = True
        self._resource.pause_reading(False)

    def is_reading(self):
        return self._reading and not self.is_closing()

"""Opening connections."""

import socket
from asyncio import get_running_loop

from wit_world.imports import connections

from . import _options, ssl
from ._errors import call
from ._loop import EventLoop, attempt
from ._reader import StreamReader
from ._writer import StreamWriter


def running_loop():
    loop = get_running_loop()
    if not isinstance(loop, EventLoop):
        raise RuntimeError("streams need the event loop of wasi_streams: start the program by its asyncio.run")
    return loop


async def open_connection(
    host=None,
    port=None,
    *,
    limit=_options.DEFAULT_LIMIT,
    ssl=None,
    family=0,
    proto=0,
    flags=0,
    sock=None,
    local_addr=None,
    server_hostname=None,
    ssl_handshake_timeout=None,
    ssl_shutdown_timeout=None,
    happy_eyeballs_delay=None,
    interleave=None,
    all_errors=False,
):
    """Connects, and gives a StreamReader and a StreamWriter."""
    loop = running_loop()
    _options.refuse(
        sock=(sock is not None, "a component cannot take over a socket; give host and port"),
        proto=(proto, "streams are TCP"),
        flags=(flags, "the host looks names up, and takes no flags"),
    )
    if host is None and port is None:
        raise ValueError("host and port was not specified and no sock specified")
    options = connections.ConnectOptions()
    options.set_limit(_options.limit(limit))
    context = client_context(ssl, host, server_hostname)
    if context:
        config = context.client_config(check_name=server_hostname != "")
        options.set_tls(config, server_hostname or None)
    _options.tls_timeouts(options, context, ssl_handshake_timeout, ssl_shutdown_timeout)
    one_family = _options.family(family)
    if one_family:
        options.set_family(one_family)
    if local_addr is not None:
        options.set_local_address(_options.address("local_addr", local_addr))
    options.set_happy_eyeballs_delay(None if happy_eyeballs_delay is None else _options.milliseconds(happy_eyeballs_delay))
    if interleave is None:
        interleave = 0 if happy_eyeballs_delay is None else 1
    options.set_interleave(_options.count("interleave", interleave))
    there = loopback(family) if host in (None, "", b"") else _options.host(host)
    try:
        reader, writer = await connected(there, _options.port(port), options)
    except OSError as error:
        if all_errors:
            raise ExceptionGroup("create_connection failed", [error]) from None
        raise
    return StreamReader(reader), StreamWriter(writer, loop, server_side=False, host=there, context=context)


async def connected(host, port, options):
    # Left by a cancellation too, it gives up every attempt that is under way.
    with call(connections.start_connect, host, port, options) as connecting:
        return await attempt(connections.Interest_Connected(connecting), connecting.try_finish)


def client_context(context, host, server_hostname):
    """The configuration, or none."""
    if not context:
        if server_hostname is not None:
            raise ValueError("server_hostname is only meaningful with ssl")
        return None
    if server_hostname is None and not host:
        raise ValueError("You must set server_hostname when using ssl without a host")
    if server_hostname is not None:
        _options.text("server_hostname", server_hostname)
    if context is True:
        return ssl.default_client_context()
    if not isinstance(context, ssl.SSLContext):
        raise TypeError(f"ssl must be True or an SSLContext, not {context!r}")
    return context


def loopback(family):
    return "::1" if family == socket.AF_INET6 else "127.0.0.1"

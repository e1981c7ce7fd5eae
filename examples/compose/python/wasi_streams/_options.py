"""The arguments of `open_connection` and `start_server`, checked before anything is done."""

import ipaddress
import math
import operator
import socket

from wit_world.imports import connections

DEFAULT_LIMIT = 64 * 1024
MAXIMUM = 2**32 - 1


def refuse(**arguments):
    """Names what cannot be had here; an argument that is not given has a false value."""
    for name, (value, reason) in arguments.items():
        if value:
            raise NotImplementedError(f"{name}: {reason}")


def port(value):
    """A number, or one as text."""
    if isinstance(value, str | bytes):
        try:
            value = int(value)
        except ValueError:
            raise NotImplementedError(f"port {value!r}: there is no list of services here; give the number") from None
    number = operator.index(value or 0)
    if not 0 <= number <= 65535:
        raise OverflowError("port must be 0-65535.")
    return number


def host(value):
    return value.decode("ascii") if isinstance(value, bytes) else text("host", value)


def text(name, value):
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a str, not {value!r}")
    value.encode()  # half a character is a UnicodeEncodeError here, and the end of the program in the component
    return value


def limit(value):
    number = operator.index(value)
    if number <= 0:
        raise ValueError("Limit cannot be <= 0")
    return min(number, MAXIMUM)


def count(name, value):
    number = operator.index(value)
    if not 0 <= number <= MAXIMUM:
        raise ValueError(f"{name} must be from 0 to {MAXIMUM}, got {value!r}")
    return number


def positive(name, seconds):
    """A number of seconds, or none."""
    if seconds is not None and seconds <= 0:
        raise ValueError(f"{name} should be a positive number, got {seconds}")
    return seconds


def milliseconds(seconds):
    """Rounded up: a timeout that is given is never none at all. Fifty days and more are fifty days."""
    return MAXIMUM if seconds * 1000 > MAXIMUM else math.ceil(max(seconds, 0) * 1000)


def family(value):
    """None for any."""
    if value == socket.AF_UNSPEC:
        return None
    families = {socket.AF_INET: connections.Family.IPV4, socket.AF_INET6: connections.Family.IPV6}
    if value not in families:
        raise NotImplementedError(f"family {value!r}: there are AF_INET and AF_INET6")
    return families[value]


def address(name, value):
    """A pair of an IP address and a port."""
    there, number, *_ = value
    try:
        ipaddress.ip_address(there)
    except ValueError:
        raise NotImplementedError(f"{name} {there!r}: names are not looked up here; give an IP address") from None
    return connections.Address(str(there), port(number))


def tls_timeouts(options, context, handshake, shutdown):
    """Those that TLS alone has."""
    for name, seconds, setter in (
        ("ssl_handshake_timeout", handshake, options.set_tls_handshake_timeout),
        ("ssl_shutdown_timeout", shutdown, options.set_tls_shutdown_timeout),
    ):
        if seconds is not None:
            if not context:
                raise ValueError(f"{name} is only meaningful with ssl")
            setter(tls_timeout(name, seconds))


def tls_timeout(name, seconds):
    """As the component wants it, or none."""
    return None if positive(name, seconds) is None else milliseconds(seconds)

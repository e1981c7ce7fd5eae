"""The component's errors as the exceptions that asyncio raises."""

import asyncio
import errno
import socket

from componentize_py_types import Err
from wit_world.imports.connections import ErrorKind as Kind

from . import ssl

# OSError itself chooses the class by the number: ConnectionRefusedError, TimeoutError, PermissionError …
NUMBERS = {
    Kind.CONNECTION_REFUSED: errno.ECONNREFUSED,
    Kind.CONNECTION_RESET: errno.ECONNRESET,
    Kind.CONNECTION_ABORTED: errno.ECONNABORTED,
    Kind.BROKEN_PIPE: errno.EPIPE,
    Kind.TIMED_OUT: errno.ETIMEDOUT,
    Kind.ACCESS_DENIED: errno.EACCES,
    Kind.NAME_LOOKUP_DENIED: errno.EACCES,
    Kind.ADDRESS_IN_USE: errno.EADDRINUSE,
    Kind.ADDRESS_NOT_AVAILABLE: errno.EADDRNOTAVAIL,
    Kind.HOST_UNREACHABLE: errno.EHOSTUNREACH,
    Kind.NETWORK_UNREACHABLE: errno.ENETUNREACH,
    Kind.NOT_FOUND: errno.ENOENT,
}
CLASSES = {
    Kind.INVALID_ARGUMENT: ValueError,
    Kind.INVALID_STATE: RuntimeError,
    Kind.CLOSED: RuntimeError,
    Kind.UNSUPPORTED: NotImplementedError,
    Kind.MANY: OSError,
    Kind.OTHER: OSError,
}
LOOKUPS = {
    Kind.NAME_UNKNOWN: socket.EAI_NONAME,
    Kind.NAME_TEMPORARY_FAILURE: socket.EAI_AGAIN,
    Kind.NAME_FAILURE: socket.EAI_FAIL,
}
CERTIFICATES = {
    Kind.TLS_UNKNOWN_ISSUER,
    Kind.TLS_SELF_SIGNED,
    Kind.TLS_EXPIRED,
    Kind.TLS_NOT_YET_VALID,
    Kind.TLS_WRONG_NAME,
    Kind.TLS_REVOKED,
    Kind.TLS_BAD_CERTIFICATE,
}
# In asyncio's words, by whether the separator was found.
OVERRUNS = {
    True: "Separator is found, but chunk is longer than limit",
    False: "Separator is not found, and chunk exceed the limit",
}


def exception(error):
    """The exception for an error of the component; its message is kept."""
    kind, message, detail = error.kind, error.message, error.detail
    if kind == Kind.INCOMPLETE_READ:
        return asyncio.IncompleteReadError(detail.value.partial, detail.value.expected)
    if kind == Kind.LIMIT_OVERRUN:
        return asyncio.LimitOverrunError(OVERRUNS[detail.value.found], detail.value.consumed)
    if kind in NUMBERS:
        return OSError(NUMBERS[kind], message)
    if kind in LOOKUPS:
        return socket.gaierror(LOOKUPS[kind], message)
    if kind in CLASSES:
        return CLASSES[kind](message)
    tls = ssl.SSLCertVerificationError if kind in CERTIFICATES else ssl.SSLError
    return tls(kind.value, f"[{kind.name}] {message}")


def call(function, *arguments):
    """Calls a function of the component."""
    try:
        return function(*arguments)
    except Err as error:
        raise exception(error.value) from None

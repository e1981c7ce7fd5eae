"""The programs of every language on a second host: Node.js with the shim of WASI that jco comes with.

What that shim cannot do is listed in examples/compose/README.md, and proven here, so that we notice when it can.
"""

import functools
from collections.abc import Callable
from pathlib import Path

import compose_c
import compose_javascript
import compose_peers as peers
import compose_python
from compose_hosts import Jco
from composed import BUILT, Composed
from demo import certificates

# What both hosts do alike. The others make no use of more of the host.
CHECKS = ("tasks", "deadlines", "limits", "afterwards", "upgrade")


def rust(composed: Composed, name: str, host: Callable) -> peers.Run:
    return functools.partial(host, composed.plug(BUILT / f"rust-{name}.wasm"))


def python(composed: Composed, name: str, host: Callable) -> peers.Run:
    built = compose_python.component(composed)
    if name == "https-headers":
        return lambda address, port, path, **options: host(built, "http_headers", f"https://{address}:{port}{path}", **options)
    return functools.partial(host, built, name.replace("-", "_"))


def c(composed: Composed, name: str, host: Callable) -> peers.Run:
    assert name == "https-headers", name
    return compose_c.program(composed, host)


# What gives the program NAME of a language, on a host.
LANGUAGES = {
    "rust": rust,
    "python": python,
    "javascript": compose_javascript.program,
    "c": c,
}
ONLY_HEADERS = {"c"}


def jco_echo(composed: Composed) -> None:
    host = Jco(composed.folder)
    for language, program in LANGUAGES.items():
        if language not in ONLY_HEADERS:
            peers.echo_client(program(composed, "echo-client", host))
            peers.echo_server(program(composed, "echo-server", host))


def jco_https_headers(composed: Composed) -> None:
    for program in LANGUAGES.values():
        peers.https_headers(program(composed, "https-headers", Jco(composed.folder)))


def jco_failures(composed: Composed) -> None:
    host = Jco(composed.folder)
    peers.refused(rust(composed, "https-headers", host))
    peers.distrusted(compose_c.program(composed, host), r"no trusted authority has issued the peer's certificate$")


def jco_checks(composed: Composed) -> None:
    with certificates() as certs:
        texts = compose_javascript.texts(certs)
        peers.checks(compose_javascript.program(composed, "checks", Jco(composed.folder), environment=texts), CHECKS)


def jco_denies_what_it_is_told_to(composed: Composed) -> None:
    run = rust(composed, "https-headers", Jco(composed.folder, network=False))
    with peers.refusing_port() as port:
        peers.fails(run, "127.0.0.1", port, "/", message="the host does not permit connecting")
        peers.fails(run, "localhost", port, "/", message="is name lookup allowed")


def jco_cannot_half_close(composed: Composed) -> None:
    """It destroys the socket at any shutdown, and does not tell the reader."""
    peers.fails(compose_javascript.program(composed, "checks", Jco(composed.folder)), "halves", message=r"^timed-out: ")


STEPS = (jco_echo, jco_https_headers, jco_failures, jco_checks, jco_denies_what_it_is_told_to, jco_cannot_half_close)

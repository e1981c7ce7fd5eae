"""The programs in examples/compose/javascript against CPython and OpenSSL. They are all in one component: to compile an engine takes
long."""

import functools
from pathlib import Path

import compose_peers as peers
from compose_hosts import WIT, build, run_tool, wasmtime
from composed import Composed
from demo import ROOT, certificates, running

SOURCES = ROOT / "examples/compose/javascript"
CHECKS = ("tasks", "deadlines", "fairness", "limits", "halves", "nonsense", "failures", "afterwards", "upgrade")

# Echoes over TLS, after which the server's certificate was verified.
TLS_CLIENT = ("openssl", "s_client", "-quiet", "-verify_return_error", "-verify_ip", "127.0.0.1")


def component(composed: Composed) -> Path:
    def compile_to(target: Path) -> None:
        run_tool("componentize-js", SOURCES / "test/all.js", WIT, "javascript-app", target)

    return build(composed, "javascript", [SOURCES], compile_to)


def program(composed: Composed, name: str, host=wasmtime, **options) -> peers.Run:
    return functools.partial(host, component(composed), name, **options)


def texts(certs: Path) -> dict[str, str]:
    """What JavaScript, which has no files, finds in its environment."""
    files = {"TLS_CHAIN": "server.pem", "TLS_KEY": "server.key", "TLS_ROOTS": "ca.pem"}
    return {name: (certs / file).read_text(encoding="utf-8") for name, file in files.items()}


def javascript_echo(composed: Composed) -> None:
    peers.echo_client(program(composed, "echo-client"))
    peers.echo_server(program(composed, "echo-server"), peers.STALLING_CLIENTS, r"Echoed: 3")


def javascript_echo_over_tls(composed: Composed) -> None:
    with certificates() as certs, program(composed, "echo-server", environment=texts(certs))("127.0.0.1", "0") as server:
        port = server.wait_for(r"^Serving on 127\.0\.0\.1:(\d+)")[1]
        with running("openssl", [*TLS_CLIENT, "-CAfile", str(certs / "ca.pem"), "-connect", f"127.0.0.1:{port}"]) as client:
            client.process.stdin.write("from OpenSSL\n")
            client.process.stdin.flush()
            client.wait_for(r"^from OpenSSL$")


def javascript_headers(composed: Composed) -> None:
    peers.http_headers(program(composed, "http-headers"))
    peers.https_headers(program(composed, "https-headers"))


def javascript_failures(composed: Composed) -> None:
    peers.refused(program(composed, "http-headers"))
    peers.distrusted(program(composed, "https-headers"), r"^tls-unknown-issuer: ")


def javascript_shows_addresses(composed: Composed) -> None:
    with program(composed, "echo-server")("::1", "0") as server:
        server.wait_for(r"^Serving on \[::1\]:\d+$")


def javascript_checks(composed: Composed) -> None:
    with certificates() as certs:
        peers.checks(program(composed, "checks", environment=texts(certs)), CHECKS)
    peers.checks(program(composed, "checks", files=64), ("freed",))


STEPS = (javascript_echo, javascript_echo_over_tls, javascript_headers, javascript_failures, javascript_shows_addresses, javascript_checks)

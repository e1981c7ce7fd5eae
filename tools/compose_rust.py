"""The programs in examples/compose/rust against CPython."""

import sys

import demo
from composed import ECHO_CLIENT, ECHO_SERVER, Composed
from demo import HEADERS, HTTPS_SERVER, certificates, component, running, website


def rust_echo(composed: Composed) -> None:
    with composed.run("rust-echo-server", "127.0.0.1", "0") as server:
        port = server.wait_for(r"^Serving on 127\.0\.0\.1:(\d+)")[1]
        with composed.run("rust-echo-client", "127.0.0.1", port, "Hello World!") as client:
            client.finish()
            client.expect(r'Send: "Hello World!"', r'Received: "Hello World!"', r"Close the connection")
        with running("CPython's client", [sys.executable, "-c", ECHO_CLIENT, port]) as client:
            client.finish()
            client.expect(r"Received: from CPython")
    with running("CPython's server", [sys.executable, "-c", ECHO_SERVER]) as server:
        port = server.wait_for(r"^Serving on port (\d+)")[1]
        with composed.run("rust-echo-client", "127.0.0.1", port, "Hello CPython!") as client:
            client.finish()
            client.expect(r'Received: "Hello CPython!"')


def rust_echo_one_by_one(composed: Composed) -> None:
    with composed.run("rust-echo-one-by-one", "127.0.0.1", "0") as server:
        port = server.wait_for(r"^Serving on 127\.0\.0\.1:(\d+)")[1]
        for name in ("CPython's client", "the next client"):
            with running(name, [sys.executable, "-c", ECHO_CLIENT, port]) as client:
                client.finish()
                client.expect(r"Received: from CPython")


def rust_echo_over_tls(composed: Composed) -> None:
    with certificates() as certs:
        files = ["/certs/server.pem", "/certs/server.key"]
        with composed.run("rust-echo-server", "127.0.0.1", "0", *files, folder=certs) as server:
            port = server.wait_for(r"^Serving on 127\.0\.0\.1:(\d+)")[1]
            # The client is the crate itself, not composed.
            with component("echo-client", "--port", port, "--tls", "--ca", "/certs/ca.pem", folder=certs) as client:
                client.finish()
                client.expect(rf"Received: {demo.HELLO}")


def rust_https_headers(composed: Composed) -> None:
    with certificates() as certs, website() as folder:
        command = [sys.executable, "-u", "-c", HTTPS_SERVER, folder, str(certs / "server.pem"), str(certs / "server.key")]
        with running("Python's http.server over TLS", command) as server:
            port = server.wait_for(r"^Serving HTTPS on port (\d+)")[1]
            trust = ("--env", "SSL_CERT_FILE=/certs/ca.pem")
            arguments = ["127.0.0.1", port, "/page.html"]
            with composed.run("rust-https-headers", *arguments, folder=certs, options=trust) as client:
                client.finish()
                client.expect(*HEADERS)


STEPS = (rust_echo, rust_echo_one_by_one, rust_echo_over_tls, rust_https_headers)

"""The programs in examples/compose/rust against CPython."""

import json
import os
import shutil
import subprocess
import sys
import tomllib

import compose_peers as peers
import demo
from compose_hosts import copied
from composed import Composed
from demo import HEADERS, ROOT, Failure, certificates, component, https_server, running


def rust_copied_elsewhere(composed: Composed) -> None:
    """What the READMEs promise: a folder and `wit/` are enough. Only checked, because elsewhere nothing else is different."""
    for name in ("rust", "rust-push"):
        folder = copied(composed, name)
        shutil.copy(ROOT / "Cargo.lock", folder)
        # The profile and the folder of our own programs: the macros that make the bindings are built there, which takes a minute.
        profile = ["--profile", "component", *profile_settings()]
        command = ["cargo", "check", "--quiet", "--offline", "--target", "wasm32-wasip2", "--manifest-path", str(folder / "Cargo.toml")]
        folders = {"CARGO_BUILD_BUILD_DIR": str(ROOT / "target"), "CARGO_TARGET_DIR": str(folder / "target")}
        done = subprocess.run([*command, *profile], cwd=ROOT, env={**os.environ, **folders}, timeout=600, check=False)
        if done.returncode != 0:
            raise Failure(f"a copy of examples/compose/{name} is no crate that can be built")


def profile_settings() -> list[str]:
    """The workspace's profile `component`, for a crate that is not in it."""
    profiles = tomllib.loads((ROOT / "Cargo.toml").read_text(encoding="utf-8"))["profile"]
    settings = [(name, *setting) for name in ("release", "component") for setting in profiles[name].items()]
    plain = [setting for setting in settings if not isinstance(setting[2], dict)]
    return [argument for name, key, value in plain for argument in ("--config", f"profile.{name}.{key}={json.dumps(value)}")]


def rust_echo(composed: Composed) -> None:
    with composed.run("rust-echo-server", "127.0.0.1", "0") as server:
        port = server.wait_for(r"^Serving on 127\.0\.0\.1:(\d+)")[1]
        with composed.run("rust-echo-client", "127.0.0.1", port, "Hello World!") as client:
            client.finish()
            client.expect(r'Send: "Hello World!"', r'Received: "Hello World!"', r"Close the connection")
        with running("CPython's client", [sys.executable, "-c", peers.CLIENT, port]) as client:
            client.finish()
            client.expect(r"Received: from CPython")
    with running("CPython's server", [sys.executable, "-c", peers.ECHO_SERVER]) as server:
        port = server.wait_for(r"^Serving on port (\d+)")[1]
        with composed.run("rust-echo-client", "127.0.0.1", port, "Hello CPython!") as client:
            client.finish()
            client.expect(r'Received: "Hello CPython!"')


def rust_echo_one_by_one(composed: Composed) -> None:
    with composed.run("rust-echo-one-by-one", "127.0.0.1", "0") as server:
        port = server.wait_for(r"^Serving on 127\.0\.0\.1:(\d+)")[1]
        for name in ("CPython's client", "the next client"):
            with running(name, [sys.executable, "-c", peers.CLIENT, port]) as client:
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


def rust_echo_server_arguments(composed: Composed) -> None:
    """A certificate without its key is no reason to serve in the clear."""
    for arguments in (["127.0.0.1", "0", "/certs/server.pem"], ["127.0.0.1"], ["127.0.0.1", "0", "certificate", "key", "more"]):
        with composed.run("rust-echo-server", *arguments) as server:
            server.finish(1)
            server.expect(r"Error: usage: rust-echo-server HOST PORT \[CERTIFICATE KEY\]")
    with composed.run("rust-echo-server", "::1", "0") as server:
        server.wait_for(r"^Serving on \[::1\]:\d+$")


def rust_https_headers(composed: Composed) -> None:
    with certificates() as certs, https_server(certs) as (_, port):
        trust = ("--env", "SSL_CERT_FILE=/certs/ca.pem")
        arguments = ["127.0.0.1", port, "/page.html"]
        with composed.run("rust-https-headers", *arguments, folder=certs, options=trust) as client:
            client.finish()
            client.expect(*HEADERS)


STEPS = (
    rust_copied_elsewhere,
    rust_echo,
    rust_echo_one_by_one,
    rust_echo_over_tls,
    rust_echo_server_arguments,
    rust_https_headers,
)

#!/usr/bin/env python3
"""Runs the examples as a user would and checks what they print: the echo server and client against each other, HTTP headers from a
real server, both in the clear and over TLS, waiting for data. `make demo` builds what this needs first."""

import contextlib
import queue
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RUNNER = ROOT / "target/release/wasi-streams-run"
COMPONENTS = ROOT / "target/components"
# The first start of a component compiles it, which takes seconds on a busy machine.
DEADLINE = 60.0
# `{message!r}` of Python and `{message:?}` of Rust differ in their quotes only.
HELLO = r"""(?:'Hello World!'|"Hello World!")"""


class Failure(Exception):
    pass


class Program:
    """A running program, whose output arrives line by line while it runs."""

    def __init__(self, name: str, command: list[str]):
        self.name = name
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
        )
        self._arriving: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=self._collect, daemon=True).start()

    def wait_for(self, pattern: str) -> re.Match:
        """The first line from here on that matches, once it is there."""
        deadline = time.monotonic() + DEADLINE
        while (line := self._next(deadline, f"printed no line like {pattern!r}")) is not None:
            if found := re.search(pattern, line):
                return found
        raise Failure(f"{self.name} ended without a line like {pattern!r}{self._output()}")

    def finish(self, expected: int = 0) -> None:
        """Ends the program's standard input and waits until it is done, with this status."""
        self.process.stdin.close()
        deadline = time.monotonic() + DEADLINE
        while self._next(deadline, "did not end") is not None:
            pass
        try:
            status = self.process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            raise Failure(f"{self.name} closed its output and did not end{self._output()}") from None
        if status != expected:
            raise Failure(f"{self.name} ended with status {status}{self._output()}")

    def expect(self, *patterns: str) -> None:
        """Each pattern matches a whole line, in this order."""
        print(f"--- {self.name}")
        print("\n".join(f"    {line}" for line in self.lines), flush=True)
        lines = iter(self.lines)
        for pattern in patterns:
            if not any(re.fullmatch(pattern, line) for line in lines):
                raise Failure(f"{self.name} was expected to print, in its place, a line like {pattern!r}{self._output()}")

    def stop(self) -> None:
        """Ends what is still running; nothing if it ended by itself."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()

    def _collect(self) -> None:
        for line in self.process.stdout:
            self._arriving.put(line.rstrip("\r\n"))
        self._arriving.put(None)

    def _next(self, deadline: float, complaint: str) -> str | None:
        try:
            line = self._arriving.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            raise Failure(f"{self.name} {complaint} within {DEADLINE:.0f} s{self._output()}") from None
        if line is not None:
            self.lines.append(line)
        return line

    def _output(self) -> str:
        return "; its output:\n" + "\n".join(f"    {line}" for line in self.lines)


@contextlib.contextmanager
def running(name: str, command: list[str]):
    program = Program(name, command)
    try:
        yield program
    finally:
        program.stop()


def component(name: str, *arguments: str, folder: Path | None = None):
    """Runs a component, which sees `folder` as /certs."""
    options = ["--dir", f"{folder}::/certs"] if folder else []
    return running(" ".join([name, *arguments]), [str(RUNNER), *options, str(COMPONENTS / f"{name}.wasm"), *arguments])


@contextlib.contextmanager
def certificates():
    """A folder with an authority, ca.pem, and what it has issued to this machine, server.pem with server.key."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # From Python 3.13 on certificates have to say whose key and for what, or its clients refuse them.
        extensions = "subjectAltName=DNS:localhost,IP:127.0.0.1\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n"
        (folder / "server.ext").write_text(extensions, encoding="utf-8")
        authority = ["-x509", "-subj", "/CN=demo authority", "-addext", "keyUsage=critical,keyCertSign,cRLSign"]
        new_key = ["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        for arguments in (
            [*new_key, *authority, "-keyout", "ca.key", "-out", "ca.pem"],
            [*new_key, "-subj", "/CN=localhost", "-keyout", "server.key", "-out", "server.csr"],
            ["x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
             "-extfile", "server.ext", "-out", "server.pem"],
        ):
            made = subprocess.run(["openssl", *arguments], cwd=folder, capture_output=True, text=True, check=False)
            if made.returncode != 0:
                raise Failure(f"openssl {' '.join(arguments)} failed:\n{made.stderr}")
        yield folder


def echo(folder: Path | None = None) -> None:
    server_tls = ["--tls-cert", "/certs/server.pem", "--tls-key", "/certs/server.key"] if folder else []
    client_tls = ["--tls", "--ca", "/certs/ca.pem"] if folder else []
    with component("echo-server", "--port", "0", "--until-stdin-closes", *server_tls, folder=folder) as server:
        port = server.wait_for(r"^Serving on .*127\.0\.0\.1\D+(\d+)")[1]
        arguments = ["--host", "127.0.0.1", "--port", port, *client_tls, "Hello World!"]
        with component("echo-client", *arguments, folder=folder) as client:
            client.finish()
            server.wait_for(r"^Close the connection")
            server.finish()
            server.expect(
                r"Serving on .+",
                rf"Received {HELLO} from \('127\.0\.0\.1', \d+\)",
                rf"Send: {HELLO}",
                r"Close the connection",
            )
            client.expect(rf"Send: {HELLO}", rf"Received: {HELLO}", r"Close the connection")


@contextlib.contextmanager
def website():
    """A folder with the page that web servers show."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "page.html").write_text("<!doctype html><title>demo</title>", encoding="utf-8")
        yield folder


HEADERS = (
    r"HTTP header> HTTP/1\.0 200 OK",
    r"HTTP header> Server: .+",
    r"HTTP header> Content-type: text/html",
    r"HTTP header> Content-Length: 34",
)


@contextlib.contextmanager
def http_server():
    """Python's http.server with that page, and its port."""
    with website() as folder:
        command = [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory", folder]
        with running("Python's http.server", command) as server:
            yield server, server.wait_for(r"^Serving HTTP on \S+ port (\d+)")[1]


def http_headers() -> None:
    with http_server() as (server, port):
        with component("http-headers", f"http://127.0.0.1:{port}/page.html") as client:
            client.finish()
            client.expect(*HEADERS)
        server.wait_for(r'"HEAD /page\.html HTTP/1\.\d" 200')


def echo_over_tls() -> None:
    with certificates() as folder:
        echo(folder)


# Before Python 3.14 http.server has no options for TLS.
HTTPS_SERVER = """
import functools, http.server, ssl, sys
folder, certificate, key = sys.argv[1:]
handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=folder)
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
context.load_cert_chain(certificate, key)
server.socket = context.wrap_socket(server.socket, server_side=True)
print("Serving HTTPS on port", server.server_port)
server.serve_forever()
"""


@contextlib.contextmanager
def https_server(certs: Path):
    """The same over TLS, with the certificate in that folder."""
    with website() as folder:
        command = [sys.executable, "-u", "-c", HTTPS_SERVER, folder, str(certs / "server.pem"), str(certs / "server.key")]
        with running("Python's http.server over TLS", command) as server:
            yield server, server.wait_for(r"^Serving HTTPS on port (\d+)")[1]


def https_headers() -> None:
    with certificates() as certs, https_server(certs) as (server, port):
        url = f"https://127.0.0.1:{port}/page.html"
        with component("http-headers", "--ca", "/certs/ca.pem", url, folder=certs) as client:
            client.finish()
            client.expect(*HEADERS)
        server.wait_for(r'"HEAD /page\.html HTTP/1\.\d" 200')


def wait_for_data() -> None:
    for arguments in ([], ["--tcp"]):
        with component("wait-for-data", *arguments) as program:
            program.finish()
            program.expect(r"Received: abc")


def run_steps(what: str, steps: Iterable[Callable[..., None]], *arguments: Any) -> int:
    """Runs one step after the other, up to the first that fails; gives the exit status."""
    try:
        for step in steps:
            print(f"==> {what}: {step.__name__.replace('_', ' ')}", flush=True)
            step(*arguments)
    except (Failure, OSError) as failure:
        print(f"{what}: {failure}", file=sys.stderr)
        return 1
    print(f"==> {what}: all as expected")
    return 0


if __name__ == "__main__":
    sys.exit(run_steps("demo", (echo, http_headers, echo_over_tls, https_headers, wait_for_data)))

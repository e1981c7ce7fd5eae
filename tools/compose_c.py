"""The program in examples/compose/c against nginx and Python's http.server, both over TLS."""

import contextlib
import functools
import socket
import tempfile
import time
from pathlib import Path

import compose_peers as peers
from compose_hosts import TOOLS, WIT, build, copied, run_tool, wasmtime
from composed import Composed
from demo import DEADLINE, ROOT, Failure, certificates, running

SOURCE = ROOT / "examples/compose/c/https_headers.c"
NGINX = TOOLS / "nginx"
# The same as nowhere else: for each set of options zig builds its C library once, which takes half a minute.
OPTIONS = ("--target=wasm32-wasi", "-Os", "-s", "-Wall", "-Wextra", "-Werror")

CONFIGURATION = """
daemon off; master_process off; pid nginx.pid; error_log stderr; events {{}}
http {{
    access_log off;
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
    server {{
        listen 127.0.0.1:{port} ssl reuseport;
        ssl_certificate {certs}/server.pem; ssl_certificate_key {certs}/server.key; ssl_protocols TLSv1.2;
        root {folder}; types {{ text/html html; }}
    }}
}}
"""


def component(composed: Composed) -> Path:
    def compile_to(target: Path) -> None:
        folder = copied(composed, "c")
        bindings, module = folder / "bindings", folder / "core.wasm"
        run_tool("wasi-streams-compose", "c-bindings", folder.parent / WIT.name, "--world", "wasi-streams:net/consumer", "-o", bindings)
        generated = [bindings / "consumer.c", bindings / "consumer_component_type.o"]
        run_tool("zig", "cc", *OPTIONS, f"-I{bindings}", folder / SOURCE.name, *generated, "-o", module)
        run_tool("wasi-streams-compose", "c-component", module, "-o", target)

    return build(composed, "c-https-headers", [SOURCE], compile_to)


def program(composed: Composed, host=wasmtime) -> peers.Run:
    return functools.partial(host, component(composed))


@contextlib.contextmanager
def nginx(certs: Path):
    """nginx with a page; gives its port."""
    with tempfile.TemporaryDirectory() as name, socket.socket() as reserved:
        # Bound and not listening, and nginx shares it: nobody else gets the port meanwhile.
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        reserved.bind(("127.0.0.1", 0))
        port, folder = reserved.getsockname()[1], Path(name)
        (folder / "page.html").write_text("from nginx", encoding="utf-8")
        (folder / "nginx.conf").write_text(CONFIGURATION.format(port=port, certs=certs, folder=folder), encoding="utf-8")
        with running("nginx", [str(NGINX), "-e", "stderr", "-p", name, "-c", "nginx.conf"]):
            wait_until_listening(port)
            yield str(port)


def wait_until_listening(port: int) -> None:
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline:
        with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.01)
    raise Failure("nginx does not listen")


def c_https_headers(composed: Composed) -> None:
    run = program(composed)
    peers.https_headers(run)
    with certificates() as certs, nginx(certs) as port, run("127.0.0.1", port, "/page.html", trust=certs / "ca.pem") as client:
        client.finish()
        client.expect(r"HTTP header> HTTP/1\.1 200 OK", r"HTTP header> Server: nginx/.+", r"HTTP header> Content-Length: 10")


def c_failures(composed: Composed) -> None:
    run = program(composed)
    peers.refused(run)
    peers.distrusted(run, r"^connect: .*no trusted authority has issued the peer's certificate$")
    peers.fails(run, "127.0.0.1", "65537", "/", message=r"^65537 is no port$")
    peers.fails(run, message=r"^usage: ")


STEPS = (c_https_headers, c_failures)

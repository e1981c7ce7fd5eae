"""The programs in examples/compose/python, natively and as a component: they print the same.

All of them are in one component, made by their build.py, because to make one takes twelve seconds. The native ones are the same texts
with the standard library's names imported, and run where wasi_streams is not to be found.
"""

import contextlib
import re
import socket
import struct
import subprocess
import sys
import threading
from pathlib import Path
from typing import Iterator

from compose_hosts import TOOLS, build
from composed import PLUG, PROVIDER, Composed
from demo import DEADLINE, ROOT, RUNNER, Failure, Program, certificates, http_server, https_server, running

HERE = ROOT / "examples/compose/python"
PROGRAMS = ("echo_client", "echo_server", "http_headers", "tests/behaviours", "tests/endings")
IMPORT = re.compile(r"^from wasi_streams import (\w+)$", re.MULTILINE)
WORLDS = ("native", "component")


def python_builds(composed: Composed) -> None:
    (composed.folder / "native").mkdir()
    for path in [*HERE.glob("*.py"), *HERE.glob("tests/*.py")]:
        text, imports = IMPORT.subn(r"import \1", path.read_text(encoding="utf-8"))
        if path.stem in PROGRAMS and not imports:
            raise Failure(f"{path} imports nothing of wasi_streams")
        (composed.folder / "native" / path.name).write_text(text, encoding="utf-8")
    component(composed)


def component(composed: Composed) -> Path:
    return build(composed, "python", [HERE], compile_to, plugs=True)


def compile_to(output: Path) -> None:
    sources = [str(HERE / f"{program}.py") for program in PROGRAMS]
    tools = ["--componentize-py", str(TOOLS / "componentize-py"), "--wac", str(PLUG)]
    command = [sys.executable, str(HERE / "build.py"), *sources, "-o", str(output), "--plug", str(PROVIDER), *tools]
    with running("build.py", command) as building:
        building.finish()


def command(composed: Composed, world: str, program: str, *arguments: str, folder: Path | None = None, trust: str = "") -> list[str]:
    """A folder has the same name in both worlds; `trust` is the file in it with whom ssl=True trusts."""
    variables = [f"SSL_CERT_FILE={folder}/{trust}"] if trust else []
    if world == "native":
        return ["env", *variables, sys.executable, "-u", str(composed.folder / "native" / f"{program}.py"), *arguments]
    options = [option for variable in variables for option in ("--env", variable)]
    if folder:
        options += ["--dir", f"{folder}::{folder}"]
    return [str(RUNNER), "--net", "--dns", *options, str(component(composed)), program, *arguments]


def run(composed: Composed, world: str, program: str, *arguments: str, folder: Path | None = None, trust: str = ""):
    """Runs a program to its end, with what it prints."""
    line = command(composed, world, program, *arguments, folder=folder, trust=trust)
    try:
        return subprocess.run(line, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=DEADLINE)
    except subprocess.TimeoutExpired:
        raise Failure(f"{program} ({world}) did not end within {DEADLINE:.0f} s") from None


def same(what: str, native: object, component: object) -> None:
    if native != component:
        raise Failure(f"{what} differs:\n--- native\n{native}\n--- component\n{component}")


def without_ports(lines: list[str]) -> list[str]:
    return [re.sub(r"(?<=', )\d+(?=\))", "PORT", line) for line in lines]


def python_behaviours(composed: Composed) -> None:
    with certificates() as certs, rude_server() as port:
        shown = {}
        for world in WORLDS:
            done = run(composed, world, "behaviours", str(certs), str(port), folder=certs)
            if done.returncode != 0 or "UNEXPECTED" in done.stdout:
                raise Failure(f"behaviours ({world}) ended with status {done.returncode}:\n{done.stdout}\n{done.stderr}")
            shown[world] = sections(done.stdout)
    # An older Python does not have all, and what it lacks checks itself.
    for name, text in shown["native"].items():
        same(name, text, shown["component"].get(name))
    for name in shown["component"].keys() - shown["native"].keys():
        same(name, "", shown["component"][name])
    newer = len(shown["component"]) - len(shown["native"])
    print(f"    {len(shown['native'])} behaviours are the same, {newer} are newer than this Python")


def sections(text: str) -> dict[str, str]:
    parts = re.split(r"^--- (\w+)\n", text, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


@contextlib.contextmanager
def rude_server() -> Iterator[int]:
    """Sends lines for ever to who asks for a flood, and resets all others; gives its port."""

    def answer(client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            flood = client.recv(100) == b"flood\n"
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            while flood:
                client.sendall(b"a line of the flood\n" * 10_000)

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=answer, args=(server.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=serve, daemon=True).start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)


def python_echo(composed: Composed) -> None:
    clients, servers = {}, {}
    for server_world in WORLDS:
        with running("echo_server", command(composed, server_world, "echo_server", "127.0.0.1", "0")) as server:
            port = server.wait_for(r"^Serving on \('127\.0\.0\.1', (\d+)\)")[1]
            # This one says nothing, and holds nobody up.
            with socket.create_connection(("127.0.0.1", int(port))):
                server.wait_for(r"^Connected")
                for world in WORLDS:
                    done = run(composed, world, "echo_client", "127.0.0.1", port, "Hello World!\n")
                    clients[server_world, world] = done.stdout, done.stderr, done.returncode
                    server.wait_for(r"^Close the connection")
            server.wait_for(r"^Close the connection")
            servers[server_world] = without_ports(server.lines)
    same("the server's output", servers["native"], servers["component"])
    expected = "Send: 'Hello World!\\n'\nReceived: 'Hello World!\\n'\nClose the connection\n", "", 0
    for done in clients.values():
        same("the client's output", expected, done)


def python_echo_over_tls(composed: Composed) -> None:
    with certificates() as certs:
        identity = [str(certs / "server.pem"), str(certs / "server.key")]
        for world in WORLDS:
            with running("echo_server", command(composed, world, "echo_server", "127.0.0.1", "0", *identity, folder=certs)) as server:
                port = server.wait_for(r"^Serving on \('127\.0\.0\.1', (\d+)\)")[1]
                client = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-CAfile", str(certs / "ca.pem")]
                with running("openssl s_client", [*client, "-verify_return_error", "-quiet"]) as talking:
                    talking.process.stdin.write("over TLS\n")
                    talking.process.stdin.flush()
                    talking.wait_for(r"^over TLS$")
                    server.wait_for(r"^Echo b'over TLS\\n' to ")


def python_http_headers(composed: Composed) -> None:
    with certificates() as certs:
        for scheme, serving in (("http", http_server()), ("https", https_server(certs))):
            with serving as (_, port):
                url = f"{scheme}://127.0.0.1:{port}/page.html"
                done = {world: run(composed, world, "http_headers", url, folder=certs, trust="ca.pem") for world in WORLDS}
                native, composed_ = (re.sub(r"Date: .*", "Date", done[world].stdout) for world in WORLDS)
                same("http_headers", native, composed_)
                if "HTTP header> Content-Length: 34" not in composed_ or any(one.returncode for one in done.values()):
                    raise Failure(f"http_headers {url}: {done}")
                if scheme == "https":
                    fails(composed, "http_headers", url, error="ssl.SSLCertVerificationError")
        fails(composed, "http_headers", f"http://127.0.0.1:{port}/", error="ConnectionRefusedError")


def fails(composed: Composed, *arguments: str, error: str) -> None:
    """In both worlds it ends with this exception, and the line of the program where it was raised."""
    for world in WORLDS:
        done = run(composed, world, *arguments)
        *_, last = done.stderr.splitlines() or [""]
        if done.returncode != 1 or not last.startswith(error) or "    asyncio.run(main(*sys.argv[1:]))\n" not in done.stderr:
            raise Failure(f"{arguments} ({world}) was expected to end with {error}, not so: {done.returncode}\n{done.stderr}")


def python_endings(composed: Composed) -> None:
    for arguments, zero in ((["exit", "0"], True), (["exit", "3"], False), (["exit", "text"], False), (["fail"], False)):
        native, composed_ = (run(composed, world, "endings", *arguments) for world in WORLDS)
        # Of exit statuses WASI 0.2 knows two.
        same("the exit status", (zero, zero), (native.returncode == 0, composed_.returncode == 0))
        same("what is printed", native.stdout, composed_.stdout)
        same("the last line of the complaint", native.stderr.splitlines()[-1:], composed_.stderr.splitlines()[-1:])
    for world in WORLDS:
        with socket.create_server(("127.0.0.1", 0)) as server:
            server.settimeout(DEADLINE)
            line = command(composed, world, "endings", "forget", str(server.getsockname()[1]))
            with running("endings forget", line) as program:
                client, _ = server.accept()
                with client:
                    same("what arrives of a connection that is not closed", 11_000, received(client, program))


def received(client: socket.socket, program: Program) -> int:
    client.settimeout(DEADLINE)
    size = 0
    while data := client.recv(65536):
        size += len(data)
    program.finish()
    return size


STEPS = (python_builds, python_behaviours, python_echo, python_echo_over_tls, python_http_headers, python_endings)

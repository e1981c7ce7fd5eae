"""Python's own HTTP server over a temporary folder with one page and one folder.

The arguments are the address to listen on and, for TLS, the files of a certificate and its key. It ends with its standard input, and
reports each request on standard output.
"""

import functools
import http.server
import pathlib
import socket
import ssl
import sys
import tempfile
import threading


class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET


class Handler(http.server.SimpleHTTPRequestHandler):
    def log_request(self, code="-", size="-"):
        # Before the answer: who has the answer may rely on the line.
        resumed = " resumed" if getattr(self.connection, "session_reused", False) else ""
        print(f"{self.requestline} {int(code)} Host: {self.headers['Host']}{resumed}")

    def log_error(self, format, *arguments):
        pass  # the request's line says it already

    def end_headers(self):
        self.send_header("X-Name", "J\xf6rg")  # Latin-1 on the wire
        super().end_headers()


with tempfile.TemporaryDirectory() as folder:
    pathlib.Path(folder, "page.html").write_text("<!doctype html><title>page</title>", encoding="utf-8")
    pathlib.Path(folder, "folder").mkdir()
    with Server((sys.argv[1], 0), functools.partial(Handler, directory=folder)) as server:
        host, port = server.server_address[:2]
        if sys.argv[2:]:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(*sys.argv[2:])
            server.socket = context.wrap_socket(server.socket, server_side=True)
        print(f"Serving on {f'[{host}]' if ':' in host else host}:{port}")
        threading.Thread(target=server.serve_forever, daemon=True).start()
        sys.stdin.read()
        server.shutdown()

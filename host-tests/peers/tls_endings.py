"""Ends one TLS connection in a way that asyncio does not offer. Arguments: the folder of the certificates, and the way.

`reset` cuts the connection after a line; `talkative` sends for as long as it receives; `goodbye` says it while the other side is
still sending, and reads on; `silent` neither reads nor answers.
"""

import socket
import ssl
import struct
import sys
import threading


def main(folder, what):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{folder}/server.pem", f"{folder}/server.key")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print("Serving on {}:{}".format(*listener.getsockname()))
        connection, _ = listener.accept()
    # Ends without a goodbye are errors here.
    tls = Tls(context, connection)
    globals()[what](tls)


class Tls:
    """TLS by hand: what is read and written when is decided here, and one thread can write while another reads."""

    def __init__(self, context, connection):
        self.connection, self.records = connection, connection.makefile("rb")
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.object = context.wrap_bio(self.incoming, self.outgoing, server_side=True)
        self.lock = threading.Lock()
        while not self.attempt(self.object.do_handshake):
            self.flush()
            self.fill()
        self.flush()

    def attempt(self, method):
        """Calls it; false when it needs more from the other side."""
        with self.lock:
            try:
                method()
                return True
            except ssl.SSLWantReadError:
                return False

    def write(self, data):
        with self.lock:
            self.object.write(data)
        self.flush()

    def flush(self):
        with self.lock:
            data = self.outgoing.read()
        self.connection.sendall(data)

    def fill(self):
        """Takes one record, so that what follows it is still outside."""
        data = self.records.read(5)
        data += self.records.read(int.from_bytes(data[3:]))
        with self.lock:
            self.incoming.write(data) if data else self.incoming.write_eof()

    def read(self, most):
        """What is there; nothing after a goodbye. Any other end is an error."""
        while True:
            try:
                with self.lock:
                    return self.object.read(most)
            except ssl.SSLZeroReturnError:
                return b""
            except ssl.SSLWantReadError:
                self.fill()

    def read_to_goodbye(self):
        received = 0
        while data := self.read(65536):
            received += len(data)
        print(f"received {received}, then a goodbye")


def reset(tls):
    tls.write(b"whole\n")
    sys.stdin.readline()
    tls.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    tls.connection.close()


def talkative(tls):
    over = threading.Event()

    def send():
        while not over.wait(0.001):
            tls.write(bytes(16384))

    sending = threading.Thread(target=send)
    sending.start()
    tls.read_to_goodbye()
    over.set()
    sending.join()
    # What is said after the other side's goodbye and before ours is for nobody, and no mistake.
    tls.write(bytes(100_000))
    assert tls.attempt(tls.object.unwrap)
    tls.flush()
    tls.connection.close()


def goodbye(tls):
    assert not tls.attempt(tls.object.unwrap), "the other side has not said goodbye"
    tls.flush()
    sys.stdin.readline()
    tls.read_to_goodbye()
    tls.connection.close()


def silent(tls):
    sys.stdin.readline()


main(sys.argv[1], sys.argv[2])

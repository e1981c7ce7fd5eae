"""Sends a mail by smtplib over TLS. Arguments: the folder of the certificates, the port, `1.2` or `1.3`, and the mail."""

import smtplib
import socket
import ssl
import sys

FOLDER, PORT, VERSION, MAIL = sys.argv[1:]


class Client(smtplib.SMTP):
    """Connects to this machine, whatever the name of the server."""

    def _get_socket(self, host, port, timeout):
        return socket.create_connection(("127.0.0.1", port), timeout)


context = ssl.create_default_context(cafile=f"{FOLDER}/ca.pem")
context.minimum_version = context.maximum_version = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}[VERSION]
with Client("server.test", int(PORT), timeout=30) as client:
    client.starttls(context=context)
    print(client.sock.version())
    client.sendmail("me@a.test", ["you@b.test"], MAIL)

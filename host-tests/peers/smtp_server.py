"""aiosmtpd, which takes mail over TLS only. Arguments: the folder of the certificates, the folder of its modules, and `1.2` or `1.3`.

It tells each mail, and ends with its standard input.
"""

import asyncio
import ssl
import sys

FOLDER, MODULES, VERSION = sys.argv[1:]
sys.path.append(MODULES)

from aiosmtpd.smtp import SMTP  # noqa: E402


class Mails:
    async def handle_DATA(self, server, session, envelope):
        version = server.transport.get_extra_info("ssl_object").version()
        print(f"mail from {envelope.mail_from} to {envelope.rcpt_tos} over {version}")
        text = envelope.content.decode("ascii")
        if len(text) < 1000:
            print("content", text.replace("\r", "\\r").replace("\n", "\\n"))
        else:
            print(f"content of {len(text)} characters, different lines: {len(set(text.splitlines()))}")
        return "250 Taken"


async def serve():
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    version = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}[VERSION]
    context.minimum_version = context.maximum_version = version
    context.load_cert_chain(f"{FOLDER}/server.pem", f"{FOLDER}/server.key")
    made = lambda: SMTP(Mails(), hostname="mail.test", tls_context=context, require_starttls=True)
    server = await asyncio.get_running_loop().create_server(made, "127.0.0.1", 0)
    print("Serving on {}:{}".format(*server.sockets[0].getsockname()))
    await asyncio.to_thread(sys.stdin.read)


asyncio.run(serve())

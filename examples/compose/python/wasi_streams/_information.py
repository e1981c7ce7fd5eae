"""What `get_extra_info` tells."""

import calendar
import re
import time

from wit_world.imports import connections
from wit_world.imports.connections import TlsVersion

from ._errors import call

VERSIONS = {TlsVersion.TLS12: "TLSv1.2", TlsVersion.TLS13: "TLSv1.3"}
# The names of attributes of a subject, as the standard library's ssl has them.
ATTRIBUTES = {
    "C": "countryName",
    "CN": "commonName",
    "DC": "domainComponent",
    "L": "localityName",
    "O": "organizationName",
    "OU": "organizationalUnitName",
    "ST": "stateOrProvinceName",
    "STREET": "streetAddress",
    "UID": "userId",
}


class Information:
    """What is known of a connection, by the names of asyncio."""

    def __init__(self, resource, server_side, context=None):
        self._resource = resource
        self.server_side = server_side
        self.context = context

    def get(self, name, default=None):
        if name == "peername":
            return pair(self._resource.peer_address(), default)
        if name == "sockname":
            return pair(self._resource.local_address(), default)
        if name == "socket":
            return Socket(self._resource.local_address(), self._resource.peer_address())
        if self._resource.tls() is None:
            return default
        tls = SSLObject(self._resource, self.context, self.server_side)
        match name:
            case "sslcontext":
                return self.context
            case "ssl_object":
                return tls
            case "peercert":
                return tls.getpeercert()
            case "cipher":
                return tls.cipher()
            case "compression":
                return tls.compression()
        return default


def pair(address, default=None):
    """As the socket module writes addresses."""
    if address is None:
        return default
    if ":" not in address.host:
        return address.host, address.port
    host, _, scope = address.host.partition("%")
    return host, address.port, 0, int(scope or 0)


class Socket:
    """The addresses of a socket. Nothing else of it is to be had."""

    def __init__(self, local=None, peer=None):
        self._local = local
        self._peer = peer

    def __repr__(self):
        return f"<Socket laddr={pair(self._local)} raddr={pair(self._peer)}>"

    def getsockname(self):
        return pair(self._local)

    def getpeername(self):
        return pair(self._peer)


class SSLObject:
    """What is known of a TLS connection."""

    def __init__(self, resource, context, server_side):
        self._resource = resource
        self.context = context
        self.server_side = server_side

    @property
    def session_reused(self):
        return self._resource.tls().resumed

    def version(self):
        return VERSIONS[self._resource.tls().version]

    def cipher(self):
        """Its registered name, the version, and how many bits are secret."""
        tls = self._resource.tls()
        return tls.cipher, VERSIONS[tls.version], tls.secret_bits

    def compression(self):
        return None

    def selected_alpn_protocol(self):
        protocol = self._resource.tls().alpn
        return None if protocol is None else protocol.decode("ascii")

    def getpeercert(self, binary_form=False):
        """The peer's certificate: parsed, and empty if it was not verified; or as it is."""
        tls = self._resource.tls()
        if not tls.peer_certificates:
            return None
        if binary_form:
            return tls.peer_certificates[0]
        return parsed(call(connections.parse_certificate, tls.peer_certificates[0])) if tls.verified else {}


def parsed(certificate):
    return {
        "subject": names(certificate.subject),
        "issuer": names(certificate.issuer),
        "serialNumber": certificate.serial_number.upper(),
        "notBefore": date(certificate.not_before),
        "notAfter": date(certificate.not_after),
        "subjectAltName": tuple(tuple(name.split(":", 1)) for name in certificate.subject_alt_names),
    }


def names(text):
    """`CN=a,O=b` as the certificate has it, which is the other way round."""
    parts = re.findall(r"((?:\\.|[^,\\])+)(?:,|$)", text)
    pairs = [part.partition("=") for part in reversed(parts)]
    return tuple(((ATTRIBUTES.get(name, name), re.sub(r"\\(.)", r"\1", value)),) for name, _, value in pairs)


def date(seconds):
    moment = time.gmtime(seconds)
    return f"{calendar.month_abbr[moment.tm_mon]} {moment.tm_mday:2} {time.strftime('%H:%M:%S %Y', moment)} GMT"

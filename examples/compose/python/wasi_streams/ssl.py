"""The standard library's ssl, as far as it goes over the component: who is trusted, who we are, which versions.

Nothing here encrypts: contexts are for `open_connection`, `start_server` and `start_tls`.
"""

import base64
import enum
import os
import re

from wit_world.imports import connections

HAS_SNI = HAS_ALPN = HAS_TLSv1_2 = HAS_TLSv1_3 = True
CERTIFICATE = "-----BEGIN CERTIFICATE-----"


class SSLError(OSError):
    """Something is wrong with TLS."""

    @property
    def reason(self):
        return self.args[1] if len(self.args) > 1 else None

    def __str__(self):
        return str(self.strerror if self.strerror is not None else super().__str__())


class SSLCertVerificationError(SSLError, ValueError):
    """The peer's certificate does not convince."""

    @property
    def verify_message(self):
        return self.reason


CertificateError = SSLCertVerificationError
# Tracebacks name them as they are known.
SSLError.__module__ = SSLCertVerificationError.__module__ = "ssl"


class VerifyMode(enum.IntEnum):
    CERT_NONE = 0
    CERT_OPTIONAL = 1
    CERT_REQUIRED = 2


class TLSVersion(enum.IntEnum):
    MINIMUM_SUPPORTED = -2
    SSLv3 = 768
    TLSv1 = 769
    TLSv1_1 = 770
    TLSv1_2 = 771
    TLSv1_3 = 772
    MAXIMUM_SUPPORTED = -1


class Purpose(enum.Enum):
    SERVER_AUTH = enum.auto()
    CLIENT_AUTH = enum.auto()


class _SSLMethod(enum.IntEnum):
    PROTOCOL_TLS = 2
    PROTOCOL_TLS_CLIENT = 16
    PROTOCOL_TLS_SERVER = 17


globals().update(VerifyMode.__members__)
globals().update(_SSLMethod.__members__)

VERSIONS = {TLSVersion.TLSv1_2: connections.TlsVersion.TLS12, TLSVersion.TLSv1_3: connections.TlsVersion.TLS13}


class SSLContext:
    """How TLS is done. One for many connections: they resume each other's sessions."""

    def __init__(self, protocol=_SSLMethod.PROTOCOL_TLS):
        self.protocol = _SSLMethod(protocol)
        is_client = self.protocol == _SSLMethod.PROTOCOL_TLS_CLIENT
        self._verify_mode = VerifyMode.CERT_REQUIRED if is_client else VerifyMode.CERT_NONE
        self._check_hostname = is_client
        self._minimum, self._maximum = TLSVersion.TLSv1_2, TLSVersion.TLSv1_3
        self._roots, self._default_roots = [], False
        self._identities, self._alpn = [], []
        self._configs = {}

    @property
    def verify_mode(self):
        return self._verify_mode

    @verify_mode.setter
    def verify_mode(self, mode):
        if mode == VerifyMode.CERT_NONE and self._check_hostname:
            raise ValueError("Cannot set verify_mode to CERT_NONE when check_hostname is enabled.")
        self._change(verify_mode=VerifyMode(mode))

    @property
    def check_hostname(self):
        return self._check_hostname

    @check_hostname.setter
    def check_hostname(self, check):
        if check and self._verify_mode == VerifyMode.CERT_NONE:
            self._verify_mode = VerifyMode.CERT_REQUIRED
        self._change(check_hostname=bool(check))

    @property
    def minimum_version(self):
        return self._minimum

    @minimum_version.setter
    def minimum_version(self, version):
        version = TLSVersion(version)
        if version == TLSVersion.MAXIMUM_SUPPORTED:
            version = TLSVersion.TLSv1_3
        self._change(minimum=max(version, TLSVersion.TLSv1_2))  # nothing older is spoken here

    @property
    def maximum_version(self):
        return self._maximum

    @maximum_version.setter
    def maximum_version(self, version):
        version = TLSVersion(version)
        if version == TLSVersion.MAXIMUM_SUPPORTED:
            version = TLSVersion.TLSv1_3
        if version not in VERSIONS:
            raise ValueError(f"{version.name} is not spoken here: TLSv1_2 and TLSv1_3 are")
        self._change(maximum=version)

    def load_default_certs(self, purpose=Purpose.SERVER_AUTH):
        """Trusts the authorities of the web, or those that SSL_CERT_FILE and SSL_CERT_DIR name."""
        self._change(default_roots=True)

    def set_default_verify_paths(self):
        self.load_default_certs()

    def load_verify_locations(self, cafile=None, capath=None, cadata=None):
        """Trusts these authorities too."""
        if cafile is None and capath is None and not cadata:
            raise TypeError("cafile, capath and cadata cannot be all omitted")
        roots = [] if cafile is None else [_read(cafile)]
        if capath is not None:
            roots += [text for name in sorted(os.listdir(capath)) if CERTIFICATE in (text := _read(os.path.join(capath, name)))]
        if cadata:
            roots.append(cadata.encode("ascii").decode() if isinstance(cadata, str) else DER_cert_to_PEM_cert(cadata))
        for text in roots:
            if CERTIFICATE not in text:
                raise SSLError(136, "[X509: NO_CERTIFICATE_OR_CRL_FOUND] no certificate or crl found")
        self._change(roots=[*self._roots, *roots])

    def load_cert_chain(self, certfile, keyfile=None, password=None):
        """Who we are: a certificate with its chain, and its key, which may be in the same file."""
        if password is not None:
            raise NotImplementedError("password: keys that are encrypted cannot be read here; store it without")
        identity = _read(certfile), _read(keyfile or certfile)
        if CERTIFICATE not in identity[0] or "PRIVATE KEY-----" not in identity[1]:
            raise SSLError(9, "[SSL] PEM lib")
        self._change(identities=[*self._identities, identity])

    def set_alpn_protocols(self, alpn_protocols):
        """The application protocols, the preferred one first."""
        self._change(alpn=[protocol.encode("ascii") for protocol in alpn_protocols])

    def set_ciphers(self, ciphers):
        raise NotImplementedError("the cipher suites are the component's, all of them good; restrict the versions instead")

    def wrap_socket(self, *_arguments, **_options):
        raise NotImplementedError("there are no sockets here: give the context to asyncio.open_connection or start_server")

    wrap_bio = wrap_socket

    def client_config(self, check_name):
        """The component's form of this; the same one until something is changed."""
        check_name = check_name and self._check_hostname
        if check_name not in self._configs:
            self._configs[check_name] = self._make_client_config(check_name)
        return self._configs[check_name]

    def server_config(self):
        if "server" not in self._configs:
            self._configs["server"] = self._make_server_config()
        return self._configs["server"]

    def _change(self, **values):
        for name, value in values.items():
            setattr(self, f"_{name}", value)
        self._configs = {}  # connections that have one keep it

    def _make_client_config(self, check_name):
        if self.protocol == _SSLMethod.PROTOCOL_TLS_SERVER:
            raise SSLError("Cannot create a client socket with a PROTOCOL_TLS_SERVER context")
        config = self._set_common(connections.TlsClientConfig())
        if self._verify_mode == VerifyMode.CERT_NONE:
            config.dangerous_skip_verification()
            return self._set_identity(config)
        if not self._roots and not self._default_roots:
            raise SSLCertVerificationError("nobody is trusted: call load_default_certs or load_verify_locations")
        for roots in self._roots:
            config.add_roots_pem(roots)
        if self._default_roots:
            config.add_default_roots()
        if not check_name:
            config.dangerous_skip_name_check()
        return self._set_identity(config)

    def _set_identity(self, config):
        for identity in self._identities[-1:]:  # as with OpenSSL, the last one counts
            config.set_identity_pem(*identity)
        return config

    def _make_server_config(self):
        if self.protocol == _SSLMethod.PROTOCOL_TLS_CLIENT:
            raise SSLError("Cannot create a server socket with a PROTOCOL_TLS_CLIENT context")
        config = self._set_common(connections.TlsServerConfig())
        for identity in self._identities:
            config.add_identity_pem(*identity)
        if self._verify_mode != VerifyMode.CERT_NONE:
            if not self._roots:
                raise SSLError("clients are to be verified: call load_verify_locations with their authorities")
            config.set_client_roots_pem("\n".join(self._roots), self._verify_mode == VerifyMode.CERT_REQUIRED)
        return config

    def _set_common(self, config):
        config.set_minimum_version(VERSIONS[self._minimum])
        config.set_maximum_version(VERSIONS[self._maximum])
        if self._alpn:
            config.set_alpn(self._alpn)
        return config


def create_default_context(purpose=Purpose.SERVER_AUTH, *, cafile=None, capath=None, cadata=None):
    """For clients one that verifies servers; for servers (`Purpose.CLIENT_AUTH`) one that asks for no certificate."""
    is_client = purpose == Purpose.SERVER_AUTH
    context = SSLContext(_SSLMethod.PROTOCOL_TLS_CLIENT if is_client else _SSLMethod.PROTOCOL_TLS_SERVER)
    if cafile or capath or cadata:
        context.load_verify_locations(cafile, capath, cadata)
    elif is_client:
        context.load_default_certs(purpose)
    return context


def _create_unverified_context(protocol=None):
    context = SSLContext(_SSLMethod.PROTOCOL_TLS_CLIENT if protocol is None else protocol)
    context.check_hostname = False
    context.verify_mode = VerifyMode.CERT_NONE
    return context


_default_client_context = []


def default_client_context():
    """What `ssl=True` means; always the same, so that sessions are resumed."""
    if not _default_client_context:
        _default_client_context.append(create_default_context())
    return _default_client_context[0]


def DER_cert_to_PEM_cert(der_cert_bytes):
    text = base64.b64encode(der_cert_bytes).decode("ascii")
    lines = "\n".join(re.findall(".{1,64}", text))
    return f"{CERTIFICATE}\n{lines}\n-----END CERTIFICATE-----\n"


def PEM_cert_to_DER_cert(pem_cert_string):
    return base64.b64decode(pem_cert_string.partition(CERTIFICATE)[2].partition("-----END CERTIFICATE-----")[0])


def _read(path):
    with open(path, encoding="latin-1") as file:  # people write comments in PEM files
        return file.read()

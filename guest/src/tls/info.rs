//! What a TLS connection knows of itself.

use std::cell::Cell;
use std::fmt;
use std::rc::Rc;

use rustls::SupportedCipherSuite;
use rustls::pki_types::CertificateDer;

use super::{Certificate, TlsRole, TlsVersion};
use crate::error::Result;

/// What a TLS connection knows of itself once the handshake is done; outlives the connection.
#[derive(Clone)]
pub struct TlsInfo(Rc<Known>);

struct Known {
    role: TlsRole,
    protocol_version: TlsVersion,
    cipher: TlsCipher,
    alpn: Option<Vec<u8>>,
    server_name: Option<String>,
    peer_certificates: Vec<CertificateDer<'static>>,
    resumed: bool,
    truncated: Cell<bool>,
}

/// A cipher suite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsCipher {
    /// The name as registered (IANA), `TLS_CHACHA20_POLY1305_SHA256` say; of the suites of TLS 1.2 Python tells OpenSSL's names.
    pub name: String,
    /// The version of the protocol.
    pub protocol: TlsVersion,
    /// The length of the key, in bits.
    pub secret_bits: u16,
}

impl TlsInfo {
    /// None before the handshake is done.
    pub(super) fn of(tls: &rustls::Connection, role: TlsRole) -> Option<Self> {
        let server_name = match tls {
            rustls::Connection::Server(server) => server.server_name().map(str::to_owned),
            rustls::Connection::Client(_) => None,
        };
        let protocol_version = TlsVersion::of(tls.protocol_version()?)?;
        Some(Self(Rc::new(Known {
            role,
            protocol_version,
            cipher: TlsCipher::of(tls.negotiated_cipher_suite()?, protocol_version),
            alpn: tls.alpn_protocol().map(<[u8]>::to_vec),
            server_name,
            peer_certificates: tls.peer_certificates().unwrap_or_default().to_vec(),
            resumed: tls.handshake_kind() == Some(rustls::HandshakeKind::Resumed),
            truncated: Cell::new(false),
        })))
    }

    /// Returns the role of this side, with its configuration.
    pub fn role(&self) -> &TlsRole {
        &self.0.role
    }

    /// Returns the protocol version.
    pub fn protocol_version(&self) -> TlsVersion {
        self.0.protocol_version
    }

    /// Returns the cipher suite.
    pub fn cipher(&self) -> &TlsCipher {
        &self.0.cipher
    }

    /// Returns the application protocol that was agreed on (ALPN).
    pub fn alpn(&self) -> Option<&[u8]> {
        self.0.alpn.as_deref()
    }

    /// Returns the name that the client asked for (SNI); servers only.
    pub fn server_name(&self) -> Option<&str> {
        self.0.server_name.as_deref()
    }

    /// Returns the certificates that the peer showed (DER), its own first; of a resumed session those of the first one.
    pub fn peer_certificates(&self) -> impl Iterator<Item = &[u8]> {
        self.0.peer_certificates.iter().map(|certificate| certificate.as_ref())
    }

    /// Parses the peer's own certificate; none if it showed none.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`](crate::Error::InvalidInput) when it does not keep to RFC 5280: verification does not look at all of it.
    pub fn peer_certificate(&self) -> Result<Option<Certificate>> {
        self.0.peer_certificates.first().map(|der| Certificate::parse(der)).transpose()
    }

    /// Returns whether the peer's certificate was verified: false without one, and for a connector that trusts anybody.
    pub fn is_verified(&self) -> bool {
        !self.0.peer_certificates.is_empty() && self.0.role.verifies()
    }

    /// Returns whether an earlier session was resumed.
    pub fn resumed(&self) -> bool {
        self.0.resumed
    }

    /// Returns whether the stream ended without the peer's goodbye: somebody may have cut it.
    ///
    /// Reading then ends as it does at a proper end, as in asyncio, unless the configuration says
    /// `suppress_ragged_eofs(false)`.
    pub fn truncated(&self) -> bool {
        self.0.truncated.get()
    }

    pub(super) fn set_truncated(&self) {
        self.0.truncated.set(true);
    }
}

impl TlsCipher {
    fn of(suite: SupportedCipherSuite, protocol: TlsVersion) -> Self {
        // rustls tells the suites of TLS 1.3 apart by a prefix that the registry does not have.
        let name = format!("{:?}", suite.suite()).replacen("TLS13_", "TLS_", 1);
        let secret_bits = if name.contains("AES_128") { 128 } else { 256 };
        Self { name, protocol, secret_bits }
    }
}

impl PartialEq for TlsInfo {
    /// True for the same connection.
    fn eq(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for TlsInfo {}

impl fmt::Debug for TlsInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsInfo")
            .field("protocol_version", &self.protocol_version())
            .field("cipher", &self.cipher().name)
            .field("alpn", &self.alpn().map(|name| name.escape_ascii().to_string()))
            .field("server_name", &self.server_name())
            .field("resumed", &self.resumed())
            .field("truncated", &self.truncated())
            .finish_non_exhaustive()
    }
}

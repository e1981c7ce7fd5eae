//! TLS on top of a connection: configuration, handshake, and the link that encrypts.

mod config;
mod dangerous;
mod error;
mod link;
mod pem;
mod roots;
mod start;

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ProtocolVersion, SupportedCipherSuite};

pub use config::{AcceptorBuilder, ConnectorBuilder, TlsAcceptor, TlsConnector};
pub use error::TlsErrorKind;
pub(crate) use link::handshake;
pub use start::{StartTls, TlsRole};

use crate::error::{Error, Result};

/// The default time for a handshake: 60 seconds.
pub const DEFAULT_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(60);

/// The default time for the goodbye of both sides: 30 seconds.
pub const DEFAULT_SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(30);

/// How long parts of a TLS connection may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timeouts {
    pub(crate) handshake: Duration,
    pub(crate) shutdown: Duration,
}

/// The TLS arguments of `open_connection` and `start_server`, as given.
#[derive(Debug)]
pub(crate) struct TlsArguments<C> {
    pub(crate) config: Option<C>,
    pub(crate) handshake_timeout: Option<Duration>,
    pub(crate) shutdown_timeout: Option<Duration>,
}

impl<C> Default for TlsArguments<C> {
    fn default() -> Self {
        Self { config: None, handshake_timeout: None, shutdown_timeout: None }
    }
}

impl<C: Clone> TlsArguments<C> {
    /// O08, O09: the configuration with its timeouts, none for a plain connection.
    pub(crate) fn check(&self) -> Result<Option<(C, Timeouts)>> {
        let handshake = check_timeout(self.handshake_timeout, "tls_handshake_timeout", self.config.is_some())?;
        let shutdown = check_timeout(self.shutdown_timeout, "tls_shutdown_timeout", self.config.is_some())?;
        let timeouts = Timeouts {
            handshake: handshake.unwrap_or(DEFAULT_HANDSHAKE_TIMEOUT),
            shutdown: shutdown.unwrap_or(DEFAULT_SHUTDOWN_TIMEOUT),
        };
        Ok(self.config.clone().map(|config| (config, timeouts)))
    }
}

fn check_timeout(timeout: Option<Duration>, name: &str, has_tls: bool) -> Result<Option<Duration>> {
    match timeout {
        Some(_) if !has_tls => Err(Error::InvalidInput(format!("{name} is only meaningful with tls").into())),
        Some(timeout) if timeout.is_zero() => {
            Err(Error::InvalidInput(format!("{name} should be a positive number, got 0").into()))
        }
        other => Ok(other),
    }
}

/// The name that the peer's certificate must have.
pub(crate) fn server_name(given: Option<&str>, host: Option<&str>) -> Result<ServerName<'static>> {
    let name = given.or(host).filter(|name| !name.is_empty());
    let name = name.ok_or(Error::invalid("you must set server_name when using tls without a host"))?; // O05
    // A zone is about the way to an address, not about who answers there.
    let bare = name.split_once('%').map_or(name, |(address, _)| address);
    ServerName::try_from(bare.to_owned())
        .map_err(|_| Error::InvalidInput(format!("{name:?} is no name that a certificate could have").into()))
}

/// What a TLS connection knows of itself once the handshake is done; outlives the connection.
#[derive(Clone)]
pub struct TlsInfo(Rc<Known>);

struct Known {
    protocol_version: Option<ProtocolVersion>,
    cipher_suite: Option<SupportedCipherSuite>,
    alpn: Option<Vec<u8>>,
    server_name: Option<String>,
    peer_certificates: Vec<CertificateDer<'static>>,
    resumed: bool,
    truncated: Cell<bool>,
}

impl TlsInfo {
    fn of(tls: &rustls::Connection) -> Self {
        let server_name = match tls {
            rustls::Connection::Server(server) => server.server_name().map(str::to_owned),
            rustls::Connection::Client(_) => None,
        };
        Self(Rc::new(Known {
            protocol_version: tls.protocol_version(),
            cipher_suite: tls.negotiated_cipher_suite(),
            alpn: tls.alpn_protocol().map(<[u8]>::to_vec),
            server_name,
            peer_certificates: tls.peer_certificates().unwrap_or_default().to_vec(),
            resumed: tls.handshake_kind() == Some(rustls::HandshakeKind::Resumed),
            truncated: Cell::new(false),
        }))
    }

    /// Returns the protocol version by Python's name: `TLSv1.2` or `TLSv1.3`.
    pub fn protocol_version(&self) -> &'static str {
        match self.0.protocol_version {
            Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
            Some(ProtocolVersion::TLSv1_3) => "TLSv1.3",
            _ => "unknown",
        }
    }

    /// Returns the name of the cipher suite, such as `TLS13_CHACHA20_POLY1305_SHA256`.
    pub fn cipher_suite(&self) -> String {
        self.0.cipher_suite.map_or_else(String::new, |suite| format!("{:?}", suite.suite()))
    }

    /// Returns the application protocol that was agreed on.
    pub fn alpn(&self) -> Option<&[u8]> {
        self.0.alpn.as_deref()
    }

    /// Returns the name that the client asked for (SNI); servers only.
    pub fn server_name(&self) -> Option<&str> {
        self.0.server_name.as_deref()
    }

    /// Returns the certificates that the peer showed (DER), its own first.
    pub fn peer_certificates(&self) -> impl Iterator<Item = &[u8]> {
        self.0.peer_certificates.iter().map(|certificate| certificate.as_ref())
    }

    /// Returns whether an earlier session was resumed.
    pub fn resumed(&self) -> bool {
        self.0.resumed
    }

    /// Returns whether the stream ended without the peer's goodbye: somebody may have cut it.
    ///
    /// Reading then ends as it does at a proper end, as in asyncio.
    pub fn truncated(&self) -> bool {
        self.0.truncated.get()
    }
}

impl std::fmt::Debug for TlsInfo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsInfo")
            .field("protocol_version", &self.protocol_version())
            .field("cipher_suite", &self.cipher_suite())
            .field("truncated", &self.truncated())
            .finish_non_exhaustive()
    }
}

//! TLS on top of a connection: configuration, handshake, and the link that encrypts.

mod acceptor;
mod certificate;
mod choices;
mod connector;
mod error;
mod identity;
mod info;
mod link;
mod pem;
mod role;
mod roots;
mod start;
mod verify;
mod version;

use std::time::Duration;

pub use acceptor::{AcceptorBuilder, TlsAcceptor};
pub use certificate::{Certificate, SubjectAltName};
pub(crate) use connector::server_name;
pub use connector::{ConnectorBuilder, TlsConnector};
pub use error::TlsErrorKind;
pub(crate) use error::tls_error;
pub use info::{TlsCipher, TlsInfo};
pub(crate) use link::handshake;
pub use pem::Pem;
pub(crate) use role::Side;
pub use role::TlsRole;
pub use start::StartTls;
pub use version::TlsVersion;

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

//! Which side of TLS to be.

use super::{TlsAcceptor, TlsConnector};
use crate::proto::tls::Session;

/// Which side of TLS to be, with its configuration.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum TlsRole {
    /// The client.
    Client(TlsConnector),
    /// The server.
    Server(TlsAcceptor),
}

/// One side about to shake hands.
pub(crate) struct Side {
    pub(crate) session: Session,
    pub(crate) role: TlsRole,
}

impl TlsRole {
    /// Returns whether this side is the client.
    pub fn is_client(&self) -> bool {
        matches!(self, Self::Client(_))
    }

    /// Whether a certificate of the peer's is believed only when it comes from somebody trusted.
    pub(super) fn verifies(&self) -> bool {
        match self {
            Self::Client(connector) => connector.verifies(),
            Self::Server(_) => true,
        }
    }

    /// Whether an end without goodbye is an end like any other.
    pub(super) fn suppresses_ragged_eofs(&self) -> bool {
        match self {
            Self::Client(connector) => connector.suppresses_ragged_eofs(),
            Self::Server(acceptor) => acceptor.suppresses_ragged_eofs(),
        }
    }
}

impl From<TlsConnector> for TlsRole {
    fn from(connector: TlsConnector) -> Self {
        Self::Client(connector)
    }
}

impl From<TlsAcceptor> for TlsRole {
    fn from(acceptor: TlsAcceptor) -> Self {
        Self::Server(acceptor)
    }
}

impl PartialEq for TlsRole {
    /// True for the same configuration.
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Client(one), Self::Client(other)) => one.is(other),
            (Self::Server(one), Self::Server(other)) => one.is(other),
            _ => false,
        }
    }
}

impl Eq for TlsRole {}

//! What connections of the host have in common, whatever kind of socket they have.

use std::fmt;

use crate::sys::host::TcpSocket;
#[cfg(feature = "unix")]
use crate::sys::host::UnixSocket;
use crate::sys::types::{ErrorCode, Shutdown};

/// A socket of the host that gives two streams when it is connected.
pub(crate) trait StreamSocket: fmt::Debug + Into<Held> + 'static {
    /// Whether closing it with data unread destroys what the system still holds for the peer.
    const RESETS_ON_CLOSE: bool;

    /// Shuts directions down.
    fn shutdown(&self, how: Shutdown) -> Result<(), ErrorCode>;
}

/// A socket that has to outlive its streams, and nothing else.
#[derive(Debug)]
pub(crate) enum Held {
    Tcp(#[expect(dead_code, reason = "held")] TcpSocket),
    #[cfg(feature = "unix")]
    Unix(#[expect(dead_code, reason = "held")] UnixSocket),
}

impl From<TcpSocket> for Held {
    fn from(socket: TcpSocket) -> Self {
        Self::Tcp(socket)
    }
}

impl StreamSocket for TcpSocket {
    const RESETS_ON_CLOSE: bool = true;

    fn shutdown(&self, how: Shutdown) -> Result<(), ErrorCode> {
        TcpSocket::shutdown(self, how)
    }
}

#[cfg(feature = "unix")]
impl From<UnixSocket> for Held {
    fn from(socket: UnixSocket) -> Self {
        Self::Unix(socket)
    }
}

#[cfg(feature = "unix")]
impl StreamSocket for UnixSocket {
    /// The peer learns of it by a reset, too, but only behind all that was sent.
    const RESETS_ON_CLOSE: bool = false;

    fn shutdown(&self, how: Shutdown) -> Result<(), ErrorCode> {
        UnixSocket::shutdown(self, how)
    }
}

//! What is known about a connection beside its bytes.

use std::fmt;
use std::net::SocketAddr;

use crate::connection::Connection;
use crate::options::AddressFamily;

/// The answer of [`StreamWriter::get_extra_info`](crate::StreamWriter::get_extra_info).
///
/// Displays as Python would print it: an IPv4 address as `('127.0.0.1', 80)`, an IPv6 address as
/// `('::1', 80, 0, 0)`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExtraInfo {
    /// `peername` and `sockname`.
    Address(SocketAddr),
    /// `socket`.
    Socket(SocketInfo),
}

impl ExtraInfo {
    pub(crate) fn of(connection: &Connection, name: &str) -> Option<Self> {
        match name {
            "peername" => connection.info().peer.map(Self::Address),
            "sockname" => connection.info().local.map(Self::Address),
            "socket" => SocketInfo::of(connection).map(Self::Socket),
            _ => None, // X01
        }
    }

    /// Returns the address, if it is one.
    pub fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Address(address) => Some(*address),
            Self::Socket(_) => None,
        }
    }
}

impl fmt::Display for ExtraInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(SocketAddr::V4(a)) => write!(f, "('{}', {})", a.ip(), a.port()),
            Self::Address(SocketAddr::V6(a)) => {
                write!(f, "('{}', {}, {}, {})", a.ip(), a.port(), a.flowinfo(), a.scope_id())
            }
            Self::Socket(socket) => fmt::Debug::fmt(socket, f),
        }
    }
}

/// A restricted view of a socket: addresses and options, no I/O.
///
/// # Differences from asyncio
///
/// There is no `fileno`, and WASI 0.2 has no `TCP_NODELAY` and no `SO_LINGER` to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocketInfo {
    local: Option<SocketAddr>,
    peer: Option<SocketAddr>,
    keep_alive: Option<bool>,
}

impl SocketInfo {
    pub(crate) fn of(connection: &Connection) -> Option<Self> {
        let info = connection.info();
        info.peer.or(info.local)?;
        Some(Self { local: info.local, peer: info.peer, keep_alive: connection.keep_alive() })
    }

    /// Returns the local address (Python's `getsockname`).
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.local
    }

    /// Returns the address of the peer (Python's `getpeername`).
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        self.peer
    }

    /// Returns the address family.
    pub fn family(&self) -> AddressFamily {
        match self.peer.or(self.local) {
            Some(SocketAddr::V4(_)) => AddressFamily::Inet,
            Some(SocketAddr::V6(_)) => AddressFamily::Inet6,
            None => AddressFamily::Unspecified,
        }
    }

    /// Returns whether keep-alive probes are on; none when the connection is gone.
    pub fn keep_alive(&self) -> Option<bool> {
        self.keep_alive
    }
}

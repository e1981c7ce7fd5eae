//! What is known about a connection beside its bytes.

use std::fmt;
use std::net::SocketAddr;

use crate::connection::Connection;
use crate::options::AddressFamily;
#[cfg(feature = "tls")]
use crate::tls::{Certificate, TlsCipher, TlsInfo, TlsRole};

/// The answer of [`StreamWriter::get_extra_info`](crate::StreamWriter::get_extra_info).
///
/// Displays as Python would print it: an IPv4 address as `('127.0.0.1', 80)`, an IPv6 address as
/// `('::1', 80, 0, 0)`, a cipher as `('TLS_CHACHA20_POLY1305_SHA256', 'TLSv1.3', 256)`.
///
/// # Differences from asyncio
///
/// Everything stays known when the connection is gone (X10). There is never a `compression`: rustls does not compress, and Python
/// says none then, too (X07).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExtraInfo {
    /// `peername` and `sockname`.
    Address(SocketAddr),
    /// `peername` and `sockname` over Unix sockets.
    #[cfg(feature = "unix")]
    UnixAddress(crate::UnixAddr),
    /// `socket`.
    Socket(SocketInfo),
    /// `sslcontext`: the configuration; nothing on a plain connection, which makes it the test for "is this TLS?".
    #[cfg(feature = "tls")]
    SslContext(TlsRole),
    /// `cipher`.
    #[cfg(feature = "tls")]
    Cipher(TlsCipher),
    /// `peercert`: what the peer's certificate says; without content when it was not verified, and nothing when it showed none.
    #[cfg(feature = "tls")]
    PeerCertificate(Option<Certificate>),
    /// `ssl_object`: everything known of TLS.
    #[cfg(feature = "tls")]
    Tls(TlsInfo),
}

impl ExtraInfo {
    pub(crate) fn of(connection: &Connection, name: &str) -> Option<Self> {
        #[cfg(feature = "unix")]
        if let Some(ends) = &connection.info().unix {
            match name {
                "peername" => return Some(Self::UnixAddress(ends.peer.clone())),
                "sockname" => return Some(Self::UnixAddress(ends.local.clone())),
                _ => {}
            }
        }
        match name {
            "peername" => connection.info().peer.map(Self::Address),
            "sockname" => connection.info().local.map(Self::Address),
            "socket" => SocketInfo::of(connection).map(Self::Socket),
            #[cfg(feature = "tls")]
            name => Self::of_tls(connection.tls()?, name),
            #[cfg(not(feature = "tls"))]
            _ => None, // X01
        }
    }

    #[cfg(feature = "tls")]
    fn of_tls(tls: &TlsInfo, name: &str) -> Option<Self> {
        match name {
            "sslcontext" => Some(Self::SslContext(tls.role().clone())),
            "cipher" => Some(Self::Cipher(tls.cipher().clone())),
            "peercert" if tls.is_verified() => tls.peer_certificate().ok()?.map(|it| Self::PeerCertificate(Some(it))),
            "peercert" => tls.peer_certificates().next().map(|_| Self::PeerCertificate(None)), // X08
            "ssl_object" => Some(Self::Tls(tls.clone())),
            _ => None, // X01
        }
    }

    /// Returns the address, if it is one.
    pub fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Address(address) => Some(*address),
            _ => None,
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
            #[cfg(feature = "unix")]
            Self::UnixAddress(address) => address.fmt(f),
            Self::Socket(socket) => fmt::Debug::fmt(socket, f),
            #[cfg(feature = "tls")]
            Self::SslContext(role) => fmt::Debug::fmt(role, f),
            #[cfg(feature = "tls")]
            Self::Cipher(cipher) => write!(f, "('{}', '{}', {})", cipher.name, cipher.protocol, cipher.secret_bits),
            #[cfg(feature = "tls")]
            Self::PeerCertificate(Some(certificate)) => fmt::Debug::fmt(certificate, f),
            #[cfg(feature = "tls")]
            Self::PeerCertificate(None) => f.write_str("{}"),
            #[cfg(feature = "tls")]
            Self::Tls(tls) => fmt::Debug::fmt(tls, f),
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

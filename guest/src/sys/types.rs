//! The words that both host back ends share: WASI 0.2's error codes and stream failures in types of our own, so
//! that nothing above `sys` has to name a binding.

/// What `wasi:sockets` calls `error-code`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(target_os = "wasi", expect(unreachable_pub, reason = "public only with the simulated network"))]
pub enum ErrorCode {
    /// The host knows no better word.
    Unknown,
    /// The host does not permit the operation.
    AccessDenied,
    /// The host has no such operation.
    NotSupported,
    /// An argument that can never work.
    InvalidArgument,
    /// The host or the system is out of memory.
    OutOfMemory,
    /// The operation timed out.
    Timeout,
    /// Another operation is under way on the same socket.
    ConcurrencyConflict,
    /// `finish-…` without its `start-…`.
    NotInProgress,
    /// Not yet: wait for the pollable and ask again.
    WouldBlock,
    /// The socket is in the wrong state for this.
    InvalidState,
    /// Out of descriptors.
    NewSocketLimit,
    /// The local address does not exist here.
    AddressNotBindable,
    /// The local address is taken.
    AddressInUse,
    /// No route to the peer.
    RemoteUnreachable,
    /// The peer refused the connection.
    ConnectionRefused,
    /// The peer reset the connection.
    ConnectionReset,
    /// The connection was aborted.
    ConnectionAborted,
    /// Only datagram sockets say this.
    DatagramTooLarge,
    /// The name has no address.
    NameUnresolvable,
    /// The resolver failed for now.
    TemporaryResolverFailure,
    /// The resolver failed for good (or name lookup is not permitted).
    PermanentResolverFailure,
    /// There is no such file; only Unix sockets say this and what follows.
    #[cfg(feature = "unix")]
    NotFound,
    /// The file is not a stream socket.
    #[cfg(feature = "unix")]
    NotAStreamSocket,
    /// The path is too long for a socket.
    #[cfg(feature = "unix")]
    NameTooLong,
    /// Too many symbolic links.
    #[cfg(feature = "unix")]
    Loop,
}

/// Why a `wasi:io` stream operation failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum StreamFailure {
    /// The stream is closed: end of stream when reading, a peer that left when writing.
    Closed,
    /// The operation failed; WASI 0.2 gives no code, only the host's text.
    Failed(String),
}

/// The address family of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    V4,
    V6,
}

impl Family {
    /// The family of `ip`.
    pub(crate) fn of(ip: std::net::IpAddr) -> Self {
        if ip.is_ipv4() { Self::V4 } else { Self::V6 }
    }
}

/// Which directions of a connection to shut down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shutdown {
    #[cfg_attr(target_os = "wasi", expect(dead_code, reason = "the whole of the host's vocabulary"))]
    Receive,
    Send,
    Both,
}

/// Where a listener is.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Address {
    Inet(std::net::SocketAddr),
    #[cfg(feature = "unix")]
    Unix(crate::UnixAddr),
}

impl Address {
    /// The address of an IP socket.
    pub(crate) fn inet(&self) -> Option<std::net::SocketAddr> {
        match self {
            Self::Inet(address) => Some(*address),
            #[cfg(feature = "unix")]
            Self::Unix(_) => None,
        }
    }

    /// The address of a Unix socket.
    #[cfg(feature = "unix")]
    pub(crate) fn unix(&self) -> Option<crate::UnixAddr> {
        match self {
            Self::Inet(_) => None,
            Self::Unix(address) => Some(address.clone()),
        }
    }
}

impl std::fmt::Debug for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Inet(address) => address.fmt(f),
            #[cfg(feature = "unix")]
            Self::Unix(address) => address.fmt(f),
        }
    }
}

/// The two addresses of a connection over Unix sockets.
#[cfg(feature = "unix")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UnixEnds {
    pub(crate) local: crate::UnixAddr,
    pub(crate) peer: crate::UnixAddr,
}

/// Keep-alive settings, each absent one left to the system.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct KeepAliveNanos {
    pub(crate) idle: Option<u64>,
    pub(crate) interval: Option<u64>,
    pub(crate) count: Option<u32>,
}

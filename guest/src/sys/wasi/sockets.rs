//! `wasi:sockets`: TCP sockets and name lookup.

use std::cell::Cell;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use wasi::sockets::instance_network::instance_network;
use wasi::sockets::ip_name_lookup::{self, ResolveAddressStream};
use wasi::sockets::network::{self, IpAddress, IpAddressFamily, IpSocketAddress, Ipv4SocketAddress, Ipv6SocketAddress};
use wasi::sockets::tcp::{self, ShutdownType};
use wasi::sockets::tcp_create_socket::create_tcp_socket;

use super::{InputStream, OutputStream, Pollable};
use crate::sys::types::{ErrorCode, Family, KeepAliveNanos, Shutdown};

type Result<T> = std::result::Result<T, ErrorCode>;

/// A TCP socket of the host.
#[derive(Debug)]
pub(crate) struct TcpSocket(tcp::TcpSocket, Counted);

thread_local!(static LIVE: Cell<usize> = const { Cell::new(0) });

/// How many sockets there are.
pub(crate) fn live_sockets() -> usize {
    LIVE.try_with(Cell::get).unwrap_or(0)
}

/// One of them.
#[derive(Debug)]
pub(super) struct Counted;

impl Counted {
    pub(super) fn new() -> Self {
        let _ = LIVE.try_with(|live| live.set(live.get() + 1));
        Self
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let _ = LIVE.try_with(|live| live.set(live.get().saturating_sub(1)));
    }
}

impl TcpSocket {
    /// Makes a socket; a host without TCP answers `AccessDenied` here.
    pub(crate) fn create(family: Family) -> Result<Self> {
        let family = match family {
            Family::V4 => IpAddressFamily::Ipv4,
            Family::V6 => IpAddressFamily::Ipv6,
        };
        create_tcp_socket(family).map(Self::from_raw).map_err(code)
    }

    /// Takes over a socket that came from elsewhere.
    pub(crate) fn from_raw(raw: tcp::TcpSocket) -> Self {
        Self(raw, Counted::new())
    }

    pub(crate) fn start_bind(&self, address: SocketAddr) -> Result<()> {
        self.0.start_bind(&instance_network(), to_wasi(address)).map_err(code)
    }

    pub(crate) fn finish_bind(&self) -> Result<()> {
        self.0.finish_bind().map_err(code)
    }

    pub(crate) fn start_connect(&self, address: SocketAddr) -> Result<()> {
        self.0.start_connect(&instance_network(), to_wasi(address)).map_err(code)
    }

    pub(crate) fn finish_connect(&self) -> Result<(InputStream, OutputStream)> {
        let (input, output) = self.0.finish_connect().map_err(code)?;
        Ok((InputStream::from_raw(input), OutputStream::from_raw(output)))
    }

    pub(crate) fn start_listen(&self) -> Result<()> {
        self.0.start_listen().map_err(code)
    }

    pub(crate) fn finish_listen(&self) -> Result<()> {
        self.0.finish_listen().map_err(code)
    }

    pub(crate) fn accept(&self) -> Result<(TcpSocket, InputStream, OutputStream)> {
        let (socket, input, output) = self.0.accept().map_err(code)?;
        Ok((Self::from_raw(socket), InputStream::from_raw(input), OutputStream::from_raw(output)))
    }

    pub(crate) fn local_address(&self) -> Result<SocketAddr> {
        self.0.local_address().map(from_wasi).map_err(code)
    }

    /// Fails once the peer has left: ask early and keep the answer.
    pub(crate) fn remote_address(&self) -> Result<SocketAddr> {
        self.0.remote_address().map(from_wasi).map_err(code)
    }

    pub(crate) fn is_listening(&self) -> bool {
        self.0.is_listening()
    }

    pub(crate) fn set_listen_backlog_size(&self, size: u64) -> Result<()> {
        self.0.set_listen_backlog_size(size).map_err(code)
    }

    /// Turns keep-alive on with these settings.
    pub(crate) fn set_keep_alive(&self, settings: KeepAliveNanos) -> Result<()> {
        self.0.set_keep_alive_enabled(true).map_err(code)?;
        if let Some(idle) = settings.idle {
            self.0.set_keep_alive_idle_time(idle).map_err(code)?;
        }
        if let Some(interval) = settings.interval {
            self.0.set_keep_alive_interval(interval).map_err(code)?;
        }
        if let Some(count) = settings.count {
            self.0.set_keep_alive_count(count).map_err(code)?;
        }
        Ok(())
    }

    /// Whether keep-alive is on.
    pub(crate) fn keep_alive_enabled(&self) -> Result<bool> {
        self.0.keep_alive_enabled().map_err(code)
    }

    pub(crate) fn shutdown(&self, how: Shutdown) -> Result<()> {
        let how = match how {
            Shutdown::Receive => ShutdownType::Receive,
            Shutdown::Send => ShutdownType::Send,
            Shutdown::Both => ShutdownType::Both,
        };
        self.0.shutdown(how).map_err(code)
    }

    /// Ready when the operation under way (bind, connect, listen, accept) may go on.
    pub(crate) fn subscribe(&self) -> Pollable {
        self.0.subscribe()
    }
}

/// A name lookup under way.
#[derive(Debug)]
pub(crate) struct ResolveStream(ResolveAddressStream);

impl ResolveStream {
    /// Starts looking `name` up.
    pub(crate) fn start(name: &str) -> Result<Self> {
        ip_name_lookup::resolve_addresses(&instance_network(), name).map(Self).map_err(code)
    }

    /// The next address, none after the last.
    pub(crate) fn next(&self) -> Result<Option<IpAddr>> {
        let next = self.0.resolve_next_address().map_err(code)?;
        Ok(next.map(|address| match address {
            IpAddress::Ipv4(a) => IpAddr::V4(v4(a)),
            IpAddress::Ipv6(a) => IpAddr::V6(v6(a)),
        }))
    }

    /// Ready when `next` may have an answer.
    pub(crate) fn subscribe(&self) -> Pollable {
        self.0.subscribe()
    }
}

fn v4(a: network::Ipv4Address) -> Ipv4Addr {
    Ipv4Addr::new(a.0, a.1, a.2, a.3)
}

fn v6(a: network::Ipv6Address) -> Ipv6Addr {
    Ipv6Addr::new(a.0, a.1, a.2, a.3, a.4, a.5, a.6, a.7)
}

fn from_wasi(address: IpSocketAddress) -> SocketAddr {
    match address {
        IpSocketAddress::Ipv4(a) => SocketAddr::V4(SocketAddrV4::new(v4(a.address), a.port)),
        IpSocketAddress::Ipv6(a) => SocketAddr::V6(SocketAddrV6::new(v6(a.address), a.port, a.flow_info, a.scope_id)),
    }
}

fn to_wasi(address: SocketAddr) -> IpSocketAddress {
    match address {
        SocketAddr::V4(a) => {
            let [b0, b1, b2, b3] = a.ip().octets();
            IpSocketAddress::Ipv4(Ipv4SocketAddress { port: a.port(), address: (b0, b1, b2, b3) })
        }
        SocketAddr::V6(a) => {
            let [s0, s1, s2, s3, s4, s5, s6, s7] = a.ip().segments();
            IpSocketAddress::Ipv6(Ipv6SocketAddress {
                port: a.port(),
                flow_info: a.flowinfo(),
                address: (s0, s1, s2, s3, s4, s5, s6, s7),
                scope_id: a.scope_id(),
            })
        }
    }
}

fn code(code: network::ErrorCode) -> ErrorCode {
    use network::ErrorCode as Wasi;
    match code {
        Wasi::AccessDenied => ErrorCode::AccessDenied,
        Wasi::NotSupported => ErrorCode::NotSupported,
        Wasi::InvalidArgument => ErrorCode::InvalidArgument,
        Wasi::OutOfMemory => ErrorCode::OutOfMemory,
        Wasi::Timeout => ErrorCode::Timeout,
        Wasi::ConcurrencyConflict => ErrorCode::ConcurrencyConflict,
        Wasi::NotInProgress => ErrorCode::NotInProgress,
        Wasi::WouldBlock => ErrorCode::WouldBlock,
        Wasi::InvalidState => ErrorCode::InvalidState,
        Wasi::NewSocketLimit => ErrorCode::NewSocketLimit,
        Wasi::AddressNotBindable => ErrorCode::AddressNotBindable,
        Wasi::AddressInUse => ErrorCode::AddressInUse,
        Wasi::RemoteUnreachable => ErrorCode::RemoteUnreachable,
        Wasi::ConnectionRefused => ErrorCode::ConnectionRefused,
        Wasi::ConnectionReset => ErrorCode::ConnectionReset,
        Wasi::ConnectionAborted => ErrorCode::ConnectionAborted,
        Wasi::DatagramTooLarge => ErrorCode::DatagramTooLarge,
        Wasi::NameUnresolvable => ErrorCode::NameUnresolvable,
        Wasi::TemporaryResolverFailure => ErrorCode::TemporaryResolverFailure,
        Wasi::PermanentResolverFailure => ErrorCode::PermanentResolverFailure,
        Wasi::Unknown => ErrorCode::Unknown,
    }
}

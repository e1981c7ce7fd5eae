//! Bound sockets that accept connections once they listen.

use std::net::SocketAddr;
use std::task::{Context, Poll, ready};

use super::connect::{bind, finish, new_socket};
use super::errors::{Doing, socket_error};
use super::limit::Door;
use super::reactor;
use super::tcp::TcpLink;
#[cfg(feature = "unix")]
use super::unix::{UnixLink, UnixListener};
use super::watched::Watched;
use crate::error::{Error, Result};
use crate::sys::host::TcpSocket;
#[cfg(feature = "unix")]
use crate::sys::types::UnixEnds;
use crate::sys::types::{Address, ErrorCode, KeepAliveNanos};

/// A listening socket of some kind.
#[derive(Debug)]
pub(crate) enum Listener {
    Tcp(TcpListener),
    #[cfg(feature = "unix")]
    Unix(UnixListener),
}

/// A listening TCP socket.
#[derive(Debug)]
pub(crate) struct TcpListener {
    socket: Watched<TcpSocket>,
    address: SocketAddr,
    /// The address asked for, perhaps with port 0: the one that a permission would name.
    wanted: SocketAddr,
    door: Door,
}

/// What `poll_accept` found.
#[derive(Debug)]
pub(crate) enum Accepted {
    /// A connection, with the addresses of the peer and of this side as far as the host still knows them.
    Connection(Box<TcpLink>, Option<SocketAddr>, Option<SocketAddr>),
    /// The same over Unix sockets.
    #[cfg(feature = "unix")]
    Unix(Box<UnixLink>, UnixEnds),
    /// A client that was gone before it was accepted.
    Vanished,
}

impl Listener {
    /// Starts to listen; does nothing when it does already.
    pub(crate) async fn listen(&mut self) -> Result<()> {
        match self {
            Self::Tcp(listener) => listener.listen().await,
            #[cfg(feature = "unix")]
            Self::Unix(listener) => listener.listen().await,
        }
    }

    /// Waits for a connection.
    pub(crate) fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<Result<Accepted>> {
        match self {
            Self::Tcp(listener) => listener.poll_accept(cx),
            #[cfg(feature = "unix")]
            Self::Unix(listener) => listener.poll_accept(cx),
        }
    }

    /// Where it is bound.
    pub(crate) fn address(&self) -> Address {
        match self {
            Self::Tcp(listener) => Address::Inet(listener.address),
            #[cfg(feature = "unix")]
            Self::Unix(listener) => Address::Unix(listener.address().clone()),
        }
    }
}

impl TcpListener {
    /// Binds to `wanted`; connections are refused until [`listen`](Self::listen).
    pub(crate) async fn bind(wanted: SocketAddr) -> Result<Self> {
        if let Some((socket, lent)) = reactor::exhume(wanted) {
            return Ok(Self { socket: Watched::lent(socket, lent), address: wanted, wanted, door: Door::default() });
        }
        let mut socket = new_socket(wanted)?;
        bind(&mut socket, wanted).await?;
        let address = socket.handle().local_address().map_err(|code| socket_error(code, Doing::Bind(wanted)))?;
        Ok(Self { socket, address, wanted, door: Door::default() })
    }

    /// Sets the length of the queue, and keep-alive, which accepted connections inherit.
    pub(crate) fn configure(&self, backlog: u32, keep_alive: Option<KeepAliveNanos>) -> Result<()> {
        let failed = |code| socket_error(code, Doing::Configure);
        // A socket that was taken over may listen already, and not every host can change the queue then.
        match self.socket.handle().set_listen_backlog_size(u64::from(backlog)) {
            Err(ErrorCode::NotSupported) if self.socket.handle().is_listening() => {}
            other => other.map_err(failed)?,
        }
        keep_alive.map_or(Ok(()), |settings| self.socket.handle().set_keep_alive(settings).map_err(failed))
    }

    #[cfg(target_os = "wasi")]
    /// Takes over a socket that is bound, or listens already.
    pub(crate) fn from_socket(socket: TcpSocket) -> Result<Self> {
        let address = socket.local_address().map_err(|code| match code {
            ErrorCode::InvalidState => Error::invalid("the socket is not bound"),
            code => socket_error(code, Doing::Configure),
        })?;
        Ok(Self { socket: Watched::new(socket), address, wanted: address, door: Door::default() })
    }

    async fn listen(&mut self) -> Result<()> {
        if self.socket.handle().is_listening() {
            return Ok(());
        }
        let failed = |code| socket_error(code, Doing::Listen(self.wanted));
        self.socket.handle().start_listen().map_err(failed)?;
        finish(&mut self.socket, TcpSocket::finish_listen).await.map_err(failed)
    }

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<Result<Accepted>> {
        loop {
            ready!(self.socket.poll(cx));
            if !self.door.is_open()? {
                self.socket.wait();
                continue;
            }
            match self.socket.handle().accept() {
                Ok((socket, input, output)) => return Poll::Ready(Ok(accepted(TcpLink::new(socket, input, output)))),
                Err(ErrorCode::WouldBlock) => self.socket.wait(),
                Err(ErrorCode::ConnectionAborted | ErrorCode::ConnectionReset) => {
                    return Poll::Ready(Ok(Accepted::Vanished)); // S39
                }
                Err(code) => return Poll::Ready(Err(self.accept_error(code))),
            }
        }
    }

    fn accept_error(&self, code: ErrorCode) -> Error {
        socket_error(code, Doing::Accept(self.address))
    }
}

/// Asks for the peer's address at once: hosts forget it when the peer leaves (X03). A peer that has left already may
/// have sent something first, so its connection is one like any other.
fn accepted(link: TcpLink) -> Accepted {
    let (peer, local) = (link.peer_addr(), link.local_addr());
    Accepted::Connection(Box::new(link), peer, local)
}

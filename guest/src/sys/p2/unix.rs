//! Unix sockets of the host: connecting, listening, and their errors.

use std::io::ErrorKind;
use std::task::{Context, Poll, ready};

use super::connect::finish;
use super::errors::kind_of;
use super::limit::{self, Door};
use super::listener::Accepted;
use super::tcp::HostLink;
use super::watched::{Handle, Watched};
use crate::UnixAddr;
use crate::error::{Error, Result};
use crate::sys::host::{Pollable, UnixSocket};
use crate::sys::types::{ErrorCode, UnixEnds};

/// A connection over Unix sockets.
pub(crate) type UnixLink = HostLink<UnixSocket>;

impl Handle for UnixSocket {
    fn subscribe(&self) -> Pollable {
        UnixSocket::subscribe(self)
    }
}

impl UnixLink {
    /// The addresses of both ends; unnamed where the host knows none.
    pub(crate) fn ends(&self) -> UnixEnds {
        let known = |address: Option<UnixAddr>| address.unwrap_or(UnixAddr::Unnamed);
        UnixEnds {
            local: known(self.socket().and_then(|socket| socket.local_address().ok())),
            peer: known(self.socket().and_then(|socket| socket.remote_address().ok())),
        }
    }
}

/// Connects to whoever listens at `address`. Dropping the future closes the socket.
pub(crate) async fn connect_unix(address: &UnixAddr) -> Result<UnixLink> {
    limit::check()?;
    let failed = |code| unix_error(code, Doing::Connect, address);
    let mut socket = Watched::new(UnixSocket::create().map_err(failed)?);
    socket.handle().start_connect(address).map_err(failed)?;
    let (input, output) = finish(&mut socket, UnixSocket::finish_connect).await.map_err(failed)?;
    let (socket, lent) = socket.into_parts();
    Ok(UnixLink::new(socket, input, output).with_lent(lent))
}

/// A listening Unix socket.
#[derive(Debug)]
pub(crate) struct UnixListener {
    socket: Watched<UnixSocket>,
    address: UnixAddr,
    door: Door,
}

impl UnixListener {
    /// Binds to `address`; connections are refused until [`listen`](Self::listen).
    pub(crate) async fn bind(address: UnixAddr) -> Result<Self> {
        let failed = |code| unix_error(code, Doing::Bind, &address);
        let mut socket = Watched::new(UnixSocket::create().map_err(failed)?);
        socket.handle().start_bind(&address).map_err(failed)?;
        finish(&mut socket, UnixSocket::finish_bind).await.map_err(failed)?;
        Ok(Self { socket, address, door: Door::default() })
    }

    /// Takes over a socket that is bound, or listens already.
    #[cfg(target_os = "wasi")]
    pub(crate) fn from_socket(socket: UnixSocket) -> Result<Self> {
        let address = socket.local_address().map_err(|_| Error::invalid("the socket is not bound"))?;
        Ok(Self { socket: Watched::new(socket), address, door: Door::default() })
    }

    /// Sets the length of the queue, and whether the file goes with the socket.
    pub(crate) fn configure(&self, backlog: u32, remove_file: bool) -> Result<()> {
        self.socket.handle().set_remove_file(remove_file);
        let result = self.socket.handle().set_listen_backlog_size(backlog);
        result.map_err(|code| unix_error(code, Doing::Listen, &self.address))
    }

    /// Starts to listen; does nothing when it does already.
    pub(super) async fn listen(&mut self) -> Result<()> {
        if self.socket.handle().is_listening() {
            return Ok(());
        }
        let started = self.socket.handle().start_listen();
        let result = match started {
            Ok(()) => finish(&mut self.socket, UnixSocket::finish_listen).await,
            failed => failed,
        };
        result.map_err(|code| unix_error(code, Doing::Listen, &self.address))
    }

    pub(super) fn address(&self) -> &UnixAddr {
        &self.address
    }

    pub(super) fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<Result<Accepted>> {
        loop {
            ready!(self.socket.poll(cx));
            if !self.door.is_open()? {
                self.socket.wait();
                continue;
            }
            match self.socket.handle().accept() {
                Ok((socket, input, output)) => {
                    let link = UnixLink::new(socket, input, output);
                    let ends = link.ends();
                    return Poll::Ready(Ok(Accepted::Unix(Box::new(link), ends)));
                }
                Err(ErrorCode::WouldBlock) => self.socket.wait(),
                Err(ErrorCode::ConnectionAborted | ErrorCode::ConnectionReset) => {
                    return Poll::Ready(Ok(Accepted::Vanished)); // S39
                }
                Err(code) => return Poll::Ready(Err(unix_error(code, Doing::Accept, &self.address))),
            }
        }
    }
}

/// What was being done when an operation failed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Doing {
    Bind,
    Listen,
    Accept,
    Connect,
}

/// The error for a failed operation.
fn unix_error(code: ErrorCode, doing: Doing, address: &UnixAddr) -> Error {
    let doing_it = match doing {
        Doing::Bind | Doing::Listen => "listening on",
        Doing::Accept => "accepting on",
        Doing::Connect => "connecting to",
    };
    if code == ErrorCode::AccessDenied {
        let text = format!(
            "the host does not permit {doing_it} the Unix socket {address} (to allow it: wasi-streams-run: --unix \
             GUEST_DIR=HOST_DIR; the files' permissions count, too)"
        );
        return Error::io(ErrorKind::PermissionDenied, text);
    }
    let (kind, why) = match (code, doing) {
        (ErrorCode::AddressInUse, _) => {
            return Error::io(ErrorKind::AddrInUse, format!("address {address} is already in use"));
        }
        (ErrorCode::InvalidArgument, _) => (ErrorKind::InvalidInput, "this is no address of a Unix socket"),
        (ErrorCode::NotFound, Doing::Bind) => (ErrorKind::NotFound, "no such folder"),
        (code, _) => kind_of(code),
    };
    let text = format!("error while {doing_it} the Unix socket {address}: {why}");
    match kind {
        ErrorKind::InvalidInput => Error::InvalidInput(text.into()),
        ErrorKind::Unsupported => Error::Unsupported(text.into()),
        kind => Error::io(kind, text),
    }
}

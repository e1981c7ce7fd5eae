//! WASI 0.2: pollables, streams and sockets of the `wasi` crate together with this one.
//!
//! The only public module that names types of the `wasi` crate (0.14, which is `wasip2` 1.x).

#[cfg(feature = "component")]
use std::task::{Context, Waker};

use wasi::io::poll::Pollable;
use wasi::io::streams::{InputStream, OutputStream};
use wasi::sockets::tcp::TcpSocket;

use crate::error::Result;
use crate::socket::{ListeningSocket, Socket};
use crate::sys::wasi as host;
use crate::sys::{Listener, Registration, TcpLink, TcpListener};

/// Waits until `pollable` is ready, beside everything else that goes on, and gives it back (none only while the thread is
/// ending).
///
/// Lets a program mix in `wasi:http`, files, or anything else that has a pollable. The pollable must not outlive what
/// it belongs to: the host traps.
///
/// # Cancel safety
///
/// Dropping it drops the pollable. Use [`Registered`] to wait for one pollable many times.
pub async fn wait_for(pollable: Pollable) -> Option<Pollable> {
    let mut registered = Registered::new(pollable);
    registered.ready().await;
    registered.into_inner()
}

/// A pollable registered with the runtime, to be waited for again and again.
#[derive(Debug)]
pub struct Registered(Registration);

impl Registered {
    /// Registers `pollable`.
    pub fn new(pollable: Pollable) -> Self {
        Self(Registration::new(pollable))
    }

    /// Waits until it is ready.
    ///
    /// # Cancel safety
    ///
    /// Can be given up and called again.
    pub async fn ready(&mut self) {
        self.0.ready().await;
    }

    /// Starts to wait for it.
    #[cfg(feature = "component")]
    pub(crate) fn arm(&self) {
        self.0.arm();
    }

    /// Whether it was ready since then.
    #[cfg(feature = "component")]
    pub(crate) fn is_ready(&self) -> bool {
        self.0.poll_ready(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    /// Gives the pollable back; none only while the thread is ending.
    pub fn into_inner(self) -> Option<Pollable> {
        self.0.into_pollable()
    }
}

/// Wraps a connected socket with its streams, to be taken over by
/// [`open_connection`](crate::open_connection()).
///
/// No pollable of them may be left.
pub fn connected_socket(socket: TcpSocket, input: InputStream, output: OutputStream) -> Socket {
    let (input, output) = (host::InputStream::from_raw(input), host::OutputStream::from_raw(output));
    Socket::tcp(TcpLink::new(host::TcpSocket::from_raw(socket), input, output))
}

/// Wraps a bound or listening socket, to be taken over by [`start_server`](crate::start_server()).
///
/// # Errors
///
/// When the socket is not bound.
pub fn listening_socket(socket: TcpSocket) -> Result<ListeningSocket> {
    let listener = TcpListener::from_socket(host::TcpSocket::from_raw(socket))?;
    Ok(ListeningSocket(Listener::Tcp(listener)))
}

/// Unix sockets that the program makes itself, by the interface `wasi-streams:unix/sockets`.
#[cfg(feature = "unix")]
pub mod unix {
    use wasi::io::streams::{InputStream, OutputStream};

    use crate::error::Result;
    use crate::socket::{ListeningSocket, Socket};
    use crate::sys::wasi::{self as host, UnixSocket as HostSocket};
    use crate::sys::{Listener, UnixLink, UnixListener};

    pub use crate::sys::wasi::unix::bindings::wasi_streams::unix::sockets::{
        Address, ErrorCode, ShutdownType, UnixSocket,
    };

    /// Wraps a connected socket with its streams, to be taken over by
    /// [`open_unix_connection`](crate::open_unix_connection()).
    ///
    /// No pollable of them may be left.
    pub fn connected_socket(socket: UnixSocket, input: InputStream, output: OutputStream) -> Socket {
        let (input, output) = (host::InputStream::from_raw(input), host::OutputStream::from_raw(output));
        Socket::unix(UnixLink::new(HostSocket::from_raw(socket), input, output))
    }

    /// Wraps a bound or listening socket, to be taken over by [`start_unix_server`](crate::start_unix_server()).
    ///
    /// # Errors
    ///
    /// When the socket is not bound.
    pub fn listening_socket(socket: UnixSocket) -> Result<ListeningSocket> {
        let listener = UnixListener::from_socket(HostSocket::from_raw(socket))?;
        Ok(ListeningSocket(Listener::Unix(listener)))
    }
}

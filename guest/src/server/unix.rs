//! The arguments of [`start_unix_server`](crate::start_unix_server()), and binding.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::marker::PhantomData;
use std::pin::Pin;
#[cfg(feature = "tls")]
use std::time::Duration;

use super::accept::Accepting;
#[cfg(feature = "tls")]
use super::accept::{Secure, secure};
use super::handler::Handler;
use super::{Server, launch};
use crate::error::{Error, Result};
use crate::options::{DEFAULT_BACKLOG, check_limit};
use crate::proto::buffer::DEFAULT_LIMIT;
use crate::socket::ListeningSocket;
use crate::sys::{Listener, UnixListener};
#[cfg(feature = "tls")]
use crate::tls::{TlsAcceptor, TlsArguments};
use crate::unix::{IntoUnixAddr, UnixAddr};

/// Starts a server on a Unix socket that calls `handler` for each connection, like `asyncio.start_unix_server`.
///
/// Returns a builder: chain the arguments that Python has as keywords, then `.await` it; the [`Server`] accepts already then.
/// What is said of the handler at [`start_server`](crate::start_server()) holds here, too.
///
/// `path` is a path, or a name in Linux' abstract namespace ([`UnixAddr::Abstract`], or text that begins with a null character). Both
/// are what the host lets the program see: with `wasi-streams-run`, what is below a folder given by `--unix GUEST_DIR=HOST_DIR`.
///
/// # The file
///
/// Binding to a path makes a file there. A socket file that is left of a server long gone is removed before. The file is removed
/// when the server is closed, and by the host when the program ends without that: see
/// [`cleanup_socket`](StartUnixServer::cleanup_socket). One that was put in its place meanwhile stays.
///
/// # Errors
///
/// [`Error::InvalidInput`] for bad arguments, before anything else; [`Error::Io`] of kind `AddrInUse` where somebody listens, or where
/// something is that is not a socket, which is left alone; `NotFound` without the folder; `InvalidFilename` for a path that is too long;
/// `PermissionDenied` saying what to allow.
///
/// # Cancel safety
///
/// Dropping it closes what was bound.
///
/// # Differences from asyncio
///
/// asyncio removes the socket file of a server that is alive, which then serves nobody, that of a datagram socket, and a symbolic link to
/// a socket. Here those are in the way: `AddrInUse`.
///
/// # Examples
///
/// ```
/// use wasi_streams::{StreamReader, StreamWriter, open_unix_connection, run, start_unix_server};
///
/// async fn hello(_: StreamReader, writer: StreamWriter) -> wasi_streams::Result<()> {
///     writer.write("hello\n")
/// }
///
/// # fn main() -> anyhow::Result<()> {
/// # let net = wasi_streams::sim::Network::new();
/// run(async {
///     let server = start_unix_server(hello, "/run/hello.sock").await?;
///     let (mut reader, _writer) = open_unix_connection("/run/hello.sock").await?;
///     assert_eq!(reader.readline().await?, "hello\n");
///     server.close();
///     anyhow::Ok(())
/// })
/// # }
/// ```
pub fn start_unix_server<H, K>(handler: H, path: impl IntoUnixAddr) -> StartUnixServer<H, K>
where
    H: Handler<K>,
{
    StartUnixServer {
        handler,
        address: path.into_unix_addr(),
        socket: None,
        limit: DEFAULT_LIMIT,
        backlog: DEFAULT_BACKLOG,
        cleanup_socket: true,
        start_serving: true,
        #[cfg(feature = "tls")]
        secure: None,
        #[cfg(feature = "tls")]
        tls: TlsArguments::default(),
        kind: PhantomData,
    }
}

/// The arguments of [`start_unix_server`]; `.await` it to start.
#[must_use = "nothing happens before it is awaited"]
pub struct StartUnixServer<H, K> {
    handler: H,
    address: Result<Option<UnixAddr>>,
    socket: Option<ListeningSocket>,
    limit: usize,
    backlog: u32,
    cleanup_socket: bool,
    start_serving: bool,
    #[cfg(feature = "tls")]
    secure: Option<Secure>,
    #[cfg(feature = "tls")]
    tls: TlsArguments<TlsAcceptor>,
    kind: PhantomData<fn() -> K>,
}

impl<H: Handler<K>, K: 'static> StartUnixServer<H, K> {
    /// Sets the limit of every connection's reader in bytes, 64 KiB by default; 0 is an error.
    pub fn limit(mut self, bytes: usize) -> Self {
        self.limit = bytes;
        self
    }

    /// Sets how many connections may wait to be accepted, 100 by default; 0 is an error.
    pub fn backlog(mut self, connections: u32) -> Self {
        self.backlog = connections;
        self
    }

    /// Sets whether the socket file is removed when the server is closed: true by default, as in Python 3.13.
    pub fn cleanup_socket(mut self, cleanup: bool) -> Self {
        self.cleanup_socket = cleanup;
        self
    }

    /// Sets whether to accept at once (the default); else [`Server::start_serving`] does, and connections are refused
    /// until then.
    pub fn start_serving(mut self, start: bool) -> Self {
        self.start_serving = start;
        self
    }

    /// Takes over a bound or listening socket; the path must be `()` then.
    pub fn socket(mut self, socket: ListeningSocket) -> Self {
        self.socket = Some(socket);
        self
    }

    async fn start(self) -> Result<Server> {
        let accepting = Accepting {
            limit: check_limit(self.limit)?, // R03
            #[cfg(feature = "tls")]
            tls: self.tls.check()?.zip(self.secure),
            #[cfg(feature = "component")]
            incoming: None,
        };
        if self.backlog == 0 {
            return Err(Error::invalid("backlog cannot be 0"));
        }
        let listener = match (self.address?, self.socket) {
            (Some(_), Some(_)) => return Err(Error::invalid("path and socket can not be specified at the same time")),
            (None, None) => return Err(Error::invalid("path was not specified, and no socket specified")),
            (None, Some(socket)) => socket.unix()?,
            (Some(address), None) => UnixListener::bind(address).await?,
        };
        listener.configure(self.backlog, self.cleanup_socket)?;
        let server = launch(self.handler, vec![Listener::Unix(listener)], accepting, self.backlog);
        if self.start_serving {
            server.start_serving().await?;
        }
        Ok(server)
    }
}

#[cfg(feature = "tls")]
impl<H: Handler<K>, K: 'static> StartUnixServer<H, K> {
    /// Speaks TLS; see [`StartServer::tls`](crate::StartServer::tls).
    pub fn tls(mut self, acceptor: impl Into<Option<TlsAcceptor>>) -> Self {
        self.tls.config = acceptor.into();
        self.secure = Some(secure);
        self
    }

    /// Sets how long a TLS handshake may take: 60 seconds by default.
    pub fn tls_handshake_timeout(mut self, timeout: Duration) -> Self {
        self.tls.handshake_timeout = Some(timeout);
        self
    }

    /// Sets how long the TLS goodbye may take: 30 seconds by default.
    pub fn tls_shutdown_timeout(mut self, timeout: Duration) -> Self {
        self.tls.shutdown_timeout = Some(timeout);
        self
    }
}

impl<H: Handler<K>, K: 'static> IntoFuture for StartUnixServer<H, K> {
    type Output = Result<Server>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output>>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.start())
    }
}

impl<H, K> fmt::Debug for StartUnixServer<H, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StartUnixServer").field("address", &self.address).finish_non_exhaustive()
    }
}

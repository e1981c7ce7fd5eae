//! [`open_unix_connection`](crate::open_unix_connection()): from a path to reader and writer.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
#[cfg(feature = "tls")]
use std::time::Duration;

#[cfg(feature = "tls")]
use super::{Arguments, Secure, secure, secured};
use crate::error::{Error, Result};
use crate::options::check_limit;
use crate::proto::buffer::DEFAULT_LIMIT;
use crate::reader::StreamReader;
use crate::socket::Socket;
use crate::sys;
#[cfg(feature = "tls")]
use crate::tls::{TlsArguments, TlsConnector, server_name};
use crate::unix::{IntoUnixAddr, UnixAddr};
use crate::writer::StreamWriter;

/// Connects to the Unix socket at `path` and gives a reader and a writer, like `asyncio.open_unix_connection`.
///
/// Returns a builder: chain the arguments that Python has as keywords, then `.await` it. There is no timeout of its own: wrap it in
/// [`timeout`](crate::timeout). It waits while the listener's queue is full.
///
/// `path` is a path, or a name in Linux' abstract namespace ([`UnixAddr::Abstract`], or text that begins with a null character). Both
/// are what the host lets the program see: with `wasi-streams-run`, what is below a folder given by `--unix GUEST_DIR=HOST_DIR`.
///
/// # Errors
///
/// [`Error::InvalidInput`] for bad arguments, before anything else; [`Error::Io`] of kind `NotFound` where no file is,
/// `ConnectionRefused` where nobody listens or the file is no socket, `PermissionDenied` saying what to allow. The text names the path.
///
/// # Cancel safety
///
/// Dropping it closes the socket.
///
/// # Differences from asyncio
///
/// With TLS, [`server_name`](OpenUnixConnection::server_name) is needed here, too. asyncio takes a connection that found the
/// queue full for an open one.
///
/// # Examples
///
/// ```
/// use wasi_streams::{open_unix_connection, run};
///
/// # fn main() -> anyhow::Result<()> {
/// # let net = wasi_streams::sim::Network::new();
/// # let server = net.listen_unix("/run/time.sock");
/// # wasi_streams::spawn(async move { let peer = server.accept().await; peer.send(b"noon\n"); peer.recv(4).await; });
/// run(async {
///     let (mut reader, writer) = open_unix_connection("/run/time.sock").limit(16 * 1024).await?;
///     writer.write("ping")?;
///     println!("{:?}", reader.readline().await?);
///     writer.close();
///     writer.wait_closed().await?;
///     anyhow::Ok(())
/// })
/// # }
/// ```
pub fn open_unix_connection(path: impl IntoUnixAddr) -> OpenUnixConnection {
    OpenUnixConnection {
        address: path.into_unix_addr(),
        socket: None,
        limit: DEFAULT_LIMIT,
        #[cfg(feature = "tls")]
        tls: TlsArguments::default(),
        #[cfg(feature = "tls")]
        server_name: None,
        #[cfg(feature = "tls")]
        secure: None,
    }
}

/// The arguments of [`open_unix_connection`](crate::open_unix_connection()); `.await` it to connect.
#[must_use = "nothing happens before it is awaited"]
pub struct OpenUnixConnection {
    address: Result<Option<UnixAddr>>,
    socket: Option<Socket>,
    limit: usize,
    #[cfg(feature = "tls")]
    tls: TlsArguments<TlsConnector>,
    #[cfg(feature = "tls")]
    server_name: Option<String>,
    #[cfg(feature = "tls")]
    secure: Option<Secure>,
}

impl OpenUnixConnection {
    /// Sets the limit of the reader in bytes, 64 KiB by default; 0 is an error.
    pub fn limit(mut self, bytes: usize) -> Self {
        self.limit = bytes;
        self
    }

    /// Takes over a connected socket; the path must be `()` then.
    pub fn socket(mut self, socket: Socket) -> Self {
        self.socket = Some(socket);
        self
    }

    async fn open(self) -> Result<(StreamReader, StreamWriter)> {
        let limit = check_limit(self.limit)?;
        #[cfg(feature = "tls")]
        let (tls, secure) = (self.check_tls()?, self.secure);
        let address = self.address?;
        #[cfg(feature = "tls")]
        let whom = address.as_ref().map(ToString::to_string);
        let socket = match (address, self.socket) {
            (Some(_), Some(_)) => return Err(Error::invalid("path and socket can not be specified at the same time")),
            (None, None) => return Err(Error::invalid("no path and socket were specified")),
            (None, Some(socket)) => socket,
            (Some(address), None) => Socket::unix(sys::connect_unix(&address).await?),
        };
        #[cfg(feature = "tls")]
        let socket = secured(socket, tls.zip(secure), whom.as_deref()).await?;
        Ok(socket.open(limit))
    }
}

#[cfg(feature = "tls")]
impl OpenUnixConnection {
    /// Speaks TLS; the certificate must have the [`server_name`](Self::server_name), which has to be given. `None` is plain, as
    /// without this call.
    pub fn tls(mut self, connector: impl Into<Option<TlsConnector>>) -> Self {
        self.tls.config = connector.into();
        self.secure = Some(secure);
        self
    }

    /// Speaks TLS as Python's `ssl=True` does; see [`OpenConnection::tls_default`](crate::OpenConnection::tls_default).
    ///
    /// # Errors
    ///
    /// Those of [`ConnectorBuilder::build`](crate::ConnectorBuilder::build).
    #[cfg(feature = "tls-ring")]
    pub fn tls_default(self) -> Result<Self> {
        Ok(self.tls(TlsConnector::builder().build()?))
    }

    /// Sets the name that the certificate must have. An empty one asks for no name, and checks none: for a connector with
    /// [`dangerous_without_name_check`](crate::ConnectorBuilder::dangerous_without_name_check) only.
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.server_name = Some(name.into());
        self
    }

    /// Sets how long the TLS handshake may take: 60 seconds by default.
    pub fn tls_handshake_timeout(mut self, timeout: Duration) -> Self {
        self.tls.handshake_timeout = Some(timeout);
        self
    }

    /// Sets how long the TLS goodbye may take: 30 seconds by default, counted from when everything that was written is sent.
    pub fn tls_shutdown_timeout(mut self, timeout: Duration) -> Self {
        self.tls.shutdown_timeout = Some(timeout);
        self
    }

    fn check_tls(&self) -> Result<Option<Arguments>> {
        match (self.tls.check()?, &self.server_name) {
            (None, Some(_)) => Err(Error::invalid("server_name is only meaningful with tls")),
            (None, None) => Ok(None),
            (Some(_), None) => Err(Error::invalid("you have to pass server_name when using tls over a Unix socket")),
            (Some((connector, timeouts)), Some(name)) => {
                let name = server_name(&connector, Some(name), None)?;
                Ok(Some((connector, name, timeouts)))
            }
        }
    }
}

impl IntoFuture for OpenUnixConnection {
    type Output = Result<(StreamReader, StreamWriter)>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output>>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.open())
    }
}

impl fmt::Debug for OpenUnixConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenUnixConnection").field("address", &self.address).finish_non_exhaustive()
    }
}

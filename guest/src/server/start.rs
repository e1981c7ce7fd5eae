//! The arguments of [`start_server`], and binding.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::io::ErrorKind;
use std::marker::PhantomData;
use std::net::SocketAddr;
use std::pin::Pin;
#[cfg(feature = "component")]
use std::rc::Rc;
#[cfg(feature = "tls")]
use std::time::Duration;

use super::accept::Accepting;
#[cfg(feature = "tls")]
use super::accept::{Secure, secure};
use super::handler::Handler;
use super::{Server, launch};
use crate::error::{Error, Result};
use crate::options::{AddressFamily, DEFAULT_BACKLOG, IntoHosts, IntoPort, KeepAlive, check_limit};
use crate::proto::buffer::DEFAULT_LIMIT;
use crate::resolve::resolve_with;
use crate::socket::ListeningSocket;
use crate::sys::{Listener, TcpListener};
#[cfg(feature = "tls")]
use crate::tls::{TlsAcceptor, TlsArguments};

/// Starts a server that calls `handler` for each connection, like `asyncio.start_server`.
///
/// Returns a builder: chain the arguments that Python has as keywords, then `.await` it; the [`Server`] accepts already
/// then.
///
/// `handler` takes a [`StreamReader`](crate::StreamReader) and a [`StreamWriter`](crate::StreamWriter). An async one runs as
/// a task for each connection, so a slow client delays nobody else. It returns nothing or a `Result`; an error is
/// reported ([`set_report_hook`](crate::set_report_hook)) and closes that connection only.
///
/// `host` is a name or an address, several of them, or `()` (also `""`) for every interface, IPv4 and IPv6; `port` 0
/// takes a free one: see [`Server::sockets`].
///
/// # Errors
///
/// [`Error::InvalidInput`] for bad arguments, before anything else; [`Error::Resolve`]; [`Error::Io`] of kind `AddrInUse`
/// naming the address, or `PermissionDenied` saying what to allow. Addresses that this machine does not have are skipped;
/// if none is left, `AddrNotAvailable`.
///
/// # Cancel safety
///
/// Dropping it closes what was bound.
///
/// # Differences from asyncio
///
/// Hosts set `SO_REUSEADDR` always and `SO_REUSEPORT` never: asking for anything else is
/// [`Error::Unsupported`]. `flags` survives as [`passive`](StartServer::passive). A limit of 0 is refused here; asyncio
/// notices it when the first client connects.
///
/// # Examples
///
/// ```
/// use wasi_streams::{StreamReader, StreamWriter, run, start_server};
///
/// async fn echo(mut reader: StreamReader, writer: StreamWriter) -> wasi_streams::Result<()> {
///     loop {
///         let data = reader.read(64 * 1024).await?;
///         if data.is_empty() {
///             writer.close();
///             return writer.wait_closed().await;
///         }
///         writer.write(data)?;
///         writer.drain().await?;
///     }
/// }
///
/// # fn main() -> anyhow::Result<()> {
/// # let net = wasi_streams::sim::Network::new();
/// run(async {
///     let server = start_server(echo, "127.0.0.1", 0).await?;
///     println!("Serving on {}", server.sockets()[0]);
///     # server.close();
///     # if false {
///     server.serve_forever().await?;
///     # }
///     anyhow::Ok(())
/// })
/// # }
/// ```
pub fn start_server<H, K>(handler: H, host: impl IntoHosts, port: impl IntoPort) -> StartServer<H, K>
where
    H: Handler<K>,
{
    StartServer {
        handler,
        hosts: host.into_hosts(),
        port: port.into_port(),
        socket: None,
        limit: DEFAULT_LIMIT,
        family: AddressFamily::Unspecified,
        passive: true,
        backlog: DEFAULT_BACKLOG,
        reuse_address: None,
        reuse_port: None,
        keep_alive: None,
        start_serving: true,
        #[cfg(feature = "component")]
        incoming: None,
        #[cfg(feature = "tls")]
        secure: None,
        #[cfg(feature = "tls")]
        tls: TlsArguments::default(),
        kind: PhantomData,
    }
}

/// The arguments of [`start_server`]; `.await` it to start.
#[must_use = "nothing happens before it is awaited"]
pub struct StartServer<H, K> {
    handler: H,
    hosts: Option<Vec<String>>,
    port: Result<Option<u16>>,
    socket: Option<ListeningSocket>,
    limit: usize,
    family: AddressFamily,
    passive: bool,
    backlog: u32,
    reuse_address: Option<bool>,
    reuse_port: Option<bool>,
    keep_alive: Option<KeepAlive>,
    start_serving: bool,
    #[cfg(feature = "component")]
    pub(super) incoming: Option<Rc<super::Incoming>>,
    #[cfg(feature = "tls")]
    secure: Option<Secure>,
    #[cfg(feature = "tls")]
    tls: TlsArguments<TlsAcceptor>,
    kind: PhantomData<fn() -> K>,
}

impl<H: Handler<K>, K: 'static> StartServer<H, K> {
    /// Sets the limit of every connection's reader in bytes, 64 KiB by default; 0 is an error.
    pub fn limit(mut self, bytes: usize) -> Self {
        self.limit = bytes;
        self
    }

    /// Restricts the addresses to one family.
    pub fn family(mut self, family: AddressFamily) -> Self {
        self.family = family;
        self
    }

    /// Sets what a missing host means: every interface (true, `AI_PASSIVE`, the default) or loopback (false).
    pub fn passive(mut self, passive: bool) -> Self {
        self.passive = passive;
        self
    }

    /// Sets how many connections may wait to be accepted, 100 by default; 0 is an error.
    pub fn backlog(mut self, connections: u32) -> Self {
        self.backlog = connections;
        self
    }

    /// Hosts set `SO_REUSEADDR` always; false is [`Error::Unsupported`].
    pub fn reuse_address(mut self, reuse: bool) -> Self {
        self.reuse_address = Some(reuse);
        self
    }

    /// WASI 0.2 has no `SO_REUSEPORT`; true is [`Error::Unsupported`].
    pub fn reuse_port(mut self, reuse: bool) -> Self {
        self.reuse_port = Some(reuse);
        self
    }

    /// Turns TCP keep-alive on for every connection.
    pub fn keep_alive(mut self, settings: KeepAlive) -> Self {
        self.keep_alive = Some(settings);
        self
    }

    /// Sets whether to accept at once (the default); else [`Server::start_serving`] does, and connections are refused
    /// until then.
    pub fn start_serving(mut self, start: bool) -> Self {
        self.start_serving = start;
        self
    }

    /// Takes over a bound or listening socket; host and port must be `()` then.
    pub fn socket(mut self, socket: ListeningSocket) -> Self {
        self.socket = Some(socket);
        self
    }

    async fn start(mut self) -> Result<Server> {
        let limit = check_limit(self.limit)?; // R03
        let port = self.port.clone()?;
        self.check_options()?;
        let accepting = Accepting {
            limit,
            #[cfg(feature = "tls")]
            tls: self.tls.check()?.zip(self.secure),
            #[cfg(feature = "component")]
            incoming: self.incoming.take(),
        };
        let keep_alive = self.keep_alive.map(|settings| settings.check()).transpose()?;
        let listeners = match self.socket.take() {
            Some(_) if self.hosts.is_some() || port.is_some() => {
                return Err(Error::invalid("host/port and socket can not be specified at the same time"));
            }
            Some(socket) => vec![socket.tcp()?],
            None => self.bind(port).await?,
        };
        for listener in &listeners {
            listener.configure(self.backlog, keep_alive)?;
        }
        let listeners = listeners.into_iter().map(Listener::Tcp).collect();
        let server = launch(self.handler, listeners, accepting, self.backlog);
        if self.start_serving {
            server.start_serving().await?;
        }
        Ok(server)
    }

    fn check_options(&self) -> Result<()> {
        if self.backlog == 0 {
            return Err(Error::invalid("backlog cannot be 0"));
        }
        if self.reuse_address == Some(false) {
            return Err(Error::Unsupported("WASI hosts set SO_REUSEADDR always; it cannot be turned off".into()));
        }
        if self.reuse_port == Some(true) {
            return Err(Error::Unsupported("WASI 0.2 has no SO_REUSEPORT".into())); // S15
        }
        Ok(())
    }

    /// Binds every address; those that this machine does not have are skipped (S09), any other failure ends it (S10).
    async fn bind(&self, port: Option<u16>) -> Result<Vec<TcpListener>> {
        let (mut bound, mut skipped) = (Vec::new(), Vec::new());
        let addresses = self.addresses(port).await?;
        for address in &addresses {
            match TcpListener::bind(*address).await {
                Ok(listener) => bound.push(listener),
                Err(error) if is_missing(&error) => skipped.push(error),
                Err(error) => return Err(error),
            }
        }
        if bound.is_empty() {
            let list = |items: Vec<String>, separator| items.join(separator);
            let all = list(addresses.iter().map(ToString::to_string).collect(), ", ");
            let mut text = format!("could not bind on any address out of [{all}]"); // S08
            if !skipped.is_empty() {
                text += &format!(": {}", list(skipped.iter().map(ToString::to_string).collect(), "; "));
            }
            return Err(Error::io(ErrorKind::AddrNotAvailable, text));
        }
        Ok(bound)
    }

    /// Every address to bind, each once (S07).
    async fn addresses(&self, port: Option<u16>) -> Result<Vec<SocketAddr>> {
        let every = [String::new()];
        let hosts = match (&self.hosts, port) {
            (None, None) => return Err(Error::invalid("neither host/port nor socket were specified")), // S11
            (None, Some(_)) => &every[..],
            (Some(hosts), _) => hosts,
        };
        let port = port.unwrap_or(0);
        let mut addresses: Vec<SocketAddr> = Vec::new();
        for host in hosts {
            let found = match host.as_str() {
                "" if self.passive => {
                    self.family.unspecified().into_iter().map(|ip| SocketAddr::new(ip, port)).collect()
                }
                "" => vec![SocketAddr::new(self.family.loopback(), port)],
                host => resolve_with(host, port, self.family, false).await?,
            };
            for address in found {
                if !addresses.contains(&address) {
                    addresses.push(address);
                }
            }
        }
        Ok(addresses)
    }
}

#[cfg(feature = "tls")]
impl<H: Handler<K>, K: 'static> StartServer<H, K> {
    /// Speaks TLS. The handler is called when the handshake is done; one that fails never reaches it, but is
    /// [counted](Server::failed_handshakes), and the [report hook](crate::set_report_hook) is told.
    ///
    /// `None` is plain, as without this call.
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

/// Whether the address (or its whole family) does not exist here.
fn is_missing(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::AddrNotAvailable | ErrorKind::Unsupported)
}

impl<H: Handler<K>, K: 'static> IntoFuture for StartServer<H, K> {
    type Output = Result<Server>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output>>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.start())
    }
}

impl<H, K> fmt::Debug for StartServer<H, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StartServer").field("hosts", &self.hosts).field("port", &self.port).finish_non_exhaustive()
    }
}

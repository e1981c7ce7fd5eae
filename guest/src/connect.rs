//! [`open_connection`](crate::open_connection()): from host and port to reader and writer.

mod race;
#[cfg(feature = "unix")]
mod unix;

use std::fmt;
use std::future::{Future, IntoFuture};
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

#[cfg(feature = "tls")]
use rustls::pki_types::ServerName;

#[cfg(feature = "unix")]
pub use unix::{OpenUnixConnection, open_unix_connection};

use crate::connection::Info;
use crate::error::{Error, Result};
use crate::options::{
    AddressFamily, DEFAULT_HAPPY_EYEBALLS_DELAY, IntoHost, IntoLocalAddr, IntoPort, KeepAlive, check_limit,
};
use crate::proto::buffer::DEFAULT_LIMIT;
use crate::proto::interleave::interleave;
use crate::reader::StreamReader;
use crate::resolve::resolve_with;
use crate::socket::Socket;
use crate::sys;
use crate::sys::types::KeepAliveNanos;
#[cfg(feature = "tls")]
use crate::tls::{Timeouts, TlsArguments, TlsConnector, server_name};
use crate::writer::StreamWriter;

/// Connects to `host` and `port` and gives a reader and a writer, like `asyncio.open_connection`.
///
/// Returns a builder: chain the arguments that Python has as keywords, then `.await` it. Without any, names are resolved
/// by the host, and addresses of both families are raced with a head start of 250 ms each (RFC 8305). There is no timeout
/// of its own: wrap it in [`timeout`](crate::timeout).
///
/// `host` is a name or an address, or `()` for the loopback address; `port` a number, or a number as text.
///
/// # Errors
///
/// [`Error::InvalidInput`] for bad arguments, before anything else; [`Error::Resolve`] when the name has no address;
/// [`Error::Io`] with the kind and the address when connecting failed, [`Error::Many`] when several addresses failed in
/// different ways. A host that does not permit it gives `PermissionDenied`, and the text says what to allow.
///
/// # Cancel safety
///
/// Dropping it closes every socket of every attempt.
///
/// # Differences from asyncio
///
/// Happy eyeballs is on by default; `.happy_eyeballs_delay(None)` tries one address after another as Python does.
/// `proto` is always TCP; of `flags`, [`numeric_host`](OpenConnection::numeric_host) remains. There is no `TCP_NODELAY`
/// in WASI 0.2: small writes of one turn leave as one segment instead.
///
/// # Examples
///
/// ```
/// use wasi_streams::{open_connection, run, timeout};
/// use std::time::Duration;
///
/// # fn main() -> anyhow::Result<()> {
/// # let net = wasi_streams::sim::Network::new();
/// # let server = net.listen("127.0.0.1:8888".parse()?);
/// # wasi_streams::spawn(async move { let peer = server.accept().await; peer.send(b"hello\n"); peer.recv(4).await; });
/// run(async {
///     let connect = open_connection("127.0.0.1", 8888).limit(16 * 1024);
///     let (mut reader, writer) = timeout(Duration::from_secs(5), connect).await??;
///     writer.write("ping")?;
///     println!("{:?}", reader.readline().await?);
///     writer.close();
///     writer.wait_closed().await?;
///     anyhow::Ok(())
/// })
/// # }
/// ```
pub fn open_connection(host: impl IntoHost, port: impl IntoPort) -> OpenConnection {
    OpenConnection {
        host: host.into_host(),
        port: port.into_port(),
        socket: None,
        limit: DEFAULT_LIMIT,
        family: AddressFamily::Unspecified,
        numeric_host: false,
        local_addr: None,
        happy_eyeballs_delay: Some(DEFAULT_HAPPY_EYEBALLS_DELAY),
        interleave: None,
        keep_alive: None,
        #[cfg(feature = "tls")]
        tls: TlsArguments::default(),
        #[cfg(feature = "tls")]
        server_name: None,
        #[cfg(feature = "tls")]
        secure: None,
    }
}

/// The arguments of [`open_connection`](crate::open_connection()); `.await` it to connect.
#[must_use = "nothing happens before it is awaited"]
pub struct OpenConnection {
    host: Option<String>,
    port: Result<Option<u16>>,
    socket: Option<Socket>,
    limit: usize,
    family: AddressFamily,
    numeric_host: bool,
    local_addr: Option<(String, u16)>,
    happy_eyeballs_delay: Option<Duration>,
    interleave: Option<usize>,
    keep_alive: Option<KeepAlive>,
    #[cfg(feature = "tls")]
    tls: TlsArguments<TlsConnector>,
    #[cfg(feature = "tls")]
    server_name: Option<String>,
    #[cfg(feature = "tls")]
    secure: Option<Secure>,
}

/// The handshake. Set by [`OpenConnection::tls`] alone, so that programs that never call it do without all of TLS.
#[cfg(feature = "tls")]
type Secure = fn(Socket, TlsConnector, ServerName<'static>, Timeouts) -> Pin<Box<dyn Future<Output = Result<Socket>>>>;

#[cfg(feature = "tls")]
fn secure(
    socket: Socket,
    connector: TlsConnector,
    name: ServerName<'static>,
    timeouts: Timeouts,
) -> Pin<Box<dyn Future<Output = Result<Socket>>>> {
    Box::pin(socket.start_tls(connector, name, timeouts))
}

/// What a handshake needs, when there is to be one.
#[cfg(feature = "tls")]
type Arguments = (TlsConnector, ServerName<'static>, Timeouts);

/// The same connection behind its handshake, if there is to be one; an error names `whom`.
#[cfg(feature = "tls")]
async fn secured(socket: Socket, tls: Option<(Arguments, Secure)>, whom: Option<&str>) -> Result<Socket> {
    match tls {
        None => Ok(socket),
        Some(((connector, name, timeouts), secure)) => {
            secure(socket, connector, name, timeouts).await.map_err(|error| error.with_peer(whom))
        }
    }
}

impl OpenConnection {
    /// Sets the limit of the reader in bytes, 64 KiB by default; 0 is an error.
    pub fn limit(mut self, bytes: usize) -> Self {
        self.limit = bytes;
        self
    }

    /// Restricts the addresses to one family.
    pub fn family(mut self, family: AddressFamily) -> Self {
        self.family = family;
        self
    }

    /// Accepts address literals only: the resolver is never asked (`AI_NUMERICHOST`).
    pub fn numeric_host(mut self, numeric: bool) -> Self {
        self.numeric_host = numeric;
        self
    }

    /// Binds to this address (a `SocketAddr`, or a host with a port) before connecting; port 0 takes any.
    pub fn local_addr(mut self, address: impl IntoLocalAddr) -> Self {
        self.local_addr = Some(address.into_local_addr());
        self
    }

    /// Sets how long an attempt may take before the next address is tried beside it: 250 ms by default. `None` tries
    /// the next address only when one failed.
    pub fn happy_eyeballs_delay(mut self, delay: impl Into<Option<Duration>>) -> Self {
        self.happy_eyeballs_delay = delay.into();
        self
    }

    /// Sets how many addresses of the first family come before the families alternate; 0 keeps the resolver's order.
    /// 1 by default with happy eyeballs, else 0.
    pub fn interleave(mut self, first_address_family_count: usize) -> Self {
        self.interleave = Some(first_address_family_count);
        self
    }

    /// Turns TCP keep-alive on.
    pub fn keep_alive(mut self, settings: KeepAlive) -> Self {
        self.keep_alive = Some(settings);
        self
    }

    /// Takes over a connected socket; host and port must be `()` then, and what concerns choosing an address has no
    /// meaning.
    pub fn socket(mut self, socket: Socket) -> Self {
        self.socket = Some(socket);
        self
    }

    async fn open(self) -> Result<(StreamReader, StreamWriter)> {
        let limit = check_limit(self.limit)?;
        #[cfg(feature = "tls")]
        let (tls, secure) = (self.check_tls()?, self.secure);
        #[cfg(feature = "tls")]
        let whom = self.host.clone();
        let socket = self.connected().await?;
        #[cfg(feature = "tls")]
        let socket = secured(socket, tls.zip(secure), whom.as_deref()).await?;
        Ok(socket.open(limit))
    }

    /// The connected socket, taken over or new.
    async fn connected(self) -> Result<Socket> {
        let port = self.port.clone()?;
        let keep_alive = self.keep_alive.map(|settings| settings.check()).transpose()?;
        if let Some(socket) = self.socket {
            if self.host.is_some() || port.is_some() {
                return Err(Error::invalid("host/port and socket can not be specified at the same time")); // O27
            }
            if self.local_addr.is_some() {
                return Err(Error::invalid("local_addr and socket can not be specified at the same time"));
            }
            if let Some(settings) = keep_alive {
                socket.set_keep_alive(settings)?;
            }
            return Ok(socket);
        }
        self.connect(port, keep_alive).await
    }

    async fn connect(&self, port: Option<u16>, keep_alive: Option<KeepAliveNanos>) -> Result<Socket> {
        let (host, port) = self.target(port)?;
        let addresses = match host {
            Some(host) => resolve_with(host, port, self.family, self.numeric_host).await?,
            None => vec![SocketAddr::new(self.family.loopback(), port)], // O03
        };
        let locals = self.local_addresses().await?;
        let first_count = self.interleave.unwrap_or(usize::from(self.happy_eyeballs_delay.is_some()));
        let addresses = interleave(addresses, first_count);
        let attempt = |address| connect_from(address, &locals, self.local_addr.is_some(), keep_alive);
        let (link, peer) = race::race(addresses, self.happy_eyeballs_delay, attempt).await?;
        #[cfg_attr(not(feature = "tls"), expect(unused_mut, reason = "TLS remembers the name"))]
        let mut info = Info::plain(Some(peer), link.local_addr());
        #[cfg(feature = "tls")]
        info.host.clone_from(&self.host);
        Ok(Socket::new(Box::new(link), info))
    }

    /// The host, none for the loopback address, and the port.
    fn target(&self, port: Option<u16>) -> Result<(Option<&str>, u16)> {
        let host = self.host.as_deref().filter(|host| !host.is_empty());
        match (host, port) {
            (None, None) => Err(Error::invalid("host and port was not specified and no socket specified")), // O02
            (Some(_), None) => Err(Error::invalid("a port is needed to connect to a host")),
            (_, Some(0)) => Err(Error::invalid("port 0 cannot be connected to")),
            (host, Some(port)) => Ok((host, port)),
        }
    }

    /// Checks the arguments for a connection to a host, which is not begun yet.
    #[cfg(feature = "component")]
    pub(crate) fn check(&self) -> Result<()> {
        check_limit(self.limit)?;
        self.target(self.port.clone()?)?;
        self.keep_alive.as_ref().map_or(Ok(()), |settings| settings.check().map(|_| ()))?;
        #[cfg(feature = "tls")]
        self.check_tls()?;
        Ok(())
    }

    async fn local_addresses(&self) -> Result<Vec<SocketAddr>> {
        match &self.local_addr {
            Some((host, port)) => resolve_with(host, *port, self.family, self.numeric_host).await,
            None => Ok(Vec::new()),
        }
    }
}

/// One attempt: from each local address of the right family in turn, until one can be bound.
async fn connect_from(
    address: SocketAddr,
    locals: &[SocketAddr],
    local_wanted: bool,
    keep_alive: Option<KeepAliveNanos>,
) -> Result<sys::TcpLink> {
    let locals: Vec<SocketAddr> = locals.iter().copied().filter(|l| l.is_ipv4() == address.is_ipv4()).collect();
    if local_wanted && locals.is_empty() {
        let family = if address.is_ipv4() { "IPv4" } else { "IPv6" };
        let text = format!("no matching local address with family {family} found for {address}");
        return Err(Error::io(std::io::ErrorKind::AddrNotAvailable, text)); // O19
    }
    sys::connect(address, &locals, keep_alive).await
}

#[cfg(feature = "tls")]
impl OpenConnection {
    /// Speaks TLS, verifying the name of the host. `None` is plain, as without this call.
    pub fn tls(mut self, connector: impl Into<Option<TlsConnector>>) -> Self {
        self.tls.config = connector.into();
        self.secure = Some(secure);
        self
    }

    /// Speaks TLS as Python's `ssl=True` does: trusts the default certificate authorities (see
    /// [`TlsConnector::builder`]) and verifies the name of the host.
    ///
    /// # Errors
    ///
    /// Those of [`ConnectorBuilder::build`](crate::ConnectorBuilder::build).
    #[cfg(feature = "tls-ring")]
    pub fn tls_default(self) -> Result<Self> {
        Ok(self.tls(TlsConnector::builder().build()?))
    }

    /// Sets the name that the certificate must have, instead of the host's. An empty one asks for no name, and checks none: for a
    /// connector with [`dangerous_without_name_check`](crate::ConnectorBuilder::dangerous_without_name_check) only.
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
    ///
    /// In asyncio the time for that counts, too, and what is not sent by then is lost. Here a peer that takes nothing keeps a
    /// closed connection, as it does without TLS: put [`timeout`](crate::timeout) around `wait_closed` to bound that.
    pub fn tls_shutdown_timeout(mut self, timeout: Duration) -> Self {
        self.tls.shutdown_timeout = Some(timeout);
        self
    }

    fn check_tls(&self) -> Result<Option<Arguments>> {
        let Some((connector, timeouts)) = self.tls.check()? else {
            return match self.server_name {
                Some(_) => Err(Error::invalid("server_name is only meaningful with tls")), // O04
                None => Ok(None),
            };
        };
        let name = server_name(&connector, self.server_name.as_deref(), self.host.as_deref())?;
        Ok(Some((connector, name, timeouts)))
    }
}

impl IntoFuture for OpenConnection {
    type Output = Result<(StreamReader, StreamWriter)>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output>>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.open())
    }
}

impl fmt::Debug for OpenConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenConnection").field("host", &self.host).field("port", &self.port).finish_non_exhaustive()
    }
}

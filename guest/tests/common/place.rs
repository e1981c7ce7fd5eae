//! Where a test's streams and servers are: on TCP, or on Unix sockets in `over_unix.rs`, which runs the same tests once more.

use std::cell::{Cell, RefCell};
use std::future::{Future, IntoFuture};
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
#[cfg(feature = "tls-ring")]
use std::time::Duration;

use super::settle;
use wasi_streams::sim::{ErrorCode, Listener, Network, Peer};
use wasi_streams::{
    Handler, Result, Server, StartServer, StreamReader, StreamWriter, open_connection, start_server, stream_pair,
    yield_now,
};
#[cfg(feature = "unix")]
use wasi_streams::{StartUnixServer, UnixAddr, open_unix_connection, start_unix_server};
#[cfg(feature = "tls-ring")]
use wasi_streams::{TlsAcceptor, TlsConnector};

/// Whether this is `over_unix.rs`, of which each test file is a module.
pub(crate) fn over_unix() -> bool {
    module_path!().starts_with("over_unix::")
}

/// Where a server of the guest is.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    Tcp(SocketAddr),
    #[cfg(feature = "unix")]
    Unix(UnixAddr),
}

impl Place {
    /// Of a server that is open.
    pub(crate) fn of(server: &Server) -> Self {
        #[cfg(feature = "unix")]
        if over_unix() {
            return Place::Unix(server.unix_sockets().remove(0));
        }
        Place::Tcp(server.sockets()[0])
    }

    /// A client connects.
    pub(crate) fn connect(&self, net: &Network) -> std::result::Result<Peer, ErrorCode> {
        match self {
            Place::Tcp(at) => net.connect(*at),
            #[cfg(feature = "unix")]
            Place::Unix(UnixAddr::Path(path)) => net.connect_unix(path),
            #[cfg(feature = "unix")]
            Place::Unix(_) => Err(ErrorCode::InvalidArgument),
        }
    }

    /// The guest connects.
    pub(crate) async fn open(&self) -> Result<(StreamReader, StreamWriter)> {
        match self {
            Place::Tcp(at) => open_connection(at.ip(), at.port()).await,
            #[cfg(feature = "unix")]
            Place::Unix(at) => open_unix_connection(at.clone()).await,
        }
    }

    /// The guest connects with TLS, and verifies that the server has this name.
    #[cfg(feature = "tls-ring")]
    pub(crate) async fn open_tls(&self, connector: TlsConnector, name: &str) -> Result<(StreamReader, StreamWriter)> {
        match self {
            Place::Tcp(at) => open_connection(at.ip(), at.port()).tls(connector).server_name(name).await,
            #[cfg(feature = "unix")]
            Place::Unix(at) => open_unix_connection(at.clone()).tls(connector).server_name(name).await,
        }
    }

    /// What connecting says once the server is closed: the file has gone with it.
    pub(crate) fn refusal(&self) -> ErrorCode {
        match self {
            Place::Tcp(_) => ErrorCode::ConnectionRefused,
            #[cfg(feature = "unix")]
            Place::Unix(_) => ErrorCode::NotFound,
        }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Place::Tcp(at) => at.fmt(f),
            #[cfg(feature = "unix")]
            Place::Unix(at) => at.fmt(f),
        }
    }
}

/// Lets the peer reset the connection: over Unix sockets, a reset is what closing with unread bytes does.
pub(crate) async fn leave_unread(writer: &StreamWriter) {
    if over_unix() {
        writer.write("unread").expect("write never fails");
        settle().await;
    }
}

/// A client of the guest's server.
pub(crate) fn client_of(net: &Network, server: &Server) -> Peer {
    Place::of(server).connect(net).expect("the server listens")
}

/// How reports name a peer: those on Unix sockets have no address.
pub(crate) fn name_of(peer: &Peer) -> Option<SocketAddr> {
    if over_unix() { None } else { Some(peer.local_addr()) }
}

/// Somebody to connect to, and where: at another place each time.
pub(crate) fn listen(net: &Network) -> (Listener, Place) {
    let number = next();
    #[cfg(feature = "unix")]
    if over_unix() {
        let path = format!("/run/listener-{number}.sock");
        return (net.listen_unix(&path), Place::Unix(UnixAddr::Path(path)));
    }
    let at = SocketAddr::from(([10, 0, 0, 1], 80 + number));
    (net.listen(at), Place::Tcp(at))
}

/// A number that this test did not have before.
fn next() -> u16 {
    thread_local!(static NUMBERS: Cell<u16> = const { Cell::new(0) });
    NUMBERS.replace(NUMBERS.get() + 1)
}

/// A connection of the guest, whose reader has this limit, and its peer.
pub(crate) async fn connected_within(net: &Network, limit: Option<usize>) -> (StreamReader, StreamWriter, Peer) {
    let (listener, place) = listen(net);
    let streams = match place {
        Place::Tcp(at) => {
            let connect = open_connection(at.ip(), at.port());
            limit.into_iter().fold(connect, |connect, limit| connect.limit(limit)).await
        }
        #[cfg(feature = "unix")]
        Place::Unix(at) => {
            let connect = open_unix_connection(at);
            limit.into_iter().fold(connect, |connect, limit| connect.limit(limit)).await
        }
    };
    let (reader, writer) = streams.expect("somebody listens");
    (reader, writer, listener.accept().await)
}

/// A server at a place that is free.
pub(crate) fn start<H: Handler<K>, K: 'static>(handler: H) -> Start<H, K> {
    #[cfg(feature = "unix")]
    if over_unix() {
        return Start::Unix(start_unix_server(handler, format!("/run/server-{}.sock", next())));
    }
    Start::Tcp(start_server(handler, "127.0.0.1", 0))
}

/// The arguments of a server, of those that both have.
pub(crate) enum Start<H, K> {
    Tcp(StartServer<H, K>),
    #[cfg(feature = "unix")]
    Unix(StartUnixServer<H, K>),
}

macro_rules! forward {
    ($($argument:ident: $type:ty),*) => {$(
        pub(crate) fn $argument(self, value: $type) -> Self {
            match self {
                Start::Tcp(start) => Start::Tcp(start.$argument(value)),
                #[cfg(feature = "unix")]
                Start::Unix(start) => Start::Unix(start.$argument(value)),
            }
        }
    )*};
}

impl<H: Handler<K>, K: 'static> Start<H, K> {
    forward!(limit: usize, backlog: u32, start_serving: bool);
    #[cfg(feature = "tls-ring")]
    forward!(tls: TlsAcceptor, tls_handshake_timeout: Duration, tls_shutdown_timeout: Duration);
}

impl<H: Handler<K>, K: 'static> IntoFuture for Start<H, K> {
    type Output = Result<Server>;
    type IntoFuture = Pin<Box<dyn Future<Output = Result<Server>>>>;

    fn into_future(self) -> Self::IntoFuture {
        match self {
            Start::Tcp(start) => Box::pin(start.into_future()),
            #[cfg(feature = "unix")]
            Start::Unix(start) => Box::pin(start.into_future()),
        }
    }
}

/// Two connections of the guest that are joined to each other: in memory, or by a Unix socket.
pub(crate) async fn pair() -> Duplexes {
    if !over_unix() {
        return stream_pair();
    }
    let accepted = Rc::new(RefCell::new(None));
    let keep = Rc::clone(&accepted);
    let server = start(move |reader: StreamReader, writer: StreamWriter| *keep.borrow_mut() = Some((reader, writer)));
    let server = server.await.expect("its place is free");
    let near = Place::of(&server).open().await.expect("it listens");
    let far = loop {
        if let Some(far) = accepted.take() {
            break far;
        }
        yield_now().await;
    };
    (near, far)
}

type Duplexes = ((StreamReader, StreamWriter), (StreamReader, StreamWriter));

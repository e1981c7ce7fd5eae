//! Sockets that exist already, and connected pairs in memory.

use std::any::Any;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::io::ErrorKind;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;

use crate::connection::{Connection, Info};
use crate::error::{Error, Result};
use crate::proto::buffer::DEFAULT_LIMIT;
use crate::reader::StreamReader;
#[cfg(feature = "unix")]
use crate::sys::UnixListener;
use crate::sys::types::KeepAliveNanos;
use crate::sys::{Link, Listener, TcpLink, TcpListener};
use crate::writer::StreamWriter;

/// How much one direction of an in-memory pair holds: 64 KiB, as much as a host takes in one write.
const PAIR_CAPACITY: usize = 64 * 1024;

/// A connected socket to be taken over by [`open_connection`](crate::open_connection()), like asyncio's `sock`
/// argument.
///
/// [`Socket::pair`] makes two that are connected in memory; on WASI, `os::wasi::connected_socket` wraps a socket that the
/// program made with the `wasi` crate.
pub struct Socket {
    link: Box<dyn Link>,
    info: Info,
}

impl Socket {
    /// Makes two sockets that are connected to each other in memory, like Python's `socket.socketpair`.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> anyhow::Result<()> {
    /// use wasi_streams::{Socket, open_connection, run};
    ///
    /// run(async {
    ///     let (one, other) = Socket::pair();
    ///     let (mut reader, _writer) = open_connection((), ()).socket(one).await?;
    ///     let (_reader, writer) = open_connection((), ()).socket(other).await?;
    ///     writer.write("abc")?;
    ///     assert_eq!(reader.read(100).await?, "abc");
    ///     # let (_writer, writer) = (_writer.close(), writer.close());
    ///     anyhow::Ok(())
    /// })
    /// # }
    /// ```
    pub fn pair() -> (Self, Self) {
        let (there, back) = (Pipe::new(), Pipe::new());
        let one = PairLink { incoming: Rc::clone(&back), outgoing: Rc::clone(&there) };
        let other = PairLink { incoming: there, outgoing: back };
        (Self::new(Box::new(one), Info::default()), Self::new(Box::new(other), Info::default()))
    }

    /// Takes over a connection of the host.
    #[cfg(target_os = "wasi")]
    pub(crate) fn tcp(link: TcpLink) -> Self {
        let info = Info::plain(link.peer_addr(), link.local_addr());
        Self::new(Box::new(link), info)
    }

    /// Takes over a connection over Unix sockets.
    #[cfg(feature = "unix")]
    pub(crate) fn unix(link: crate::sys::UnixLink) -> Self {
        let info = Info::over_unix(link.ends());
        Self::new(Box::new(link), info)
    }

    pub(crate) fn new(link: Box<dyn Link>, info: Info) -> Self {
        Self { link, info }
    }

    /// Turns keep-alive on.
    pub(crate) fn set_keep_alive(&self, settings: KeepAliveNanos) -> Result<()> {
        let link: &dyn Any = &*self.link;
        match link.downcast_ref::<TcpLink>() {
            Some(link) => link.set_keep_alive(settings),
            None => Err(Error::Unsupported("only TCP connections have keep-alive".into())),
        }
    }

    /// Does the handshake of a TLS client.
    #[cfg(feature = "tls")]
    pub(crate) async fn start_tls(
        self,
        connector: crate::tls::TlsConnector,
        name: rustls::pki_types::ServerName<'static>,
        timeouts: crate::tls::Timeouts,
    ) -> Result<Self> {
        let done = crate::tls::handshake(self.link, connector.start(name)?, timeouts).await;
        let (link, tls) = done?;
        Ok(Self { link, info: Info { tls: Some(tls), ..self.info } })
    }

    /// Makes reader and writer.
    pub(crate) fn open(self, limit: usize) -> (StreamReader, StreamWriter) {
        let connection = Connection::start(self.link, limit, self.info);
        (StreamReader::of(Rc::clone(&connection)), StreamWriter::of(connection))
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket").field("peer", &self.info.peer).finish_non_exhaustive()
    }
}

/// Makes two connections, each a reader and a writer, that are connected to each other in memory.
///
/// They behave like TCP connections: a writer that is full waits in `drain`, half closing works, dropping a side ends
/// the other. For tests, and for the parts of a program that speak a protocol to each other.
///
/// # Examples
///
/// ```
/// # fn main() -> anyhow::Result<()> {
/// wasi_streams::run(async {
///     let ((_, client), (mut server, _answer)) = wasi_streams::stream_pair();
///     client.write("hello\n")?;
///     assert_eq!(server.readline().await?, "hello\n");
///     # client.close(); _answer.close();
///     anyhow::Ok(())
/// })
/// # }
/// ```
pub fn stream_pair() -> ((StreamReader, StreamWriter), (StreamReader, StreamWriter)) {
    let (one, other) = Socket::pair();
    (one.open(DEFAULT_LIMIT), other.open(DEFAULT_LIMIT))
}

/// A bound or listening socket to be taken over by [`start_server`](crate::start_server()).
///
/// On WASI, `os::wasi::listening_socket` wraps one that the program made with the `wasi` crate.
#[derive(Debug)]
pub struct ListeningSocket(pub(crate) Listener);

impl ListeningSocket {
    /// The listener, for a server that does TCP.
    pub(crate) fn tcp(self) -> Result<TcpListener> {
        match self.0 {
            Listener::Tcp(listener) => Ok(listener),
            #[cfg(feature = "unix")]
            Listener::Unix(_) => Err(Error::invalid("a TCP socket was expected, this is a Unix socket")),
        }
    }

    /// The listener, for a server on Unix sockets.
    #[cfg(feature = "unix")]
    pub(crate) fn unix(self) -> Result<UnixListener> {
        match self.0 {
            Listener::Tcp(_) => Err(Error::invalid("a Unix socket was expected, this is a TCP socket")),
            Listener::Unix(listener) => Ok(listener),
        }
    }
}

/// One direction of a pair.
#[derive(Debug)]
struct Pipe {
    data: VecDeque<Bytes>,
    held: usize,
    /// The writer has finished: the end comes behind the data.
    finished: bool,
    /// The reader is gone: writing is a broken pipe.
    abandoned: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Pipe {
    fn new() -> Rc<RefCell<Self>> {
        Rc::new(RefCell::new(Self {
            data: VecDeque::new(),
            held: 0,
            finished: false,
            abandoned: false,
            reader: None,
            writer: None,
        }))
    }

    fn wake(waker: Option<Waker>) {
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// One end of a pair.
#[derive(Debug)]
struct PairLink {
    incoming: Rc<RefCell<Pipe>>,
    outgoing: Rc<RefCell<Pipe>>,
}

impl PairLink {
    fn finish(&self) {
        let waker = {
            let mut pipe = self.outgoing.borrow_mut();
            pipe.finished = true;
            pipe.reader.take()
        };
        Pipe::wake(waker);
    }
}

impl Link for PairLink {
    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes>> {
        let mut pipe = self.incoming.borrow_mut();
        let Some(bytes) = pipe.data.pop_front() else {
            if pipe.finished {
                return Poll::Ready(Ok(Bytes::new()));
            }
            pipe.reader = Some(cx.waker().clone());
            return Poll::Pending;
        };
        pipe.held -= bytes.len();
        let writer = pipe.writer.take();
        drop(pipe);
        Pipe::wake(writer);
        Poll::Ready(Ok(bytes))
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<Result<usize>> {
        let mut pipe = self.outgoing.borrow_mut();
        if pipe.abandoned {
            return Poll::Ready(Err(Error::io(ErrorKind::BrokenPipe, "broken pipe")));
        }
        let n = data.len().min(PAIR_CAPACITY - pipe.held);
        if n == 0 {
            pipe.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        pipe.data.push_back(Bytes::copy_from_slice(&data[..n]));
        pipe.held += n;
        let reader = pipe.reader.take();
        drop(pipe);
        Pipe::wake(reader);
        Poll::Ready(Ok(n))
    }

    fn shutdown_send(&mut self) -> Result<()> {
        self.finish();
        Ok(())
    }

    fn poll_close(&mut self, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(())) // what is in the pipe stays readable
    }
}

impl Drop for PairLink {
    fn drop(&mut self) {
        self.finish();
        let waker = {
            let mut pipe = self.incoming.borrow_mut();
            pipe.abandoned = true;
            pipe.data.clear();
            pipe.writer.take()
        };
        Pipe::wake(waker);
    }
}

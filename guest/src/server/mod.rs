//! [`start_server`](crate::start_server()): listen, accept, and a task for each connection.

mod accept;
mod handler;
#[cfg(feature = "tls")]
mod handshakes;
#[cfg(feature = "component")]
mod incoming;
mod start;
#[cfg(feature = "unix")]
mod unix;

use std::cell::{Cell, RefCell};
use std::fmt;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use slab::Slab;

use accept::Accepting;

use crate::connection::Connection;
use crate::error::{Error, Result};
use crate::rt::JoinHandle;
use crate::sys::Listener;
use crate::sys::types::Address;

pub use handler::{Handler, HandlerOutcome};
#[cfg(feature = "component")]
pub(crate) use incoming::Incoming;
pub use start::{StartServer, start_server};
#[cfg(feature = "unix")]
pub use unix::{StartUnixServer, start_unix_server};

/// A server made by [`start_server`](crate::start_server()), like `asyncio.Server`.
///
/// Dropping it closes it; connections that are open go on. Methods take `&self`: to close a server from a task while
/// another waits in [`serve_forever`](Self::serve_forever), keep it in an `Rc`.
///
/// # Examples
///
/// ```
/// use std::rc::Rc;
/// use std::time::Duration;
/// use wasi_streams::{StreamReader, StreamWriter, run, sleep, spawn, start_server};
///
/// # let _net = wasi_streams::sim::Network::new();
/// run(async {
///     let hello = |_: StreamReader, writer: StreamWriter| async move { writer.write("hello\n") };
///     let server = Rc::new(start_server(hello, "127.0.0.1", 0).await.unwrap());
///     let closer = Rc::clone(&server);
///     spawn(async move {
///         sleep(Duration::from_secs(60)).await;
///         closer.close();
///     });
///     server.serve_forever().await.unwrap_err(); // cancelled, when the last client is gone
/// });
/// ```
///
/// # Differences from asyncio
///
/// asyncio's server goes on when the object is dropped. There is no `async with`: call [`close`](Self::close) and
/// [`wait_closed`](Self::wait_closed).
pub struct Server {
    shared: Rc<Shared>,
}

/// How far a server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Bound; connections are refused.
    Bound,
    /// Accepting.
    Serving,
    /// Closed; connections may be left.
    Closed,
}

type Serve = Box<dyn Fn(Rc<Shared>, usize) -> JoinHandle<()>>;

/// What the server, its accept tasks and its connections share.
struct Shared {
    phase: Cell<Phase>,
    /// The listeners; taken by `close`, so that connects are refused from then on.
    listeners: RefCell<Vec<Option<Listener>>>,
    addresses: Vec<Address>,
    /// Starts the accept loop of one listener; knows the handler, and is dropped with it by `close`.
    serve: RefCell<Option<Serve>>,
    accepting: RefCell<Vec<JoinHandle<()>>>,
    connections: RefCell<Slab<Rc<Connection>>>,
    #[cfg(feature = "tls")]
    handshakes: handshakes::Handshakes,
    waiters: RefCell<Vec<Waker>>,
    forever: Cell<bool>,
    backlog: u32,
}

impl Server {
    /// Returns the addresses that the server is bound to, one for each socket; none once it is closed.
    pub fn sockets(&self) -> Vec<SocketAddr> {
        match self.shared.phase.get() {
            Phase::Closed => Vec::new(), // S17
            Phase::Bound | Phase::Serving => self.shared.addresses.iter().filter_map(Address::inet).collect(),
        }
    }

    /// Returns the addresses that the server is bound to, if those are Unix sockets; none once it is closed.
    #[cfg(feature = "unix")]
    pub fn unix_sockets(&self) -> Vec<crate::UnixAddr> {
        match self.shared.phase.get() {
            Phase::Closed => Vec::new(), // S17
            Phase::Bound | Phase::Serving => self.shared.addresses.iter().filter_map(Address::unix).collect(),
        }
    }

    /// Returns whether the server accepts connections.
    pub fn is_serving(&self) -> bool {
        self.shared.phase.get() == Phase::Serving
    }

    /// Starts to accept; no effect when it does.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] when the server is closed; [`Error::Busy`] while another call is at it; [`Error::Io`] when listening
    /// failed, and the server is closed then.
    ///
    /// # Cancel safety
    ///
    /// Can be given up and called again.
    pub async fn start_serving(&self) -> Result<()> {
        self.shared.start_serving().await
    }

    /// Accepts connections until the server is closed, then waits until its last client is gone.
    ///
    /// # Errors
    ///
    /// [`Error::Cancelled`] when the server was closed meanwhile; [`Error::Closed`] when it was before; [`Error::Busy`] when
    /// another call waits.
    ///
    /// # Cancel safety
    ///
    /// Dropping it closes the server, as cancelling does in asyncio. It cannot wait for the clients then: call
    /// [`wait_closed`](Self::wait_closed).
    pub async fn serve_forever(&self) -> Result<()> {
        if self.shared.forever.replace(true) {
            return Err(Error::Busy("the server is already being awaited on serve_forever()".into())); // S23
        }
        let _closes = Forever(&self.shared);
        self.start_serving().await?;
        self.wait_closed().await; // S25
        Err(Error::Cancelled("the server was closed".into())) // S26
    }

    /// Stops accepting: the listening sockets are closed at once, connections are left alone. May be repeated.
    pub fn close(&self) {
        self.shared.close();
    }

    /// Waits until the server is closed and the connection of its last client is gone.
    ///
    /// Handlers may still be running: what they do after their connection is gone is theirs.
    ///
    /// # Cancel safety
    ///
    /// Can be given up and called again, by any number of tasks.
    pub async fn wait_closed(&self) {
        std::future::poll_fn(|cx| {
            let gone = self.connections() == 0;
            self.shared.poll_phase(cx, |phase| phase == Phase::Closed && gone)
        })
        .await;
    }

    /// Closes every connection, as [`StreamWriter::close`](crate::StreamWriter::close) does: what is queued is delivered. TLS
    /// handshakes that are under way are aborted.
    pub fn close_clients(&self) {
        self.shared.clients().iter().for_each(|connection| connection.close());
        #[cfg(feature = "tls")]
        self.shared.handshakes.abort();
    }

    /// Aborts every connection, as [`Transport::abort`](crate::Transport::abort) does: what is queued is dropped.
    pub fn abort_clients(&self) {
        self.shared.clients().iter().for_each(|connection| connection.abort());
        #[cfg(feature = "tls")]
        self.shared.handshakes.abort();
    }

    /// Returns how many connections are open, those in their TLS handshake included.
    pub fn connections(&self) -> usize {
        let established = self.shared.connections.borrow().len();
        #[cfg(feature = "tls")]
        return established + self.shared.handshakes.count();
        #[cfg(not(feature = "tls"))]
        established
    }

    /// Returns how many TLS handshakes have failed so far; the [report hook](crate::set_report_hook) is told of each.
    #[cfg(feature = "tls")]
    pub fn failed_handshakes(&self) -> u64 {
        self.shared.handshakes.failed()
    }
}

#[cfg(feature = "component")]
impl Server {
    /// How the tasks are woken by which connections come in.
    pub(crate) fn tasks(&self) -> Vec<Waker> {
        let accepting = self.shared.accepting.borrow();
        let tasks = accepting.iter().filter_map(JoinHandle::task_waker);
        #[cfg(feature = "tls")]
        let tasks = tasks.chain(self.shared.handshakes.tasks());
        tasks.collect()
    }

    /// Drops the clients that have not finished their handshake.
    #[cfg(feature = "tls")]
    pub(crate) fn abort_handshakes(&self) {
        self.shared.handshakes.abort();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.close();
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("phase", &self.shared.phase.get())
            .field("addresses", &self.shared.addresses)
            .field("connections", &self.connections())
            .finish_non_exhaustive()
    }
}

/// Closes the server when `serve_forever` ends, however it ends (S25).
struct Forever<'a>(&'a Shared);

impl Drop for Forever<'_> {
    fn drop(&mut self) {
        self.0.forever.set(false);
        self.0.close();
    }
}

/// A listener while it starts to listen; goes back however that ends, unless the server was closed meanwhile.
struct Lent<'a> {
    shared: &'a Shared,
    index: usize,
    listener: Option<Listener>,
}

impl<'a> Lent<'a> {
    fn take(shared: &'a Shared, index: usize) -> Option<Self> {
        let listener = shared.listeners.borrow_mut().get_mut(index)?.take()?;
        Some(Self { shared, index, listener: Some(listener) })
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        if self.shared.phase.get() != Phase::Closed
            && let Some(slot) = self.shared.listeners.borrow_mut().get_mut(self.index)
        {
            *slot = self.listener.take();
        }
    }
}

/// Makes the server of these listeners.
fn launch<H: Handler<K>, K: 'static>(
    handler: H,
    listeners: Vec<Listener>,
    accepting: Accepting,
    backlog: u32,
) -> Server {
    let handler = Rc::new(handler);
    let shared = Rc::new(Shared {
        phase: Cell::new(Phase::Bound),
        addresses: listeners.iter().map(Listener::address).collect(),
        listeners: RefCell::new(listeners.into_iter().map(Some).collect()),
        serve: RefCell::new(Some(Box::new(move |shared, index| {
            accept::serve(shared, index, accepting.clone(), Rc::clone(&handler))
        }))),
        accepting: RefCell::default(),
        connections: RefCell::new(Slab::new()),
        #[cfg(feature = "tls")]
        handshakes: Default::default(),
        waiters: RefCell::default(),
        forever: Cell::new(false),
        backlog,
    });
    Server { shared }
}

impl Shared {
    async fn start_serving(self: &Rc<Self>) -> Result<()> {
        match self.phase.get() {
            Phase::Closed => return Err(Error::Closed("the server is closed".into())), // S21, S24
            Phase::Serving => return Ok(()),                                           // S20
            Phase::Bound => {}
        }
        for index in 0..self.addresses.len() {
            let Some(mut lent) = Lent::take(self, index) else {
                return Err(Error::Busy("the server is already being started".into()));
            };
            if let Some(listener) = &mut lent.listener
                && let Err(error) = listener.listen().await
            {
                drop(lent);
                self.close();
                return Err(error);
            }
        }
        if self.phase.get() == Phase::Bound {
            self.phase.set(Phase::Serving);
            let serve = self.serve.borrow();
            let tasks = (0..self.addresses.len()).filter_map(|i| Some((serve.as_ref()?)(Rc::clone(self), i)));
            *self.accepting.borrow_mut() = tasks.collect();
        }
        Ok(())
    }

    fn close(&self) {
        if self.phase.replace(Phase::Closed) == Phase::Closed {
            return;
        }
        self.accepting.take().iter().for_each(JoinHandle::abort);
        drop(self.listeners.take());
        drop(self.serve.take()); // a handler may own the server
        self.wake();
    }

    fn clients(&self) -> Vec<Rc<Connection>> {
        self.connections.borrow().iter().map(|(_, connection)| Rc::clone(connection)).collect()
    }

    /// Counts a connection until it is lost (S31).
    fn attend(self: &Rc<Self>, connection: &Rc<Connection>) {
        let key = self.connections.borrow_mut().insert(Rc::clone(connection));
        let shared = Rc::clone(self);
        connection.on_lost(move || {
            shared.connections.borrow_mut().try_remove(key);
            shared.wake();
        });
    }

    fn poll_phase(&self, cx: &mut Context<'_>, wanted: impl Fn(Phase) -> bool) -> Poll<()> {
        if wanted(self.phase.get()) {
            return Poll::Ready(());
        }
        let mut waiters = self.waiters.borrow_mut();
        if !waiters.iter().any(|waker| waker.will_wake(cx.waker())) {
            waiters.push(cx.waker().clone());
        }
        Poll::Pending
    }

    fn wake(&self) {
        let waiters = self.waiters.take();
        waiters.into_iter().for_each(Waker::wake);
    }
}

//! One connection: the state that reader and writer share, and who is woken when it changes.
//!
//! This is the only owner of connection state. Reader and writer hold the same counted cell; the pump
//! ([`pump`]) is the task that moves bytes between it and the platform, also while the program does something else.
//! So data is read ahead, queued writes go out, and a reset is noticed without any call in progress.

mod close;
mod pump;
mod read;
mod splice;
#[cfg(feature = "tls")]
mod upgrade;
mod write;

use std::cell::RefCell;
use std::fmt;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::{Context, Waker};

use crate::error::Error;
use crate::proto::buffer::ReceiveBuffer;
use crate::proto::queue::SendQueue;
use crate::rt::{self, linger};
use crate::sys::{Link, Streams, TcpLink};

pub(crate) use splice::{Spliced, Splicing};

/// What is known about a connection beside its bytes; it stays known after the connection is gone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Info {
    pub(crate) peer: Option<SocketAddr>,
    pub(crate) local: Option<SocketAddr>,
    /// The addresses, over Unix sockets.
    #[cfg(feature = "unix")]
    pub(crate) unix: Option<crate::sys::types::UnixEnds>,
    /// The host that was connected to, by the name the program gave.
    #[cfg(feature = "tls")]
    pub(crate) host: Option<String>,
    #[cfg(feature = "tls")]
    pub(crate) tls: Option<crate::tls::TlsInfo>,
}

impl Info {
    /// What is known of a plain connection.
    pub(crate) fn plain(peer: Option<SocketAddr>, local: Option<SocketAddr>) -> Self {
        Self {
            peer,
            local,
            #[cfg(feature = "unix")]
            unix: None,
            #[cfg(feature = "tls")]
            host: None,
            #[cfg(feature = "tls")]
            tls: None,
        }
    }

    /// What is known of a plain connection over Unix sockets.
    #[cfg(feature = "unix")]
    pub(crate) fn over_unix(ends: crate::sys::types::UnixEnds) -> Self {
        Self { unix: Some(ends), ..Self::plain(None, None) }
    }
}

/// How far the connection is.
#[derive(Clone, Debug)]
enum Phase {
    /// In use.
    Open,
    /// Closed by this side; the queue is still being handed over.
    Closing,
    /// Gone: without an error after an orderly end or an abort.
    Lost(Option<Error>),
}

/// How far the end of our direction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fin {
    /// More may be written.
    None,
    /// `write_eof` was called; the queue goes first.
    Wanted,
    /// The end is sent.
    Sent,
}

/// A connection, shared by its reader, its writer, its server and its pump.
pub(crate) struct Connection {
    state: RefCell<State>,
    info: Info,
    /// Set when TLS was started on a connection that began without.
    #[cfg(feature = "tls")]
    upgraded: std::cell::OnceCell<crate::tls::TlsInfo>,
}

struct State {
    /// None for a reader that is fed by hand, and when the connection is lost.
    link: Option<Box<dyn Link>>,
    receive: ReceiveBuffer,
    send: SendQueue,
    /// The connection was lost before everything accepted was handed over.
    dropped: bool,
    /// How many bytes the link has taken.
    sent: u64,
    phase: Phase,
    fin: Fin,
    /// `transport().pause_reading()`.
    paused_by_user: bool,
    /// The turn of the loop in which a piece arrived.
    received_in: u64,
    /// Somebody else moves bytes on the link for now (`copy`), the pump must not read.
    borrowed: bool,
    /// TLS is being started: there is no half close any more, and no second upgrade.
    upgrading: bool,
    writes_after_loss: u32,
    reader: Option<Waker>,
    drainers: Vec<Waker>,
    flushers: Vec<Waker>,
    closers: Vec<Waker>,
    pump: Option<Waker>,
    /// Held from `close` until nothing is left to deliver.
    linger: Option<linger::Token>,
    /// Called once when the connection is lost.
    on_lost: Option<Box<dyn FnOnce()>>,
    /// The link of a lost connection whose peer was still sending.
    lingering: Option<Box<dyn Link>>,
}

/// What was taken out of the state to be used after its borrow has ended: wakers to wake, a link to drop, a listener
/// to call. Reader and pump are woken all the time, the others seldom: only those cost memory.
#[derive(Default)]
struct After {
    reader: Option<Waker>,
    pump: Option<Waker>,
    wakers: Vec<Waker>,
    link: Option<Box<dyn Link>>,
    on_lost: Option<Box<dyn FnOnce()>>,
}

impl After {
    fn run(self) {
        drop(self.link);
        if let Some(on_lost) = self.on_lost {
            on_lost();
        }
        if let Some(reader) = self.reader {
            reader.wake();
        }
        self.wakers.into_iter().for_each(Waker::wake);
        if let Some(pump) = self.pump {
            pump.wake();
        }
    }
}

/// Adds the caller to those who wait, once.
fn remember(waiters: &mut Vec<Waker>, cx: &Context<'_>) {
    if !waiters.iter().any(|waker| waker.will_wake(cx.waker())) {
        waiters.push(cx.waker().clone());
    }
}

impl Connection {
    /// Takes over a link and starts to pump.
    pub(crate) fn start(link: Box<dyn Link>, limit: usize, info: Info) -> Rc<Self> {
        let connection = Rc::new(Self::new(Some(link), limit, info));
        connection.adopt_marks();
        rt::spawn_background(pump::pump(Rc::clone(&connection)));
        connection
    }

    /// Makes a connection without a link, whose reader is fed by hand.
    pub(crate) fn detached(limit: usize) -> Rc<Self> {
        Rc::new(Self::new(None, limit, Info::default()))
    }

    fn new(link: Option<Box<dyn Link>>, limit: usize, info: Info) -> Self {
        let state = State {
            link,
            receive: ReceiveBuffer::new(limit),
            send: SendQueue::new(),
            dropped: false,
            sent: 0,
            phase: Phase::Open,
            fin: Fin::None,
            paused_by_user: false,
            received_in: u64::MAX,
            borrowed: false,
            upgrading: false,
            writes_after_loss: 0,
            reader: None,
            drainers: Vec::new(),
            flushers: Vec::new(),
            closers: Vec::new(),
            pump: None,
            linger: None,
            on_lost: None,
            lingering: None,
        };
        Self {
            state: RefCell::new(state),
            info,
            #[cfg(feature = "tls")]
            upgraded: std::cell::OnceCell::new(),
        }
    }

    /// How the tasks are woken that move this connection's bytes.
    #[cfg(feature = "component")]
    pub(crate) fn tasks(&self) -> Vec<Waker> {
        self.state.borrow().pump.iter().cloned().collect()
    }

    pub(crate) fn info(&self) -> &Info {
        &self.info
    }

    /// Sets what is called once, when the connection is lost.
    pub(crate) fn on_lost(&self, call: impl FnOnce() + 'static) {
        self.state.borrow_mut().on_lost = Some(Box::new(call));
    }

    /// Whether the link is a host TCP connection, and if so whether keep-alive is on.
    pub(crate) fn keep_alive(&self) -> Option<bool> {
        self.state.borrow_mut().tcp()?.keep_alive()
    }

    /// Changes the state, then wakes whom the change concerns.
    fn change<T>(&self, change: impl FnOnce(&mut State, &mut After) -> T) -> T {
        let mut after = After::default();
        let result = change(&mut self.state.borrow_mut(), &mut after);
        after.run();
        result
    }
}

impl State {
    /// How much is accepted and not yet handed to the system: queued, or as ciphertext in the link.
    fn unsent(&self) -> usize {
        self.send.len() + self.link.as_ref().map_or(0, |link| link.held())
    }

    fn is_closing(&self) -> bool {
        !matches!(self.phase, Phase::Open)
    }

    fn is_lost(&self) -> bool {
        matches!(self.phase, Phase::Lost(_))
    }

    /// Whether the pump should ask the link for more.
    fn wants_data(&self) -> bool {
        matches!(self.phase, Phase::Open)
            && !self.paused_by_user
            && !self.borrowed
            && !self.receive.is_paused()
            && !self.receive.saw_eof()
    }

    /// The link as a TCP connection of the host, if it is one.
    fn tcp(&mut self) -> Option<&mut TcpLink> {
        let link: &mut dyn std::any::Any = self.link.as_deref_mut()?;
        link.downcast_mut()
    }

    /// The streams of the host, if the link is nothing else.
    fn streams(&mut self) -> Option<&mut Streams> {
        self.link.as_mut()?.streams()
    }

    fn wake_pump(&self, after: &mut After) {
        after.pump = self.pump.clone();
    }

    fn wake_reader(&mut self, after: &mut After) {
        after.reader = self.reader.take().or(after.reader.take());
    }

    fn wake_drainers(&mut self, after: &mut After) {
        after.wakers.append(&mut self.drainers);
    }

    /// Ends the connection: the queue is dropped, everybody learns of it.
    fn lose(&mut self, error: Option<Error>, after: &mut After) {
        if self.is_lost() {
            return;
        }
        match &error {
            Some(error) => self.receive.set_error(error.clone()), // C14
            None => self.receive.feed_eof(),                      // C02
        }
        self.dropped = self.unsent() > 0 || self.fin == Fin::Wanted;
        self.send.clear();
        self.phase = Phase::Lost(error);
        after.link = self.link.take();
        after.on_lost = self.on_lost.take();
        self.linger = None;
        self.wake_reader(after);
        self.wake_drainers(after);
        after.wakers.append(&mut self.flushers);
        after.wakers.append(&mut self.closers);
        self.wake_pump(after);
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state.borrow();
        f.debug_struct("Connection")
            .field("peer", &self.info.peer)
            .field("phase", &state.phase)
            .field("buffered", &state.receive.buffered())
            .field("queued", &state.send.len())
            .finish_non_exhaustive()
    }
}

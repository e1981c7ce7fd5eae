//! The host's side of a socket: a state machine without effects on the net.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::net::SocketAddr;
use std::rc::Rc;

use crate::sys::types::{ErrorCode, Family};

use super::connect::start_connecting;
use super::link::EndRef;
use super::world::{EventKey, Shared};

pub(super) type Result<T> = std::result::Result<T, ErrorCode>;

/// The host's side of a socket.
pub(super) struct Socket {
    pub(super) family: Family,
    pub(super) state: State,
    pub(super) operation: Option<Operation>,
    pub(super) bound: Option<SocketAddr>,
    pub(super) backlog: usize,
    pub(super) keep_alive: bool,
    /// The last answer was a spurious "not yet".
    pub(super) skipped: bool,
    /// A poll has taken what the next accept gives, so that it costs no budget any more.
    pub(super) seen: bool,
}

pub(super) enum State {
    Fresh,
    Connecting { to: SocketAddr, progress: Connecting },
    Connected(EndRef),
    Listening(Rc<RefCell<Backlog>>),
    Closed(ErrorCode),
}

pub(super) enum Connecting {
    /// Nobody has asked yet, so nothing was sent.
    Lazy,
    /// Under way, with its event if an answer will ever come.
    Started(Option<EventKey>),
    Done(Result<EndRef>),
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    Bind,
    Connect,
    Listen,
}

/// Connections that wait for the guest's `accept`.
pub(super) struct Backlog {
    pub(super) address: SocketAddr,
    pub(super) waiting: VecDeque<EndRef>,
    pub(super) limit: usize,
}

impl Socket {
    pub(super) fn new(family: Family, state: State) -> Self {
        Self {
            family,
            state,
            operation: None,
            bound: None,
            backlog: 128,
            keep_alive: false,
            skipped: false,
            seen: false,
        }
    }

    pub(super) fn is_bound(&self) -> bool {
        self.bound.is_some() || !matches!(self.state, State::Fresh)
    }

    pub(super) fn finish(&mut self, operation: Operation) -> Result<()> {
        if self.operation != Some(operation) {
            return Err(ErrorCode::NotInProgress);
        }
        self.operation = None;
        Ok(())
    }

    pub(super) fn descriptor(&self) -> Result<()> {
        match &self.state {
            State::Connecting { .. } => Err(ErrorCode::InvalidState),
            State::Closed(code) => Err(*code),
            State::Fresh | State::Connected(_) | State::Listening(_) => Ok(()),
        }
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.state {
            State::Fresh => f.write_str("fresh socket"),
            State::Connecting { to, .. } => write!(f, "socket connecting to {to}"),
            State::Connected(end) => end.peek(|end, _| write!(f, "socket {} connected to {}", end.local, end.remote)),
            State::Listening(backlog) => write!(f, "socket listening at {}", backlog.borrow().address),
            State::Closed(code) => write!(f, "closed socket ({code:?})"),
        }
    }
}

impl Backlog {
    #[cfg(feature = "unix")]
    pub(super) fn is_full(&self) -> bool {
        self.waiting.len() >= self.limit
    }

    /// Queues a connection unless the backlog is full.
    pub(super) fn push(&mut self, end: impl FnOnce() -> EndRef) -> bool {
        let room = self.waiting.len() < self.limit;
        if room {
            self.waiting.push_back(end());
        }
        room
    }
}

/// What the socket's pollable says; none: ready because there is nothing to wait for.
pub(super) fn is_ready(world: &Shared, socket: &Rc<RefCell<Socket>>) -> Option<bool> {
    start_connecting(world, socket);
    let mut socket = socket.borrow_mut();
    match (&socket.state, socket.operation) {
        (State::Connecting { progress, .. }, Some(Operation::Connect)) => Some(matches!(progress, Connecting::Done(_))),
        (State::Listening(backlog), None) => {
            let waiting = !backlog.borrow().waiting.is_empty() || !world.borrow().accept_failures.is_empty();
            socket.seen = waiting;
            Some(waiting)
        }
        _ => None,
    }
}

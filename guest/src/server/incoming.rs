//! Accepted connections that wait to be asked for: for those who cannot be called.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use super::StartServer;
use super::handler::Handler;
use crate::reader::StreamReader;
use crate::writer::StreamWriter;

type Streams = (StreamReader, StreamWriter);

/// A bounded queue between the accept loops and whoever asks.
pub(crate) struct Incoming {
    queue: RefCell<VecDeque<Streams>>,
    most: usize,
    /// Nobody asks any more.
    over: Cell<bool>,
    /// The accept loops that wait for room.
    wakers: RefCell<Vec<Waker>>,
}

impl Incoming {
    /// Holds so many connections; more of them wait in the system.
    pub(crate) fn new(most: u32) -> Self {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        Self { queue: RefCell::default(), most, over: Cell::new(false), wakers: RefCell::default() }
    }

    /// Starts a server whose connections are put here.
    pub(crate) fn start_server(this: &Rc<Self>, hosts: Vec<String>, port: u16) -> StartServer<Push, Pushed> {
        let mut start = super::start_server(Push(Rc::clone(this)), hosts, port);
        start.incoming = Some(Rc::clone(this));
        start
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.borrow().is_empty()
    }

    /// Takes the oldest connection.
    pub(crate) fn take(&self) -> Option<Streams> {
        let streams = self.queue.borrow_mut().pop_front();
        self.wakers.take().into_iter().for_each(Waker::wake);
        streams
    }

    /// Closes those that nobody has asked for, and those that are still to come.
    pub(crate) fn clear(&self) {
        self.over.set(true);
        let dropped = self.queue.take();
        drop(dropped); // which closes them
    }

    /// Ready while there is room.
    pub(super) fn poll_room(&self, cx: &Context<'_>) -> Poll<()> {
        if self.queue.borrow().len() < self.most {
            return Poll::Ready(());
        }
        let mut wakers = self.wakers.borrow_mut();
        if !wakers.iter().any(|waker| waker.will_wake(cx.waker())) {
            wakers.push(cx.waker().clone());
        }
        Poll::Pending
    }
}

/// The kind of the handler that puts connections into the queue.
pub(crate) enum Pushed {}

/// Puts connections into the queue.
pub(crate) struct Push(Rc<Incoming>);

impl Handler<Pushed> for Push {
    fn handle(&self, reader: StreamReader, writer: StreamWriter) -> super::handler::Handled {
        if !self.0.over.get() {
            self.0.queue.borrow_mut().push_back((reader, writer));
        }
        super::handler::Handled::Now(super::handler::Outcome::Done)
    }
}

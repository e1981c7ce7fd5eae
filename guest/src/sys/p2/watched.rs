//! Handles of the host and the pollables that belong to them, some of which may be in other hands.

use std::any::Any;
use std::collections::VecDeque;
use std::fmt;
use std::task::{Context, Poll, Waker};

use super::reactor::{self, Lent, Readiness};
use super::tcp::TcpLink;
use crate::sys::host::{Pollable, ResolveStream, TcpSocket};
use crate::sys::types::{ErrorCode, Shutdown};

/// So many handles whose pollables were lent are kept after their end, the newest ones: a host traps when a handle is dropped
/// before its pollables, and only those who hold one know when they have dropped it. They promise to do so before they come back, and
/// this is for those who are late. Handles whose borrowers have not come back are kept however many they are: whoever forgets
/// pollables pays with handles, and nobody with the end of the program.
const KEPT: usize = 256;

/// A handle of the host with its readiness.
///
/// Children before parents: the pollable is dropped before the handle; and when one was [lent](reactor::lend), the handle is kept
/// for a while longer.
#[derive(Debug)]
pub(super) struct Watched<T: Handle> {
    readiness: Readiness,
    /// None only in `drop`.
    handle: Option<T>,
}

/// What can be watched.
pub(super) trait Handle: fmt::Debug + 'static {
    /// Ready when what is under way may go on.
    fn subscribe(&self) -> Pollable;

    /// Does what the drop of the handle would have done for others, as far as that goes while it cannot be dropped; false when
    /// there may be more of it to do.
    fn settle(&self) -> bool {
        true
    }
}

impl Handle for ResolveStream {
    fn subscribe(&self) -> Pollable {
        ResolveStream::subscribe(self)
    }
}

impl Handle for TcpSocket {
    fn subscribe(&self) -> Pollable {
        TcpSocket::subscribe(self)
    }

    /// A socket that listens cannot be told to stop, and one that connects cannot be told to give up: those who come are sent away.
    fn settle(&self) -> bool {
        while let Ok((socket, input, output)) = self.accept() {
            drop(TcpLink::new(socket, input, output));
        }
        match self.finish_connect() {
            Ok(_streams) => {
                let _ = self.shutdown(Shutdown::Both);
                true
            }
            Err(ErrorCode::WouldBlock) => false,
            Err(_) => !self.is_listening(),
        }
    }
}

impl<T: Handle> Watched<T> {
    pub(super) fn new(handle: T) -> Self {
        Self { readiness: Readiness::default(), handle: Some(handle) }
    }

    /// Takes over a handle of which pollables were lent.
    pub(super) fn lent(handle: T, lent: Lent) -> Self {
        let mut watched = Self::new(handle);
        watched.readiness.take_over(lent);
        watched
    }

    /// The handle.
    pub(super) fn handle(&self) -> &T {
        self.handle.as_ref().expect("only `drop` and `into_parts` take it")
    }

    /// Ready unless [`wait`](Self::wait) was called and nothing happened since.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.readiness.poll(cx)
    }

    /// Starts to wait, after the host has said "not yet".
    pub(super) fn wait(&mut self) {
        let handle = self.handle.as_ref().expect("only `drop` and `into_parts` take it");
        self.readiness.wait(|| handle.subscribe());
    }

    /// Waits, after the host has said "not yet".
    pub(super) async fn ready(&mut self) {
        self.wait();
        std::future::poll_fn(|cx| self.poll(cx)).await;
    }

    /// The handle, and what was lent of it.
    pub(super) fn into_parts(mut self) -> (T, Lent) {
        let lent = self.readiness.close();
        (self.handle.take().expect("only `drop` and this take it"), lent)
    }
}

impl<T: Handle> Drop for Watched<T> {
    fn drop(&mut self) {
        let lent = self.readiness.close();
        if let Some(handle) = self.handle.take().filter(|_| !lent.is_nothing()) {
            let mut grave = Grave { readiness: Some(Readiness::default()), handle, lent };
            grave.tend();
            reactor::bury(Box::new(grave));
        }
    }
}

/// What is over, and whose pollables may still be in other hands.
pub(super) trait Buried: Any {
    /// Does what is left to do; false when there may be more of it.
    fn tend(&mut self) -> bool;

    /// Whether all who were lent pollables have come back, and should have dropped them.
    fn is_settled(&self) -> bool;
}

/// A handle that is over. Children before parents: the pollable is dropped before the handle.
pub(super) struct Grave<T: Handle> {
    /// None once nothing is left to do.
    readiness: Option<Readiness>,
    pub(super) handle: T,
    pub(super) lent: Lent,
}

impl<T: Handle> Buried for Grave<T> {
    fn tend(&mut self) -> bool {
        let Some(readiness) = &mut self.readiness else { return true };
        // Nobody is woken: the reactor looks at all of them after each poll.
        if readiness.poll(&mut Context::from_waker(Waker::noop())).is_pending() {
            return false;
        }
        if self.handle.settle() {
            self.readiness = None;
            return true;
        }
        readiness.wait(|| self.handle.subscribe());
        false
    }

    fn is_settled(&self) -> bool {
        self.lent.is_settled()
    }
}

/// All that is buried, the newest last.
#[derive(Default)]
pub(super) struct Graveyard {
    graves: VecDeque<Box<dyn Buried>>,
    restless: bool,
}

impl Graveyard {
    /// Keeps a grave; gives the [excess](Self::excess).
    pub(super) fn bury(&mut self, grave: Box<dyn Buried>) -> Option<Box<dyn Buried>> {
        self.graves.push_back(grave);
        self.restless = true;
        self.excess()
    }

    /// Takes the oldest settled one out when there are too many of those.
    pub(super) fn excess(&mut self) -> Option<Box<dyn Buried>> {
        let settled = self.graves.iter().filter(|grave| grave.is_settled()).count();
        if settled > KEPT { self.take(&|grave| grave.is_settled()) } else { None }
    }

    /// Whether something is left to do for one of them.
    pub(super) fn is_restless(&self) -> bool {
        self.restless
    }

    /// Does what is left to do for them.
    pub(super) fn tend(&mut self) {
        if self.restless {
            let rest = self.graves.iter_mut().filter_map(|grave| (!grave.tend()).then_some(())).count();
            self.restless = rest > 0;
        }
    }

    /// Takes the first one out that is `wanted`.
    pub(super) fn take(&mut self, wanted: &dyn Fn(&dyn Buried) -> bool) -> Option<Box<dyn Buried>> {
        let index = self.graves.iter().position(|grave| wanted(&**grave))?;
        self.graves.remove(index)
    }

    /// Leaves all to the host, which cleans up after the program.
    pub(super) fn forget(&mut self) {
        std::mem::take(&mut self.graves).into_iter().for_each(std::mem::forget);
    }
}

impl fmt::Debug for Graveyard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Graveyard({})", self.graves.len())
    }
}

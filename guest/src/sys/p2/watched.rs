//! Handles of the host and the pollables that belong to them, some of which may be in other hands.

use std::any::Any;
use std::collections::VecDeque;
use std::fmt;
use std::task::{Context, Poll};

use super::reactor::{self, Readiness};
use crate::sys::host::Pollable;

/// So many handles whose pollables were lent are kept after their end, the newest ones: a host traps when a handle is dropped
/// before its pollables, and only those who hold one know when they have dropped it.
const KEPT: usize = 256;

/// A handle of the host with its readiness.
///
/// Children before parents: the pollable is dropped before the handle; and when one was [lent](reactor::lend), the handle is kept
/// for a while longer.
#[derive(Debug)]
pub(super) struct Watched<T: fmt::Debug + 'static> {
    readiness: Readiness,
    /// None only in `drop`.
    handle: Option<T>,
}

impl<T: fmt::Debug + 'static> Watched<T> {
    pub(super) fn new(handle: T) -> Self {
        Self { readiness: Readiness::default(), handle: Some(handle) }
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
    pub(super) fn wait(&mut self, subscribe: impl FnOnce(&T) -> Pollable) {
        let handle = self.handle.as_ref().expect("only `drop` and `into_parts` take it");
        self.readiness.wait(|| subscribe(handle));
    }

    /// Waits, after the host has said "not yet".
    pub(super) async fn ready(&mut self, subscribe: impl FnOnce(&T) -> Pollable) {
        self.wait(subscribe);
        std::future::poll_fn(|cx| self.poll(cx)).await;
    }

    /// The handle, and whether a pollable of it was lent.
    pub(super) fn into_parts(mut self) -> (T, bool) {
        let lent = self.readiness.close();
        (self.handle.take().expect("only `drop` and this take it"), lent)
    }
}

impl<T: fmt::Debug + 'static> Drop for Watched<T> {
    fn drop(&mut self) {
        let lent = self.readiness.close();
        if let Some(handle) = self.handle.take().filter(|_| lent) {
            reactor::bury(Box::new(handle));
        }
    }
}

/// Handles that are over, and whose pollables may still be in other hands.
#[derive(Default)]
pub(super) struct Graveyard(VecDeque<Box<dyn Any>>);

impl Graveyard {
    /// Keeps a handle; gives the oldest one when there are too many.
    pub(super) fn bury(&mut self, handle: Box<dyn Any>) -> Option<Box<dyn Any>> {
        self.0.push_back(handle);
        if self.0.len() > KEPT { self.0.pop_front() } else { None }
    }

    /// Leaves all to the host, which cleans up after the program.
    pub(super) fn forget(&mut self) {
        std::mem::take(&mut self.0).into_iter().for_each(std::mem::forget);
    }
}

impl fmt::Debug for Graveyard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Graveyard({})", self.0.len())
    }
}

//! Waiting for one stream or socket.

use std::task::{Context, Poll, ready};

use super::Registration;
use super::lending::Lent;
use crate::sys::host::Pollable;

/// The readiness of one stream or socket. Its pollable is made when it is first waited for, and kept: short connections
/// need none. Keep it *before* what it belongs to in a struct.
#[derive(Debug, Default)]
pub(in crate::sys::p2) struct Readiness {
    registration: Option<Registration>,
    waiting: bool,
    lent: Lent,
    outgoing: bool,
}

impl Readiness {
    /// That of a stream that is written to.
    pub(in crate::sys::p2) fn outgoing() -> Self {
        Self { outgoing: true, ..Self::default() }
    }

    /// Ready unless [`wait`](Self::wait) was called and nothing happened since.
    pub(in crate::sys::p2) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let (true, Some(registration)) = (self.waiting, &self.registration) {
            ready!(registration.poll_ready(cx));
        }
        self.waiting = false;
        Poll::Ready(())
    }

    /// Starts to wait, after the host has said "not yet".
    pub(in crate::sys::p2) fn wait(&mut self, subscribe: impl FnOnce() -> Pollable) {
        self.note_lent();
        self.registration.get_or_insert_with(|| Registration::of(subscribe(), self.outgoing, self.lent.clone())).arm();
        self.waiting = true;
    }

    /// Drops the pollable, and says what was lent before.
    pub(in crate::sys::p2) fn close(&mut self) -> Lent {
        self.note_lent();
        self.registration = None;
        self.waiting = false;
        std::mem::take(&mut self.lent)
    }

    /// Takes over what was lent before.
    pub(in crate::sys::p2) fn take_over(&mut self, lent: Lent) {
        self.lent = lent;
    }

    /// Whether it is being waited for.
    pub(in crate::sys::p2) fn is_waiting(&self) -> bool {
        self.waiting
    }

    /// Once the pollable is in other hands, another is needed.
    fn note_lent(&mut self) {
        if let Some(lent) = self.registration.as_ref().and_then(Registration::lent) {
            self.lent = lent;
            self.registration = None;
        }
    }
}

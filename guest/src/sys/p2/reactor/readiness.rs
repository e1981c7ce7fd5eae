//! Waiting for one stream or socket, and who else has pollables of it.

use std::task::{Context, Poll, ready};

use super::Registration;
use super::lending::Debt;
use crate::sys::host::Pollable;

/// The readiness of one stream or socket. Its pollable is made when it is first waited for, and kept: short connections
/// need none. Keep it *before* what it belongs to in a struct.
#[derive(Debug, Default)]
pub(in crate::sys::p2) struct Readiness {
    registration: Option<Registration>,
    waiting: bool,
    debts: Debts,
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
        self.note_debt();
        self.registration.get_or_insert_with(|| Registration::new(subscribe(), self.outgoing)).arm();
        self.waiting = true;
    }

    /// Drops the pollable, and gives the debts of those that were given away before.
    pub(in crate::sys::p2) fn close(&mut self) -> Debts {
        self.note_debt();
        self.registration = None;
        self.waiting = false;
        std::mem::take(&mut self.debts)
    }

    /// Takes note of pollables that were given away before.
    pub(in crate::sys::p2) fn owe(&mut self, debts: Debts) {
        self.debts.add(debts);
    }

    /// Whether it is being waited for.
    pub(in crate::sys::p2) fn is_waiting(&self) -> bool {
        self.waiting
    }

    /// Once the pollable is in other hands, another is needed.
    fn note_debt(&mut self) {
        if let Some(debt) = self.registration.as_ref().and_then(Registration::debt) {
            self.debts.add(Debts(vec![debt]));
            self.registration = None;
        }
    }
}

/// What is owed by those who were lent pollables of one handle.
#[derive(Debug, Default)]
pub(in crate::sys::p2) struct Debts(Vec<Debt>);

impl Debts {
    /// Adds others, in place of what is settled.
    pub(in crate::sys::p2) fn add(&mut self, others: Self) {
        if !others.0.is_empty() {
            self.0.retain(|debt| !debt.is_settled());
            self.0.extend(others.0);
        }
    }

    /// Whether nothing was ever lent.
    pub(in crate::sys::p2) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether all who were lent something have come back.
    pub(in crate::sys::p2) fn are_settled(&self) -> bool {
        self.0.iter().all(Debt::is_settled)
    }
}

//! Pollables in other hands: for those who poll elsewhere and call again when something is ready.

use std::any::Any;
use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
#[cfg(feature = "component")]
use std::task::Waker;
#[cfg(feature = "component")]
use std::time::Duration;

use super::{Debts, REACTOR};
#[cfg(feature = "component")]
use super::{Reactor, nanos};
use crate::sys::host::TcpSocket;
#[cfg(feature = "component")]
use crate::sys::host::{self, Pollable};
use crate::sys::p2::watched::{Buried, Grave};

/// What somebody owes who is lent pollables now and then: to drop them before coming back. Counts how often that was.
#[cfg(feature = "component")]
#[derive(Default)]
pub(crate) struct Loan(Rc<Cell<u32>>);

#[cfg(feature = "component")]
impl Loan {
    /// Whoever has the pollables of this has come back.
    pub(crate) fn settle(&self) {
        self.0.set(self.0.get().wrapping_add(1));
    }
}

/// What is owed for one pollable.
#[derive(Clone, Debug)]
pub(super) struct Debt {
    comings: Rc<Cell<u32>>,
    since: u32,
}

impl Debt {
    #[cfg(feature = "component")]
    fn new(Loan(comings): &Loan) -> Self {
        Self { comings: Rc::clone(comings), since: comings.get() }
    }

    /// Whether whoever has it has come back since.
    pub(super) fn is_settled(&self) -> bool {
        self.comings.get() != self.since
    }
}

/// Keeps what is left of a handle of which a pollable was lent, in place of the oldest such whose borrowers have all come back.
pub(in crate::sys::p2) fn bury(grave: Box<dyn Buried>) {
    let mut grave = Some(grave);
    let mut oldest = REACTOR.try_with(|reactor| reactor.graveyard.borrow_mut().bury(grave.take()?));
    std::mem::forget(grave); // the thread is ending
    while let Ok(Some(grave)) = oldest {
        drop(grave);
        oldest = REACTOR.try_with(|reactor| reactor.graveyard.borrow_mut().excess());
    }
}

/// Takes the socket back that listens at `address` although nobody wants it to any more, with what is owed for it.
pub(in crate::sys::p2) fn exhume(address: SocketAddr) -> Option<(TcpSocket, Debts)> {
    let listens = |grave: &dyn Buried| {
        let socket = &(grave as &dyn Any).downcast_ref::<Grave<TcpSocket>>()?.handle;
        (socket.is_listening() && socket.local_address() == Ok(address)).then_some(())
    };
    let found =
        REACTOR.try_with(|reactor| reactor.graveyard.borrow_mut().take(&|grave| listens(grave).is_some())).ok()??;
    let grave = (found as Box<dyn Any>).downcast::<Grave<TcpSocket>>().ok()?;
    Some((grave.handle, grave.debts))
}

/// Gives the pollables away that these tasks wait for.
///
/// With `hold` such a task leaves what comes in with the host, whoever runs it meanwhile, until [`reclaim`]: or it would take away what
/// the pollable is there to tell of. Without, it goes on and waits with another pollable.
///
/// A pollable of these must be dropped before the next [`settle`](Loan::settle), which is when the handle it belongs to may go; see
/// [`Watched`](crate::sys::p2::watched::Watched) for who is not that careful.
#[cfg(feature = "component")]
pub(crate) fn lend(loan: &Loan, concerns: impl Fn(&Waker) -> bool, hold: bool) -> Vec<Pollable> {
    let (lent, wakers) = REACTOR.with(|reactor| reactor.lend(loan, concerns, hold));
    wakers.into_iter().for_each(Waker::wake);
    lent
}

/// Lets these tasks go on: whoever has their pollables has come back.
#[cfg(feature = "component")]
pub(crate) fn reclaim(concerns: impl Fn(&Waker) -> bool) {
    let wakers = REACTOR.with(|reactor| reactor.reclaim(concerns));
    wakers.into_iter().for_each(Waker::wake);
}

/// A pollable that is ready at that time.
#[cfg(feature = "component")]
pub(crate) fn at(deadline: u64) -> Pollable {
    host::subscribe_instant(deadline)
}

/// A pollable that is ready after that time.
#[cfg(feature = "component")]
pub(crate) fn after(delay: Duration) -> Pollable {
    host::subscribe_duration(nanos(delay))
}

#[cfg(feature = "component")]
impl Reactor {
    fn lend(&self, loan: &Loan, concerns: impl Fn(&Waker) -> bool, hold: bool) -> (Vec<Pollable>, Vec<Waker>) {
        let (mut lent, mut wakers) = (Vec::new(), Vec::new());
        for (_, source) in self.sources.borrow_mut().iter_mut() {
            if !source.waiting || !source.waker.as_ref().is_some_and(&concerns) {
                continue;
            }
            source.waiting = false;
            self.waiting.set(self.waiting.get() - 1);
            lent.extend(source.pollable.take());
            source.debt = Some(Debt::new(loan));
            if hold && !source.outgoing {
                source.held = true;
                self.held.set(self.held.get() + 1);
            } else {
                wakers.extend(source.waker.take());
            }
        }
        (lent, wakers)
    }

    fn reclaim(&self, concerns: impl Fn(&Waker) -> bool) -> Vec<Waker> {
        let mut wakers = Vec::new();
        if self.held.get() == 0 {
            return wakers; // as always with those who never poll elsewhere
        }
        for (_, source) in self.sources.borrow_mut().iter_mut() {
            if source.held && source.waker.as_ref().is_some_and(&concerns) {
                source.held = false;
                self.held.set(self.held.get() - 1);
                wakers.extend(source.waker.take());
            }
        }
        wakers
    }
}

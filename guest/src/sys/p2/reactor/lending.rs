//! Pollables in other hands: for those who poll elsewhere and call again when something is ready.

use std::any::Any;
#[cfg(feature = "component")]
use std::cell::Cell;
#[cfg(feature = "component")]
use std::mem::ManuallyDrop;
use std::net::SocketAddr;
use std::rc::Rc;
#[cfg(feature = "component")]
use std::task::Waker;
#[cfg(feature = "component")]
use std::time::Duration;

use super::REACTOR;
#[cfg(feature = "component")]
use super::{Reactor, nanos};
use crate::sys::host::TcpSocket;
#[cfg(feature = "component")]
use crate::sys::host::{self, Pollable};
use crate::sys::p2::watched::{Buried, Grave};

/// What somebody owes who is lent pollables now and then: to drop them before coming back. Gone without that, it is owed for ever.
#[cfg(feature = "component")]
#[derive(Default)]
pub(crate) struct Loan(ManuallyDrop<Cell<Vec<Rc<()>>>>);

#[cfg(feature = "component")]
impl Loan {
    /// Whoever has the pollables of this has come back.
    pub(crate) fn settle(&self) {
        self.0.take();
    }
}

/// What was lent of one handle: each [`Loan`] that is not settled has a copy of this.
#[derive(Clone, Debug, Default)]
pub(in crate::sys::p2) struct Lent(Option<Rc<()>>);

impl Lent {
    /// Whether nothing ever was.
    pub(in crate::sys::p2) fn is_nothing(&self) -> bool {
        self.0.is_none()
    }

    /// Whether all who borrowed have come back. Of the handle's own copies there must be one.
    pub(in crate::sys::p2) fn is_settled(&self) -> bool {
        self.0.as_ref().is_none_or(|mark| Rc::strong_count(mark) == 1)
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

/// Takes the socket back that listens at `address` although nobody wants it to any more, with what was lent of it.
pub(in crate::sys::p2) fn exhume(address: SocketAddr) -> Option<(TcpSocket, Lent)> {
    let listens = |grave: &dyn Buried| {
        let socket = &(grave as &dyn Any).downcast_ref::<Grave<TcpSocket>>()?.handle;
        (socket.is_listening() && socket.local_address() == Ok(address)).then_some(())
    };
    let found =
        REACTOR.try_with(|reactor| reactor.graveyard.borrow_mut().take(&|grave| listens(grave).is_some())).ok()??;
    let grave = (found as Box<dyn Any>).downcast::<Grave<TcpSocket>>().ok()?;
    Some((grave.handle, grave.lent))
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
        let (mut lent, mut wakers, mut marks) = (Vec::new(), Vec::new(), Vec::new());
        for (_, source) in self.sources.borrow_mut().iter_mut() {
            if !source.waiting || !source.waker.as_ref().is_some_and(&concerns) {
                continue;
            }
            source.waiting = false;
            self.waiting.set(self.waiting.get() - 1);
            lent.extend(source.pollable.take());
            marks.push(Rc::clone(source.lent.0.get_or_insert_default()));
            if hold && !source.outgoing {
                source.held = true;
                self.held.set(self.held.get() + 1);
            } else {
                wakers.extend(source.waker.take());
            }
        }
        loan.0.set(marks);
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

//! Clients whose TLS handshake is under way: each in a task of its own, so that one that stalls delays nobody.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::rc::Rc;

use slab::Slab;

use super::Shared;
use crate::error::Error;
use crate::report::{Report, report};
use crate::rt::{self, JoinHandle};

/// The handshakes of a server.
#[derive(Default)]
pub(super) struct Handshakes {
    running: RefCell<Slab<Option<JoinHandle<()>>>>,
    failed: Cell<u64>,
}

impl Handshakes {
    pub(super) fn count(&self) -> usize {
        self.running.borrow().len()
    }

    /// How many have failed so far.
    pub(super) fn failed(&self) -> u64 {
        self.failed.get()
    }

    /// Notes a failure, and tells the report hook (T07).
    pub(super) fn fail(&self, peer: Option<std::net::SocketAddr>, error: Error) {
        self.failed.set(self.failed.get() + 1);
        report(&Report::HandshakeFailed { peer, error });
    }

    /// How the tasks are woken.
    #[cfg(feature = "component")]
    pub(super) fn tasks(&self) -> Vec<std::task::Waker> {
        self.running.borrow().iter().filter_map(|(_, task)| task.as_ref()?.task_waker()).collect()
    }

    /// Ends all that are under way.
    pub(super) fn abort(&self) {
        // Dropping a task takes its entry away: not while the table is borrowed.
        let tasks: Vec<_> = self.running.borrow_mut().iter_mut().filter_map(|(_, task)| task.take()).collect();
        tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Shared {
    /// Runs a handshake, with what follows it, and counts it among the connections meanwhile.
    pub(super) fn shake_hands(self: &Rc<Self>, handshake: impl Future<Output = ()> + 'static) {
        let key = self.handshakes.running.borrow_mut().insert(None);
        let ended = Ended { shared: Rc::clone(self), key };
        let task = rt::spawn(async move {
            let _ended = ended; // moved in first, dropped whenever the task is
            handshake.await;
        });
        if let Some(slot) = self.handshakes.running.borrow_mut().get_mut(key) {
            *slot = Some(task);
        }
    }
}

/// Takes the entry away, however the task ends.
struct Ended {
    shared: Rc<Shared>,
    key: usize,
}

impl Drop for Ended {
    fn drop(&mut self) {
        let entry = self.shared.handshakes.running.borrow_mut().try_remove(self.key);
        drop(entry);
        self.shared.wake();
    }
}

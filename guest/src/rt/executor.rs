//! The task table and the queues: single-threaded, in safe code.
//!
//! Futures live in a table of this thread; a waker holds only the task's number and the shared run queue, so it can
//! be `Send` as `std::task::Wake` demands although the futures are not.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use slab::Slab;

use super::time::Timers;
use crate::report;
use crate::sys::{self, Park};

/// After so many polls in one turn the platform is asked, even when tasks keep waking each other.
const MAX_POLLS_PER_TURN: usize = 1024;

/// How many turns may pass without asking the platform while tasks are deferred. One connection that floods us
/// has so many reads for each look at the others; asking every time would cost it a tenth of its speed.
const TURNS_PER_LOOK: u32 = 8;

/// So many operations in a row may complete without waiting before a task has to let the others go first: a peer
/// that takes everything at once must not keep the loop for itself.
const BUDGET: u32 = 32;

/// How often the destructors of cancelled tasks may start new ones before they are left alone.
const MAX_ROUNDS: usize = 16;

pub(super) type LocalFuture = Pin<Box<dyn Future<Output = ()>>>;

/// Who started a task, which decides when it is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The program: dropped when the main future is done.
    User,
    /// The library: goes on until what was accepted is delivered.
    Background,
}

/// Names a task of this thread, also after its place in the table was taken by another.
#[derive(Clone, Debug)]
pub(super) struct TaskId(Arc<Handle>);

#[derive(Debug)]
struct Handle {
    index: usize,
    queued: AtomicBool,
    queue: Arc<RunQueue>,
}

#[derive(Debug, Default)]
struct RunQueue(Mutex<VecDeque<Arc<Handle>>>);

impl RunQueue {
    fn push(&self, handle: Arc<Handle>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push_back(handle);
    }

    fn pop(&self) -> Option<Arc<Handle>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    fn is_empty(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }
}

impl Wake for Handle {
    fn wake(self: Arc<Self>) {
        if !self.queued.swap(true, Ordering::AcqRel) {
            let queue = Arc::clone(&self.queue);
            queue.push(self);
        }
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.queued.swap(true, Ordering::AcqRel) {
            self.queue.push(Arc::clone(self));
        }
    }
}

struct Task {
    /// Taken out while it is polled, with the waker it is polled with.
    future: Option<(LocalFuture, Waker)>,
    handle: Arc<Handle>,
    kind: Kind,
}

/// The runtime of one thread.
pub(super) struct Executor {
    tasks: RefCell<Slab<Task>>,
    queue: Arc<RunQueue>,
    deferred: RefCell<Vec<Waker>>,
    /// Empty: the memory of the deferred ones of the turn before.
    spare: Cell<Vec<Waker>>,
    /// How many more operations the task that runs may complete without waiting.
    budget: Cell<u32>,
    polls_in_turn: Cell<usize>,
    turns: Cell<u64>,
    turns_since_look: Cell<u32>,
    /// When the platform was asked last, as far as that is still worth something.
    #[cfg(feature = "component")]
    looked_at: Cell<Option<u64>>,
    pub(super) timers: RefCell<Timers>,
    pub(super) running: Cell<bool>,
    /// Set while the tasks of a finished program are dropped.
    pub(super) ending: Cell<bool>,
}

impl Executor {
    pub(super) fn new() -> Self {
        Self {
            tasks: RefCell::default(),
            queue: Arc::default(),
            deferred: RefCell::default(),
            spare: Cell::default(),
            budget: Cell::new(BUDGET),
            polls_in_turn: Cell::new(0),
            turns: Cell::new(0),
            turns_since_look: Cell::new(0),
            #[cfg(feature = "component")]
            looked_at: Cell::new(None),
            timers: RefCell::default(),
            running: Cell::new(false),
            ending: Cell::new(false),
        }
    }

    /// Puts a task into the table and queues its first poll.
    pub(super) fn spawn(&self, kind: Kind, future: LocalFuture) -> TaskId {
        let mut tasks = self.tasks.borrow_mut();
        let entry = tasks.vacant_entry();
        let handle =
            Arc::new(Handle { index: entry.key(), queued: AtomicBool::new(false), queue: Arc::clone(&self.queue) });
        let waker = Waker::from(Arc::clone(&handle));
        waker.wake_by_ref();
        entry.insert(Task { future: Some((future, waker)), handle: Arc::clone(&handle), kind });
        TaskId(handle)
    }

    /// Drops a task, at once unless it is the one that is being polled.
    pub(super) fn cancel(&self, id: &TaskId) {
        let future = {
            let mut tasks = self.tasks.borrow_mut();
            let index = id.0.index;
            match tasks.get(index) {
                Some(task) if Arc::ptr_eq(&task.handle, &id.0) => tasks.remove(index).future,
                _ => None,
            }
        };
        drop(future); // outside of the borrow: its destructor may spawn
    }

    /// Drops every task of `kind`, also those that the destructors start, within reason.
    pub(super) fn cancel_all(&self, kind: Kind) {
        for _ in 0..MAX_ROUNDS {
            let ids: Vec<TaskId> = {
                let tasks = self.tasks.borrow();
                let of_kind = tasks.iter().filter(|(_, task)| task.kind == kind);
                of_kind.map(|(_, task)| TaskId(Arc::clone(&task.handle))).collect()
            };
            if ids.is_empty() {
                return;
            }
            ids.iter().for_each(|id| self.cancel(id));
        }
    }

    /// Runs ready tasks until none is, the turn is over, or `done` says so.
    pub(super) fn run_ready(&self, done: impl Fn() -> bool) {
        while !done() && self.count_poll() {
            let Some(handle) = self.queue.pop() else { return };
            self.poll_task(&handle);
        }
    }

    /// Counts one poll of a task; false when this turn has had enough of them.
    pub(super) fn count_poll(&self) -> bool {
        self.budget.set(BUDGET);
        self.polls_in_turn.set(self.polls_in_turn.get() + 1);
        self.polls_in_turn.get() <= MAX_POLLS_PER_TURN
    }

    /// Ends a turn: asks the platform what became ready, waiting for it when there is nothing else to do and
    /// at most until `deadline`.
    pub(super) fn end_turn(&self, deadline: Option<u64>) {
        self.polls_in_turn.set(0);
        self.turns.set(self.turns.get() + 1);
        let busy = !self.queue.is_empty() || !self.deferred.borrow().is_empty();
        if busy {
            self.turns_since_look.set(self.turns_since_look.get() + 1);
            if self.turns_since_look.get() >= TURNS_PER_LOOK || !self.queue.is_empty() {
                self.turns_since_look.set(0);
                self.park(Park::Look);
            }
        } else {
            self.turns_since_look.set(0);
            let timer = self.timers.borrow().next_deadline();
            let until = match (timer, deadline) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
            self.park(until.map_or(Park::Forever, Park::Until));
        }
        self.wake_deferred();
    }

    fn wake_deferred(&self) {
        let mut deferred = self.deferred.replace(self.spare.take());
        deferred.drain(..).for_each(Waker::wake);
        self.spare.set(deferred);
    }

    /// Ends a turn without waiting: looks at the platform, unless that was done less than so many nanoseconds ago. True when there is
    /// something to run.
    #[cfg(feature = "component")]
    pub(super) fn look(&self, recently: u64) -> bool {
        self.polls_in_turn.set(0);
        self.turns.set(self.turns.get() + 1);
        if self.looked_at.get().is_none_or(|then| sys::now_nanos().saturating_sub(then) >= recently) {
            self.turns_since_look.set(0);
            self.park(Park::Look);
        }
        self.wake_deferred();
        !self.queue.is_empty()
    }

    /// Lets the next look be one, however short a time ago the last was.
    #[cfg(feature = "component")]
    pub(super) fn look_again(&self) {
        self.looked_at.set(None);
    }

    /// Whether something can go on without the platform.
    #[cfg(feature = "component")]
    pub(super) fn is_busy(&self) -> bool {
        !self.queue.is_empty() || !self.deferred.borrow().is_empty()
    }

    /// How a task is woken; none when it is over.
    #[cfg(feature = "component")]
    pub(super) fn waker_of(&self, id: &TaskId) -> Option<Waker> {
        let tasks = self.tasks.borrow();
        let task = tasks.get(id.0.index).filter(|task| Arc::ptr_eq(&task.handle, &id.0))?;
        Some(Waker::from(Arc::clone(&task.handle)))
    }

    fn park(&self, how: Park) {
        if sys::park(how) {
            self.turns_since_look.set(TURNS_PER_LOOK); // there are more who wait for theirs
        }
        #[cfg(feature = "component")]
        self.looked_at.set(Some(sys::now_nanos()));
        self.fire_timers();
    }

    fn fire_timers(&self) {
        let due = {
            let mut timers = self.timers.borrow_mut();
            if timers.is_empty() {
                return;
            }
            timers.take_due(sys::now_nanos())
        };
        due.into_iter().for_each(Waker::wake);
    }

    fn poll_task(&self, handle: &Arc<Handle>) {
        handle.queued.store(false, Ordering::Release);
        let index = handle.index;
        let (mut future, waker, kind) = {
            let mut tasks = self.tasks.borrow_mut();
            let Some(task) = tasks.get_mut(index).filter(|task| Arc::ptr_eq(&task.handle, handle)) else { return };
            let Some((future, waker)) = task.future.take() else { return };
            (future, waker, task.kind)
        };
        let mut poll = || future.as_mut().poll(&mut Context::from_waker(&waker)).is_ready();
        let done = if kind == Kind::User { report::guard_task(poll) } else { poll() };
        let finished = {
            let mut tasks = self.tasks.borrow_mut();
            match tasks.get_mut(index).filter(|task| Arc::ptr_eq(&task.handle, handle)) {
                Some(task) if !done => {
                    task.future = Some((future, waker));
                    return;
                }
                Some(_) => tasks.try_remove(index),
                None => None, // cancelled by itself while it ran
            }
        };
        drop((future, finished)); // outside of the borrow
    }
}

/// Counts an operation that can complete without waiting; pending, and deferred, when the task has done enough.
pub(crate) fn poll_budget(cx: &Context<'_>) -> Poll<()> {
    let has_some = |executor: &Executor| {
        let rest = executor.budget.get().checked_sub(1);
        executor.budget.set(rest.unwrap_or(0));
        rest.is_some()
    };
    if super::with_executor(has_some).unwrap_or(true) {
        return Poll::Ready(());
    }
    defer(cx.waker());
    Poll::Pending
}

/// Numbers the turns of the loop, for work that is rationed by them.
pub(crate) fn turn() -> u64 {
    super::with_executor(|executor| executor.turns.get()).unwrap_or(0)
}

/// Wakes `waker` in the next turn of the loop, after everything that is ready now.
pub(crate) fn defer(waker: &Waker) {
    if super::with_executor(|executor| executor.deferred.borrow_mut().push(waker.clone())).is_none() {
        waker.wake_by_ref();
    }
}

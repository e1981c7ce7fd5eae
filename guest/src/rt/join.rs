//! The handle of a task.

use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use super::executor::{LocalFuture, TaskId};
use crate::error::{Error, Result};

/// The handle of a task started by [`spawn`](super::spawn).
///
/// Awaiting it gives the task's result, or [`Error::Cancelled`] when the task was aborted, panicked, or dropped at
/// the end of the program. Dropping the handle detaches the task.
///
/// # Cancel safety
///
/// Awaiting by reference (`(&mut handle).await`) can be given up and taken up again; nothing is lost.
///
/// # Differences from asyncio
///
/// Cancelling is dropping: no exception is raised inside the task, its destructors run.
pub struct JoinHandle<T> {
    shared: Rc<RefCell<Shared<T>>>,
    task: RefCell<Option<TaskId>>,
}

struct Shared<T> {
    outcome: Outcome<T>,
    waker: Option<Waker>,
}

enum Outcome<T> {
    Running,
    Done(T),
    Dropped,
    Taken,
}

/// Wraps `future` so that its result arrives at the handle, also when it is dropped before it has one.
pub(super) fn joinable<F>(future: F) -> (LocalFuture, JoinHandle<F::Output>)
where
    F: Future + 'static,
    F::Output: 'static,
{
    let shared = Rc::new(RefCell::new(Shared { outcome: Outcome::Running, waker: None }));
    let teller = Teller(Rc::clone(&shared));
    let task = Box::pin(async move {
        let teller = teller; // moved in first, dropped whenever the task is
        let value = future.await;
        teller.tell(Outcome::Done(value));
    });
    (task, JoinHandle { shared, task: RefCell::new(None) })
}

struct Teller<T>(Rc<RefCell<Shared<T>>>);

impl<T> Teller<T> {
    fn tell(&self, outcome: Outcome<T>) {
        let waker = {
            let mut shared = self.0.borrow_mut();
            if !matches!(shared.outcome, Outcome::Running) {
                return;
            }
            shared.outcome = outcome;
            shared.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<T> Drop for Teller<T> {
    fn drop(&mut self) {
        self.tell(Outcome::Dropped);
    }
}

impl<T> JoinHandle<T> {
    pub(super) fn set_task(&self, id: TaskId) {
        *self.task.borrow_mut() = Some(id);
    }

    /// Stops the task by dropping its future, at once (a task that aborts itself: at its next wait). Does nothing
    /// when it has finished.
    pub fn abort(&self) {
        let task = self.task.borrow_mut().take();
        if let (Some(task), Some(executor)) = (task, super::executor()) {
            executor.cancel(&task);
        }
    }

    /// How the task is woken; none when it is over.
    #[cfg(feature = "component")]
    pub(crate) fn task_waker(&self) -> Option<Waker> {
        super::executor()?.waker_of(self.task.borrow().as_ref()?)
    }

    /// Returns whether the task has ended.
    pub fn is_finished(&self) -> bool {
        !matches!(self.shared.borrow().outcome, Outcome::Running)
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut shared = self.shared.borrow_mut();
        match std::mem::replace(&mut shared.outcome, Outcome::Taken) {
            Outcome::Running => {
                shared.outcome = Outcome::Running;
                shared.waker = Some(cx.waker().clone());
                Poll::Pending
            }
            Outcome::Done(value) => Poll::Ready(Ok(value)),
            Outcome::Dropped | Outcome::Taken => {
                Poll::Ready(Err(Error::Cancelled("the task ended without a result: aborted, or panicked".into())))
            }
        }
    }
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinHandle").field("finished", &self.is_finished()).finish_non_exhaustive()
    }
}

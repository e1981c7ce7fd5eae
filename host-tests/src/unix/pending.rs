//! Work that goes on by itself, and that can be waited for as often as one likes.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use wasmtime_wasi::runtime::{AbortOnDropJoinHandle, spawn};

/// A task, or what it has given; dropping it ends the task.
pub(super) enum Pending<T> {
    Running(AbortOnDropJoinHandle<T>),
    Done(T),
}

impl<T: Send + 'static> Pending<T> {
    pub(super) fn start(work: impl Future<Output = T> + Send + 'static) -> Self {
        Pending::Running(spawn(work))
    }

    /// Ready when it is done.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<&mut T> {
        if let Pending::Running(task) = self {
            *self = Pending::Done(ready!(Pin::new(task).poll(cx)));
        }
        match self {
            Pending::Done(result) => Poll::Ready(result),
            Pending::Running(_) => Poll::Pending,
        }
    }

    /// Whether it is done.
    pub(super) fn is_done(&mut self) -> bool {
        poll_once(|cx| self.poll(cx).map(|_| ()))
    }

    /// Waits for what it gives.
    pub(super) async fn finish(self) -> T {
        match self {
            Pending::Running(task) => task.await,
            Pending::Done(result) => result,
        }
    }

    /// Waits until it is done.
    pub(super) async fn ready(&mut self) {
        poll_fn(|cx| self.poll(cx).map(|_| ())).await;
    }
}

/// Looks once whether something is ready, outside the budget of the guest's task: with that spent, nothing would ever be.
pub(crate) fn poll_once(poll: impl FnMut(&mut Context<'_>) -> Poll<()>) -> bool {
    let look = std::pin::pin!(tokio::task::unconstrained(poll_fn(poll)));
    look.poll(&mut Context::from_waker(Waker::noop())).is_ready()
}

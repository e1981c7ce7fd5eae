//! The runtime: tasks, timers, and the loop that runs them until the platform has to be waited for.
//!
//! One turn of the loop: run every task that is ready, then ask the platform once what else became ready. A task
//! that wants to go on but let others go first is *deferred* to the next turn ([`yield_now`]); so a connection that
//! always has data cannot keep the loop from looking at the others, and the loop asks the platform once for
//! many tasks, not once for each.

#[cfg(feature = "component")]
pub(crate) mod calls;
mod executor;
mod join;
pub(crate) mod linger;
mod run;
pub(crate) mod time;

pub use join::JoinHandle;
pub use run::{EXIT_STALL, EXIT_TOTAL, run, try_run};

use std::future::Future;
use std::rc::Rc;
use std::task::Poll;

use executor::{Executor, Kind};

pub(crate) use executor::turn;
pub(crate) use executor::{defer, poll_budget};
pub(crate) use run::is_ending;

thread_local! {
    static EXECUTOR: Rc<Executor> = Rc::new(Executor::new());
}

/// The runtime of this thread; none while the thread is going away.
fn executor() -> Option<Rc<Executor>> {
    EXECUTOR.try_with(Rc::clone).ok()
}

/// Asks the runtime of this thread something, without keeping it.
fn with_executor<T>(ask: impl FnOnce(&Executor) -> T) -> Option<T> {
    EXECUTOR.try_with(|executor| ask(executor)).ok()
}

/// Starts a task that runs beside the others, like `asyncio.create_task`.
///
/// The task first runs in the next turn of the loop. Dropping the handle detaches the task; [`JoinHandle::abort`]
/// stops it. Tasks that are still there when the main future of [`run`] is done are dropped. A task started outside
/// of [`run`] waits for the next `run` on this thread.
///
/// # Panics
///
/// `wasm32-wasip2` aborts on panic, so there a panic in any task ends the program. On other targets it is reported
/// (see [`set_report_hook`](crate::set_report_hook)) and ends that task only; its handle gives
/// [`Error::Cancelled`](crate::Error::Cancelled).
///
/// # Examples
///
/// ```
/// wasi_streams::run(async {
///     let task = wasi_streams::spawn(async { 6 * 7 });
///     assert_eq!(task.await.unwrap(), 42);
/// });
/// ```
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + 'static,
    F::Output: 'static,
{
    let (task, handle) = join::joinable(future);
    if let Some(executor) = executor() {
        let id = executor.spawn(Kind::User, task);
        handle.set_task(id);
    }
    handle
}

/// Starts a task of the library's own: it outlives the main future while there is something to deliver.
pub(crate) fn spawn_background(future: impl Future<Output = ()> + 'static) {
    if let Some(executor) = executor() {
        executor.spawn(Kind::Background, Box::pin(future));
    }
}

/// Lets every other task that is ready go first, like `asyncio.sleep(0)`.
pub async fn yield_now() {
    let mut yielded = false;
    std::future::poll_fn(|cx| {
        if yielded {
            return Poll::Ready(());
        }
        yielded = true;
        defer(cx.waker());
        Poll::Pending
    })
    .await;
}

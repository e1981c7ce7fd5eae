//! `run`: from the first poll of the main future to the last byte of its closed connections.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use super::executor::{Executor, Kind};
use super::{executor, linger};
use crate::error::{Error, Result};
use crate::sys;

/// How long the end of [`run`] waits for closed connections while no byte moves: 5 seconds.
///
/// Bytes are seen to move when the host takes the next piece, of up to 64 KiB: a peer that reads less than 64 KiB in
/// this time counts as stalled.
pub const EXIT_STALL: Duration = Duration::from_secs(5);

/// How long the end of [`run`] waits for closed connections in all: 60 seconds.
pub const EXIT_TOTAL: Duration = Duration::from_secs(60);

/// Runs `future` and everything it starts until it is done, and gives its result, like `asyncio.run`.
///
/// Then the other tasks are dropped, and connections that were closed get time to hand over what they had
/// accepted: as long as bytes move, at most [`EXIT_TOTAL`], and at most [`EXIT_STALL`] without any. What is undelivered
/// then is reported (see [`set_report_hook`](crate::set_report_hook)) and dropped: a peer that does not read cannot keep
/// the program.
///
/// `std::process::exit` skips all of that; return from `main` instead.
///
/// # Panics
///
/// When called inside of another `run`: use [`try_run`] where that can happen.
///
/// # Differences from asyncio
///
/// Tasks that are left are dropped, not cancelled by an exception. Async generators and executors do not exist here.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// let answer = wasi_streams::run(async {
///     wasi_streams::sleep(Duration::from_millis(5)).await;
///     42
/// });
/// assert_eq!(answer, 42);
/// ```
pub fn run<F: Future>(future: F) -> F::Output {
    match try_run(future) {
        Ok(output) => output,
        Err(error) => nested(&error),
    }
}

#[expect(clippy::panic, reason = "documented: the one misuse that has no result to report it by")]
fn nested(error: &Error) -> ! {
    panic!("{error}")
}

/// Like [`run`], for callers that may already be inside of a `run`.
///
/// # Errors
///
/// [`Error::Busy`] when called inside of another `run`.
pub fn try_run<F: Future>(future: F) -> Result<F::Output> {
    let Some(executor) = executor() else {
        return Err(Error::Closed("run() cannot be called while the thread is ending".into()));
    };
    if executor.running.replace(true) {
        return Err(Error::Busy("run() cannot be called inside of another run()".into()));
    }
    let running = Running(executor);
    let output = drive(&running.0, future);
    finish(&running.0);
    Ok(output)
}

/// Marks the runtime as running; a panic that passes through leaves it clean for the next `run`.
pub(super) struct Running(pub(super) Rc<Executor>);

impl Running {
    /// None when it runs already, or while the thread is ending.
    #[cfg(feature = "component")]
    pub(super) fn begin() -> Option<Self> {
        executor().filter(|executor| !executor.running.replace(true)).map(Self)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.ending.set(true);
            self.0.cancel_all(Kind::User);
            self.0.cancel_all(Kind::Background);
            self.0.ending.set(false);
        }
        self.0.running.set(false);
    }
}

/// Polls the main future and the tasks until the main future is done.
///
/// The main future is not `'static`, so it stays on this stack; a task in the table stands for it in the queue and
/// passes wake-ups on.
fn drive<F: Future>(executor: &Executor, future: F) -> F::Output {
    let mut main = std::pin::pin!(future);
    let ready = Rc::new(Cell::new(true));
    let waker_of_main = Rc::new(RefCell::new(None));
    let stand_in = {
        let (ready, waker_of_main) = (Rc::clone(&ready), Rc::clone(&waker_of_main));
        std::future::poll_fn(move |cx| {
            if waker_of_main.borrow().is_none() {
                *waker_of_main.borrow_mut() = Some(cx.waker().clone());
            }
            ready.set(true);
            Poll::<()>::Pending
        })
    };
    let id = executor.spawn(Kind::User, Box::pin(stand_in));
    loop {
        executor.run_ready(|| ready.get() && waker_of_main.borrow().is_some());
        let waker = waker_of_main.borrow().clone();
        if let Some(waker) = waker.filter(|_| ready.get()) {
            if executor.count_poll() {
                ready.set(false);
                if let Poll::Ready(output) = main.as_mut().poll(&mut Context::from_waker(&waker)) {
                    executor.cancel(&id);
                    return output;
                }
                continue;
            }
            waker.wake_by_ref(); // back into the queue, so that the end of the turn does not wait for the platform
        }
        executor.end_turn(None);
    }
}

/// Drops the program's tasks, then waits within bounds for closed connections.
fn finish(executor: &Executor) {
    executor.ending.set(true);
    executor.cancel_all(Kind::User);
    let start = sys::now_nanos();
    let (mut progress, mut moved_at) = (sys::bytes_sent(), start);
    loop {
        executor.run_ready(|| false);
        if linger::count() == 0 {
            break;
        }
        let now = sys::now_nanos();
        if sys::bytes_sent() != progress {
            (progress, moved_at) = (sys::bytes_sent(), now);
        }
        let deadline = (moved_at + nanos(EXIT_STALL)).min(start + nanos(EXIT_TOTAL));
        if now >= deadline {
            linger::give_up();
            executor.run_ready(|| false);
            break;
        }
        executor.end_turn(Some(deadline));
    }
    executor.cancel_all(Kind::User); // what reports and destructors have started since
    executor.ending.set(false);
    sys::forget_busy();
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Whether the program is over and its tasks are being dropped.
pub(crate) fn is_ending() -> bool {
    executor().is_some_and(|executor| executor.ending.get())
}

//! Running now and then: for a component whose functions are called, between which nothing moves.
//!
//! [`run`](super::run()) owns the thread until its future is done. Here somebody else does, and calls in: each call runs what can
//! run, and the tasks wait for the next one.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::run::Running;
use crate::error::{Error, Result};
pub(crate) use crate::sys::Loan;
use crate::sys::{self, Pollable};

/// Boxed, so that the functions here exist once for each kind of answer.
pub(crate) type LocalFuture<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// So many turns of the loop are run in one call that does not wait.
const TURNS: usize = 8;

/// For so many nanoseconds a look at the host is good enough for calls that do not wait: 1 ms. Each look costs time for every
/// connection there is, and whoever serves many tries one more read on each that had something. Simulated time stands still between.
const RECENTLY: u64 = if cfg!(target_os = "wasi") { 1_000_000 } else { 0 };

/// What is polled in place of nothing: only other calls can change anything, and this looks for that.
const NOTHING: Duration = Duration::from_millis(50);

/// Runs what can run without asking the host for news.
pub(crate) fn run_ready() {
    if let Some(running) = Running::begin() {
        running.0.run_ready(|| false);
    }
}

/// Runs what can run without waiting, by what is known of the host.
pub(crate) fn advance() {
    let Some(running) = Running::begin() else { return };
    for _ in 0..TURNS {
        running.0.run_ready(|| false);
        if !running.0.look(RECENTLY) {
            return;
        }
    }
}

/// Runs what can run without waiting, also what the host has to tell only now.
pub(crate) fn look_and_advance() {
    if let Some(running) = Running::begin() {
        running.0.look_again();
    }
    advance();
}

/// Runs everything until `future` is done, as [`run`](super::run()) does, and leaves what is left for the next call.
///
/// # Errors
///
/// [`Error::Busy`] inside of another call.
pub(crate) fn block_on<T>(mut future: LocalFuture<'_, T>) -> Result<T> {
    let mut outcome = None;
    run_until(
        &mut || {
            outcome = poll_once(&mut future);
            outcome.is_some()
        },
        None,
    )?;
    outcome.ok_or_else(reentered)
}

/// Runs everything until `done` says so, or the time is over. It is asked after each turn, so nobody has to be woken for it.
///
/// # Errors
///
/// [`Error::Busy`] inside of another call.
pub(crate) fn run_until(done: &mut dyn FnMut() -> bool, timeout: Option<Duration>) -> Result<()> {
    let running = Running::begin().ok_or_else(reentered)?;
    let nanos = |timeout: Duration| u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX);
    let deadline = timeout.map(|timeout| sys::now_nanos().saturating_add(nanos(timeout)));
    loop {
        running.0.run_ready(|| false);
        if done() || deadline.is_some_and(|deadline| sys::now_nanos() >= deadline) {
            return Ok(());
        }
        running.0.end_turn(deadline);
    }
}

/// Polls `future` once, after what can run has run, and again after a look at the host when it is not done; none when it is not.
///
/// For futures that can be given up and started again.
pub(crate) fn attempt<T>(mut future: LocalFuture<'_, T>) -> Option<T> {
    run_ready();
    poll_once(&mut future).or_else(|| {
        advance();
        poll_once(&mut future)
    })
}

fn poll_once<T>(future: &mut LocalFuture<'_, T>) -> Option<T> {
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

/// What `tasks` wait for, as pollables of the host: when one of them is ready, a call may get further.
///
/// Never empty. `is_ready` says, after everything that can run has run, that there is nothing to wait for. With `hold` the tasks leave
/// what comes in to the host until [`reclaim`], so that no call on something else takes it away unseen. `loan` is the caller's, who
/// [settles](Loan::settle) it when it comes back: until then what the pollables belong to is kept.
pub(crate) fn lend(
    loan: &Loan,
    tasks: &dyn Fn() -> Vec<Waker>,
    hold: bool,
    is_ready: &dyn Fn() -> bool,
) -> Vec<Pollable> {
    loan.settle();
    let Some(running) = Running::begin() else { return vec![sys::after(Duration::ZERO)] };
    running.0.run_ready(|| false);
    if running.0.is_busy() || is_ready() {
        return vec![sys::after(Duration::ZERO)];
    }
    // Whoever comes back, because one of the pollables is ready, must not be told what was known before.
    running.0.look_again();
    let tasks = tasks(); // now: what has run may have started some
    let mut pollables = sys::lend(loan, |waker| tasks.iter().any(|task| task.will_wake(waker)), hold);
    // Timeouts, and the next attempt of a race.
    pollables.extend(running.0.timers.borrow().next_deadline().map(sys::at));
    if pollables.is_empty() {
        pollables.push(sys::after(NOTHING));
    }
    pollables
}

/// Lets tasks go on whose pollables were lent: whoever has them has come back.
pub(crate) fn reclaim(tasks: &[Waker]) {
    sys::reclaim(|waker| tasks.iter().any(|task| task.will_wake(waker)));
}

fn reentered() -> Error {
    Error::Busy("called from inside of another call".into())
}

#[cfg(test)]
mod tests;

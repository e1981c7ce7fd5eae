//! The clock, sleeping, and deadlines.

use std::collections::BTreeMap;
use std::fmt;
use std::future::{Future, IntoFuture};
use std::ops::{Add, Sub};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::executor;
use crate::error::{Error, Result};
use crate::sys;

/// A point of the monotonic clock that timers go by.
///
/// On WASI it is the host's clock; under the simulated network it is virtual time, which is why it is not
/// `std::time::Instant`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

impl Instant {
    /// Returns the current point.
    pub fn now() -> Self {
        Self(sys::now_nanos())
    }

    /// Returns the time that has passed since.
    pub fn elapsed(&self) -> Duration {
        Self::now() - *self
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    /// Saturates at the end of time.
    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl Sub for Instant {
    type Output = Duration;

    /// Zero when `earlier` is later.
    fn sub(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// Waits for `duration`, like `asyncio.sleep`. Zero lets other tasks go first.
///
/// # Cancel safety
///
/// Dropping it forgets the timer.
pub async fn sleep(duration: Duration) {
    if duration.is_zero() {
        return super::yield_now().await;
    }
    sleep_until(Instant::now() + duration).await;
}

/// Waits until `deadline`; never less.
///
/// # Cancel safety
///
/// Dropping it forgets the timer.
pub fn sleep_until(deadline: Instant) -> Sleep {
    Sleep { deadline, key: None }
}

/// Runs `future` for at most `duration`, like `asyncio.wait_for`; builders such as
/// [`open_connection`](crate::open_connection()) can be given as they are.
///
/// The future is polled once before the time is looked at, so a zero duration gives it that one chance (a task that has
/// completed many operations in a row without waiting may have to let others go first even then).
///
/// # Errors
///
/// [`Error::Io`] of kind `TimedOut` when the time is over; the future is dropped then.
///
/// # Cancel safety
///
/// As that of `future`: reads of [`StreamReader`](crate::StreamReader) lose nothing.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use wasi_streams::{run, timeout};
///
/// run(async {
///     let never = std::future::pending::<()>();
///     let error = timeout(Duration::from_millis(10), never).await.unwrap_err();
///     assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
/// });
/// ```
pub async fn timeout<F: IntoFuture>(duration: Duration, future: F) -> Result<F::Output> {
    let mut future = pin!(future.into_future());
    let mut timer = pin!(None::<Sleep>);
    std::future::poll_fn(|cx| {
        if let Poll::Ready(output) = future.as_mut().poll(cx) {
            return Poll::Ready(Ok(output));
        }
        // The clock is asked only by those who have to wait.
        if timer.is_none() {
            timer.set(Some(sleep_until(Instant::now() + duration)));
        }
        match timer.as_mut().as_pin_mut() {
            Some(timer) => timer.poll(cx).map(|()| Err(timed_out(duration))),
            None => Poll::Pending,
        }
    })
    .await
}

fn timed_out(duration: Duration) -> Error {
    // Not `{duration:?}`: what that stands on is 2 KB of the component.
    let milliseconds = duration.as_secs().saturating_mul(1000).saturating_add(duration.subsec_millis().into());
    Error::io(std::io::ErrorKind::TimedOut, format!("timed out after {milliseconds} ms"))
}

/// The future of [`sleep_until`].
pub struct Sleep {
    deadline: Instant,
    key: Option<TimerKey>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(executor) = executor() else { return Poll::Pending };
        if Instant::now() >= self.deadline {
            self.forget();
            return Poll::Ready(());
        }
        let mut timers = executor.timers.borrow_mut();
        match self.key {
            Some(key) if timers.rearm(key, cx.waker()) => {}
            _ => self.key = Some(timers.insert(self.deadline.0, cx.waker().clone())),
        }
        Poll::Pending
    }
}

impl Sleep {
    fn forget(&mut self) {
        if let (Some(key), Some(executor)) = (self.key.take(), executor()) {
            executor.timers.borrow_mut().remove(key);
        }
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.forget();
    }
}

impl fmt::Debug for Sleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sleep").field("deadline", &self.deadline).finish_non_exhaustive()
    }
}

type TimerKey = (u64, u64);

/// The pending timers, ordered by deadline, then by age.
#[derive(Debug, Default)]
pub(super) struct Timers {
    pending: BTreeMap<TimerKey, Waker>,
    next_id: u64,
}

impl Timers {
    pub(super) fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    pub(super) fn next_deadline(&self) -> Option<u64> {
        self.pending.first_key_value().map(|((deadline, _), _)| *deadline)
    }

    /// Removes those that are due at `now` and gives their wakers.
    pub(super) fn take_due(&mut self, now: u64) -> Vec<Waker> {
        let mut due = Vec::new();
        while let Some(entry) = self.pending.first_entry() {
            if entry.key().0 > now {
                break;
            }
            due.push(entry.remove());
        }
        due
    }

    fn insert(&mut self, deadline: u64, waker: Waker) -> TimerKey {
        let key = (deadline, self.next_id);
        self.next_id += 1;
        self.pending.insert(key, waker);
        key
    }

    /// Gives a pending timer a new waker; false when it has fired.
    fn rearm(&mut self, key: TimerKey, waker: &Waker) -> bool {
        match self.pending.get_mut(&key) {
            Some(old) => {
                old.clone_from(waker);
                true
            }
            None => false,
        }
    }

    fn remove(&mut self, key: TimerKey) {
        self.pending.remove(&key);
    }
}

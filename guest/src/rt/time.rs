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

type TimerKey<D = u64> = (D, u64);

/// The pending timers, ordered by deadline, then by age. A deadline is whatever has an order.
#[derive(Debug)]
pub(super) struct Timers<D = u64> {
    pending: BTreeMap<TimerKey<D>, Waker>,
    next_id: u64,
}

impl<D> Default for Timers<D> {
    fn default() -> Self {
        Self { pending: BTreeMap::new(), next_id: 0 }
    }
}

impl<D: Copy + Ord> Timers<D> {
    pub(super) fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    pub(super) fn next_deadline(&self) -> Option<D> {
        self.pending.first_key_value().map(|((deadline, _), _)| *deadline)
    }

    /// Removes those that are due at `now` and gives their wakers.
    pub(super) fn take_due(&mut self, now: D) -> Vec<Waker> {
        let mut due = Vec::new();
        while let Some(entry) = self.pending.first_entry() {
            if entry.key().0 > now {
                break;
            }
            due.push(entry.remove());
        }
        due
    }

    fn insert(&mut self, deadline: D, waker: Waker) -> TimerKey<D> {
        let key = (deadline, self.next_id);
        self.next_id += 1;
        self.pending.insert(key, waker);
        key
    }

    /// Gives a pending timer a new waker; false when it has fired.
    fn rearm(&mut self, key: TimerKey<D>, waker: &Waker) -> bool {
        match self.pending.get_mut(&key) {
            Some(old) => {
                old.clone_from(waker);
                true
            }
            None => false,
        }
    }

    fn remove(&mut self, key: TimerKey<D>) {
        self.pending.remove(&key);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::cmp::Ordering;

    use super::*;

    thread_local! {
        static COMPARED: Cell<usize> = const { Cell::new(0) };
    }

    /// A deadline that counts how often any of them is compared.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    struct Counted(usize);

    impl Ord for Counted {
        fn cmp(&self, other: &Self) -> Ordering {
            COMPARED.set(COMPARED.get() + 1);
            self.0.cmp(&other.0)
        }
    }

    impl PartialOrd for Counted {
        fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
            Some(self.cmp(other))
        }
    }

    fn compared(act: impl FnOnce()) -> usize {
        COMPARED.set(0);
        act();
        COMPARED.get()
    }

    /// So many timers with deadlines 0, 2, 4 and so on, armed in no particular order.
    fn pending(n: usize) -> (Timers<Counted>, Vec<TimerKey<Counted>>) {
        let mut timers = Timers::default();
        let keys = (0..n).map(|i| timers.insert(Counted(i * 7919 % n * 2), Waker::noop().clone())).collect();
        (timers, keys)
    }

    /// The most comparisons that it takes to arm, rearm or cancel one of so many.
    fn worst(n: usize) -> usize {
        let (mut timers, keys) = pending(n);
        let mut worst = 0;
        for (i, key) in keys.into_iter().enumerate() {
            let mut armed = None;
            worst = worst.max(compared(|| armed = Some(timers.insert(Counted(i * 2 + 1), Waker::noop().clone()))));
            worst = worst.max(compared(|| assert!(timers.rearm(key, Waker::noop()))));
            worst = worst.max(compared(|| timers.remove(key)));
            worst = worst.max(compared(|| armed.into_iter().for_each(|key| timers.remove(key))));
            timers.insert(key.0, Waker::noop().clone());
        }
        assert_eq!(timers.pending.len(), n);
        worst
    }

    #[test]
    fn arming_and_cancelling_cost_the_logarithm_of_what_is_pending() {
        let (hundred, ten_thousand) = (worst(100), worst(10_000));
        // A hundred times as many have twice the logarithm.
        assert!(ten_thousand <= 2 * hundred, "{hundred} comparisons with 100, {ten_thousand} with 10 000");
        assert!(ten_thousand < 100, "{ten_thousand} comparisons");
    }

    #[test]
    fn firing_looks_at_those_that_are_due_and_one_more() {
        let (mut timers, _) = pending(10_000);
        assert_eq!(compared(|| assert_eq!(timers.next_deadline(), Some(Counted(0)))), 0);
        assert_eq!(compared(|| assert_eq!(timers.take_due(Counted(0)).len(), 1)), 2);
        assert_eq!(compared(|| assert!(timers.take_due(Counted(1)).is_empty())), 1);
        assert_eq!(compared(|| assert_eq!(timers.take_due(Counted(200)).len(), 100)), 101);
        assert_eq!(timers.pending.len(), 10_000 - 101);
        assert_eq!(timers.next_deadline(), Some(Counted(202)));
    }

    #[test]
    fn what_has_fired_or_was_cancelled_is_gone() {
        let (mut timers, keys) = pending(10);
        let fired = timers.take_due(Counted(8)).len();
        assert_eq!(fired, 5);
        for key in keys {
            let is_pending = key.0.0 > 8;
            assert_eq!(timers.rearm(key, Waker::noop()), is_pending);
            timers.remove(key);
            assert!(!timers.rearm(key, Waker::noop()));
        }
        assert!(timers.is_empty());
    }
}

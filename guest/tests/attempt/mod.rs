//! A future that a test drives by hand: polled when it was woken and never else, so a missing wake is a read that hangs.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

/// A future, and how often it was woken.
pub(crate) struct Attempt<'a, T> {
    future: Pin<Box<dyn Future<Output = T> + 'a>>,
    wakes: Arc<Wakes>,
    seen: usize,
}

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl<'a, T> Attempt<'a, T> {
    /// Starts `future`; gives its result if it has one at once.
    pub(crate) fn start(future: impl Future<Output = T> + 'a) -> Result<T, Self> {
        let mut attempt = Self { future: Box::pin(future), wakes: Arc::default(), seen: 0 };
        match attempt.poll() {
            Some(result) => Ok(result),
            None => Err(attempt),
        }
    }

    /// How often it was woken so far.
    pub(crate) fn wakes(&self) -> usize {
        self.wakes.0.load(Ordering::Relaxed)
    }

    /// Lets it go on if it was woken; gives its result once it has one.
    pub(crate) fn turn(&mut self) -> Option<T> {
        let wakes = self.wakes();
        if wakes == self.seen {
            return None;
        }
        self.seen = wakes;
        self.poll()
    }

    fn poll(&mut self) -> Option<T> {
        let waker = Waker::from(Arc::clone(&self.wakes));
        match self.future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(result) => Some(result),
            Poll::Pending => None,
        }
    }
}

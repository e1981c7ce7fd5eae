//! Happy eyeballs (RFC 8305 section 5): staggered attempts, the first success wins.
//!
//! Without a delay the same race is a sequence: the next attempt starts only when the last one failed.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::error::{Error, Result};
use crate::rt::time::{Instant, Sleep, sleep_until};

type Attempt<'a, T> = Pin<Box<dyn Future<Output = Result<T>> + 'a>>;

/// Races `attempt` over `addresses`. All of it is dropped, and so cancelled, when one has won or the caller gives up.
pub(super) async fn race<'a, T, F>(
    addresses: Vec<SocketAddr>,
    delay: Option<Duration>,
    attempt: impl Fn(SocketAddr) -> F,
) -> Result<(T, SocketAddr)>
where
    F: Future<Output = Result<T>> + 'a,
{
    let mut race = Race {
        waiting: addresses.into_iter().rev().collect(),
        running: Vec::new(),
        errors: Vec::new(),
        started: 0,
        newest_failed: true,
        timer: None,
        delay,
    };
    std::future::poll_fn(|cx| race.poll(cx, |address| Box::pin(attempt(address)))).await
}

struct Race<'a, T> {
    /// The addresses not tried yet, the next one last.
    waiting: Vec<SocketAddr>,
    running: Vec<(usize, SocketAddr, Attempt<'a, T>)>,
    /// H06: what failed, with the number of the attempt, in the order in which they were started.
    errors: Vec<(usize, Error)>,
    started: usize,
    /// The attempt started last has failed (or none was started yet): no reason to wait.
    newest_failed: bool,
    timer: Option<Sleep>,
    delay: Option<Duration>,
}

impl<'a, T> Race<'a, T> {
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        attempt: impl Fn(SocketAddr) -> Attempt<'a, T>,
    ) -> Poll<Result<(T, SocketAddr)>> {
        loop {
            if let Some(winner) = self.poll_running(cx) {
                return Poll::Ready(Ok(winner));
            }
            let due = self.newest_failed || self.delay_is_over(cx);
            if !due || self.waiting.is_empty() {
                break;
            }
            self.start_next(&attempt);
        }
        if self.running.is_empty() && self.waiting.is_empty() {
            return Poll::Ready(Err(self.failure()));
        }
        Poll::Pending
    }

    /// Polls the attempts in the order of their start; gives the first success.
    fn poll_running(&mut self, cx: &mut Context<'_>) -> Option<(T, SocketAddr)> {
        let mut i = 0;
        while let Some((number, address, attempt)) = self.running.get_mut(i) {
            match attempt.as_mut().poll(cx) {
                Poll::Pending => i += 1,
                Poll::Ready(Ok(won)) => return Some((won, *address)),
                Poll::Ready(Err(error)) => {
                    self.newest_failed |= *number + 1 == self.started;
                    let place = self.errors.partition_point(|(earlier, _)| earlier < number);
                    self.errors.insert(place, (*number, error));
                    drop(self.running.remove(i));
                }
            }
        }
        None
    }

    fn delay_is_over(&mut self, cx: &mut Context<'_>) -> bool {
        self.timer.as_mut().is_some_and(|timer| Pin::new(timer).poll(cx).is_ready())
    }

    fn start_next(&mut self, attempt: &impl Fn(SocketAddr) -> Attempt<'a, T>) {
        let Some(address) = self.waiting.pop() else { return };
        self.running.push((self.started, address, attempt(address)));
        self.started += 1;
        self.newest_failed = false;
        self.timer = self.delay.map(|delay| sleep_until(Instant::now() + delay));
    }

    fn failure(&mut self) -> Error {
        let errors = self.errors.drain(..).map(|(_, error)| error).collect();
        Error::join(errors).unwrap_or_else(|| Error::invalid("no address to connect to"))
    }
}

//! The pump: the task of a connection that moves bytes between its state and its link.

use std::rc::Rc;
use std::task::{Context, Poll};

use super::{After, Connection, Fin, Phase, State};
use crate::rt;

/// The most that one turn of the pump hands over before other tasks get theirs.
pub(super) const SEND_BUDGET: usize = 256 * 1024;

/// Runs until the connection is lost and nothing of it is left to finish.
pub(super) async fn pump(connection: Rc<Connection>) {
    std::future::poll_fn(|cx| connection.poll_pump(cx)).await;
    connection.linger_if_unread().await;
}

impl Connection {
    /// Moves what can be moved; ready when the connection is lost (or only has to linger).
    fn poll_pump(self: &Rc<Self>, cx: &mut Context<'_>) -> Poll<()> {
        let (over, done) = self.change(|state, after| {
            state.remember_pump(cx);
            state.pump_out(cx, after);
            let over = state.pump_in(cx, after);
            (over, state.pump_close(cx, after))
        });
        if over {
            self.close(); // which wakes this pump again
        }
        if done { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl State {
    fn remember_pump(&mut self, cx: &Context<'_>) {
        match &mut self.pump {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
    }

    /// Hands queued bytes to the link, then the end of our direction if that is wanted.
    fn pump_out(&mut self, cx: &mut Context<'_>, after: &mut After) {
        let mut budget = SEND_BUDGET;
        while !self.send.is_empty() && !self.is_lost() {
            let Some(link) = self.link.as_mut() else { return };
            match link.poll_send(cx, self.send.front()) {
                Poll::Pending => return,
                Poll::Ready(Err(error)) => return self.lose(Some(error), after), // W09
                Poll::Ready(Ok(n)) => {
                    self.sent += n as u64;
                    if self.send.advance(n) {
                        self.wake_drainers(after); // D03
                    }
                    budget = budget.saturating_sub(n);
                }
            }
            if budget == 0 {
                return rt::defer(cx.waker());
            }
        }
        if self.send.is_empty() {
            match self.link.as_mut().map(|link| link.poll_flush(cx)) {
                Some(Poll::Ready(Err(error))) => return self.lose(Some(error), after),
                Some(Poll::Pending) => return,
                Some(Poll::Ready(Ok(()))) | None => after.wakers.append(&mut self.flushers),
            }
        }
        if self.fin == Fin::Wanted && self.send.is_empty() {
            self.fin = Fin::Sent; // W12
            let sent = self.link.as_mut().map_or(Ok(()), |link| link.shutdown_send());
            if let Err(error) = sent {
                self.lose(Some(error), after);
            }
        }
    }

    /// Takes one piece from the link; more of them in later turns, so that others get theirs. True when the peer has ended a
    /// stream that cannot be half open.
    fn pump_in(&mut self, cx: &mut Context<'_>, after: &mut After) -> bool {
        if !self.wants_data() || self.received_in == rt::turn() {
            return false;
        }
        let Some(link) = self.link.as_mut() else { return false };
        match link.poll_recv(cx) {
            Poll::Pending => {}
            Poll::Ready(Err(error)) => self.lose(Some(error), after),
            Poll::Ready(Ok(bytes)) if bytes.is_empty() => {
                let both_ways = link.is_encrypted();
                self.receive.feed_eof(); // W16: half closed, writing goes on
                self.wake_reader(after);
                return both_ways; // T11: over TLS there is no half
            }
            Poll::Ready(Ok(bytes)) => {
                self.receive.feed(bytes);
                self.received_in = rt::turn();
                self.wake_reader(after);
                rt::defer(cx.waker()); // the read that finds nothing is the one that registers
            }
        }
        false
    }

    /// Finishes a close once the queue is empty; true when the pump is done.
    fn pump_close(&mut self, cx: &mut Context<'_>, after: &mut After) -> bool {
        if matches!(self.phase, Phase::Closing) && self.send.is_empty() {
            let closed = self.link.as_mut().map_or(Poll::Ready(Ok(())), |link| link.poll_close(cx));
            match closed {
                Poll::Pending => return false,
                Poll::Ready(Err(error)) => self.lose(Some(error), after),
                Poll::Ready(Ok(())) => self.lose_or_linger(cx, after),
            }
        }
        self.is_lost()
    }
}

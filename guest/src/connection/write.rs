//! The writing side of a connection.

use std::rc::Rc;
use std::task::{Context, Poll, ready};

use super::pump::SEND_BUDGET;
use super::{Connection, Fin, Phase};
use crate::error::{Error, Result};
use crate::proto::queue::WaterMarks;
use crate::report::{Report, report};
use crate::rt;

/// From this many writes to a lost connection on, each is reported.
const PATIENCE: u32 = 5;

/// A write at least this long is offered to the link before it is copied into an empty queue.
const WORTH_SENDING_AT_ONCE: usize = 16 * 1024;

impl Connection {
    /// Accepts `data`: it goes out at the end of this turn of the loop at the latest, together with what else is
    /// written in it. After a loss or a close it is discarded.
    pub(crate) fn write(&self, data: &[u8], caller: &'static str) -> Result<()> {
        let discarded = self.change(|state, after| {
            if state.fin != Fin::None {
                return Err(Error::WriteAfterEof(caller)); // W05
            }
            if data.is_empty() {
                return Ok(None);
            }
            if state.is_lost() {
                state.writes_after_loss += 1;
                return Ok(Some(state.writes_after_loss)); // W07
            }
            if state.is_closing() {
                return Ok(None); // W08
            }
            let data = state.send_at_once(data, after);
            if !data.is_empty() {
                state.send.push(data);
                state.wake_pump(after);
            }
            Ok(None)
        })?;
        if let Some(count) = discarded.filter(|count| *count >= PATIENCE) {
            report(&Report::WritesAfterLoss { peer: self.info.peer, count });
        }
        Ok(())
    }

    /// Ends our direction behind what is queued. No effect when repeated, or after a close.
    pub(crate) fn write_eof(&self) {
        self.change(|state, after| {
            if state.fin == Fin::None && matches!(state.phase, Phase::Open) {
                state.fin = Fin::Wanted;
                state.wake_pump(after);
            }
        });
    }

    /// The waiting half of `drain`: until the queue is at or below its low mark, or the connection is lost.
    pub(crate) async fn drain(self: &Rc<Self>) -> Result<()> {
        if let Some(error) = self.look(|buffer| buffer.error().cloned()) {
            return Err(error); // D04
        }
        if self.is_closing() {
            // D08: the loss needs a turn to be seen, and a loop of write and drain must not spin.
            rt::yield_now().await;
        }
        if self.is_lost() {
            return Err(self.loss()); // D05
        }
        std::future::poll_fn(|cx| self.poll_drained(cx)).await
    }

    /// Completes when the queue is low, and when the connection is lost, with its error if it has one (D06).
    pub(crate) fn poll_drained(&self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let mut state = self.state.borrow_mut();
        match &state.phase {
            Phase::Lost(None) => Poll::Ready(Ok(())),
            Phase::Lost(Some(error)) => Poll::Ready(Err(error.clone())),
            Phase::Open | Phase::Closing if !state.send.is_paused() => rt::poll_budget(cx).map(Ok),
            Phase::Open | Phase::Closing => {
                super::remember(&mut state.drainers, cx);
                Poll::Pending
            }
        }
    }

    /// Completes when the queue is empty: a flush, for the futures-io traits.
    pub(crate) fn poll_flushed(&self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let mut state = self.state.borrow_mut();
        match &state.phase {
            Phase::Lost(Some(error)) => Poll::Ready(Err(error.clone())),
            Phase::Lost(None) if state.dropped => Poll::Ready(Err(Error::connection_lost())),
            _ if state.unsent() == 0 && state.fin != Fin::Wanted => Poll::Ready(Ok(())),
            _ => {
                super::remember(&mut state.flushers, cx);
                Poll::Pending
            }
        }
    }

    /// Accepts some of `data` for the futures-io traits: waits while the queue is above its high mark.
    pub(crate) fn poll_write(&self, cx: &mut Context<'_>, data: &[u8]) -> Poll<Result<usize>> {
        {
            let mut state = self.state.borrow_mut();
            match &state.phase {
                Phase::Lost(error) => {
                    return Poll::Ready(Err(error.clone().unwrap_or_else(Error::connection_lost)));
                }
                Phase::Closing => return Poll::Ready(Err(Error::Closed("the writer is closed".into()))),
                Phase::Open if state.send.is_paused() => {
                    super::remember(&mut state.drainers, cx);
                    return Poll::Pending;
                }
                Phase::Open => {}
            }
        }
        ready!(rt::poll_budget(cx));
        let n = data.len().min(crate::proto::queue::DEFAULT_HIGH_WATER);
        Poll::Ready(self.write(&data[..n], "write").map(|()| n))
    }

    /// What `drain` says about a connection that is gone.
    fn loss(&self) -> Error {
        match &self.state.borrow().phase {
            Phase::Lost(Some(error)) => error.clone(),
            _ => Error::connection_lost(),
        }
    }

    /// How much is accepted and not yet handed to the system (D17).
    pub(crate) fn queued(&self) -> usize {
        self.state.borrow().unsent()
    }

    /// Whether one direction alone can be closed.
    pub(crate) fn can_half_close(&self) -> bool {
        let state = self.state.borrow();
        !state.upgrading && !state.link.as_ref().is_some_and(|link| link.is_encrypted())
    }

    /// Takes the water marks that fit the link.
    pub(super) fn adopt_marks(&self) {
        #[cfg(feature = "tls")]
        if !self.can_half_close() {
            self.state.borrow_mut().send.use_tls_marks();
        }
    }

    /// Sets the water marks; what is not given follows from the defaults of the link (D12).
    pub(crate) fn set_limits(&self, high: Option<usize>, low: Option<usize>) -> Result<()> {
        let high = match (high, low, self.can_half_close()) {
            #[cfg(feature = "tls")]
            (None, None, false) => Some(crate::proto::queue::TLS_HIGH_WATER),
            (high, ..) => high,
        };
        self.set_marks(WaterMarks::new(high, low)?);
        Ok(())
    }

    pub(crate) fn marks(&self) -> WaterMarks {
        self.state.borrow().send.marks()
    }

    fn set_marks(&self, marks: WaterMarks) {
        self.state.borrow_mut().send.set_marks(marks);
    }
}

impl super::State {
    /// W01: offers a long write to the link while nothing is queued before it; gives what the link did not take.
    fn send_at_once<'a>(&mut self, mut data: &'a [u8], after: &mut super::After) -> &'a [u8] {
        let Some(pump) = self.pump.clone().filter(|_| data.len() >= WORTH_SENDING_AT_ONCE && self.send.is_empty())
        else {
            return data;
        };
        let mut cx = Context::from_waker(&pump);
        let keep = data.len().saturating_sub(SEND_BUDGET);
        while data.len() > keep {
            let Some(link) = self.link.as_mut() else { break };
            match link.poll_send(&mut cx, &data[..data.len() - keep]) {
                Poll::Ready(Ok(n)) => {
                    self.sent += n as u64;
                    data = &data[n..];
                }
                Poll::Ready(Err(error)) => {
                    self.lose(Some(error), after); // W09: write itself never fails
                    return &[];
                }
                Poll::Pending => break,
            }
        }
        data
    }
}

//! Letting the host move bytes from one connection to another.

use std::rc::Rc;
use std::task::{Context, Poll, ready};

use super::{Connection, Phase, remember};
use crate::error::{Error, Result};
use crate::sys::SpliceFailure;

/// What one step of splicing did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spliced {
    /// So many bytes were moved.
    Bytes(usize),
    /// The source has ended, or the rest has to be copied the other way.
    End,
}

/// Two connections of the host while bytes are spliced; the source's pump does not read meanwhile.
#[derive(Debug)]
pub(crate) struct Splicing {
    source: Rc<Connection>,
    target: Rc<Connection>,
}

impl Splicing {
    /// None when these two cannot be spliced.
    pub(crate) fn begin(source: &Rc<Connection>, target: &Rc<Connection>) -> Option<Self> {
        if Rc::ptr_eq(source, target) {
            return None;
        }
        if target.state.borrow_mut().streams().is_none() || source.state.borrow_mut().streams().is_none() {
            return None;
        }
        source.state.borrow_mut().borrowed = true;
        Some(Self { source: Rc::clone(source), target: Rc::clone(target) })
    }

    /// Moves some bytes: first what is buffered here, then what the host has.
    pub(crate) fn poll(&self, cx: &mut Context<'_>) -> Poll<Result<Spliced>> {
        if self.source.look(|buffer| buffer.buffered() > 0) {
            let data = ready!(self.source.poll_take(cx, |buffer| buffer.take_some(usize::MAX)))?;
            self.target.write(&data, "copy")?;
            return Poll::Ready(Ok(Spliced::Bytes(data.len())));
        }
        // Nothing may overtake what is queued.
        ready!(self.target.poll_flushed(cx))?;
        let mut source = self.source.state.borrow_mut();
        if let Some(error) = source.receive.error() {
            return Poll::Ready(Err(error.clone()));
        }
        let mut target = self.target.state.borrow_mut();
        if target.is_closing() {
            return Poll::Ready(Err(Error::connection_lost()));
        }
        // Losing either wakes this task; so does the pump of the target, when it has sent what somebody else wrote:
        // room is told to whoever asked for it last.
        remember(&mut target.drainers, cx);
        remember(&mut target.flushers, cx);
        source.reader = Some(cx.waker().clone());
        if source.paused_by_user {
            return Poll::Pending;
        }
        if source.receive.saw_eof() || !matches!(source.phase, Phase::Open) {
            return Poll::Ready(Ok(Spliced::End));
        }
        let (Some(from), Some(to)) = (source.streams(), target.streams()) else { return Poll::Ready(Ok(Spliced::End)) };
        let (failed, error) = match ready!(to.poll_splice(from, cx)) {
            Ok(0) => {
                source.receive.feed_eof();
                return Poll::Ready(Ok(Spliced::End));
            }
            Ok(n) => {
                target.sent += n as u64;
                return Poll::Ready(Ok(Spliced::Bytes(n)));
            }
            Err(SpliceFailure::Source(error)) => (&self.source, error),
            Err(SpliceFailure::Target(error)) => (&self.target, error),
        };
        drop((source, target));
        failed.change(|state, after| state.lose(Some(error.clone()), after)); // C14, W09
        Poll::Ready(Err(error))
    }
}

impl Drop for Splicing {
    fn drop(&mut self) {
        self.source.change(|state, after| {
            state.borrowed = false;
            state.wake_pump(after);
        });
    }
}

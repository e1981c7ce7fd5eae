//! The reading side of a connection.

use std::task::{Context, Poll, Waker};

use bytes::Bytes;

use super::Connection;
use crate::error::{Error, Result};
use crate::proto::buffer::ReceiveBuffer;

impl Connection {
    /// Runs `take` on the buffer; on `None` the caller is woken when there may be more.
    pub(crate) fn poll_take<T>(
        &self,
        cx: &mut Context<'_>,
        take: impl FnOnce(&mut ReceiveBuffer) -> Result<Option<T>>,
    ) -> Poll<Result<T>> {
        let taken = self.touch(|buffer| take(buffer));
        match taken.transpose() {
            Some(result) => Poll::Ready(result),
            None => {
                let mut state = self.state.borrow_mut();
                match &mut state.reader {
                    Some(waker) => waker.clone_from(cx.waker()),
                    none => *none = Some(cx.waker().clone()),
                }
                Poll::Pending
            }
        }
    }

    /// Runs `f` on the buffer, and lets the pump go on when that made room.
    #[inline]
    pub(crate) fn touch<T>(&self, f: impl FnOnce(&mut ReceiveBuffer) -> T) -> T {
        let mut state = self.state.borrow_mut();
        let was_paused = state.receive.is_paused();
        let result = f(&mut state.receive);
        if was_paused && !state.receive.is_paused() {
            drop(state);
            self.resumed();
        }
        result
    }

    #[cold]
    fn resumed(&self) {
        let pump = self.state.borrow().pump.clone();
        pump.iter().for_each(Waker::wake_by_ref);
    }

    /// Looks at the buffer.
    pub(crate) fn look<T>(&self, f: impl FnOnce(&ReceiveBuffer) -> T) -> T {
        f(&self.state.borrow().receive)
    }

    /// Feeds a reader by hand.
    pub(crate) fn feed(&self, bytes: Bytes) -> Result<()> {
        self.change(|state, after| {
            if state.receive.saw_eof() {
                return Err(Error::Closed("feed_data after feed_eof".into())); // R06
            }
            if !bytes.is_empty() {
                state.receive.feed(bytes);
                state.wake_reader(after);
            }
            Ok(())
        })
    }

    /// Feeds the end by hand.
    pub(crate) fn feed_eof(&self) {
        self.change(|state, after| {
            state.receive.feed_eof();
            state.wake_reader(after);
        });
    }

    /// Stores the error that every later read gives.
    pub(crate) fn set_read_error(&self, error: Error) {
        self.change(|state, after| {
            state.receive.set_error(error);
            state.wake_reader(after);
        });
    }

    /// Nobody will read any more: what arrives is thrown away (C13).
    pub(crate) fn discard_input(&self) {
        self.change(|state, after| {
            state.receive.discard();
            state.reader = None;
            state.wake_pump(after);
        });
    }

    /// Stops taking data from the peer, whatever the buffer holds.
    pub(crate) fn pause_reading(&self, pause: bool) {
        self.change(|state, after| {
            state.paused_by_user = pause;
            if !pause {
                state.wake_pump(after);
                state.wake_reader(after); // a splice waits like one
            }
        });
    }

    /// Whether data is being taken from the peer.
    pub(crate) fn is_reading(&self) -> bool {
        self.state.borrow().wants_data()
    }
}

//! The receive buffer: what arrived and was not read yet, with the rules by which it is taken.
//!
//! One contiguous piece of memory, so that separators are searched by one pass of vector code and lines are split
//! off without copying. When everything was read before the next piece arrives, which is the usual case, that
//! piece becomes the buffer as it is; otherwise it is copied behind the rest.
//!
//! The buffer asks for its source to be paused when it holds more than twice the limit, and to go on when it is at
//! or below the limit (F01–F04): reading ahead, but not without bound.

use std::mem;

use bytes::{Buf, Bytes, BytesMut};

use super::search::{Match, Search};
use crate::error::{Error, Result};

/// The default of `limit`, in bytes.
pub const DEFAULT_LIMIT: usize = 64 * 1024;

/// Received bytes, the end of the stream, and the error that ended it.
#[derive(Debug)]
pub(crate) struct ReceiveBuffer {
    data: BytesMut,
    /// Bytes that the reader holds in its own hands for borrowed access; they still count (F01), and can be recalled.
    loan: Bytes,
    /// The loan was recalled; the reader does not know yet.
    #[cfg(feature = "tls")]
    recalled: bool,
    limit: usize,
    eof: bool,
    error: Option<Error>,
    paused: bool,
    /// Nobody will read any more: throw away what arrives (C13).
    discarding: bool,
}

impl ReceiveBuffer {
    /// Makes an empty buffer; `limit` is at least 1, which the options check.
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            data: BytesMut::new(),
            loan: Bytes::new(),
            #[cfg(feature = "tls")]
            recalled: false,
            limit,
            eof: false,
            error: None,
            paused: false,
            discarding: false,
        }
    }

    // ------------------------------------------------------------------ feeding

    /// Appends what arrived.
    pub(crate) fn feed(&mut self, bytes: Bytes) {
        if bytes.is_empty() || self.discarding {
            return; // R04, C13
        }
        if self.data.is_empty() {
            self.data = BytesMut::from(bytes);
        } else {
            self.data.extend_from_slice(&bytes);
        }
        self.pause_if_high();
    }

    /// Notes that nothing more will come.
    pub(crate) fn feed_eof(&mut self) {
        self.eof = true;
    }

    /// Stores the error that every later read reports (R11, R12).
    pub(crate) fn set_error(&mut self, error: Error) {
        self.error = Some(error);
    }

    /// Throws away what is here and what will come.
    pub(crate) fn discard(&mut self) {
        self.discarding = true;
        self.data = BytesMut::new();
        self.loan = Bytes::new();
        self.paused = false;
    }

    // ------------------------------------------------------------------ looking

    /// How many bytes can be read.
    pub(crate) fn buffered(&self) -> usize {
        self.data.len() + self.loan.len()
    }

    /// Whether the source should not deliver more for now.
    pub(crate) fn is_paused(&self) -> bool {
        self.paused
    }

    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    pub(crate) fn error(&self) -> Option<&Error> {
        self.error.as_ref()
    }

    /// Whether the end was noted, whatever is still buffered.
    pub(crate) fn saw_eof(&self) -> bool {
        self.eof
    }

    /// Whether the end was noted and everything was read (R08).
    pub(crate) fn at_eof(&self) -> bool {
        self.eof && self.buffered() == 0
    }

    // ------------------------------------------------------------------ taking

    /// At most `n` bytes. `None`: wait. An empty answer: the end (or `n` was 0).
    pub(crate) fn take_some(&mut self, n: usize) -> Result<Option<Bytes>> {
        self.check()?;
        if n == 0 {
            return Ok(Some(Bytes::new())); // R23
        }
        if self.data.is_empty() && !self.eof {
            return Ok(self.wait());
        }
        Ok(Some(self.split(n.min(self.data.len()))))
    }

    /// Exactly `n` bytes. `None`: wait.
    pub(crate) fn take_exactly(&mut self, n: usize) -> Result<Option<Bytes>> {
        self.check()?;
        if self.data.len() >= n {
            return Ok(Some(self.split(n)));
        }
        if self.eof {
            return Err(Error::Incomplete { partial: self.take_all(), expected: Some(n) }); // R30, R31
        }
        Ok(self.wait())
    }

    /// Everything up to and including the first separator. `None`: wait.
    pub(crate) fn take_until(&mut self, search: &mut Search, separators: &[&[u8]]) -> Result<Option<Bytes>> {
        self.check()?;
        if let Some(Match { end, .. }) = search.advance(&self.data, separators, self.limit)? {
            return Ok(Some(self.split(end)));
        }
        if self.eof {
            return Err(Error::Incomplete { partial: self.take_all(), expected: None }); // R56
        }
        Ok(self.wait())
    }

    /// Everything up to and including the next newline, or what is left at the end. `None`: wait.
    pub(crate) fn take_line(&mut self, search: &mut Search) -> Result<Option<Bytes>> {
        match self.take_until(search, &[b"\n"]) {
            Err(Error::Incomplete { partial, .. }) => Ok(Some(partial)), // R71, R72
            Err(Error::LimitOverrun { consumed, found }) => {
                if found {
                    self.split(consumed + 1); // R73: this line and its newline, nothing else
                } else {
                    self.take_all(); // R74
                }
                Err(Error::LineTooLong { found })
            }
            other => other,
        }
    }

    /// Everything that is here now.
    pub(crate) fn take_all(&mut self) -> Bytes {
        self.split(self.data.len())
    }

    /// Puts back what a read took that was given up; it counts as if it had just arrived.
    pub(crate) fn put_back(&mut self, bytes: Bytes) {
        if !bytes.is_empty() && !self.discarding {
            self.prepend(bytes);
            self.pause_if_high();
        }
    }

    /// Everything that is here, for borrowed access: it counts as buffered until it is given up by
    /// [`return_loan`](Self::return_loan) or [`settle_loan`](Self::settle_loan).
    pub(crate) fn lend(&mut self) -> Bytes {
        self.loan = mem::take(&mut self.data).freeze();
        self.loan.clone()
    }

    /// Takes everything, also what is lent: the reader must not use that any more.
    #[cfg(feature = "tls")]
    pub(crate) fn recall_all(&mut self) -> Bytes {
        let loan = mem::take(&mut self.loan);
        if !loan.is_empty() {
            self.recalled = true;
            self.prepend(loan);
        }
        let all = self.take_all();
        self.resume_if_low();
        all
    }

    /// Whether the loan was recalled since the last time this was asked.
    #[cfg(feature = "tls")]
    pub(crate) fn was_recalled(&mut self) -> bool {
        mem::take(&mut self.recalled)
    }

    /// Takes back what is left of a loan.
    pub(crate) fn return_loan(&mut self, rest: Bytes) {
        self.loan = Bytes::new(); // or it would share memory with what goes back
        self.prepend(rest);
        self.resume_if_low();
    }

    /// Notes that `n` lent bytes were used up.
    pub(crate) fn settle_loan(&mut self, n: usize) {
        self.loan.advance(n.min(self.loan.len()));
        self.resume_if_low();
    }

    /// What a borrowed read waits for: `Some(true)` bytes are here, `Some(false)` the end. `None`: wait.
    pub(crate) fn readable(&mut self) -> Result<Option<bool>> {
        self.check()?;
        if !self.data.is_empty() {
            return Ok(Some(true));
        }
        if self.eof {
            return Ok(Some(false));
        }
        Ok(self.wait())
    }

    // ------------------------------------------------------------------ helpers

    /// R11: a stored error hides what is buffered.
    fn check(&self) -> Result<()> {
        self.error.clone().map_or(Ok(()), Err)
    }

    /// F05: whoever has to wait needs more, whatever is buffered.
    fn wait<T>(&mut self) -> Option<T> {
        self.paused = false;
        None
    }

    fn split(&mut self, n: usize) -> Bytes {
        let taken = if n == self.data.len() { mem::take(&mut self.data) } else { self.data.split_to(n) };
        self.resume_if_low();
        taken.freeze()
    }

    fn prepend(&mut self, bytes: Bytes) {
        let rest = mem::take(&mut self.data);
        self.data = BytesMut::from(bytes);
        self.data.extend_from_slice(&rest);
    }

    fn pause_if_high(&mut self) {
        if self.buffered() > self.limit.saturating_mul(2) {
            self.paused = true; // F01
        }
    }

    fn resume_if_low(&mut self) {
        if self.paused && self.buffered() <= self.limit {
            self.paused = false; // F03
        }
    }
}

//! The receive buffer: what arrived and was not read yet, with the rules by which it is taken.
//!
//! What comes first is one contiguous piece of memory that does not change, so that separators are searched by one pass of vector code
//! and lines are split off without copying. When everything was read before the next piece arrives, which is the usual case,
//! that piece becomes the front as it is; otherwise it is kept behind it, and put together with the rest when a read needs both.
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
    /// What comes first; pieces of it may be in other hands.
    front: Bytes,
    /// What arrived behind that.
    tail: BytesMut,
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
            front: Bytes::new(),
            tail: BytesMut::new(),
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
        if self.len() == 0 {
            self.front = bytes;
        } else if self.tail.is_empty() {
            self.tail = BytesMut::from(bytes);
        } else {
            self.tail.extend_from_slice(&bytes);
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
        self.front = Bytes::new();
        self.tail = BytesMut::new();
        self.loan = Bytes::new();
        self.paused = false;
    }

    // ------------------------------------------------------------------ looking

    /// How many bytes can be read.
    pub(crate) fn buffered(&self) -> usize {
        self.len() + self.loan.len()
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
        if self.len() == 0 && !self.eof {
            return Ok(self.wait());
        }
        Ok(Some(self.split(n.min(self.len()))))
    }

    /// Exactly `n` bytes. `None`: wait.
    pub(crate) fn take_exactly(&mut self, n: usize) -> Result<Option<Bytes>> {
        self.check()?;
        if self.len() >= n {
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
        // The front may have what is wanted; else the search goes on in all of it, and remembers how far it was.
        let found = match search.look(&self.front, separators) {
            Some(found) => search.check(found, self.limit)?,
            None => {
                self.gather();
                search.advance(&self.front, separators, self.limit)?
            }
        };
        if let Some(Match { end, .. }) = found {
            return Ok(Some(self.split(end)));
        }
        if self.eof {
            return Err(Error::Incomplete { partial: self.take_all(), expected: None }); // R56
        }
        Ok(self.wait())
    }

    /// The next line if it is in the front, as it mostly is: found without any of the rest.
    pub(crate) fn take_ready_line(&mut self) -> Option<Bytes> {
        let at = memchr::memchr(b'\n', &self.front)?;
        if at > self.limit || self.error.is_some() {
            return None;
        }
        let line = self.front.split_to(at + 1);
        self.resume_if_low();
        Some(line)
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
        self.split(self.len())
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
        self.gather();
        self.loan = mem::take(&mut self.front);
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

    /// Whether the reader may go on with what it was lent: not after a recall, nor behind an error (R11).
    pub(crate) fn is_loan_good(&self) -> bool {
        #[cfg(feature = "tls")]
        if self.recalled {
            return false;
        }
        self.error.is_none()
    }

    /// Notes that `n` lent bytes were used up.
    pub(crate) fn settle_loan(&mut self, n: usize) {
        self.loan.advance(n.min(self.loan.len()));
        self.resume_if_low();
    }

    /// What a borrowed read waits for: `Some(true)` bytes are here, `Some(false)` the end. `None`: wait.
    pub(crate) fn readable(&mut self) -> Result<Option<bool>> {
        self.check()?;
        if self.len() > 0 {
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

    /// How much is here, without the loan.
    fn len(&self) -> usize {
        self.front.len() + self.tail.len()
    }

    fn split(&mut self, n: usize) -> Bytes {
        if n > self.front.len() {
            self.gather();
        }
        let taken = if n == self.front.len() { mem::take(&mut self.front) } else { self.front.split_to(n) };
        self.resume_if_low();
        taken
    }

    /// Puts everything into the front.
    fn gather(&mut self) {
        if self.tail.is_empty() {
            return;
        }
        let tail = mem::take(&mut self.tail);
        let front = mem::take(&mut self.front);
        self.front = if front.is_empty() { tail.freeze() } else { joined(front, &tail) };
    }

    fn prepend(&mut self, bytes: Bytes) {
        if bytes.is_empty() {
            return;
        }
        self.gather();
        let rest = mem::take(&mut self.front);
        self.front = if rest.is_empty() { bytes } else { joined(bytes, &rest) };
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

/// Both as one: behind `front` in its own memory, if nobody else holds a part of that.
fn joined(front: Bytes, behind: &[u8]) -> Bytes {
    let mut all = front.try_into_mut().unwrap_or_else(|shared| {
        let mut copy = BytesMut::with_capacity(shared.len() + behind.len());
        copy.extend_from_slice(&shared);
        copy
    });
    all.extend_from_slice(behind);
    all.freeze()
}

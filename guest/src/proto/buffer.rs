//! The receive buffer: what arrived and was not read yet, with the rules by which it is taken.
//!
//! In two parts. The *front* does not change: separators are searched in it by one pass, and lines are split off it without
//! copying. What arrives while there is a front gathers at the *back*, and becomes the front as it is when that is used up.
//! What begins in one and ends in the other is copied together: the rest of a line at the end of a chunk costs a copy of that
//! line, not of the next chunk.
//!
//! The buffer asks for its source to be paused when it holds more than twice the limit, and to go on when it is at
//! or below the limit (F01–F04): reading ahead, but not without bound.

use std::mem;

use bytes::{Buf, Bytes, BytesMut};

use super::search::{Match, Search, find_byte};
use crate::error::{Error, Result};

/// The default of `limit`, in bytes.
pub const DEFAULT_LIMIT: usize = 64 * 1024;

/// So much is rather copied than lent apart.
const CHEAP: usize = 1024;

/// Received bytes, the end of the stream, and the error that ended it.
#[derive(Debug)]
pub(crate) struct ReceiveBuffer {
    /// What comes first; pieces of it may be in other hands. Empty only when the back is, too.
    front: Bytes,
    back: BytesMut,
    /// The reader has a view of the front, for borrowed access, and keeps step by telling what it uses. Whatever else changes
    /// the front ends that.
    lent: bool,
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
            back: BytesMut::new(),
            lent: false,
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
        if self.front.is_empty() {
            self.front = bytes;
        } else if self.back.is_empty() {
            self.back = BytesMut::from(bytes);
        } else {
            self.make_room(bytes.len());
            self.back.extend_from_slice(&bytes);
        }
        self.pause_if_high();
    }

    /// Makes room for `n` bytes at the back: twice as much as before, so that each byte moves once on average, but no more than can come
    /// before the source is paused, when it gives 64 KiB at once.
    fn make_room(&mut self, n: usize) {
        let needed = self.back.len() + n;
        if needed <= self.back.capacity() {
            return;
        }
        let most = self.limit.saturating_mul(2).saturating_add(DEFAULT_LIMIT).saturating_sub(self.front.len());
        let mut back = BytesMut::with_capacity((2 * self.back.capacity()).min(most).max(needed));
        back.extend_from_slice(&self.back);
        self.back = back;
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
        self.back = BytesMut::new();
        self.lent = false;
        self.paused = false;
    }

    // ------------------------------------------------------------------ looking

    /// How many bytes can be read.
    pub(crate) fn buffered(&self) -> usize {
        self.front.len() + self.back.len()
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
        if self.front.is_empty() && !self.eof {
            return Ok(self.wait());
        }
        Ok(Some(self.split(n.min(self.buffered()))))
    }

    /// Exactly `n` bytes. `None`: wait.
    pub(crate) fn take_exactly(&mut self, n: usize) -> Result<Option<Bytes>> {
        self.check()?;
        if self.buffered() >= n {
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
        // The front mostly has what is wanted; else the search goes on in more of it, and remembers how far it was.
        let found = match search.look(&self.front, separators) {
            Some(found) => search.check(found, self.limit)?,
            None => {
                self.gather(separators);
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

    /// The next line if it is in the front and within the limit, as it mostly is: found without any of the rest.
    #[inline]
    pub(crate) fn take_ready_line(&mut self) -> Option<Bytes> {
        let n = self.ready_line()?;
        Some(self.split(n))
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

    /// Everything that is here now, also what the reader has a view of: it must not use that any more.
    pub(crate) fn take_all(&mut self) -> Bytes {
        self.split(self.buffered())
    }

    /// Puts back what a read took that was given up; it counts as if it had just arrived.
    pub(crate) fn put_back(&mut self, bytes: Bytes) {
        if bytes.is_empty() || self.discarding {
            return;
        }
        if !self.front.is_empty() {
            self.join();
            self.back = BytesMut::from(mem::take(&mut self.front));
        }
        self.front = bytes;
        self.join();
        self.pause_if_high();
    }

    // ------------------------------------------------------------------ lending

    /// A view of the front, for borrowed access: it stays buffered until it is [used](Self::use_lent). An empty view is the end
    /// of the stream. `None`: wait.
    pub(crate) fn lend(&mut self) -> Result<Option<Bytes>> {
        self.check()?;
        if self.front.is_empty() && !self.eof {
            return Ok(self.wait());
        }
        if self.back.len() <= CHEAP {
            self.join();
        }
        self.lent = !self.front.is_empty();
        Ok(Some(self.front.clone()))
    }

    /// A view that begins with a line, and how long that is, which is used by this. None where
    /// [`take_ready_line`](Self::take_ready_line) gives none.
    pub(crate) fn lend_ready_line(&mut self) -> Option<(Bytes, usize)> {
        let n = self.ready_line()?;
        let view = self.front.clone();
        self.lent = true;
        self.use_lent(n);
        Some((view, n))
    }

    /// How long the line is that what is lent goes on with, which is used by this. None also when nothing is lent any more.
    #[inline]
    pub(crate) fn use_lent_line(&mut self) -> Option<usize> {
        if !self.lent {
            return None;
        }
        let n = self.ready_line()?;
        self.front.advance(n);
        self.took();
        Some(n)
    }

    /// Notes that the reader has used `n` bytes of its view.
    #[inline]
    pub(crate) fn use_lent(&mut self, n: usize) {
        if self.lent {
            self.front.advance(n.min(self.front.len()));
            self.took();
        }
    }

    /// Whether the reader may go on with its view: nobody else took what it shows, and no error hides it (R11).
    #[inline]
    pub(crate) fn is_lent(&self) -> bool {
        self.lent && self.error.is_none()
    }

    /// Notes that the reader has no view any more.
    pub(crate) fn end_loan(&mut self) {
        self.lent = false;
    }

    // ------------------------------------------------------------------ helpers

    /// R11: a stored error hides what is buffered.
    fn check(&self) -> Result<()> {
        match &self.error {
            None => Ok(()),
            Some(error) => Err(error.clone()),
        }
    }

    /// F05: whoever has to wait needs more, whatever is buffered.
    fn wait<T>(&mut self) -> Option<T> {
        self.paused = false;
        None
    }

    /// How long the next line is with its newline, when it is in the front and within the limit.
    #[inline]
    fn ready_line(&self) -> Option<usize> {
        if self.error.is_some() {
            return None; // R11
        }
        find_byte(b'\n', &self.front).filter(|at| *at <= self.limit).map(|at| at + 1)
    }

    #[inline]
    fn split(&mut self, n: usize) -> Bytes {
        if n > self.front.len() {
            self.pull(n - self.front.len());
        }
        let taken = self.front.split_to(n);
        self.lent = false;
        self.took();
        taken
    }

    /// What follows when something was taken off the front.
    #[inline]
    fn took(&mut self) {
        if self.front.is_empty() || self.paused {
            self.go_on();
        }
    }

    #[cold]
    fn go_on(&mut self) {
        if self.front.is_empty() {
            self.front = mem::take(&mut self.back).freeze();
            self.lent = false;
        }
        self.resume_if_low();
    }

    /// Makes the front longer, for it has none of `separators`: up to the first, or by all there is.
    fn gather(&mut self, separators: &[&[u8]]) {
        let at = if let [[byte]] = separators { find_byte(*byte, &self.back) } else { None };
        match at {
            Some(at) => self.pull(at + 1),
            None => self.join(),
        }
    }

    /// Moves `n` bytes from the back to the front.
    fn pull(&mut self, n: usize) {
        let mut front = BytesMut::with_capacity(self.front.len() + n);
        front.extend_from_slice(&self.front);
        front.extend_from_slice(&self.back.split_to(n));
        self.front = front.freeze();
        self.lent = false;
    }

    /// Moves everything to the front, in place if nobody else holds a part of it: a read that waits does this for each piece
    /// that arrives.
    fn join(&mut self) {
        if self.back.is_empty() {
            return;
        }
        let mut front = BytesMut::from(mem::take(&mut self.front));
        front.extend_from_slice(&mem::take(&mut self.back));
        self.front = front.freeze();
        self.lent = false;
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

#[cfg(test)]
mod tests;

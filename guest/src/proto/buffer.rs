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
            self.back.extend_from_slice(&bytes);
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
mod tests {
    use super::*;

    fn fed(pieces: &[&'static str]) -> ReceiveBuffer {
        let mut buffer = ReceiveBuffer::new(DEFAULT_LIMIT);
        // Bytes of their own, as from a host.
        pieces.iter().for_each(|piece| buffer.feed(piece.as_bytes().to_vec().into()));
        buffer
    }

    fn line(buffer: &mut ReceiveBuffer) -> Bytes {
        let line = buffer.take_line(&mut Search::for_newline()).expect("not too long");
        line.expect("it is here")
    }

    #[test]
    fn a_line_over_two_pieces_leaves_the_rest_of_the_second_where_it_is() {
        let second = Bytes::from(b"llo\nworld\nand".to_vec());
        let at = second.as_ptr();
        let mut buffer = fed(&["he"]);
        buffer.feed(second);
        assert_eq!(line(&mut buffer), "hello\n");
        let next = line(&mut buffer);
        assert_eq!((next.as_ref(), next.as_ptr()), (b"world\n".as_ref(), at.wrapping_add(4)));
        assert_eq!(buffer.take_all(), "and");
    }

    #[test]
    fn bytes_over_two_pieces_leave_the_rest_of_the_second_where_it_is() {
        let second = Bytes::from(b"defgh".to_vec());
        let at = second.as_ptr();
        let mut buffer = fed(&["abc"]);
        buffer.feed(second);
        assert_eq!(buffer.take_exactly(5).expect("no error").expect("they are here"), "abcde");
        let rest = buffer.take_all();
        assert_eq!((rest.as_ref(), rest.as_ptr()), (b"fgh".as_ref(), at.wrapping_add(2)));
    }

    #[test]
    fn lines_of_one_piece_share_its_memory() {
        let piece = Bytes::from(b"one\ntwo\n".to_vec());
        let at = piece.as_ptr();
        let mut buffer = fed(&[]);
        buffer.feed(piece);
        let lines = [buffer.take_ready_line(), buffer.take_ready_line()].map(|line| line.expect("it is here"));
        assert_eq!(lines.each_ref().map(|line| line.as_ptr()), [at, at.wrapping_add(4)]);
        assert_eq!(buffer.take_ready_line(), None);
    }

    #[test]
    fn a_chunk_behind_what_is_lent_is_not_copied_when_that_is_used_up() {
        let second = Bytes::from(vec![b'x'; 2 * CHEAP]);
        let at = second.as_ptr();
        let mut buffer = fed(&["ab\ncd\n"]);
        let (view, n) = buffer.lend_ready_line().expect("a line");
        assert_eq!(view[..n], *b"ab\n");
        buffer.feed(second);
        assert_eq!(buffer.use_lent_line(), Some(3));
        assert_eq!(buffer.use_lent_line(), None, "the view is used up");
        assert_eq!(buffer.lend().expect("no error").expect("it is here").as_ptr(), at);
    }

    #[test]
    fn whatever_else_is_taken_ends_what_is_lent() {
        let takes: [fn(&mut ReceiveBuffer); 5] = [
            |buffer| drop(buffer.take_all()),
            |buffer| drop(buffer.take_some(1)),
            |buffer| drop(buffer.take_exactly(5)),
            |buffer| drop(line(buffer)),
            |buffer| buffer.put_back(Bytes::from_static(b"x")),
        ];
        for take in takes {
            let mut buffer = fed(&["ab\ncd\n", "ef\ngh\n"]);
            assert_eq!(buffer.lend_ready_line().map(|(_, n)| n), Some(3));
            assert!(buffer.is_lent());
            take(&mut buffer);
            assert!(!buffer.is_lent());
            let left = buffer.buffered();
            buffer.use_lent(1);
            assert_eq!((buffer.use_lent_line(), buffer.buffered()), (None, left));
        }
    }

    #[test]
    fn what_is_put_back_comes_before_all_that_is_here() {
        for pieces in [&[] as &[&str], &["cd"], &["c", "d"]] {
            let mut buffer = fed(pieces);
            buffer.put_back(Bytes::from_static(b"ab"));
            assert_eq!(buffer.take_all(), ["ab", &pieces.concat()].concat());
        }
    }
}

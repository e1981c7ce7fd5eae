//! [`StreamReader`]: what arrived, in the pieces the program wants.

mod feed;
mod io;
mod lines;

use std::fmt;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};

use crate::connection::Connection;
use crate::error::{Error, Result};
use crate::proto::buffer::{DEFAULT_LIMIT, ReceiveBuffer};
use crate::proto::search::{Search, Separators};

pub use feed::Feeder;
pub use lines::Lines;
use lines::ReadLine;

/// The reading half of a connection, like `asyncio.StreamReader`.
///
/// Made by [`open_connection`](crate::open_connection()) and [`start_server`](crate::start_server()). Data is read ahead,
/// up to twice the *limit* (64 KiB unless set), whether or not a read is in progress; beyond that the peer is held
/// back.
///
/// It is also an [`AsyncRead`](futures_lite::AsyncRead) and [`AsyncBufRead`](futures_lite::AsyncBufRead), so the extension methods of `futures-lite` work on a
/// `&mut StreamReader` passed to generic code, and on a [`Duplex`](crate::Duplex). Called on a reader itself, `read` and
/// `read_to_end` are the methods here, which copy nothing.
///
/// # Differences from asyncio
///
/// A second read while one is waiting does not compile (asyncio raises `RuntimeError`):
///
/// ```compile_fail
/// # async fn f(mut reader: wasi_streams::StreamReader) {
/// let first = reader.read(1);
/// let second = reader.read(1); // cannot borrow `reader` as mutable more than once
/// first.await.unwrap();
/// # second.await.unwrap();
/// # }
/// ```
///
/// Dropping the reader discards what arrives from then on; the connection stays open as long as its writer.
pub struct StreamReader {
    connection: Rc<Connection>,
    limit: usize,
    /// A view of what is buffered, for borrowed access; good as long as the buffer says so.
    lent: Bytes,
    /// How much of that is used.
    used: usize,
}

impl StreamReader {
    /// Makes a reader that is fed by hand, like `asyncio.StreamReader(limit)`: for tests, and for protocols that come
    /// from elsewhere. `limit` is in bytes, [`DEFAULT_LIMIT`] by default.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] when the limit is 0.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> anyhow::Result<()> {
    /// use wasi_streams::{StreamReader, run};
    ///
    /// let mut reader = StreamReader::new(None)?;
    /// reader.feed_data(b"one\ntwo\n")?;
    /// reader.feed_eof();
    /// assert_eq!(run(reader.readline())?, "one\n");
    /// # Ok(())
    /// # }
    /// ```
    pub fn new(limit: impl Into<Option<usize>>) -> Result<Self> {
        let limit = crate::options::check_limit(limit.into().unwrap_or(DEFAULT_LIMIT))?;
        Ok(Self::of(Connection::detached(limit)))
    }

    pub(crate) fn of(connection: Rc<Connection>) -> Self {
        let limit = connection.look(|buffer| buffer.limit());
        Self { connection, limit, lent: Bytes::new(), used: 0 }
    }

    pub(crate) fn connection(&self) -> &Rc<Connection> {
        &self.connection
    }

    // ------------------------------------------------------------------ reading

    /// Reads at most `n` bytes, as soon as there is at least one; an empty answer is the end of the stream.
    ///
    /// `n` is not capped by the limit; 0 gives an empty answer at once.
    ///
    /// # Errors
    ///
    /// The error that ended the connection, every time, even while data is buffered.
    ///
    /// # Cancel safety
    ///
    /// Nothing is taken before the call completes: give it up and call again.
    pub async fn read(&mut self, n: usize) -> Result<Bytes> {
        self.settle();
        poll_fn(|cx| self.connection.poll_take(cx, |buffer| buffer.take_some(n))).await
    }

    /// Reads until the end of the stream, like `read(-1)`.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read); what was collected by then is lost.
    ///
    /// # Cancel safety
    ///
    /// Given up half-way, what was collected is put back and the next read sees it.
    ///
    /// # Differences from asyncio
    ///
    /// asyncio loses what was collected when the read is cancelled.
    pub async fn read_to_end(&mut self) -> Result<Bytes> {
        self.settle();
        let mut collected = Collected { connection: &self.connection, data: BytesMut::new() };
        loop {
            let piece = poll_fn(|cx| self.connection.poll_take(cx, |buffer| buffer.take_some(usize::MAX))).await;
            match piece {
                Ok(piece) if piece.is_empty() => return Ok(std::mem::take(&mut collected.data).freeze()),
                Ok(piece) if collected.data.is_empty() => collected.data = piece.into(),
                Ok(piece) => collected.data.extend_from_slice(&piece),
                Err(error) => {
                    collected.data.clear(); // R26
                    return Err(error);
                }
            }
        }
    }

    /// Reads exactly `n` bytes; `n` may be larger than the limit.
    ///
    /// # Errors
    ///
    /// [`Error::Incomplete`] when the stream ends before; it holds what there was, and the buffer is empty then.
    /// Else as [`read`](Self::read).
    ///
    /// # Cancel safety
    ///
    /// Nothing is taken before the call completes.
    pub async fn readexactly(&mut self, n: usize) -> Result<Bytes> {
        self.settle();
        poll_fn(|cx| self.connection.poll_take(cx, |buffer| buffer.take_exactly(n))).await
    }

    /// Reads a line, up to and including `\n`. At the end of the stream: the rest without a newline, then empty answers.
    ///
    /// # Errors
    ///
    /// [`Error::LineTooLong`] when the line is longer than the limit. If its end was found, that line is dropped, else
    /// everything buffered, so the rest of the line arrives as a line of its own. Else as [`read`](Self::read).
    ///
    /// # Cancel safety
    ///
    /// Nothing is taken before the call completes.
    #[doc(alias = "read_line")]
    pub fn readline(&mut self) -> impl Future<Output = Result<Bytes>> {
        ReadLine::of(self)
    }

    /// Reads up to and including `separator`; of several separators the one that ends first counts.
    ///
    /// # Errors
    ///
    /// [`Error::LimitOverrun`] when there is none within the limit (the separator itself does not count); the data
    /// stays, and `readexactly(consumed)` takes what is safe to take. [`Error::Incomplete`] when the stream ends before; it
    /// holds what there was. [`Error::InvalidInput`] for an empty separator or none. Else as [`read`](Self::read).
    ///
    /// # Cancel safety
    ///
    /// Nothing is taken before the call completes.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> anyhow::Result<()> {
    /// use wasi_streams::{StreamReader, run};
    ///
    /// let mut reader = StreamReader::new(None)?;
    /// reader.feed_data(b"a: 1\r\n\r\nbody")?;
    /// run(async {
    ///     assert_eq!(reader.readuntil(b"\r\n\r\n").await?, "a: 1\r\n\r\n");
    ///     reader.feed_data(b";rest.")?;
    ///     assert_eq!(reader.readuntil([";", "."]).await?, "body;");
    ///     anyhow::Ok(())
    /// })
    /// # }
    /// ```
    #[doc(alias = "read_until")]
    pub async fn readuntil(&mut self, separator: impl Separators) -> Result<Bytes> {
        self.settle();
        let mut search = separator.with_list(Search::new)?; // R14: the argument first
        poll_fn(|cx| {
            self.connection.poll_take(cx, |buffer| separator.with_list(|list| buffer.take_until(&mut search, list)))
        })
        .await
    }

    /// Gives the lines of the stream, like `async for line in reader`; ends at the end of the stream.
    ///
    /// Where `AsyncBufReadExt` is in scope, its `lines`, which takes the reader and gives `String`s, comes first: write
    /// `StreamReader::lines(&mut reader)` there.
    ///
    /// # Cancel safety
    ///
    /// As [`readline`](Self::readline): a dropped `next()` loses nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> anyhow::Result<()> {
    /// use futures_lite::StreamExt;
    /// use wasi_streams::{StreamReader, run};
    ///
    /// let mut reader = StreamReader::new(None)?;
    /// reader.feed_data(b"a\nb\nc")?;
    /// reader.feed_eof();
    /// let lines: Vec<_> = run(reader.lines().try_collect())?;
    /// assert_eq!(lines, ["a\n", "b\n", "c"]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn lines(&mut self) -> Lines<'_> {
        Lines::of(self)
    }

    /// Reads a line like [`readline`](Self::readline) and lends it, without a copy and without counting references: the
    /// fastest way through many short lines.
    ///
    /// # Errors
    ///
    /// As [`readline`](Self::readline).
    ///
    /// # Cancel safety
    ///
    /// Nothing is taken before the call completes.
    pub async fn readline_ref(&mut self) -> Result<&[u8]> {
        if let Some(n) = self.connection.touch(ReceiveBuffer::use_lent_line) {
            return Ok(self.lent_line(n));
        }
        self.settle();
        if let Some((view, n)) = self.connection.touch(ReceiveBuffer::lend_ready_line) {
            self.lent = view;
            return Ok(self.lent_line(n));
        }
        let line = self.readline().await?;
        let n = line.len();
        self.lent = line; // nothing of it is unused
        Ok(self.lent_line(n))
    }

    // ------------------------------------------------------------------ state

    /// Returns whether the stream has ended and everything was read.
    pub fn at_eof(&self) -> bool {
        self.connection.look(|buffer| buffer.at_eof())
    }

    /// Returns the error that reads give, if one is stored.
    pub fn exception(&self) -> Option<Error> {
        self.connection.look(|buffer| buffer.error().cloned())
    }

    /// Stores an error that every later read gives; wakes the read that waits.
    pub fn set_exception(&self, error: Error) {
        self.connection.set_read_error(error);
    }

    /// Appends data by hand.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] after [`feed_eof`](Self::feed_eof).
    pub fn feed_data(&self, data: &[u8]) -> Result<()> {
        self.connection.feed(Bytes::copy_from_slice(data))
    }

    /// Marks the end of the stream by hand; may be repeated.
    pub fn feed_eof(&self) {
        self.connection.feed_eof();
    }

    /// Returns a handle that can feed this reader while a read waits.
    pub fn feeder(&self) -> Feeder {
        Feeder::of(Rc::clone(&self.connection))
    }

    /// Returns the limit in bytes.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// What is lent and not used.
    fn unused(&self) -> &[u8] {
        &self.lent[self.used..]
    }

    /// The next `n` lent bytes, used now.
    #[inline]
    fn lent_line(&mut self, n: usize) -> &[u8] {
        let from = self.used;
        self.used += n;
        &self.lent[from..self.used]
    }

    /// Gives up what is lent; what was not used is still in the buffer.
    #[inline]
    pub(crate) fn settle(&mut self) {
        if !self.lent.is_empty() {
            (self.lent, self.used) = (Bytes::new(), 0);
            self.connection.touch(ReceiveBuffer::end_loan);
        }
    }

    /// Waits until something is here and lends that; nothing at the end.
    #[inline(never)]
    fn poll_borrow(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.settle();
        self.lent = ready!(self.connection.poll_take(cx, ReceiveBuffer::lend))?;
        Poll::Ready(Ok(()))
    }

    /// The next line; `search` is none at first, and made only for a line that is not just there.
    #[inline(always)]
    fn poll_line(&mut self, cx: &mut Context<'_>, search: &mut Option<Search>) -> Poll<Result<Bytes>> {
        if search.is_none() {
            self.settle();
            if let Some(line) = self.connection.touch(ReceiveBuffer::take_ready_line) {
                return Poll::Ready(Ok(line));
            }
        }
        self.poll_slow_line(cx, search.get_or_insert(Search::for_newline()))
    }

    #[inline(never)]
    fn poll_slow_line(&self, cx: &mut Context<'_>, search: &mut Search) -> Poll<Result<Bytes>> {
        self.connection.poll_take(cx, |buffer| buffer.take_line(search))
    }
}

/// What `read_to_end` has so far; put back if the read is given up.
struct Collected<'a> {
    connection: &'a Connection,
    data: BytesMut,
}

impl Drop for Collected<'_> {
    fn drop(&mut self) {
        let data = std::mem::take(&mut self.data).freeze();
        self.connection.touch(|buffer| buffer.put_back(data)); // R18
    }
}

impl Drop for StreamReader {
    fn drop(&mut self) {
        self.connection.discard_input(); // C13
    }
}

impl fmt::Debug for StreamReader {
    /// Shows state, never content (R19).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("StreamReader");
        self.connection.look(|buffer| {
            out.field("buffered", &buffer.buffered());
            if buffer.saw_eof() {
                out.field("eof", &true);
            }
            if buffer.limit() != DEFAULT_LIMIT {
                out.field("limit", &buffer.limit());
            }
            if let Some(error) = buffer.error() {
                out.field("exception", error);
            }
            if buffer.is_paused() {
                out.field("paused", &true);
            }
        });
        out.finish_non_exhaustive()
    }
}

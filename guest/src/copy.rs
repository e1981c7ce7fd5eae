//! [`copy`](crate::copy()): one stream into another, with back-pressure.

use std::fmt;
use std::future::{Future, IntoFuture, poll_fn};
use std::pin::Pin;

use crate::connection::{Spliced, Splicing};
use crate::error::Result;
use crate::reader::StreamReader;
use crate::rt;
use crate::writer::StreamWriter;

/// How much is read at once, in bytes.
const CHUNK: usize = 64 * 1024;

/// After so many pieces in a row other tasks get their turn.
const PIECES_PER_TURN: u32 = 4;

/// Copies from `reader` to `writer` until the end of the stream, never holding more than the two buffers; gives the number
/// of bytes. Neither side is closed: follow it with [`write_eof`](StreamWriter::write_eof) to pass the end on.
///
/// Returns a builder; `.await` it.
///
/// # Errors
///
/// Those of reading and of [`drain`](StreamWriter::drain).
///
/// # Cancel safety
///
/// What was read was written; the count is lost.
///
/// # Examples
///
/// ```
/// # fn main() -> anyhow::Result<()> {
/// use wasi_streams::{copy, run, stream_pair};
///
/// run(async {
///     let ((mut from, w1), (_r1, source)) = stream_pair();
///     let ((_r2, to), (mut sink, w2)) = stream_pair();
///     source.write("abc")?;
///     source.write_eof()?;
///     assert_eq!(copy(&mut from, &to).await?, 3);
///     to.write_eof()?;
///     assert_eq!(sink.read_to_end().await?, "abc");
///     # for w in [w1, source, to, w2] { w.close(); }
///     anyhow::Ok(())
/// })
/// # }
/// ```
pub fn copy<'a>(reader: &'a mut StreamReader, writer: &'a StreamWriter) -> Copying<'a> {
    Copying { reader, writer, splice: false }
}

/// The arguments of [`copy`](crate::copy()); `.await` it to copy.
#[must_use = "nothing happens before it is awaited"]
pub struct Copying<'a> {
    reader: &'a mut StreamReader,
    writer: &'a StreamWriter,
    splice: bool,
}

impl<'a> Copying<'a> {
    /// Sets whether the host may move the bytes without passing them through the guest, between two connections
    /// without TLS, over TCP or Unix sockets: faster by a quarter or so. Elsewhere it changes nothing.
    ///
    /// Off by default, because one host (jco's shim of October 2026) traps on it; wasmtime does it well.
    pub fn splice(mut self, splice: bool) -> Self {
        self.splice = splice;
        self
    }

    async fn run(self) -> Result<u64> {
        let mut total = 0;
        if self.splice {
            self.reader.settle(); // or what is lent for borrowed access would come too late
            total += self.run_spliced().await?;
        }
        loop {
            let data = self.reader.read(CHUNK).await?;
            if data.is_empty() {
                return Ok(total);
            }
            total += data.len() as u64;
            self.writer.write(data)?;
            self.writer.drain().await?;
        }
    }

    /// Copies what is buffered, then lets the host do the rest as far as it can.
    async fn run_spliced(&self) -> Result<u64> {
        let (source, target) = (self.reader.connection(), self.writer.connection());
        let Some(splicing) = Splicing::begin(source, target) else { return Ok(0) };
        let (mut total, mut pieces) = (0, 0);
        loop {
            match poll_fn(|cx| splicing.poll(cx)).await? {
                Spliced::Bytes(n) => total += n as u64,
                Spliced::End => return Ok(total),
            }
            pieces += 1;
            if pieces % PIECES_PER_TURN == 0 {
                rt::yield_now().await;
            }
        }
    }
}

impl<'a> IntoFuture for Copying<'a> {
    type Output = Result<u64>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

impl fmt::Debug for Copying<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Copying").field("splice", &self.splice).finish_non_exhaustive()
    }
}

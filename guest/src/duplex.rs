//! Reader and writer as one object.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_lite::{AsyncBufRead, AsyncRead, AsyncWrite};

use crate::reader::StreamReader;
use crate::writer::StreamWriter;

/// Both halves of a connection as one object that reads and writes, for crates that want one: an HTTP or
/// WebSocket library, a database client. For tokio's traits wrap it by `tokio-util`'s `compat()`.
///
/// Closing it by `AsyncWriteExt::close` sends the end of the stream and leaves reading open; dropping it closes both.
///
/// # Examples
///
/// ```
/// # fn main() -> anyhow::Result<()> {
/// use futures_lite::{AsyncReadExt, AsyncWriteExt};
/// use wasi_streams::{Duplex, run, stream_pair};
///
/// run(async {
///     let ((reader, writer), (_, peer)) = stream_pair();
///     let mut stream = Duplex::new(reader, writer);
///     peer.write("pong")?;
///     stream.write_all(b"ping").await?;
///     let mut buffer = [0; 4];
///     stream.read_exact(&mut buffer).await?;
///     assert_eq!(&buffer, b"pong");
///     # peer.close(); let (_r, w) = stream.into_split(); w.close();
///     anyhow::Ok(())
/// })
/// # }
/// ```
#[derive(Debug)]
pub struct Duplex {
    reader: StreamReader,
    writer: StreamWriter,
}

impl Duplex {
    /// Joins two halves, usually of one connection.
    pub fn new(reader: StreamReader, writer: StreamWriter) -> Self {
        Self { reader, writer }
    }

    /// Gives the halves back.
    pub fn into_split(self) -> (StreamReader, StreamWriter) {
        (self.reader, self.writer)
    }

    /// Returns the reading half.
    pub fn reader(&mut self) -> &mut StreamReader {
        &mut self.reader
    }

    /// Returns the writing half.
    pub fn writer(&self) -> &StreamWriter {
        &self.writer
    }
}

impl From<(StreamReader, StreamWriter)> for Duplex {
    fn from((reader, writer): (StreamReader, StreamWriter)) -> Self {
        Self::new(reader, writer)
    }
}

impl AsyncRead for Duplex {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut [u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.reader).poll_read(cx, out)
    }
}

impl AsyncBufRead for Duplex {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        Pin::new(&mut self.get_mut().reader).poll_fill_buf(cx)
    }

    fn consume(mut self: Pin<&mut Self>, n: usize) {
        Pin::new(&mut self.reader).consume(n);
    }
}

impl AsyncWrite for Duplex {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.writer).poll_write(cx, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.writer).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.writer).poll_close(cx)
    }
}

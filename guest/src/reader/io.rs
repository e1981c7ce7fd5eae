//! A [`StreamReader`] through the futures-io traits.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_lite::{AsyncBufRead, AsyncRead};

use super::StreamReader;

impl AsyncBufRead for StreamReader {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        if !this.connection.look(|buffer| buffer.is_lent()) {
            ready!(this.poll_borrow(cx))?;
        }
        Poll::Ready(Ok(this.unused()))
    }

    fn consume(self: Pin<&mut Self>, n: usize) {
        let this = self.get_mut();
        let n = n.min(this.unused().len());
        this.used += n;
        this.connection.touch(|buffer| buffer.use_lent(n));
    }
}

impl AsyncRead for StreamReader {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut [u8]) -> Poll<io::Result<usize>> {
        if out.is_empty() {
            return Poll::Ready(self.exception().map_or(Ok(0), |error| Err(error.into()))); // R11, R23
        }
        let available = ready!(self.as_mut().poll_fill_buf(cx))?;
        let n = available.len().min(out.len());
        out[..n].copy_from_slice(&available[..n]);
        self.consume(n);
        Poll::Ready(Ok(n))
    }
}

//! Standard input, output and error as futures-io streams that do not block the other tasks.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use futures_lite::{AsyncBufRead, AsyncRead, AsyncWrite};

use crate::sys::stdio::{Input, Output};

/// Standard input; see [`stdin`].
#[derive(Debug)]
pub struct Stdin {
    input: Input,
    front: Bytes,
    ended: bool,
}

/// Returns standard input. Mixing it with `std::io::stdin` loses what either has buffered.
///
/// # Examples
///
/// ```
/// use futures_lite::AsyncReadExt;
///
/// # fn main() -> anyhow::Result<()> {
/// # wasi_streams::sim::Network::new().stdin_end();
/// wasi_streams::run(async {
///     let mut text = String::new();
///     wasi_streams::stdin().read_to_string(&mut text).await?;
///     anyhow::Ok(())
/// })
/// # }
/// ```
pub fn stdin() -> Stdin {
    Stdin { input: Input::stdin(), front: Bytes::new(), ended: false }
}

impl AsyncBufRead for Stdin {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        if this.front.is_empty() && !this.ended {
            this.front = ready!(this.input.poll_read(cx))?;
            this.ended = this.front.is_empty();
        }
        Poll::Ready(Ok(&this.front))
    }

    fn consume(mut self: Pin<&mut Self>, n: usize) {
        let n = n.min(self.front.len());
        self.front.advance(n);
    }
}

impl AsyncRead for Stdin {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut [u8]) -> Poll<io::Result<usize>> {
        let available = ready!(self.as_mut().poll_fill_buf(cx))?;
        let n = available.len().min(out.len());
        out[..n].copy_from_slice(&available[..n]);
        self.consume(n);
        Poll::Ready(Ok(n))
    }
}

/// Standard output or standard error; see [`stdout`] and [`stderr`].
#[derive(Debug)]
pub struct Stdout(Output);

/// Returns standard output. Unbuffered: what `print!` holds back may come out later.
pub fn stdout() -> Stdout {
    Stdout(Output::stdout())
}

/// Returns standard error. Unbuffered.
pub fn stderr() -> Stdout {
    Stdout(Output::stderr())
}

impl AsyncWrite for Stdout {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.0.poll_write(cx, data).map_err(Into::into)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_flush(cx).map_err(Into::into)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(cx)
    }
}

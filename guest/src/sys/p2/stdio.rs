//! The standard streams of the program.

use std::task::{Context, Poll, ready};

use bytes::Bytes;

use super::errors::{read_error, write_error};
use super::reactor::{Readiness, yield_to_host};
use crate::error::Result;
use crate::sys::host::{self, InputStream, OutputStream};
use crate::sys::types::StreamFailure;

/// One read asks for at most so much.
const READ_SIZE: u64 = 16 * 1024;

/// Standard input.
#[derive(Debug)]
pub(crate) struct Input {
    readable: Readiness,
    stream: InputStream,
}

impl Input {
    pub(crate) fn stdin() -> Self {
        Self { readable: Readiness::default(), stream: host::stdin() }
    }

    /// Gives what arrived; empty bytes are the end.
    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes>> {
        loop {
            ready!(self.readable.poll(cx));
            match self.stream.read(READ_SIZE) {
                Ok(bytes) if bytes.is_empty() => self.readable.wait(|| self.stream.subscribe()),
                Ok(bytes) => return Poll::Ready(Ok(bytes.into())),
                Err(StreamFailure::Closed) => return Poll::Ready(Ok(Bytes::new())),
                Err(failure) => return Poll::Ready(Err(read_error(&failure))),
            }
        }
    }
}

/// Standard output or standard error.
#[derive(Debug)]
pub(crate) struct Output {
    writable: Readiness,
    stream: OutputStream,
}

impl Output {
    pub(crate) fn stdout() -> Self {
        Self::new(host::stdout())
    }

    pub(crate) fn stderr() -> Self {
        Self::new(host::stderr())
    }

    fn new(stream: OutputStream) -> Self {
        Self { writable: Readiness::default(), stream }
    }

    fn poll_permit(&mut self, cx: &mut Context<'_>) -> Poll<Result<u64>> {
        loop {
            ready!(self.writable.poll(cx));
            let mut permit = self.stream.check_write();
            if permit == Ok(0) {
                yield_to_host();
                permit = self.stream.check_write();
            }
            match permit {
                Ok(0) => self.writable.wait(|| self.stream.subscribe()),
                other => return Poll::Ready(other.map_err(|failure| write_error(&failure))),
            }
        }
    }

    /// Writes some of `data`.
    pub(crate) fn poll_write(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<Result<usize>> {
        let permit = ready!(self.poll_permit(cx))?;
        let n = data.len().min(usize::try_from(permit).unwrap_or(usize::MAX));
        Poll::Ready(self.stream.write(&data[..n]).map(|()| n).map_err(|failure| write_error(&failure)))
    }

    /// Waits until the host has taken everything.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        if !self.writable.is_waiting() {
            self.stream.flush().map_err(|failure| write_error(&failure))?;
        }
        self.poll_permit(cx).map_ok(|_| ())
    }
}

//! The real host: WASI 0.2 as it is, in types of our own.
//!
//! A shim and nothing more: every function is one host call and a translation of its error. The rules about when to
//! call what live in `sys::p2`, which runs natively against the simulated twin of this module (`sys::sim`).
//!
//! The traps that remain the caller's: `poll` wants a list that is not empty; a write may not exceed the last
//! permit; a pollable must be dropped before its stream or socket, and the streams before their socket.

mod sockets;
#[cfg(feature = "unix")]
pub(crate) mod unix;

use wasi::clocks::monotonic_clock;
use wasi::io::streams;

use crate::sys::types::StreamFailure;

pub(crate) use sockets::{ResolveStream, TcpSocket, live_sockets};
#[cfg(feature = "unix")]
pub(crate) use unix::UnixSocket;

/// Something that becomes ready, and blocking until one of a list is. Not wrapped: a list would have to be made anew for each poll.
pub(crate) use wasi::io::poll::{Pollable, poll};

/// Nanoseconds of the monotonic clock.
pub(crate) fn monotonic_now() -> u64 {
    monotonic_clock::now()
}

/// A pollable that is ready from `nanos` on.
pub(crate) fn subscribe_instant(nanos: u64) -> Pollable {
    monotonic_clock::subscribe_instant(nanos)
}

/// A pollable that is ready `nanos` from now.
pub(crate) fn subscribe_duration(nanos: u64) -> Pollable {
    monotonic_clock::subscribe_duration(nanos)
}

/// The standard input of the program.
pub(crate) fn stdin() -> InputStream {
    InputStream(wasi::cli::stdin::get_stdin())
}

/// The standard output of the program.
pub(crate) fn stdout() -> OutputStream {
    OutputStream(wasi::cli::stdout::get_stdout())
}

/// The standard error of the program.
pub(crate) fn stderr() -> OutputStream {
    OutputStream(wasi::cli::stderr::get_stderr())
}

/// A host stream to read from.
#[derive(Debug)]
pub(crate) struct InputStream(streams::InputStream);

impl InputStream {
    /// Takes over a stream that came from elsewhere.
    pub(crate) fn from_raw(raw: streams::InputStream) -> Self {
        Self(raw)
    }

    /// Reads at most `len` bytes; an empty answer means "not yet", never the end.
    pub(crate) fn read(&self, len: u64) -> Result<Vec<u8>, StreamFailure> {
        self.0.read(len).map_err(failure)
    }

    /// Ready when a read may give something else than an empty answer.
    pub(crate) fn subscribe(&self) -> Pollable {
        self.0.subscribe()
    }
}

/// A host stream to write to.
#[derive(Debug)]
pub(crate) struct OutputStream(streams::OutputStream);

impl OutputStream {
    /// Takes over a stream that came from elsewhere.
    pub(crate) fn from_raw(raw: streams::OutputStream) -> Self {
        Self(raw)
    }

    /// How many bytes the next write may have; 0 means "not yet".
    pub(crate) fn check_write(&self) -> Result<u64, StreamFailure> {
        self.0.check_write().map_err(failure)
    }

    /// Hands over all of `bytes`, which may not exceed the last permit.
    pub(crate) fn write(&self, bytes: &[u8]) -> Result<(), StreamFailure> {
        self.0.write(bytes).map_err(failure)
    }

    /// Asks the host to pass on what it holds; writes may be refused until it did.
    pub(crate) fn flush(&self) -> Result<(), StreamFailure> {
        self.0.flush().map_err(failure)
    }

    /// Moves at most `len` bytes from `source` without passing them through the guest.
    pub(crate) fn splice(&self, source: &InputStream, len: u64) -> Result<u64, StreamFailure> {
        self.0.splice(&source.0, len).map_err(failure)
    }

    /// Ready when `check_write` may give something else than 0.
    pub(crate) fn subscribe(&self) -> Pollable {
        self.0.subscribe()
    }
}

fn failure(error: streams::StreamError) -> StreamFailure {
    match error {
        streams::StreamError::Closed => StreamFailure::Closed,
        streams::StreamError::LastOperationFailed(error) => StreamFailure::Failed(error.to_debug_string()),
    }
}

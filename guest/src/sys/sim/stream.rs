//! Host streams: of a connection, or of the standard kind.

use std::cell::Cell;
use std::fmt;

use crate::sys::types::StreamFailure;

use super::Pollable;
use super::end::Writer;
use super::handle::Handle;
use super::link::{self, EndRef};
use super::world::{self, Place, Shared};

/// A host stream to read from.
pub(crate) struct InputStream {
    handle: Handle,
    source: Source,
}

/// A host stream to write to.
pub(crate) struct OutputStream {
    handle: Handle,
    sink: Sink,
}

enum Source {
    Tcp(EndRef),
    Stdin,
}

enum Sink {
    Tcp(EndRef),
    /// Standard output or error, with its last permit.
    Standard {
        error: bool,
        permit: Cell<u64>,
    },
}

/// The standard input of the program.
pub(crate) fn stdin() -> InputStream {
    InputStream::new(root(), Source::Stdin)
}

/// The standard output of the program.
pub(crate) fn stdout() -> OutputStream {
    OutputStream::new(root(), Sink::Standard { error: false, permit: Cell::new(0) })
}

/// The standard error of the program.
pub(crate) fn stderr() -> OutputStream {
    OutputStream::new(root(), Sink::Standard { error: true, permit: Cell::new(0) })
}

fn root() -> Handle {
    let handle = Handle::root(&world::current());
    handle.call();
    handle
}

impl InputStream {
    pub(super) fn tcp(socket: &Handle, end: &EndRef) -> Self {
        Self::new(socket.child(), Source::Tcp(end.clone()))
    }

    fn new(handle: Handle, source: Source) -> Self {
        handle.world.borrow_mut().counts.input_streams += 1;
        Self { handle, source }
    }

    /// Reads at most `len` bytes; an empty answer means "not yet", never the end.
    pub(crate) fn read(&self, len: u64) -> Result<Vec<u8>, StreamFailure> {
        let _place = Place::world();
        let world = &self.handle.world;
        let size = {
            let mut world = world.borrow_mut();
            world.counts.host_calls += 1;
            world.counts.reads += 1;
            world.read_size(len)
        };
        let result = match &self.source {
            Source::Tcp(end) => end.with(|end, _| {
                if end.is_readable() && world.borrow_mut().skips(&mut end.skipped) {
                    return Ok(Vec::new());
                }
                end.read(size)
            }),
            Source::Stdin => {
                let world = &mut *world.borrow_mut();
                if world.stdin.is_empty() && world.stdin_ended && size > 0 {
                    Err(StreamFailure::Closed)
                } else {
                    Ok(link::take(&mut world.stdin, size))
                }
            }
        };
        match &result {
            Ok(bytes) if bytes.is_empty() => {}
            Ok(bytes) => count_bytes(world, bytes.len(), 0),
            Err(_) => world.borrow_mut().progress(),
        }
        result.map(|mut bytes| {
            bytes.shrink_to_fit(); // a host hands over memory of just that size
            bytes
        })
    }

    /// Ready when a read may give something else than an empty answer.
    pub(crate) fn subscribe(&self) -> Pollable {
        match &self.source {
            Source::Tcp(end) => Pollable::input(&self.handle, end.clone()),
            Source::Stdin => Pollable::stdin(&self.handle),
        }
    }
}

impl OutputStream {
    pub(super) fn tcp(socket: &Handle, end: &EndRef) -> Self {
        Self::new(socket.child(), Sink::Tcp(end.clone()))
    }

    fn new(handle: Handle, sink: Sink) -> Self {
        handle.world.borrow_mut().counts.output_streams += 1;
        Self { handle, sink }
    }

    /// How many bytes the next write may have; 0 means "not yet".
    pub(crate) fn check_write(&self) -> Result<u64, StreamFailure> {
        let _place = Place::world();
        let world = &self.handle.world;
        {
            let mut world = world.borrow_mut();
            world.counts.host_calls += 1;
            world.counts.check_writes += 1;
        }
        match &self.sink {
            Sink::Tcp(end) => end.with(|end, _| match &mut end.writer {
                Writer::Ready(permit) => {
                    let granted = world.borrow_mut().permit();
                    // An answer of 0 leaves an older permit as it was, as wasmtime's does.
                    if granted > 0 {
                        *permit = granted;
                    }
                    Ok(granted)
                }
                Writer::Writing | Writer::Closing => Ok(0),
                Writer::Closed(failure) => Err(failure.clone()),
            }),
            Sink::Standard { permit, .. } => {
                permit.set(world.borrow_mut().permit());
                Ok(permit.get())
            }
        }
    }

    /// Hands over all of `bytes`, which may not exceed the last permit.
    pub(crate) fn write(&self, bytes: &[u8]) -> Result<(), StreamFailure> {
        let _place = Place::world();
        let world = &self.handle.world;
        {
            let mut world = world.borrow_mut();
            world.counts.host_calls += 1;
            world.counts.writes += 1;
        }
        let written = match &self.sink {
            Sink::Tcp(end) => end.with(|end, _| match &end.writer {
                Writer::Closed(failure) => Some(Err(failure.clone())),
                Writer::Ready(permit) if bytes.len() as u64 <= *permit => {
                    Some(if bytes.is_empty() { Ok(()) } else { end.write(bytes) })
                }
                Writer::Ready(_) | Writer::Writing | Writer::Closing => None,
            }),
            Sink::Standard { error, permit } => (bytes.len() as u64 <= permit.get()).then(|| {
                permit.set(0);
                let mut world = world.borrow_mut();
                let sink = if *error { &mut world.stderr } else { &mut world.stdout };
                sink.extend_from_slice(bytes);
                Ok(())
            }),
        };
        let Some(result) = written else { panic!("trap: not permitted to write {} bytes", bytes.len()) };
        match &result {
            Ok(()) if bytes.is_empty() => {}
            Ok(()) => count_bytes(world, 0, bytes.len()),
            Err(_) => world.borrow_mut().progress(),
        }
        result
    }

    /// Asks the host to pass on what it holds; writes may be refused until it did.
    pub(crate) fn flush(&self) -> Result<(), StreamFailure> {
        self.handle.call();
        match &self.sink {
            Sink::Tcp(end) => end.peek(|end, _| match &end.writer {
                Writer::Closed(failure) => Err(failure.clone()),
                Writer::Ready(_) | Writer::Writing | Writer::Closing => Ok(()),
            }),
            Sink::Standard { .. } => Ok(()),
        }
    }

    /// Moves at most `len` bytes from `source` without passing them through the guest.
    pub(crate) fn splice(&self, source: &InputStream, len: u64) -> Result<u64, StreamFailure> {
        let len = len.min(self.check_write()?);
        if len == 0 {
            return Ok(0);
        }
        let bytes = source.read(len)?;
        if !bytes.is_empty() {
            self.write(&bytes)?;
        }
        Ok(bytes.len() as u64)
    }

    /// Ready when `check_write` may give something else than 0.
    pub(crate) fn subscribe(&self) -> Pollable {
        match &self.sink {
            Sink::Tcp(end) => Pollable::output(&self.handle, end.clone()),
            Sink::Standard { .. } => Pollable::always(&self.handle),
        }
    }
}

impl Drop for InputStream {
    fn drop(&mut self) {
        self.handle.world.borrow_mut().counts.input_streams -= 1;
        if let Source::Tcp(end) = &self.source {
            end.release();
        }
        self.handle.close("input-stream");
    }
}

impl Drop for OutputStream {
    fn drop(&mut self) {
        self.handle.world.borrow_mut().counts.output_streams -= 1;
        let mut freezes = false;
        if let Sink::Tcp(end) = &self.sink {
            freezes = end.peek(|end, _| !end.is_writable());
            if freezes {
                self.handle.world.borrow_mut().freezes += 1;
            }
            end.release();
        }
        self.handle.close("output-stream");
        if freezes && !std::thread::panicking() {
            panic!("trap: dropping a busy output-stream freezes the guest");
        }
    }
}

impl fmt::Debug for InputStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Source::Tcp(end) => end.peek(|end, _| write!(f, "input of {} from {}", end.local, end.remote)),
            Source::Stdin => f.write_str("standard input"),
        }
    }
}

impl fmt::Debug for OutputStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.sink {
            Sink::Tcp(end) => end.peek(|end, _| write!(f, "output of {} to {}", end.local, end.remote)),
            Sink::Standard { error: false, .. } => f.write_str("standard output"),
            Sink::Standard { error: true, .. } => f.write_str("standard error"),
        }
    }
}

fn count_bytes(world: &Shared, read: usize, written: usize) {
    let mut world = world.borrow_mut();
    world.counts.bytes_read += read as u64;
    world.counts.bytes_written += written as u64;
    world.progress();
}

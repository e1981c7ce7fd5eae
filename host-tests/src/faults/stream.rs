//! The two streams of a connection with faults, over the real ones.

use bytes::Bytes;
use wasmtime_wasi::async_trait;
use wasmtime_wasi::p2::pipe::{ClosedInputStream, ClosedOutputStream};
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream};
use wasmtime_wasi_io::poll::Pollable;
use wasmtime_wasi_io::streams::{InputStream, OutputStream, StreamResult};

use super::wire::Lane;

/// The faults of what comes in.
pub(crate) struct Reading(pub(super) Lane);

/// The faults of what goes out.
pub(crate) struct Writing(pub(super) Lane);

impl Reading {
    /// Puts them between the component and this stream.
    pub(crate) fn put_before(self, stream: &mut DynInputStream) {
        let real = std::mem::replace(stream, Box::new(ClosedInputStream));
        *stream = Box::new(Input { real, lane: self.0 });
    }
}

impl Writing {
    /// Puts them between the component and this stream.
    pub(crate) fn put_before(self, stream: &mut DynOutputStream) {
        let real = std::mem::replace(stream, Box::new(ClosedOutputStream));
        *stream = Box::new(Output { real, lane: self.0 });
    }
}

/// What comes from the peer.
struct Input {
    real: DynInputStream,
    lane: Lane,
}

#[async_trait]
impl InputStream for Input {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        self.lane.check()?;
        if size == 0 || !self.lane.is_due() {
            return Ok(Bytes::new());
        }
        let bytes = self.real.read(self.lane.piece(size))?;
        self.lane.moved(bytes.len());
        Ok(bytes)
    }

    async fn cancel(&mut self) {
        self.real.cancel().await;
    }
}

#[async_trait]
impl Pollable for Input {
    async fn ready(&mut self) {
        self.lane.ready(self.real.ready()).await;
    }
}

/// What goes to the peer.
struct Output {
    real: DynOutputStream,
    lane: Lane,
}

#[async_trait]
impl OutputStream for Output {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.lane.check()?;
        let size = bytes.len();
        self.real.write(bytes)?;
        self.lane.moved(size);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        self.lane.check()?;
        self.real.flush()
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        self.lane.check()?;
        if !self.lane.is_due() {
            return Ok(0);
        }
        match self.real.check_write()? {
            0 => Ok(0),
            permit => Ok(self.lane.piece(permit)),
        }
    }

    /// Lets go on what the component believes to be written.
    async fn cancel(&mut self) {
        self.real.cancel().await;
    }
}

#[async_trait]
impl Pollable for Output {
    async fn ready(&mut self) {
        self.lane.ready(self.real.ready()).await;
    }
}

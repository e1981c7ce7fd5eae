//! The two streams of a connection with faults, over the real ones.

use bytes::Bytes;
use wasmtime_wasi::async_trait;
use wasmtime_wasi::p2::pipe::{ClosedInputStream, ClosedOutputStream};
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream};
use wasmtime_wasi_io::poll::Pollable;
use wasmtime_wasi_io::streams::{InputStream, OutputStream, StreamError, StreamResult};

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
        *stream = Box::new(Output { real, lane: self.0, permit: None });
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
    /// What `check-write` has answered, until something is written: the same however often it is asked, as `write-zeroes` asks again.
    permit: Option<usize>,
}

#[async_trait]
impl OutputStream for Output {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.lane.check()?;
        let size = bytes.len();
        if size > self.permit.unwrap_or_default() {
            return Err(StreamError::trap("more was written than check-write has allowed"));
        }
        if size > 0 {
            self.permit = None;
        }
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
            real => Ok((*self.permit.get_or_insert_with(|| self.lane.piece(real))).min(real)),
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

#[cfg(test)]
mod tests {
    use wasmtime_wasi::p2::pipe::{MemoryInputPipe, MemoryOutputPipe};

    use super::*;
    use crate::faults::{ConnectionFaults, DirectionFaults, Log, wire};

    #[test]
    fn what_check_write_permits_stays_until_something_is_written_and_more_is_a_trap() {
        let pipe = MemoryOutputPipe::new(100_000);
        let faults = ConnectionFaults::none().write(DirectionFaults::none().pieces(1000));
        let (_, lane) = wire::lanes(0, &faults, 0, None, &Log::default());
        let mut output = Output { real: Box::new(pipe.clone()), lane, permit: None };
        let permit = output.check_write().expect("it is open");
        assert!((1..=1000).contains(&permit), "{permit}");
        assert!((0..50).all(|_| output.check_write().is_ok_and(|again| again == permit)));
        output.write_zeroes(permit).expect("as much as is permitted");
        assert_eq!(pipe.contents().len(), permit);
        assert!(matches!(output.write(Bytes::from_static(b"x")), Err(StreamError::Trap(_))), "nobody has asked");
        let permit = output.check_write().expect("it is open");
        assert!(
            matches!(output.write(vec![0_u8; permit + 1].into()), Err(StreamError::Trap(_))),
            "more than is permitted"
        );
    }

    #[test]
    fn what_comes_in_is_cut_into_pieces_and_loses_neither_a_byte_nor_its_end() {
        let bytes: Vec<u8> = (0..=255).cycle().take(5000).collect();
        let faults = ConnectionFaults::none().read(DirectionFaults::none().pieces(7));
        let (lane, _) = wire::lanes(0, &faults, 0, None, &Log::default());
        let mut input = Input { real: Box::new(MemoryInputPipe::new(bytes.clone())), lane };
        assert!(input.read(0).is_ok_and(|none| none.is_empty()));
        let mut got = Vec::new();
        while let Ok(piece) = input.read(4096) {
            assert!((1..=7).contains(&piece.len()), "{piece:?}");
            got.extend_from_slice(&piece);
        }
        assert!(got == bytes && matches!(input.read(1), Err(StreamError::Closed)));
    }
}

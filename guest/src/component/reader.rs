//! The reading side of a connection.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use bytes::Bytes;
use wasi::io::poll::Pollable;

use super::convert::size;
use super::{raw, wit};
use crate::connection::Connection;
use crate::error::Result;
use crate::reader::StreamReader;
use crate::rt::calls;

/// A reader, with what it looked like when it last said "not yet".
pub struct Reader {
    connection: Rc<Connection>,
    reader: RefCell<StreamReader>,
    not_yet: Cell<Option<Look>>,
}

/// What an answer depends on: how much is buffered, whether the end is known, whether there is an error.
type Look = (usize, bool, bool);

type Answer<T> = Result<T, wit::Error>;

impl Reader {
    pub(super) fn new(reader: StreamReader) -> Self {
        let connection = Rc::clone(reader.connection());
        Self { connection, reader: RefCell::new(reader), not_yet: Cell::new(None) }
    }

    /// Whether the function that said "not yet" may answer now: something has arrived since.
    pub(super) fn is_ready(&self) -> bool {
        self.not_yet.get().is_none_or(|look| look != self.look())
    }

    fn look(&self) -> Look {
        self.connection.look(|buffer| (buffer.buffered(), buffer.saw_eof(), buffer.error().is_some()))
    }

    /// Tries an operation, which takes nothing unless it is done.
    fn attempt(&self, read: impl AsyncFn(&mut StreamReader) -> Result<Bytes>) -> Answer<Option<Vec<u8>>> {
        let reader = &self.reader;
        #[expect(
            clippy::await_holding_refcell_ref,
            reason = "polled at once or dropped; nobody else borrows meanwhile"
        )]
        let answer = calls::attempt(async || read(&mut reader.borrow_mut()).await);
        self.not_yet.set(answer.is_none().then(|| self.look()));
        Ok(answer.transpose()?.map(Into::into))
    }

    fn block(&self, read: impl AsyncFnOnce(&mut StreamReader) -> Result<Bytes>) -> Answer<Vec<u8>> {
        self.not_yet.set(None);
        Ok(calls::block_on(read(&mut self.reader.borrow_mut()))??.into())
    }
}

/// The separators as the reader takes them.
fn list(separators: &[Vec<u8>]) -> Vec<&[u8]> {
    separators.iter().map(Vec::as_slice).collect()
}

impl wit::GuestReader for Reader {
    fn try_read(&self, max: u32) -> Answer<Option<Vec<u8>>> {
        self.attempt(async |reader| reader.read(size(max)).await)
    }

    fn read(&self, max: u32) -> Answer<Vec<u8>> {
        self.block(async |reader| reader.read(size(max)).await)
    }

    fn try_read_exactly(&self, count: u32) -> Answer<Option<Vec<u8>>> {
        self.attempt(async |reader| reader.readexactly(size(count)).await)
    }

    fn read_exactly(&self, count: u32) -> Answer<Vec<u8>> {
        self.block(async |reader| reader.readexactly(size(count)).await)
    }

    fn try_read_line(&self) -> Answer<Option<Vec<u8>>> {
        self.attempt(async |reader| reader.readline().await)
    }

    fn read_line(&self) -> Answer<Vec<u8>> {
        self.block(async |reader| reader.readline().await)
    }

    fn try_read_until(&self, separators: Vec<Vec<u8>>) -> Answer<Option<Vec<u8>>> {
        let separators = list(&separators);
        self.attempt(async |reader| reader.readuntil(&*separators).await)
    }

    fn read_until(&self, separators: Vec<Vec<u8>>) -> Answer<Vec<u8>> {
        let separators = list(&separators);
        self.block(async |reader| reader.readuntil(&*separators).await)
    }

    fn read_to_end(&self) -> Answer<Vec<u8>> {
        self.block(async |reader| reader.read_to_end().await)
    }

    fn at_eof(&self) -> bool {
        calls::run_ready();
        self.reader.borrow().at_eof()
    }

    fn subscribe(&self) -> Vec<Pollable> {
        raw(calls::lend(&self.connection.tasks(), || self.is_ready()))
    }
}

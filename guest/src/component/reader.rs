//! The reading side of a connection.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use super::convert::size;
use super::{Pollable, wit};
use crate::connection::Connection;
use crate::error::Result;
use crate::reader::StreamReader;
use crate::rt::calls::{self, Loan};
use bytes::Bytes;

/// A reader, with what it looked like when it last said "not yet".
pub struct Reader {
    connection: Rc<Connection>,
    reader: RefCell<StreamReader>,
    not_yet: Cell<Option<Look>>,
    loan: Loan,
}

/// What an answer depends on: how much is buffered, whether the end is known, whether there is an error.
type Look = (usize, bool, bool);

type Answer<T> = Result<T, wit::Error>;

impl Reader {
    pub(super) fn new(reader: StreamReader) -> Self {
        let connection = Rc::clone(reader.connection());
        Self { connection, reader: RefCell::new(reader), not_yet: Cell::new(None), loan: Loan::default() }
    }

    /// Whether the function that said "not yet" may answer now: something has arrived since.
    pub(super) fn is_ready(&self) -> bool {
        self.not_yet.get().is_none_or(|look| look != self.look())
    }

    /// The caller has come back with the pollables that it got.
    pub(super) fn reclaim(&self) {
        self.loan.settle();
        self.release();
    }

    fn release(&self) {
        calls::reclaim(&self.connection.tasks());
    }

    fn look(&self) -> Look {
        self.connection.look(|buffer| (buffer.buffered(), buffer.saw_eof(), buffer.error().is_some()))
    }

    /// Tries a read, which takes nothing unless it is done.
    fn attempt(&self, what: Read) -> Answer<Option<Vec<u8>>> {
        self.reclaim();
        let mut reader = self.reader.borrow_mut();
        let answer = calls::attempt(Box::pin(what.perform(&mut reader)));
        self.not_yet.set(answer.is_none().then(|| self.look()));
        Ok(answer.transpose()?.map(Into::into))
    }

    fn block(&self, what: Read) -> Answer<Vec<u8>> {
        self.not_yet.set(None);
        self.reclaim();
        let mut reader = self.reader.borrow_mut();
        Ok(calls::block_on(Box::pin(what.perform(&mut reader)))??.into())
    }
}

/// The ways of reading.
enum Read {
    Some(u32),
    Exactly(u32),
    Line,
    Until(Vec<Vec<u8>>),
    ToEnd,
}

impl Read {
    async fn perform(self, reader: &mut StreamReader) -> Result<Bytes> {
        match self {
            Self::Some(max) => reader.read(size(max)).await,
            Self::Exactly(count) => reader.readexactly(size(count)).await,
            Self::Line => reader.readline().await,
            Self::Until(separators) => {
                let separators: Vec<&[u8]> = separators.iter().map(Vec::as_slice).collect();
                reader.readuntil(&*separators).await
            }
            Self::ToEnd => reader.read_to_end().await,
        }
    }
}

impl wit::GuestReader for Reader {
    fn try_read(&self, max: u32) -> Answer<Option<Vec<u8>>> {
        self.attempt(Read::Some(max))
    }

    fn read(&self, max: u32) -> Answer<Vec<u8>> {
        self.block(Read::Some(max))
    }

    fn try_read_exactly(&self, count: u32) -> Answer<Option<Vec<u8>>> {
        self.attempt(Read::Exactly(count))
    }

    fn read_exactly(&self, count: u32) -> Answer<Vec<u8>> {
        self.block(Read::Exactly(count))
    }

    fn try_read_line(&self) -> Answer<Option<Vec<u8>>> {
        self.attempt(Read::Line)
    }

    fn read_line(&self) -> Answer<Vec<u8>> {
        self.block(Read::Line)
    }

    fn try_read_until(&self, separators: Vec<Vec<u8>>) -> Answer<Option<Vec<u8>>> {
        self.attempt(Read::Until(separators))
    }

    fn read_until(&self, separators: Vec<Vec<u8>>) -> Answer<Vec<u8>> {
        self.block(Read::Until(separators))
    }

    fn read_to_end(&self) -> Answer<Vec<u8>> {
        self.block(Read::ToEnd)
    }

    fn at_eof(&self) -> bool {
        self.reclaim();
        calls::run_ready();
        self.reader.borrow().at_eof()
    }

    fn subscribe(&self) -> Vec<Pollable> {
        self.reclaim();
        calls::lend(&self.loan, &|| self.connection.tasks(), true, &|| self.is_ready())
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.release(); // what arrives is thrown away from now on
    }
}

//! Feeding a reader by hand.

use std::fmt;
use std::rc::Rc;

use bytes::Bytes;

use crate::connection::Connection;
use crate::error::{Error, Result};

/// Feeds a [`StreamReader`](super::StreamReader) by hand, also while a read waits; see
/// [`StreamReader::feeder`](super::StreamReader::feeder).
#[derive(Clone)]
pub struct Feeder {
    connection: Rc<Connection>,
}

impl Feeder {
    pub(super) fn of(connection: Rc<Connection>) -> Self {
        Self { connection }
    }

    /// Appends data.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] after [`feed_eof`](Self::feed_eof).
    pub fn feed_data(&self, data: &[u8]) -> Result<()> {
        self.connection.feed(Bytes::copy_from_slice(data))
    }

    /// Marks the end of the stream; may be repeated.
    pub fn feed_eof(&self) {
        self.connection.feed_eof();
    }

    /// Stores an error that every later read gives.
    pub fn set_exception(&self, error: Error) {
        self.connection.set_read_error(error);
    }

    /// Returns whether the reader asks for a pause: it holds more than twice its limit.
    pub fn is_paused(&self) -> bool {
        self.connection.look(|buffer| buffer.is_paused())
    }
}

impl fmt::Debug for Feeder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feeder").finish_non_exhaustive()
    }
}

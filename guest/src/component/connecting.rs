//! A connection on its way.

use std::cell::RefCell;
use std::future::IntoFuture;
use std::task::Waker;

use super::convert::error;
use super::options::ConnectOptions;
use super::reader::Reader;
use super::writer::Writer;
use super::{Pollable, wit};
use crate::error::{Error, Result};
use crate::reader::StreamReader;
use crate::rt::calls::{self, Loan, LocalFuture};
use crate::rt::{self, JoinHandle};
use crate::writer::StreamWriter;

type Streams = (StreamReader, StreamWriter);

/// Lookup, connects and handshake, in a task of their own.
pub struct Connecting(RefCell<Option<JoinHandle<Result<Streams>>>>, Loan);

/// Checks the arguments and starts the task.
pub(super) fn start(
    host: String,
    port: u16,
    options: Option<wit::ConnectOptionsBorrow<'_>>,
) -> Result<Connecting, wit::Error> {
    let connect = crate::open_connection(host, port);
    let (connect, timeout) = match &options {
        Some(options) => {
            let settings = options.get::<ConnectOptions>().0.borrow();
            (settings.apply(connect)?, settings.timeout)
        }
        None => (connect, None),
    };
    connect.check()?;
    let mut connecting: LocalFuture<'static, Result<Streams>> = connect.into_future();
    if let Some(timeout) = timeout {
        connecting = Box::pin(async move {
            let late = |elapsed| Err(Error::io(std::io::ErrorKind::TimedOut, format!("connecting: {elapsed}")));
            crate::timeout(timeout, connecting).await.unwrap_or_else(late)
        });
    }
    let task = rt::spawn(connecting);
    calls::run_ready();
    Ok(Connecting(RefCell::new(Some(task)), Loan::default()))
}

impl Connecting {
    /// Waits for the connection.
    pub(super) fn finish_now(&self) -> Result<(wit::Reader, wit::Writer), wit::Error> {
        self.reclaim();
        let task = self.0.take().ok_or_else(finished)?;
        Ok(wrap(calls::block_on(Box::pin(task))???))
    }

    pub(super) fn is_ready(&self) -> bool {
        self.0.borrow().as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// The caller has come back with the pollables that it got.
    pub(super) fn reclaim(&self) {
        self.1.settle();
        calls::reclaim(&self.tasks());
    }

    fn tasks(&self) -> Vec<Waker> {
        self.0.borrow().as_ref().and_then(JoinHandle::task_waker).into_iter().collect()
    }
}

impl wit::GuestConnecting for Connecting {
    fn try_finish(&self) -> Result<Option<(wit::Reader, wit::Writer)>, wit::Error> {
        if self.0.borrow().is_none() {
            return Err(finished());
        }
        self.reclaim();
        calls::run_ready();
        if !self.is_ready() {
            calls::advance();
        }
        if !self.is_ready() {
            return Ok(None);
        }
        self.finish_now().map(Some)
    }

    fn finish(&self) -> Result<(wit::Reader, wit::Writer), wit::Error> {
        self.finish_now()
    }

    fn subscribe(&self) -> Vec<Pollable> {
        self.reclaim();
        calls::lend(&self.1, &|| self.tasks(), true, &|| self.is_ready())
    }
}

impl Drop for Connecting {
    fn drop(&mut self) {
        if let Some(task) = self.0.take() {
            task.abort();
        }
    }
}

/// Makes resources of a connection.
pub(super) fn wrap((reader, writer): Streams) -> (wit::Reader, wit::Writer) {
    (wit::Reader::new(Reader::new(reader)), wit::Writer::new(Writer::new(writer)))
}

fn finished() -> wit::Error {
    error(wit::ErrorKind::Closed, "the connection was handed out already")
}

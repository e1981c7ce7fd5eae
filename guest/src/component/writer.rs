//! The writing side of a connection.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::Waker;
use std::time::Duration;

use super::convert::{address, error, millis, size};
use super::{Pollable, tls, wit};
use crate::error::{Error, Result};
use crate::rt::JoinHandle;
use crate::rt::calls::{self, Loan, LocalFuture};
use crate::writer::StreamWriter;

/// How long a handshake and a goodbye may take, if that was said.
pub(super) type Timeouts = (Option<Duration>, Option<Duration>);

/// A writer, and the upgrade to TLS that is under way.
pub struct Writer {
    writer: Rc<StreamWriter>,
    /// Of the next upgrade.
    timeouts: Cell<Timeouts>,
    upgrade: RefCell<Option<JoinHandle<Result<()>>>>,
    /// Why the last upgrade has failed.
    failure: RefCell<Option<Error>>,
    /// What said "not yet" last.
    not_yet: Cell<Option<Awaited>>,
    loan: Loan,
}

/// What can be waited for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Awaited {
    Drain,
    Handshake,
    Closed,
}

type Answer<T> = Result<T, wit::Error>;

impl Writer {
    pub(super) fn new(writer: StreamWriter) -> Self {
        Self {
            writer: Rc::new(writer),
            timeouts: Cell::default(),
            upgrade: RefCell::new(None),
            failure: RefCell::new(None),
            not_yet: Cell::new(None),
            loan: Loan::default(),
        }
    }

    pub(super) fn is_drained(&self) -> bool {
        self.writer.connection().is_drained()
    }

    pub(super) fn is_handshaken(&self) -> bool {
        self.upgrade.borrow().as_ref().is_none_or(JoinHandle::is_finished)
    }

    pub(super) fn is_gone(&self) -> bool {
        self.writer.connection().is_lost()
    }

    /// The writer, for a caller who has come back and has dropped the pollables that it got.
    fn come_back(&self) -> &Rc<StreamWriter> {
        self.loan.settle();
        &self.writer
    }

    /// Lets go on what waits for those who have pollables of it.
    pub(super) fn reclaim(&self) {
        calls::reclaim(&self.tasks());
    }

    /// Without an upgrade under way, what comes in is the reader's.
    pub(super) fn reclaim_for_handshake(&self) {
        if self.upgrade.borrow().is_some() {
            self.reclaim();
        }
    }

    /// While the connection is open, what comes in is the reader's.
    fn reclaim_if_closing(&self) {
        if self.writer.is_closing() {
            self.reclaim();
        }
    }

    fn end(&self) {
        self.writer.close();
        self.reclaim();
        calls::run_ready();
    }

    fn tasks(&self) -> Vec<Waker> {
        let mut tasks = self.writer.connection().tasks();
        tasks.extend(self.upgrade.borrow().as_ref().and_then(JoinHandle::task_waker));
        tasks
    }

    /// Passes an answer on, and remembers it if it is "not yet".
    fn answer(&self, awaited: Awaited, answer: Answer<bool>) -> Answer<bool> {
        self.not_yet.set(matches!(answer, Ok(false)).then_some(awaited));
        answer
    }

    fn upgrade(&self, role: Answer<tls::Upgrade>) -> Answer<()> {
        if self.upgrade.borrow().is_some() {
            return Err(error(wit::ErrorKind::InvalidState, "TLS is being started already"));
        }
        let task = tls::start(Rc::clone(self.come_back()), role?, self.timeouts.get())?;
        *self.upgrade.borrow_mut() = Some(task);
        self.reclaim();
        calls::run_ready();
        Ok(())
    }

    fn finish_upgrade(&self) -> Answer<()> {
        self.reclaim_for_handshake();
        if let Some(task) = self.upgrade.take() {
            let done = calls::block_on(Box::pin(async { task.await? }))?;
            *self.failure.borrow_mut() = done.err();
        }
        Ok(self.failure.borrow().clone().map_or(Ok(()), Err)?)
    }
}

fn attempt(future: LocalFuture<'_, Result<()>>) -> Answer<bool> {
    Ok(calls::attempt(future).transpose()?.is_some())
}

fn block(future: LocalFuture<'_, Result<()>>) -> Answer<()> {
    Ok(calls::block_on(future)??)
}

impl wit::GuestWriter for Writer {
    fn write(&self, data: Vec<u8>) -> Answer<()> {
        Ok(self.come_back().write(data)?)
    }

    fn try_drain(&self) -> Answer<bool> {
        self.answer(Awaited::Drain, attempt(Box::pin(self.come_back().drain())))
    }

    fn drain(&self) -> Answer<()> {
        block(Box::pin(self.come_back().drain()))
    }

    fn write_eof(&self) -> Answer<()> {
        self.come_back().write_eof()?;
        calls::run_ready();
        Ok(())
    }

    fn can_write_eof(&self) -> bool {
        self.come_back().can_write_eof()
    }

    fn close(&self) {
        self.come_back();
        self.end();
    }

    fn abort(&self) {
        self.come_back().transport().abort();
        calls::run_ready();
    }

    fn is_closing(&self) -> bool {
        calls::run_ready();
        self.come_back().is_closing()
    }

    fn try_wait_closed(&self) -> Answer<bool> {
        self.come_back();
        self.reclaim_if_closing();
        self.answer(Awaited::Closed, attempt(Box::pin(self.writer.wait_closed())))
    }

    fn wait_closed(&self) -> Answer<()> {
        self.come_back();
        self.reclaim(); // also while it is open: only what comes in tells that the peer has gone
        block(Box::pin(self.writer.wait_closed()))
    }

    fn write_buffer_size(&self) -> u64 {
        self.come_back().transport().get_write_buffer_size() as u64
    }

    fn set_write_buffer_limits(&self, high: u64, low: Option<u64>) -> Answer<()> {
        Ok(self.come_back().transport().set_write_buffer_limits(size(high), low.map(size))?)
    }

    fn pause_reading(&self, pause: bool) {
        let writer = self.come_back();
        match pause {
            true => writer.transport().pause_reading(),
            false => writer.transport().resume_reading(),
        }
    }

    fn set_start_tls_timeouts(&self, handshake: Option<u32>, shutdown: Option<u32>) {
        self.come_back();
        self.timeouts.set((handshake.map(millis), shutdown.map(millis)));
    }

    fn start_tls_client(&self, config: wit::TlsClientConfigBorrow<'_>, server_name: Option<String>) -> Answer<()> {
        self.upgrade(tls::client_upgrade(config.get::<tls::ClientConfig>(), server_name))
    }

    fn start_tls_server(&self, config: wit::TlsServerConfigBorrow<'_>) -> Answer<()> {
        self.upgrade(tls::server_upgrade(config.get::<tls::ServerConfig>()))
    }

    fn try_handshake(&self) -> Answer<bool> {
        self.come_back();
        self.reclaim_for_handshake();
        calls::run_ready();
        if !self.is_handshaken() {
            calls::advance();
        }
        let done = if self.is_handshaken() { self.finish_upgrade().map(|()| true) } else { Ok(false) };
        self.answer(Awaited::Handshake, done)
    }

    fn handshake(&self) -> Answer<()> {
        self.come_back();
        self.finish_upgrade()
    }

    fn peer_address(&self) -> Option<wit::Address> {
        self.come_back().peer_addr().map(address)
    }

    fn local_address(&self) -> Option<wit::Address> {
        self.come_back().local_addr().map(address)
    }

    fn tls(&self) -> Option<wit::TlsInfo> {
        tls::info(self.come_back())
    }

    fn subscribe(&self) -> Vec<Pollable> {
        let awaited = self.not_yet.get();
        // What comes in during a handshake tells only the handshake how it goes; otherwise a loss tells itself.
        let hold = awaited == Some(Awaited::Handshake);
        if hold {
            self.reclaim()
        } else {
            self.reclaim_if_closing()
        }
        calls::lend(&self.loan, &|| self.tasks(), hold, &|| match awaited {
            None => true,
            Some(Awaited::Drain) => self.is_drained(),
            Some(Awaited::Handshake) => self.is_handshaken(),
            Some(Awaited::Closed) => self.is_gone(),
        })
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if let Some(task) = self.upgrade.take() {
            task.abort();
        }
        self.end();
    }
}

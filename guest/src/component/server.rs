//! A server that is asked for its connections.

use std::rc::Rc;

use super::connecting::wrap;
use super::convert::{address, error};
use super::options::ListenOptions;
use super::{Pollable, wit};
use crate::error::Result;
use crate::options::DEFAULT_BACKLOG;
use crate::rt::calls::{self, Loan};
use crate::server::Incoming;

/// A server, and what it has accepted.
pub struct Server {
    server: crate::Server,
    incoming: Rc<Incoming>,
    loan: Loan,
}

/// Binds and listens.
pub(super) fn listen(
    hosts: Vec<String>,
    port: u16,
    options: Option<wit::ListenOptionsBorrow<'_>>,
) -> Result<Server, wit::Error> {
    let hosts = if hosts.is_empty() { vec![String::new()] } else { hosts };
    let settings = options.as_ref().map(|options| options.get::<ListenOptions>().0.borrow());
    let backlog = settings.as_ref().and_then(|settings| settings.backlog).unwrap_or(DEFAULT_BACKLOG);
    let incoming = Rc::new(Incoming::new(backlog));
    let start = Incoming::start_server(&incoming, hosts, port);
    let start = match settings {
        Some(settings) => settings.apply(start)?,
        None => start,
    };
    let server = calls::block_on(start.into_future())??;
    Ok(Server { server, incoming, loan: Loan::default() })
}

impl Server {
    pub(super) fn is_ready(&self) -> bool {
        !self.incoming.is_empty() || self.is_closed()
    }

    /// The caller has come back with the pollables that it got.
    pub(super) fn reclaim(&self) {
        self.loan.settle();
        calls::reclaim(&self.server.tasks());
    }

    fn is_closed(&self) -> bool {
        !self.server.is_serving()
    }

    fn end(&self) {
        self.server.close();
        #[cfg(feature = "tls")]
        self.server.abort_handshakes();
        self.incoming.clear();
        calls::run_ready();
    }

    fn next(&self) -> Option<(wit::Reader, wit::Writer)> {
        self.incoming.take().map(wrap)
    }
}

impl wit::GuestServer for Server {
    fn try_accept(&self) -> Result<Option<(wit::Reader, wit::Writer)>, wit::Error> {
        self.reclaim();
        if self.is_closed() {
            return Err(closed());
        }
        calls::run_ready();
        if self.incoming.is_empty() {
            calls::advance();
        }
        Ok(self.next())
    }

    fn accept(&self) -> Result<(wit::Reader, wit::Writer), wit::Error> {
        self.reclaim();
        calls::run_until(&mut || self.is_ready(), None)?;
        self.next().ok_or_else(closed)
    }

    fn local_addresses(&self) -> Vec<wit::Address> {
        self.server.sockets().into_iter().map(address).collect()
    }

    fn failed_handshakes(&self) -> u64 {
        #[cfg(feature = "tls")]
        return self.server.failed_handshakes();
        #[cfg(not(feature = "tls"))]
        0
    }

    fn close(&self) {
        self.loan.settle();
        self.end();
    }

    fn subscribe(&self) -> Vec<Pollable> {
        self.reclaim();
        calls::lend(&self.loan, &|| self.server.tasks(), true, &|| self.is_ready())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

fn closed() -> wit::Error {
    error(wit::ErrorKind::Closed, "the server is closed")
}

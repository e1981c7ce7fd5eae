//! The accept loop of one listening socket.

#[cfg(feature = "tls")]
use std::future::Future;
use std::net::SocketAddr;
#[cfg(feature = "tls")]
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use super::handler::{Handled, Handler, Outcome};
use super::{Phase, Shared};
use crate::connection::{Connection, Info};
use crate::error::{Error, Result};
use crate::reader::StreamReader;
use crate::report::{Report, guard, report};
use crate::rt::{self, JoinHandle};
use crate::sys::types::Address;
use crate::sys::{Accepted, Link};
#[cfg(feature = "tls")]
use crate::tls::{Timeouts, TlsAcceptor, TlsInfo};
use crate::writer::StreamWriter;

/// How long to wait after a failed accept (too many open files, say) before trying again: 1 second.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// What every accepted connection gets.
#[derive(Clone)]
pub(super) struct Accepting {
    pub(super) limit: usize,
    #[cfg(feature = "tls")]
    pub(super) tls: Option<((TlsAcceptor, Timeouts), Secure)>,
    /// Where the connections go, if they have to wait there for somebody to ask.
    #[cfg(feature = "component")]
    pub(super) incoming: Option<Rc<super::Incoming>>,
}

impl Accepting {
    /// Starts a connection and its handler, over TLS behind a handshake in a task of its own.
    fn welcome<H: Handler<K>, K: 'static>(
        &self,
        shared: &Rc<Shared>,
        handler: &Rc<H>,
        link: Box<dyn Link>,
        info: Info,
    ) {
        #[cfg(feature = "tls")]
        if let Some(((acceptor, timeouts), secure)) = self.tls.clone() {
            let (this, after, handler) = (self.clone(), Rc::clone(shared), Rc::clone(handler));
            return shared.shake_hands(async move {
                match secure(link, acceptor, timeouts).await {
                    Ok((link, tls)) => this.start(&after, &*handler, link, Info { tls: Some(tls), ..info }),
                    Err(error) => after.handshakes.fail(info.peer, error),
                }
            });
        }
        self.start(shared, &**handler, link, info);
    }

    fn start<H: Handler<K>, K>(&self, shared: &Rc<Shared>, handler: &H, link: Box<dyn Link>, info: Info) {
        let peer = info.peer;
        let connection = Connection::start(link, self.limit, info);
        shared.attend(&connection);
        call(handler, connection, peer);
    }
}

#[cfg(feature = "tls")]
type Secured = Pin<Box<dyn Future<Output = Result<(Box<dyn Link>, TlsInfo)>>>>;

/// The handshake. Set by [`StartServer::tls`](super::StartServer::tls) alone, so that programs that never call it do without all
/// of TLS.
#[cfg(feature = "tls")]
pub(super) type Secure = fn(Box<dyn Link>, TlsAcceptor, Timeouts) -> Secured;

#[cfg(feature = "tls")]
pub(super) fn secure(link: Box<dyn Link>, acceptor: TlsAcceptor, timeouts: Timeouts) -> Secured {
    Box::pin(async move { crate::tls::handshake(link, acceptor.start()?, timeouts).await })
}

/// Accepts until the server is closed.
pub(super) fn serve<H: Handler<K>, K: 'static>(
    shared: Rc<Shared>,
    index: usize,
    accepting: Accepting,
    handler: Rc<H>,
) -> JoinHandle<()> {
    rt::spawn(async move {
        let mut in_a_row = 0;
        while let Some(accepted) = next(&shared, index).await {
            #[cfg(feature = "component")]
            if let Some(incoming) = &accepting.incoming {
                std::future::poll_fn(|cx| incoming.poll_room(cx)).await;
            }
            match accepted {
                Ok(Accepted::Connection(link, peer, local)) => {
                    let info = Info::plain(peer, local);
                    accepting.welcome(&shared, &handler, link, info);
                }
                #[cfg(feature = "unix")]
                Ok(Accepted::Unix(link, ends)) => {
                    accepting.welcome(&shared, &handler, link, Info::over_unix(ends));
                }
                Ok(Accepted::Vanished) => {} // S39
                Err(error) => {
                    report(&accept_failed(&shared.addresses[index], error));
                    rt::time::sleep(RETRY_DELAY).await; // S40
                }
            }
            in_a_row += 1;
            if in_a_row > shared.backlog {
                in_a_row = 0;
                rt::yield_now().await; // S41: the others get their turn
            }
        }
    })
}

fn accept_failed(local: &Address, error: Error) -> Report {
    match local {
        Address::Inet(local) => Report::AcceptFailed { local: *local, error },
        #[cfg(feature = "unix")]
        Address::Unix(local) => Report::UnixAcceptFailed { local: local.clone(), error },
    }
}

/// The next connection; none once the server is closed.
async fn next(shared: &Shared, index: usize) -> Option<Result<Accepted>> {
    std::future::poll_fn(|cx| {
        if shared.phase.get() == Phase::Closed {
            return Poll::Ready(None);
        }
        let mut listeners = shared.listeners.borrow_mut();
        match listeners.get_mut(index) {
            Some(Some(listener)) => listener.poll_accept(cx).map(Some),
            _ => Poll::Ready(None),
        }
    })
    .await
}

/// Calls the handler; an async one runs as a task.
fn call<H: Handler<K>, K>(handler: &H, connection: Rc<Connection>, peer: Option<SocketAddr>) {
    let reader = StreamReader::of(Rc::clone(&connection));
    let writer = StreamWriter::of(Rc::clone(&connection));
    let handled = guard(|| handler.handle(reader, writer));
    match handled {
        Ok(Handled::Now(outcome)) => finish(outcome, &connection, peer),
        Ok(Handled::Later(future)) => {
            let task = rt::spawn(async move {
                let mut unfinished = Unfinished(Some(&connection));
                let outcome = future.await;
                unfinished.0 = None;
                finish(outcome, &connection, peer);
            });
            drop(task); // detached
        }
        Err(message) => finish(Outcome::Failed(message), &connection, peer), // S37
    }
}

/// A handler that failed is reported, once, and its connection closed; one that returned keeps what it kept (S38).
fn finish(outcome: Outcome, connection: &Rc<Connection>, peer: Option<SocketAddr>) {
    match outcome {
        Outcome::Done => {}
        Outcome::Failed(error) => {
            report(&Report::HandlerFailed { peer, error });
            connection.close(); // S35
        }
        Outcome::Cancelled => connection.close(), // S36
    }
}

/// Closes the connection of a handler that ended in the middle: dropped at the end of the program, or by a panic.
struct Unfinished<'a>(Option<&'a Rc<Connection>>);

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if let Some(connection) = self.0 {
            connection.close(); // S36
        }
    }
}

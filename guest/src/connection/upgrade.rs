//! `start_tls`: from plaintext to TLS in place.

use std::future::poll_fn;
use std::rc::Rc;

use bytes::Bytes;
use futures_lite::future::or;

use super::{Connection, Fin};
use crate::error::{Error, Result};
use crate::sys::Link;
use crate::tls::{self, Side, Timeouts, TlsInfo};

impl Connection {
    /// What is known of TLS, from the beginning or since the upgrade.
    pub(crate) fn tls(&self) -> Option<&TlsInfo> {
        self.info.tls.as_ref().or_else(|| self.upgraded.get())
    }

    /// Whether TLS can be started at all.
    pub(crate) fn check_upgrade(&self) -> Result<()> {
        if self.tls().is_some() {
            return Err(Error::Busy("this connection speaks TLS already".into())); // U12
        }
        if self.state.borrow().fin != Fin::None {
            return Err(Error::WriteAfterEof("start_tls")); // U11
        }
        if self.state.borrow().upgrading {
            return Err(Error::Busy("TLS is being started on this connection".into()));
        }
        Ok(())
    }

    /// Does the handshake on this connection and goes on over TLS. What the peer sent already goes to a server's engine, and is
    /// an error for a client: it may have been injected (U08, U09).
    pub(crate) async fn start_tls(self: &Rc<Self>, mut side: Side, timeouts: Timeouts) -> Result<()> {
        self.check_upgrade()?;
        self.drain().await?; // U02
        self.check_upgrade()?; // another may have been first
        let upgrade = Upgrade::begin(self);
        poll_fn(|cx| self.poll_flushed(cx)).await?;
        let (link, received) = upgrade.take()?;
        if !received.is_empty() {
            if side.role.is_client() {
                let text = "data arrived in the clear before TLS was started: somebody may have injected it";
                return Err(upgrade.fail(Error::io(std::io::ErrorKind::InvalidData, text)));
            }
            side.session.feed(received);
        }
        let lost = async {
            // How it ended is for `wait_closed` to tell.
            let _ = poll_fn(|cx| self.poll_closed(cx)).await;
            Err(Error::connection_lost()) // T06
        };
        match or(tls::handshake(link, side, timeouts), lost).await {
            Ok((link, info)) => upgrade.finish(link, info),
            Err(error) => Err(upgrade.fail(error)), // U06
        }
    }
}

/// A connection while it is upgraded: nothing is read (U10). Dropped in the middle, the connection is over.
struct Upgrade<'a> {
    connection: &'a Rc<Connection>,
}

impl<'a> Upgrade<'a> {
    fn begin(connection: &'a Rc<Connection>) -> Self {
        let mut state = connection.state.borrow_mut();
        state.borrowed = true;
        state.upgrading = true;
        drop(state);
        Self { connection }
    }

    /// Takes the link out, with what was read ahead.
    fn take(&self) -> Result<(Box<dyn Link>, Bytes)> {
        let mut state = self.connection.state.borrow_mut();
        let received = state.receive.take_all();
        let link = state.link.take().filter(|_| matches!(state.phase, super::Phase::Open));
        Ok((link.ok_or_else(Error::connection_lost)?, received))
    }

    fn finish(self, link: Box<dyn Link>, info: TlsInfo) -> Result<()> {
        self.connection.change(|state, after| {
            if state.is_closing() {
                after.link = Some(link);
                return Err(Error::connection_lost());
            }
            state.link = Some(link);
            state.borrowed = false;
            state.upgrading = false;
            state.send.use_tls_marks(); // U07
            state.wake_pump(after);
            Ok(())
        })?;
        // Set once: a second upgrade is refused.
        let _ = self.connection.upgraded.set(info);
        std::mem::forget(self); // or the connection would be aborted
        Ok(())
    }

    fn fail(&self, error: Error) -> Error {
        self.connection.change(|state, after| state.lose(Some(error.clone()), after));
        error
    }
}

impl Drop for Upgrade<'_> {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

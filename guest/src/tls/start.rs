//! The arguments of `start_tls`.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use super::{TlsArguments, TlsRole, server_name};
use crate::connection::Connection;
use crate::error::{Error, Result};

/// The arguments of [`StreamWriter::start_tls`](crate::StreamWriter::start_tls); `.await` it to upgrade.
#[must_use = "nothing happens before it is awaited"]
pub struct StartTls<'a> {
    connection: &'a Rc<Connection>,
    arguments: TlsArguments<TlsRole>,
    server_name: Option<String>,
}

impl<'a> StartTls<'a> {
    pub(crate) fn new(connection: &'a Rc<Connection>, role: TlsRole) -> Self {
        let arguments = TlsArguments { config: Some(role), ..TlsArguments::default() };
        Self { connection, arguments, server_name: None }
    }

    /// Sets the name that the server's certificate must have, instead of the host's; clients only.
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.server_name = Some(name.into());
        self
    }

    /// Sets how long the handshake may take: 60 seconds by default.
    pub fn tls_handshake_timeout(mut self, timeout: Duration) -> Self {
        self.arguments.handshake_timeout = Some(timeout);
        self
    }

    /// Sets how long the goodbye may take: 30 seconds by default.
    pub fn tls_shutdown_timeout(mut self, timeout: Duration) -> Self {
        self.arguments.shutdown_timeout = Some(timeout);
        self
    }

    async fn start(self) -> Result<()> {
        let Some((role, timeouts)) = self.arguments.check()? else { return Ok(()) };
        let side = match role {
            TlsRole::Client(connector) => {
                let host = self.connection.info().host.as_deref();
                connector.start(server_name(&connector, self.server_name.as_deref(), host)?)?
            }
            TlsRole::Server(_) if self.server_name.is_some() => {
                return Err(Error::invalid("server_name is only meaningful for a client"));
            }
            TlsRole::Server(acceptor) => acceptor.start()?,
        };
        let done = self.connection.start_tls(side, timeouts).await;
        done.map_err(|error| error.with_peer(self.connection.info().host.as_deref()))
    }
}

impl<'a> IntoFuture for StartTls<'a> {
    type Output = Result<()>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.start())
    }
}

impl fmt::Debug for StartTls<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StartTls").field("server_name", &self.server_name).finish_non_exhaustive()
    }
}

//! The optional arguments of connecting and listening.

use std::cell::RefCell;
use std::time::Duration;

use super::convert::{millis, size};
use super::{tls, wit};
use crate::options::{AddressFamily, KeepAlive};
use crate::server::StartServer;
use crate::{OpenConnection, Result};

/// The arguments of `connect`, as given.
#[derive(Default)]
pub struct ConnectOptions(pub(super) RefCell<ConnectSettings>);

#[derive(Default)]
pub(super) struct ConnectSettings {
    tls: Option<(tls::SharedClientConfig, Option<String>)>,
    tls_handshake_timeout: Option<Duration>,
    tls_shutdown_timeout: Option<Duration>,
    pub(super) timeout: Option<Duration>,
    limit: Option<usize>,
    family: Option<AddressFamily>,
    local_address: Option<(String, u16)>,
    happy_eyeballs_delay: Option<Option<Duration>>,
    interleave: Option<usize>,
    keep_alive: Option<KeepAlive>,
}

impl ConnectSettings {
    /// Puts everything that was set into the builder.
    pub(super) fn apply(&self, mut connect: OpenConnection) -> Result<OpenConnection> {
        if let Some(limit) = self.limit {
            connect = connect.limit(limit);
        }
        if let Some(family) = self.family {
            connect = connect.family(family);
        }
        if let Some((host, port)) = &self.local_address {
            connect = connect.local_addr((host.as_str(), *port));
        }
        if let Some(delay) = self.happy_eyeballs_delay {
            connect = connect.happy_eyeballs_delay(delay);
        }
        if let Some(count) = self.interleave {
            connect = connect.interleave(count);
        }
        if let Some(settings) = &self.keep_alive {
            connect = connect.keep_alive(*settings);
        }
        tls::connect_with(connect, self.tls.as_ref(), (self.tls_handshake_timeout, self.tls_shutdown_timeout))
    }
}

impl wit::GuestConnectOptions for ConnectOptions {
    fn new() -> Self {
        Self::default()
    }

    fn set_tls(&self, config: wit::TlsClientConfigBorrow<'_>, server_name: Option<String>) {
        self.0.borrow_mut().tls = Some((config.get::<tls::ClientConfig>().shared(), server_name));
    }

    fn set_tls_handshake_timeout(&self, milliseconds: u32) {
        self.0.borrow_mut().tls_handshake_timeout = Some(millis(milliseconds));
    }

    fn set_tls_shutdown_timeout(&self, milliseconds: u32) {
        self.0.borrow_mut().tls_shutdown_timeout = Some(millis(milliseconds));
    }

    fn set_timeout(&self, milliseconds: u32) {
        self.0.borrow_mut().timeout = Some(millis(milliseconds));
    }

    fn set_limit(&self, bytes: u32) {
        self.0.borrow_mut().limit = Some(size(bytes));
    }

    fn set_family(&self, wanted: wit::Family) {
        self.0.borrow_mut().family = Some(family(wanted));
    }

    fn set_local_address(&self, address: wit::Address) {
        self.0.borrow_mut().local_address = Some((address.host, address.port));
    }

    fn set_happy_eyeballs_delay(&self, milliseconds: Option<u32>) {
        self.0.borrow_mut().happy_eyeballs_delay = Some(milliseconds.map(millis));
    }

    fn set_interleave(&self, first_address_family_count: u32) {
        self.0.borrow_mut().interleave = Some(size(first_address_family_count));
    }

    fn set_keep_alive(&self, idle: Option<u32>, interval: Option<u32>, count: Option<u32>) {
        let seconds = |seconds: Option<u32>| seconds.map(|seconds| Duration::from_secs(seconds.into()));
        let settings = KeepAlive { idle: seconds(idle), interval: seconds(interval), count };
        self.0.borrow_mut().keep_alive = Some(settings);
    }
}

/// The arguments of `listen`, as given.
#[derive(Default)]
pub struct ListenOptions(pub(super) RefCell<ListenSettings>);

#[derive(Default)]
pub(super) struct ListenSettings {
    tls: Option<tls::SharedServerConfig>,
    tls_handshake_timeout: Option<Duration>,
    tls_shutdown_timeout: Option<Duration>,
    limit: Option<usize>,
    pub(super) backlog: Option<u32>,
    family: Option<AddressFamily>,
}

impl ListenSettings {
    /// Puts everything that was set into the builder.
    pub(super) fn apply<H: crate::Handler<K>, K: 'static>(
        &self,
        mut start: StartServer<H, K>,
    ) -> Result<StartServer<H, K>> {
        if let Some(limit) = self.limit {
            start = start.limit(limit);
        }
        if let Some(backlog) = self.backlog {
            start = start.backlog(backlog);
        }
        if let Some(family) = self.family {
            start = start.family(family);
        }
        tls::listen_with(start, self.tls.as_ref(), (self.tls_handshake_timeout, self.tls_shutdown_timeout))
    }
}

impl wit::GuestListenOptions for ListenOptions {
    fn new() -> Self {
        Self::default()
    }

    fn set_tls(&self, config: wit::TlsServerConfigBorrow<'_>) {
        self.0.borrow_mut().tls = Some(config.get::<tls::ServerConfig>().shared());
    }

    fn set_tls_handshake_timeout(&self, milliseconds: u32) {
        self.0.borrow_mut().tls_handshake_timeout = Some(millis(milliseconds));
    }

    fn set_tls_shutdown_timeout(&self, milliseconds: u32) {
        self.0.borrow_mut().tls_shutdown_timeout = Some(millis(milliseconds));
    }

    fn set_limit(&self, bytes: u32) {
        self.0.borrow_mut().limit = Some(size(bytes));
    }

    fn set_backlog(&self, connections: u32) {
        self.0.borrow_mut().backlog = Some(connections);
    }

    fn set_family(&self, wanted: wit::Family) {
        self.0.borrow_mut().family = Some(family(wanted));
    }
}

fn family(family: wit::Family) -> AddressFamily {
    match family {
        wit::Family::Ipv4 => AddressFamily::Inet,
        wit::Family::Ipv6 => AddressFamily::Inet6,
    }
}

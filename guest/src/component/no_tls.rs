//! The same functions in a component that was built without TLS: each says so.

use std::rc::Rc;

use super::wit;
use super::writer::Timeouts;
use crate::error::{Error, Result};
use crate::rt::JoinHandle;
use crate::server::StartServer;
use crate::writer::StreamWriter;
use crate::{Handler, OpenConnection};

/// Takes note of nothing: it cannot be used anyway.
pub struct ClientConfig;

pub(super) type SharedClientConfig = ();

impl ClientConfig {
    pub(super) fn shared(&self) -> SharedClientConfig {}
}

impl wit::GuestTlsClientConfig for ClientConfig {
    fn new() -> Self {
        Self
    }

    fn add_roots_pem(&self, _roots: String) {}
    fn add_default_roots(&self) {}
    fn add_revocation_lists_pem(&self, _revocation_lists: String) {}
    fn set_identity_pem(&self, _chain: String, _key: String) {}
    fn set_alpn(&self, _protocols: Vec<Vec<u8>>) {}
    fn set_minimum_version(&self, _version: wit::TlsVersion) {}
    fn set_maximum_version(&self, _version: wit::TlsVersion) {}
    fn set_prefer_chacha20(&self, _prefer: bool) {}
    fn set_suppress_ragged_eofs(&self, _suppress: bool) {}
    fn dangerous_skip_name_check(&self) {}
    fn dangerous_skip_verification(&self) {}
}

/// Takes note of nothing: it cannot be used anyway.
pub struct ServerConfig;

pub(super) type SharedServerConfig = ();

impl ServerConfig {
    pub(super) fn shared(&self) -> SharedServerConfig {}
}

impl wit::GuestTlsServerConfig for ServerConfig {
    fn new() -> Self {
        Self
    }

    fn add_identity_pem(&self, _chain: String, _key: String) {}
    fn set_client_roots_pem(&self, _roots: String, _required: bool) {}
    fn add_revocation_lists_pem(&self, _revocation_lists: String) {}
    fn set_alpn(&self, _protocols: Vec<Vec<u8>>) {}
    fn set_minimum_version(&self, _version: wit::TlsVersion) {}
    fn set_maximum_version(&self, _version: wit::TlsVersion) {}
    fn set_prefer_chacha20(&self, _prefer: bool) {}
    fn set_suppress_ragged_eofs(&self, _suppress: bool) {}
}

pub(super) fn connect_with(
    connect: OpenConnection,
    tls: Option<&(SharedClientConfig, Option<String>)>,
    timeouts: Timeouts,
) -> Result<OpenConnection> {
    refuse(tls.is_some(), timeouts).map(|()| connect)
}

pub(super) fn listen_with<H: Handler<K>, K: 'static>(
    start: StartServer<H, K>,
    tls: Option<&SharedServerConfig>,
    timeouts: Timeouts,
) -> Result<StartServer<H, K>> {
    refuse(tls.is_some(), timeouts).map(|()| start)
}

fn refuse(tls: bool, (handshake, shutdown): Timeouts) -> Result<()> {
    if tls || handshake.is_some() || shutdown.is_some() {
        return Err(no_tls());
    }
    Ok(())
}

/// There is none.
pub(super) enum Upgrade {}

pub(super) fn client_upgrade(_config: &ClientConfig, _server_name: Option<String>) -> Result<Upgrade, wit::Error> {
    Err(no_tls().into())
}

pub(super) fn server_upgrade(_config: &ServerConfig) -> Result<Upgrade, wit::Error> {
    Err(no_tls().into())
}

pub(super) fn start(
    _writer: Rc<StreamWriter>,
    upgrade: Upgrade,
    _timeouts: Timeouts,
) -> Result<JoinHandle<Result<()>>, wit::Error> {
    match upgrade {}
}

pub(super) fn info(_writer: &StreamWriter) -> Option<wit::TlsInfo> {
    None
}

pub(super) fn parse_certificate(_der: &[u8]) -> Result<wit::Certificate, wit::Error> {
    Err(no_tls().into())
}

fn no_tls() -> Error {
    Error::Unsupported("this component was built without TLS: use wasi-streams.wasm".into())
}

//! TLS configurations, and what TLS connections know.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::SystemTime;

use super::wit;
use super::writer::Timeouts;
use crate::error::Result;
use crate::rt::{self, JoinHandle};
use crate::server::StartServer;
use crate::tls::{AcceptorBuilder, ConnectorBuilder, StartTls, TlsRole};
use crate::writer::StreamWriter;
use crate::{Certificate, Handler, OpenConnection, TlsAcceptor, TlsConnector, TlsErrorKind, TlsVersion};

/// What was set, and what was made of it: made when it is first used, so that connections share sessions.
pub(super) struct Lazy<S, C> {
    settings: RefCell<S>,
    made: RefCell<Option<C>>,
}

impl<S: Default, C: Clone> Lazy<S, C> {
    fn new() -> Rc<Self> {
        Rc::new(Self { settings: RefCell::default(), made: RefCell::default() })
    }

    fn set(&self, set: impl FnOnce(&mut S)) {
        set(&mut self.settings.borrow_mut());
        *self.made.borrow_mut() = None;
    }

    fn get(&self, make: impl FnOnce(&S) -> Result<C>) -> Result<C> {
        if let Some(made) = &*self.made.borrow() {
            return Ok(made.clone());
        }
        let made = make(&self.settings.borrow())?;
        *self.made.borrow_mut() = Some(made.clone());
        Ok(made)
    }
}

/// What both sides are told.
#[derive(Default)]
struct Common {
    revocation_lists: String,
    alpn: Vec<Vec<u8>>,
    minimum_version: Option<TlsVersion>,
    maximum_version: Option<TlsVersion>,
    prefer_chacha20: Option<bool>,
    suppress_ragged_eofs: Option<bool>,
}

fn version(version: wit::TlsVersion) -> TlsVersion {
    match version {
        wit::TlsVersion::Tls12 => TlsVersion::Tls12,
        wit::TlsVersion::Tls13 => TlsVersion::Tls13,
    }
}

/// Both builders have these methods, and no trait for them.
macro_rules! apply_common {
    ($builder:ident, $common:expr) => {{
        let common = $common;
        let mut builder = $builder.alpn(&common.alpn);
        if !common.revocation_lists.is_empty() {
            builder = builder.revocation_lists_pem(&common.revocation_lists);
        }
        if let Some(version) = common.minimum_version {
            builder = builder.minimum_version(version);
        }
        if let Some(version) = common.maximum_version {
            builder = builder.maximum_version(version);
        }
        if let Some(prefer) = common.prefer_chacha20 {
            builder = builder.prefer_chacha20(prefer);
        }
        if let Some(suppress) = common.suppress_ragged_eofs {
            builder = builder.suppress_ragged_eofs(suppress);
        }
        builder
    }};
}

/// All that does handshakes has these methods, and no trait for them.
macro_rules! apply_timeouts {
    ($start:ident, $timeouts:expr) => {{
        let (handshake, shutdown): Timeouts = $timeouts;
        if let Some(timeout) = handshake {
            $start = $start.tls_handshake_timeout(timeout);
        }
        if let Some(timeout) = shutdown {
            $start = $start.tls_shutdown_timeout(timeout);
        }
        $start
    }};
}

/// Both resources have these functions, and no trait for them.
macro_rules! common_setters {
    () => {
        fn add_revocation_lists_pem(&self, revocation_lists: String) {
            self.0.set(|settings| append(&mut settings.common.revocation_lists, &revocation_lists));
        }

        fn set_alpn(&self, protocols: Vec<Vec<u8>>) {
            self.0.set(|settings| settings.common.alpn = protocols);
        }

        fn set_minimum_version(&self, wanted: wit::TlsVersion) {
            self.0.set(|settings| settings.common.minimum_version = Some(version(wanted)));
        }

        fn set_maximum_version(&self, wanted: wit::TlsVersion) {
            self.0.set(|settings| settings.common.maximum_version = Some(version(wanted)));
        }

        fn set_prefer_chacha20(&self, prefer: bool) {
            self.0.set(|settings| settings.common.prefer_chacha20 = Some(prefer));
        }

        fn set_suppress_ragged_eofs(&self, suppress: bool) {
            self.0.set(|settings| settings.common.suppress_ragged_eofs = Some(suppress));
        }
    };
}

/// PEM may be joined, as long as each part ends its last line.
fn append(all: &mut String, pem: &str) {
    all.push_str(pem);
    all.push('\n');
}

// ---------------------------------------------------------------------- clients

/// How a client does TLS.
pub struct ClientConfig(SharedClientConfig);

pub(super) type SharedClientConfig = Rc<Lazy<ClientSettings, TlsConnector>>;

#[derive(Default)]
pub(super) struct ClientSettings {
    common: Common,
    roots: Option<String>,
    default_roots: bool,
    identity: Option<(String, String)>,
    names_unchecked: bool,
    unverified: bool,
}

impl ClientConfig {
    pub(super) fn shared(&self) -> SharedClientConfig {
        Rc::clone(&self.0)
    }
}

impl ClientSettings {
    fn connector(&self) -> Result<TlsConnector> {
        let builder: ConnectorBuilder = TlsConnector::builder();
        let mut builder = apply_common!(builder, &self.common);
        if let Some(roots) = &self.roots {
            builder = builder.roots_pem(roots);
        }
        if self.default_roots {
            builder = builder.default_roots();
        }
        if let Some((chain, key)) = &self.identity {
            builder = builder.identity_pem(chain, key);
        }
        if self.names_unchecked {
            builder = builder.dangerous_without_name_check();
        }
        if self.unverified {
            builder = builder.dangerous_without_verification();
        }
        builder.build()
    }
}

impl wit::GuestTlsClientConfig for ClientConfig {
    fn new() -> Self {
        Self(Lazy::new())
    }

    fn add_roots_pem(&self, roots: String) {
        self.0.set(|settings| append(settings.roots.get_or_insert_default(), &roots));
    }

    fn add_default_roots(&self) {
        self.0.set(|settings| settings.default_roots = true);
    }

    fn set_identity_pem(&self, chain: String, key: String) {
        self.0.set(|settings| settings.identity = Some((chain, key)));
    }

    fn dangerous_skip_name_check(&self) {
        self.0.set(|settings| settings.names_unchecked = true);
    }

    fn dangerous_skip_verification(&self) {
        self.0.set(|settings| settings.unverified = true);
    }

    common_setters!();
}

/// Puts TLS into the arguments of a connection.
pub(super) fn connect_with(
    mut connect: OpenConnection,
    tls: Option<&(SharedClientConfig, Option<String>)>,
    timeouts: Timeouts,
) -> Result<OpenConnection> {
    if let Some((config, server_name)) = tls {
        connect = connect.tls(config.get(ClientSettings::connector)?);
        if let Some(name) = server_name {
            connect = connect.server_name(name);
        }
    }
    Ok(apply_timeouts!(connect, timeouts))
}

// ---------------------------------------------------------------------- servers

/// How a server does TLS.
pub struct ServerConfig(SharedServerConfig);

pub(super) type SharedServerConfig = Rc<Lazy<ServerSettings, TlsAcceptor>>;

#[derive(Default)]
pub(super) struct ServerSettings {
    common: Common,
    identities: Vec<(String, String)>,
    clients: Option<(String, bool)>,
}

impl ServerConfig {
    pub(super) fn shared(&self) -> SharedServerConfig {
        Rc::clone(&self.0)
    }
}

impl ServerSettings {
    fn acceptor(&self) -> Result<TlsAcceptor> {
        let builder: AcceptorBuilder = TlsAcceptor::builder();
        let mut builder = apply_common!(builder, &self.common);
        for (chain, key) in &self.identities {
            builder = builder.identity_pem(chain, key);
        }
        builder = match &self.clients {
            Some((roots, true)) => builder.require_client_certificates(roots),
            Some((roots, false)) => builder.request_client_certificates(roots),
            None => builder,
        };
        builder.build()
    }
}

impl wit::GuestTlsServerConfig for ServerConfig {
    fn new() -> Self {
        Self(Lazy::new())
    }

    fn add_identity_pem(&self, chain: String, key: String) {
        self.0.set(|settings| settings.identities.push((chain, key)));
    }

    fn set_client_roots_pem(&self, roots: String, required: bool) {
        self.0.set(|settings| settings.clients = Some((roots, required)));
    }

    common_setters!();
}

/// Puts TLS into the arguments of a server.
pub(super) fn listen_with<H: Handler<K>, K: 'static>(
    mut start: StartServer<H, K>,
    tls: Option<&SharedServerConfig>,
    timeouts: Timeouts,
) -> Result<StartServer<H, K>> {
    if let Some(config) = tls {
        start = start.tls(config.get(ServerSettings::acceptor)?);
    }
    Ok(apply_timeouts!(start, timeouts))
}

// ---------------------------------------------------------------------- upgrades

/// An upgrade to TLS about to begin.
pub(super) struct Upgrade {
    role: TlsRole,
    server_name: Option<String>,
}

pub(super) fn client_upgrade(config: &ClientConfig, server_name: Option<String>) -> Result<Upgrade, wit::Error> {
    Ok(Upgrade { role: config.0.get(ClientSettings::connector)?.into(), server_name })
}

pub(super) fn server_upgrade(config: &ServerConfig) -> Result<Upgrade, wit::Error> {
    Ok(Upgrade { role: config.0.get(ServerSettings::acceptor)?.into(), server_name: None })
}

/// Checks the arguments and starts the handshake, in a task of its own.
pub(super) fn start(
    writer: Rc<StreamWriter>,
    upgrade: Upgrade,
    timeouts: Timeouts,
) -> Result<JoinHandle<Result<()>>, wit::Error> {
    writer.connection().check_upgrade()?;
    let mut start = StartTls::new(writer.connection(), upgrade.role);
    if let Some(name) = upgrade.server_name {
        start = start.server_name(name);
    }
    let (side, timeouts) = apply_timeouts!(start, timeouts).prepare()?;
    Ok(rt::spawn(async move {
        let connection = writer.connection();
        let done = connection.start_tls(side, timeouts).await;
        done.map_err(|error| error.with_peer(connection.info().host.as_deref()))
    }))
}

// ---------------------------------------------------------------------- knowledge

pub(super) fn info(writer: &StreamWriter) -> Option<wit::TlsInfo> {
    let tls = writer.tls()?;
    Some(wit::TlsInfo {
        version: match tls.protocol_version() {
            TlsVersion::Tls12 => wit::TlsVersion::Tls12,
            TlsVersion::Tls13 => wit::TlsVersion::Tls13,
        },
        cipher: tls.cipher().name.clone(),
        secret_bits: tls.cipher().secret_bits,
        alpn: tls.alpn().map(<[u8]>::to_vec),
        server_name: tls.server_name().map(str::to_owned),
        peer_certificates: tls.peer_certificates().map(<[u8]>::to_vec).collect(),
        verified: tls.is_verified(),
        resumed: tls.resumed(),
        truncated: tls.truncated(),
    })
}

pub(super) fn parse_certificate(der: &[u8]) -> Result<wit::Certificate, wit::Error> {
    let certificate = Certificate::parse(der)?;
    let seconds =
        |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |duration| duration.as_secs());
    Ok(wit::Certificate {
        subject: certificate.subject().into(),
        issuer: certificate.issuer().into(),
        serial_number: certificate.serial_number().into(),
        not_before: seconds(certificate.not_before()),
        not_after: seconds(certificate.not_after()),
        subject_alt_names: certificate.subject_alt_names().iter().map(ToString::to_string).collect(),
    })
}

pub(super) fn error_kind(kind: TlsErrorKind) -> (wit::ErrorKind, Option<wit::ErrorDetail>) {
    use wit::ErrorKind as K;
    let kind = match kind {
        TlsErrorKind::UnknownIssuer => K::TlsUnknownIssuer,
        TlsErrorKind::SelfSigned => K::TlsSelfSigned,
        TlsErrorKind::Expired => K::TlsExpired,
        TlsErrorKind::NotYetValid => K::TlsNotYetValid,
        TlsErrorKind::WrongName => K::TlsWrongName,
        TlsErrorKind::Revoked => K::TlsRevoked,
        TlsErrorKind::BadCertificate => K::TlsBadCertificate,
        TlsErrorKind::NoCertificate => K::TlsNoCertificate,
        TlsErrorKind::NothingInCommon => K::TlsNothingInCommon,
        TlsErrorKind::Alert(number) => return (K::TlsAlert, Some(wit::ErrorDetail::Alert(number))),
        TlsErrorKind::NotTls => K::TlsNotTls,
        TlsErrorKind::Protocol => K::TlsProtocol,
        TlsErrorKind::Truncated => K::TlsTruncated,
        TlsErrorKind::Configuration => K::TlsConfiguration,
    };
    (kind, None)
}

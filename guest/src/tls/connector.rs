//! How a client does TLS: whom it trusts, and who it is.

use std::fmt;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::ServerName;
use rustls::sign::SingleCertAndKey;

use super::choices::Choices;
use super::pem::Pem;
use super::verify::{Trust, verifier};
use super::version::TlsVersion;
use super::{Side, TlsRole, identity, roots};
use crate::error::{Error, Result};
use crate::proto::tls::Session;

/// How a client does TLS; cheap to clone.
///
/// Made by [`TlsConnector::builder`], or from a rustls configuration by `From<Arc<ClientConfig>>`. Clones share the cache by which
/// later connections resume sessions: keep one instead of building one for each connection.
#[derive(Clone)]
pub struct TlsConnector {
    config: Arc<ClientConfig>,
    trust: Trust,
    suppress_ragged_eofs: bool,
}

impl TlsConnector {
    /// Starts a configuration.
    ///
    /// Trusted are the certificate authorities in the files that the environment variables `SSL_CERT_FILE` and `SSL_CERT_DIR`
    /// name, else those of the web (Mozilla's, bundled at build time), unless the program gives its own.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use wasi_streams::{TlsConnector, open_connection, run};
    ///
    /// run(async {
    ///     let connector = TlsConnector::builder().alpn(["http/1.1"]).build()?;
    ///     let (mut reader, writer) = open_connection("example.org", 443).tls(connector).await?;
    ///     writer.write("HEAD / HTTP/1.0\r\nHost: example.org\r\n\r\n")?;
    ///     println!("{:?}", reader.readline().await?);
    ///     writer.close();
    ///     writer.wait_closed().await
    /// })
    /// # .unwrap()
    /// ```
    #[cfg(feature = "tls-ring")]
    pub fn builder() -> ConnectorBuilder {
        Self::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
    }

    /// Starts a configuration with a cryptography provider of the caller's.
    pub fn builder_with_provider(provider: Arc<CryptoProvider>) -> ConnectorBuilder {
        ConnectorBuilder {
            choices: Choices::new(provider),
            roots: None,
            default_roots: false,
            revoked: None,
            identity: None,
            trust: Trust::NamedByAuthority,
        }
    }

    /// Starts a session with the server of that name; none is asked for by an empty name, and none checked.
    pub(crate) fn start(&self, name: ServerName<'static>) -> Result<Side> {
        let session = Session::client(Arc::clone(&self.config), name)?;
        Ok(Side { session, role: TlsRole::Client(self.clone()) })
    }

    /// Whether the server's certificate must have its name.
    pub(crate) fn checks_names(&self) -> bool {
        self.trust == Trust::NamedByAuthority
    }

    /// Whether the server's certificate must come from somebody trusted.
    pub(super) fn verifies(&self) -> bool {
        self.trust != Trust::Anybody
    }

    pub(super) fn suppresses_ragged_eofs(&self) -> bool {
        self.suppress_ragged_eofs
    }

    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.config, &other.config)
    }
}

impl From<Arc<ClientConfig>> for TlsConnector {
    /// What its verifier accepts counts as verified; an empty `server_name` is not possible with it.
    fn from(config: Arc<ClientConfig>) -> Self {
        Self { config, trust: Trust::NamedByAuthority, suppress_ragged_eofs: true }
    }
}

impl fmt::Debug for TlsConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsConnector").field("trust", &self.trust).finish_non_exhaustive()
    }
}

/// The parts of a [`TlsConnector`].
#[must_use]
pub struct ConnectorBuilder {
    choices: Choices,
    roots: Option<Pem>,
    default_roots: bool,
    revoked: Option<Pem>,
    identity: Option<(Pem, Pem)>,
    trust: Trust,
}

impl ConnectorBuilder {
    /// Trusts these certificate authorities and no others, except [`default_roots`](Self::default_roots).
    pub fn roots_pem(mut self, roots: impl Into<Pem>) -> Self {
        self.roots = Some(roots.into());
        self
    }

    /// Trusts the default authorities also beside those of [`roots_pem`](Self::roots_pem), as Python's `load_default_certs` does.
    pub fn default_roots(mut self) -> Self {
        self.default_roots = true;
        self
    }

    /// Refuses the certificates on these revocation lists; the issuer of every certificate must have one among them.
    pub fn revocation_lists_pem(mut self, lists: impl Into<Pem>) -> Self {
        self.revoked = Some(lists.into());
        self
    }

    /// Shows this certificate (with its chain) to servers that ask for one; the key is PKCS#8, PKCS#1 or SEC1.
    pub fn identity_pem(mut self, chain: impl Into<Pem>, key: impl Into<Pem>) -> Self {
        self.identity = Some((chain.into(), key.into()));
        self
    }

    /// Offers these application protocols (ALPN, RFC 7301), the preferred one first. A server without any of them ends the
    /// handshake; one that knows no ALPN goes on, and [`TlsInfo::alpn`](crate::TlsInfo::alpn) is none.
    pub fn alpn<P: AsRef<[u8]>>(mut self, protocols: impl IntoIterator<Item = P>) -> Self {
        self.choices.set_alpn(protocols);
        self
    }

    /// Sets the oldest version to be spoken: TLS 1.2 by default.
    pub fn minimum_version(mut self, version: TlsVersion) -> Self {
        self.choices.minimum_version = version;
        self
    }

    /// Sets the newest version to be spoken: TLS 1.3 by default.
    pub fn maximum_version(mut self, version: TlsVersion) -> Self {
        self.choices.maximum_version = version;
        self
    }

    /// Sets whether ChaCha20-Poly1305 comes before AES: true by default, because without instructions for AES, which no guest has,
    /// it is five to six times faster. False keeps the provider's order.
    pub fn prefer_chacha20(mut self, prefer: bool) -> Self {
        self.choices.prefer_chacha20 = prefer;
        self
    }

    /// Sets whether the end of the stream without the peer's goodbye is an end like any other: true by default, as in Python.
    /// False makes it an error of kind [`Truncated`](crate::TlsErrorKind::Truncated).
    pub fn suppress_ragged_eofs(mut self, suppress: bool) -> Self {
        self.choices.suppress_ragged_eofs = suppress;
        self
    }

    /// Accepts certificates of trusted authorities for any name: whoever has one of those can read and change everything.
    ///
    /// An empty `server_name` is possible then, and the server is not told any name.
    pub fn dangerous_without_name_check(mut self) -> Self {
        self.trust = Trust::ByAuthority;
        self
    }

    /// Accepts any certificate of anybody for any name: whoever is on the way can read and change everything.
    pub fn dangerous_without_verification(mut self) -> Self {
        self.trust = Trust::Anybody;
        self
    }

    /// Checks everything and makes the connector.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] for PEM without a certificate or key, with broken, encrypted or mismatched ones, naming the file where
    /// there is one; [`Error::Io`] for a file that cannot be read, also of `SSL_CERT_FILE` and `SSL_CERT_DIR`.
    pub fn build(self) -> Result<TlsConnector> {
        let Self { choices, roots, default_roots, revoked, identity, trust } = self;
        choices.check_alpn()?;
        let provider = choices.provider();
        let mut trusted = rustls::RootCertStore::empty();
        if trust != Trust::Anybody {
            if let Some(pem) = &roots {
                trusted = pem.roots("certificate authorities")?;
            }
            if default_roots || roots.is_none() {
                trusted.roots.extend(roots::default_roots(|name| std::env::var_os(name))?.roots);
            }
        }
        let verifier = verifier(trust, trusted, revoked.as_ref(), &provider)?;
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&choices.versions()?)?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let mut config = match &identity {
            Some((chain, key)) => {
                let identity = identity::load(&provider, chain, key)?;
                builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(identity)))
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = choices.alpn;
        Ok(TlsConnector { config: Arc::new(config), trust, suppress_ragged_eofs: choices.suppress_ragged_eofs })
    }
}

impl fmt::Debug for ConnectorBuilder {
    /// Shows no keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectorBuilder").field("trust", &self.trust).finish_non_exhaustive()
    }
}

/// The name that the peer's certificate must have (O04–O07): the one given, else the host's.
pub(crate) fn server_name(
    connector: &TlsConnector,
    given: Option<&str>,
    host: Option<&str>,
) -> Result<ServerName<'static>> {
    let name = match (given, host.unwrap_or_default()) {
        (Some(""), _) if connector.checks_names() => {
            let text = "an empty server_name needs a connector that checks no names (dangerous_without_name_check)";
            return Err(Error::invalid(text));
        }
        (Some(""), _) => return Ok(ServerName::IpAddress(NOBODY.into())), // O07: an address is not told to the server
        (None, "") => return Err(Error::invalid("you must set server_name when using tls without a host")), // O05
        (given, host) => given.unwrap_or(host),
    };
    // A zone is about the way to an address, not about who answers there.
    let zoned = name.split_once('%').filter(|(address, _)| address.parse::<std::net::Ipv6Addr>().is_ok());
    let bare = zoned.map_or(name, |(address, _)| address);
    ServerName::try_from(bare.to_owned())
        .map_err(|_| Error::InvalidInput(format!("{name:?} is no name that a certificate could have").into()))
}

/// No server has this address.
const NOBODY: std::net::IpAddr = std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED);

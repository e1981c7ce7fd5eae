//! How a server does TLS: who it is, and which clients it takes.

use std::fmt;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ServerSessionMemoryCache, WebPkiClientVerifier};

use super::choices::Choices;
use super::identity::{self, ByName};
use super::pem::Pem;
use super::version::TlsVersion;
use super::{Side, TlsRole};
use crate::error::{Error, Result};
use crate::proto::tls::Session;

/// How many sessions a server keeps to be resumed, the newest ones: two for each connection of TLS 1.3, some hundred bytes each and
/// the client's certificate.
const SESSIONS: usize = 4096;

/// How a server does TLS; cheap to clone.
///
/// Made by [`TlsAcceptor::builder`], or from a rustls configuration by `From<Arc<ServerConfig>>`. Clones share the sessions that
/// clients can resume: those of the last 2048 connections. (Python's servers give the session itself to the client, as a ticket.)
#[derive(Clone)]
pub struct TlsAcceptor {
    config: Arc<ServerConfig>,
    suppress_ragged_eofs: bool,
}

impl TlsAcceptor {
    /// Starts a configuration; it needs at least one [identity](AcceptorBuilder::identity_pem).
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use wasi_streams::{Pem, StreamReader, StreamWriter, TlsAcceptor, run, start_server};
    ///
    /// async fn greet(_reader: StreamReader, writer: StreamWriter) -> wasi_streams::Result<()> {
    ///     writer.write("hello\n")?;
    ///     writer.close();
    ///     writer.wait_closed().await
    /// }
    ///
    /// run(async {
    ///     let acceptor = TlsAcceptor::builder().identity_pem(Pem::file("server.pem"), Pem::file("server.key")).build()?;
    ///     start_server(greet, "127.0.0.1", 8443).tls(acceptor).await?.serve_forever().await
    /// })
    /// # .unwrap()
    /// ```
    #[cfg(feature = "tls-ring")]
    pub fn builder() -> AcceptorBuilder {
        Self::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
    }

    /// Starts a configuration with a cryptography provider of the caller's.
    pub fn builder_with_provider(provider: Arc<CryptoProvider>) -> AcceptorBuilder {
        AcceptorBuilder { choices: Choices::new(provider), identities: Vec::new(), clients: None, revoked: None }
    }

    pub(crate) fn start(&self) -> Result<Side> {
        let session = Session::server(Arc::clone(&self.config))?;
        Ok(Side { session, role: TlsRole::Server(self.clone()) })
    }

    pub(super) fn suppresses_ragged_eofs(&self) -> bool {
        self.suppress_ragged_eofs
    }

    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.config, &other.config)
    }
}

impl From<Arc<ServerConfig>> for TlsAcceptor {
    /// Early data (0-RTT) is turned off: there is nobody to read it, and it can be replayed.
    fn from(mut config: Arc<ServerConfig>) -> Self {
        if config.max_early_data_size > 0 {
            Arc::make_mut(&mut config).max_early_data_size = 0;
        }
        Self { config, suppress_ragged_eofs: true }
    }
}

impl fmt::Debug for TlsAcceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsAcceptor").finish_non_exhaustive()
    }
}

/// The parts of a [`TlsAcceptor`].
#[must_use]
pub struct AcceptorBuilder {
    choices: Choices,
    identities: Vec<(Pem, Pem)>,
    /// The authorities of client certificates, and whether a client must have one.
    clients: Option<(Pem, bool)>,
    revoked: Option<Pem>,
}

impl AcceptorBuilder {
    /// Adds a certificate (with its chain) and its key: PKCS#8, PKCS#1 or SEC1.
    ///
    /// With several, a client gets the first that has the name it asks for (SNI) and whose key it can verify; one that asks for no
    /// name, or for another, the first whose key it can verify.
    pub fn identity_pem(mut self, chain: impl Into<Pem>, key: impl Into<Pem>) -> Self {
        self.identities.push((chain.into(), key.into()));
        self
    }

    /// Speaks these application protocols (ALPN, RFC 7301), the preferred one first; a client that asks for others only is refused.
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

    /// Sets whether ChaCha20-Poly1305 is taken when a client offers it, whatever it prefers: true by default, because without
    /// instructions for AES, which no guest has, it is five to six times faster. False leaves the choice to the client.
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

    /// Asks clients for a certificate of one of these authorities, and refuses those without.
    ///
    /// Under TLS 1.3 a client learns of a refusal by its first read, after its handshake is done.
    pub fn require_client_certificates(mut self, roots: impl Into<Pem>) -> Self {
        self.clients = Some((roots.into(), true));
        self
    }

    /// Asks clients for a certificate of one of these authorities, and serves those without one, too. A certificate of somebody
    /// else is refused.
    pub fn request_client_certificates(mut self, roots: impl Into<Pem>) -> Self {
        self.clients = Some((roots.into(), false));
        self
    }

    /// Refuses the client certificates on these revocation lists; the issuer of every certificate must have one among them.
    pub fn revocation_lists_pem(mut self, lists: impl Into<Pem>) -> Self {
        self.revoked = Some(lists.into());
        self
    }

    /// Checks everything and makes the acceptor.
    ///
    /// # Errors
    ///
    /// As [`ConnectorBuilder::build`](crate::ConnectorBuilder::build); [`Error::InvalidInput`] without an identity.
    pub fn build(self) -> Result<TlsAcceptor> {
        let Self { choices, identities, clients, revoked } = self;
        choices.check_alpn()?;
        let provider = choices.provider();
        if identities.is_empty() {
            return Err(Error::invalid("a TLS server needs a certificate and its key: identity_pem"));
        }
        let load = |(chain, key): &(Pem, Pem)| identity::load(&provider, chain, key);
        let identities = identities.iter().map(load).collect::<Result<Vec<_>>>()?;
        let builder =
            ServerConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(&choices.versions()?)?;
        let builder = match &clients {
            Some((roots, required)) => {
                builder.with_client_cert_verifier(client_verifier(provider, roots, *required, revoked.as_ref())?)
            }
            None if revoked.is_some() => {
                return Err(Error::invalid("revocation lists are only meaningful with client certificates"));
            }
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_cert_resolver(Arc::new(ByName::new(identities)));
        config.alpn_protocols = choices.alpn;
        config.ignore_client_order = choices.prefer_chacha20;
        config.session_storage = ServerSessionMemoryCache::new(SESSIONS);
        Ok(TlsAcceptor { config: Arc::new(config), suppress_ragged_eofs: choices.suppress_ragged_eofs })
    }
}

fn client_verifier(
    provider: Arc<CryptoProvider>,
    roots: &Pem,
    required: bool,
    revoked: Option<&Pem>,
) -> Result<Arc<dyn ClientCertVerifier>> {
    let roots = Arc::new(roots.roots("client certificate authorities")?);
    let mut verifier = WebPkiClientVerifier::builder_with_provider(roots, provider);
    if !required {
        verifier = verifier.allow_unauthenticated();
    }
    if let Some(revoked) = revoked {
        verifier = verifier.with_crls(revoked.revocation_lists()?);
    }
    let verifier = verifier.build();
    verifier.map_err(|error| Error::InvalidInput(format!("client certificates: {error}").into()))
}

impl fmt::Debug for AcceptorBuilder {
    /// Shows no keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AcceptorBuilder").finish_non_exhaustive()
    }
}

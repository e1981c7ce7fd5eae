//! Who is trusted, and who we are.

use std::fmt;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::ServerName;
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use super::dangerous::TrustAnybody;
use super::{pem, roots};
use crate::error::{Error, Result};
use crate::proto::tls::Session;

/// How a client does TLS; cheap to clone.
///
/// Made from a rustls configuration, or by [`TlsConnector::builder`].
#[derive(Clone)]
pub struct TlsConnector(Arc<ClientConfig>);

impl TlsConnector {
    /// Starts a configuration.
    ///
    /// Trusted are the certificate authorities in the files that the environment variables `SSL_CERT_FILE` and `SSL_CERT_DIR`
    /// name, else those of the web (bundled), unless the program gives its own.
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
        ConnectorBuilder { provider, roots: None, identity: None, alpn: Vec::new(), verify: true }
    }
}

impl TlsConnector {
    pub(crate) fn session(&self, name: ServerName<'static>) -> Result<Session> {
        Session::client(Arc::clone(&self.0), name)
    }
}

impl From<Arc<ClientConfig>> for TlsConnector {
    fn from(config: Arc<ClientConfig>) -> Self {
        Self(config)
    }
}

impl fmt::Debug for TlsConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsConnector").finish_non_exhaustive()
    }
}

/// The parts of a [`TlsConnector`].
#[must_use]
pub struct ConnectorBuilder {
    provider: Arc<CryptoProvider>,
    roots: Option<Vec<u8>>,
    identity: Option<(Vec<u8>, Vec<u8>)>,
    alpn: Vec<Vec<u8>>,
    verify: bool,
}

impl fmt::Debug for ConnectorBuilder {
    /// Shows no keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectorBuilder").field("verify", &self.verify).finish_non_exhaustive()
    }
}

impl ConnectorBuilder {
    /// Trusts these certificate authorities (PEM) and no others.
    pub fn roots_pem(mut self, pem: impl AsRef<[u8]>) -> Self {
        self.roots = Some(pem.as_ref().to_vec());
        self
    }

    /// Shows this certificate (PEM, with its chain) to servers that ask for one.
    pub fn identity_pem(mut self, chain: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> Self {
        self.identity = Some((chain.as_ref().to_vec(), key.as_ref().to_vec()));
        self
    }

    /// Offers these application protocols, the preferred one first.
    pub fn alpn<P: AsRef<[u8]>>(mut self, protocols: impl IntoIterator<Item = P>) -> Self {
        self.alpn = protocols.into_iter().map(|protocol| protocol.as_ref().to_vec()).collect();
        self
    }

    /// Accepts any certificate of anybody for any name: whoever is on the way can read and change everything.
    pub fn dangerous_without_verification(mut self) -> Self {
        self.verify = false;
        self
    }

    /// Checks everything and makes the connector.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] for PEM without a certificate or key, or with broken ones, naming the file where there is one;
    /// [`Error::Io`] for a file of `SSL_CERT_FILE` or `SSL_CERT_DIR` that cannot be read; [`Error::Tls`] for a certificate and key
    /// that do not belong together.
    pub fn build(self) -> Result<TlsConnector> {
        let provider = prefer_chacha(self.provider);
        let builder =
            ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
        let builder = if self.verify {
            let roots = match &self.roots {
                Some(text) => roots_from_pem(text)?,
                None => roots::default_roots(|name| std::env::var_os(name))?,
            };
            builder.with_root_certificates(roots)
        } else {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(TrustAnybody(provider)))
        };
        let mut config = match &self.identity {
            Some((chain, key)) => builder.with_client_auth_cert(pem::certificates(chain)?, pem::private_key(key)?)?,
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = self.alpn;
        Ok(TlsConnector(Arc::new(config)))
    }
}

/// How a server does TLS; cheap to clone.
#[derive(Clone)]
pub struct TlsAcceptor(Arc<ServerConfig>);

impl TlsAcceptor {
    /// Starts a configuration with the certificate (PEM, with its chain) and the key (PEM: PKCS#8, PKCS#1 or SEC1).
    #[cfg(feature = "tls-ring")]
    pub fn builder(chain: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> AcceptorBuilder {
        Self::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()), chain, key)
    }

    /// As [`builder`](Self::builder), with a cryptography provider of the caller's.
    pub fn builder_with_provider(
        provider: Arc<CryptoProvider>,
        chain: impl AsRef<[u8]>,
        key: impl AsRef<[u8]>,
    ) -> AcceptorBuilder {
        let (chain, key) = (chain.as_ref().to_vec(), key.as_ref().to_vec());
        AcceptorBuilder { provider, chain, key, alpn: Vec::new(), clients: None }
    }
}

impl TlsAcceptor {
    pub(crate) fn session(&self) -> Result<Session> {
        Session::server(Arc::clone(&self.0))
    }
}

impl From<Arc<ServerConfig>> for TlsAcceptor {
    fn from(config: Arc<ServerConfig>) -> Self {
        Self(config)
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
    provider: Arc<CryptoProvider>,
    chain: Vec<u8>,
    key: Vec<u8>,
    alpn: Vec<Vec<u8>>,
    /// The authorities of client certificates, and whether a client must have one.
    clients: Option<(Vec<u8>, bool)>,
}

impl fmt::Debug for AcceptorBuilder {
    /// Shows no keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AcceptorBuilder").finish_non_exhaustive()
    }
}

impl AcceptorBuilder {
    /// Speaks these application protocols, the preferred one first.
    pub fn alpn<P: AsRef<[u8]>>(mut self, protocols: impl IntoIterator<Item = P>) -> Self {
        self.alpn = protocols.into_iter().map(|protocol| protocol.as_ref().to_vec()).collect();
        self
    }

    /// Asks clients for a certificate of one of these authorities (PEM), and refuses those without.
    pub fn require_client_certificates(mut self, roots: impl AsRef<[u8]>) -> Self {
        self.clients = Some((roots.as_ref().to_vec(), true));
        self
    }

    /// Asks clients for a certificate of one of these authorities (PEM), and serves those without one, too.
    pub fn request_client_certificates(mut self, roots: impl AsRef<[u8]>) -> Self {
        self.clients = Some((roots.as_ref().to_vec(), false));
        self
    }

    /// Checks everything and makes the acceptor.
    ///
    /// # Errors
    ///
    /// As [`ConnectorBuilder::build`].
    pub fn build(self) -> Result<TlsAcceptor> {
        let provider = prefer_chacha(self.provider);
        let builder =
            ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
        let builder = match &self.clients {
            None => builder.with_no_client_auth(),
            Some((roots, required)) => {
                let roots = Arc::new(roots_from_pem(roots)?);
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider);
                let verifier = if *required { verifier } else { verifier.allow_unauthenticated() };
                let verifier = verifier.build();
                builder
                    .with_client_cert_verifier(verifier.map_err(|error| Error::InvalidInput(error.to_string().into()))?)
            }
        };
        let mut config = builder.with_single_cert(pem::certificates(&self.chain)?, pem::private_key(&self.key)?)?;
        config.alpn_protocols = self.alpn;
        // The guest has no instructions for AES: what it prefers counts, also against the client's order.
        config.ignore_client_order = true;
        Ok(TlsAcceptor(Arc::new(config)))
    }
}

/// Puts ChaCha20 before AES: in a guest, without AES instructions, it is five to six times faster.
fn prefer_chacha(provider: Arc<CryptoProvider>) -> Arc<CryptoProvider> {
    let mut provider = CryptoProvider::clone(&provider);
    let is_aes = |suite: &rustls::SupportedCipherSuite| !format!("{:?}", suite.suite()).contains("CHACHA20");
    provider.cipher_suites.sort_by_key(is_aes);
    Arc::new(provider)
}

fn roots_from_pem(text: &[u8]) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in pem::certificates(text)? {
        roots.add(certificate)?;
    }
    Ok(roots)
}

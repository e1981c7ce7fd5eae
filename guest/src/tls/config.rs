//! Who is trusted, and who we are.

use std::fmt;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use crate::error::{Error, Result};
use crate::proto::tls::Session;

/// How a client does TLS; cheap to clone.
///
/// Made from a rustls configuration, or by [`TlsConnector::builder`].
#[derive(Clone)]
pub struct TlsConnector(Arc<ClientConfig>);

impl TlsConnector {
    /// Starts a configuration: trusts the web's certificate authorities unless others are given.
    #[cfg(feature = "tls-ring")]
    pub fn builder() -> ConnectorBuilder {
        Self::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
    }

    /// Starts a configuration with a cryptography provider of the caller's.
    pub fn builder_with_provider(provider: Arc<CryptoProvider>) -> ConnectorBuilder {
        ConnectorBuilder { provider, roots: None, identity: None, alpn: Vec::new() }
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
#[derive(Debug)]
#[must_use]
pub struct ConnectorBuilder {
    provider: Arc<CryptoProvider>,
    roots: Option<Vec<u8>>,
    identity: Option<(Vec<u8>, Vec<u8>)>,
    alpn: Vec<Vec<u8>>,
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

    /// Checks everything and makes the connector.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] for PEM without a certificate or key, or with broken ones; [`Error::Tls`] for a certificate
    /// and key that do not belong together.
    pub fn build(self) -> Result<TlsConnector> {
        let roots = match &self.roots {
            Some(pem) => roots_from_pem(pem)?,
            None => RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() },
        };
        let builder =
            ClientConfig::builder_with_provider(prefer_chacha(self.provider)).with_safe_default_protocol_versions()?;
        let builder = builder.with_root_certificates(roots);
        let mut config = match &self.identity {
            Some((chain, key)) => builder.with_client_auth_cert(chain_from_pem(chain)?, key_from_pem(key)?)?,
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
        AcceptorBuilder { provider, chain, key, alpn: Vec::new() }
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
#[derive(Debug)]
#[must_use]
pub struct AcceptorBuilder {
    provider: Arc<CryptoProvider>,
    chain: Vec<u8>,
    key: Vec<u8>,
    alpn: Vec<Vec<u8>>,
}

impl AcceptorBuilder {
    /// Speaks these application protocols, the preferred one first.
    pub fn alpn<P: AsRef<[u8]>>(mut self, protocols: impl IntoIterator<Item = P>) -> Self {
        self.alpn = protocols.into_iter().map(|protocol| protocol.as_ref().to_vec()).collect();
        self
    }

    /// Checks everything and makes the acceptor.
    ///
    /// # Errors
    ///
    /// As [`ConnectorBuilder::build`].
    pub fn build(self) -> Result<TlsAcceptor> {
        let builder =
            ServerConfig::builder_with_provider(prefer_chacha(self.provider)).with_safe_default_protocol_versions()?;
        let builder = builder.with_no_client_auth();
        let mut config = builder.with_single_cert(chain_from_pem(&self.chain)?, key_from_pem(&self.key)?)?;
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

fn roots_from_pem(pem: &[u8]) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in chain_from_pem(pem)? {
        roots.add(certificate)?;
    }
    Ok(roots)
}

fn chain_from_pem(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let chain = chain.map_err(|error| Error::InvalidInput(format!("broken PEM of a certificate: {error}").into()))?;
    if chain.is_empty() {
        return Err(Error::invalid("the PEM given has no certificate in it"));
    }
    Ok(chain)
}

fn key_from_pem(pem: &[u8]) -> Result<PrivateKeyDer<'static>> {
    PrivateKeyDer::from_pem_slice(pem)
        .map_err(|error| Error::InvalidInput(format!("the PEM given has no usable private key in it: {error}").into()))
}

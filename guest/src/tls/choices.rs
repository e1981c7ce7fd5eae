//! What connectors and acceptors are told alike.

use std::sync::Arc;

use rustls::SupportedProtocolVersion;
use rustls::crypto::CryptoProvider;

use super::version::{TlsVersion, between};
use crate::error::{Error, Result};

/// All application protocols together, in bytes with their lengths: a ClientHello has room for much more, and nobody has so many.
const MOST_ALPN: usize = 16 * 1024;

/// The choices of both builders.
pub(super) struct Choices {
    provider: Arc<CryptoProvider>,
    pub(super) alpn: Vec<Vec<u8>>,
    pub(super) minimum_version: TlsVersion,
    pub(super) maximum_version: TlsVersion,
    pub(super) prefer_chacha20: bool,
    pub(super) suppress_ragged_eofs: bool,
}

impl Choices {
    pub(super) fn new(provider: Arc<CryptoProvider>) -> Self {
        Self {
            provider,
            alpn: Vec::new(),
            minimum_version: TlsVersion::Tls12,
            maximum_version: TlsVersion::Tls13,
            prefer_chacha20: true,
            suppress_ragged_eofs: true,
        }
    }

    pub(super) fn set_alpn<P: AsRef<[u8]>>(&mut self, protocols: impl IntoIterator<Item = P>) {
        self.alpn = protocols.into_iter().map(|protocol| protocol.as_ref().to_vec()).collect();
    }

    /// The provider with its suites in the order wanted.
    pub(super) fn provider(&self) -> Arc<CryptoProvider> {
        let mut provider = CryptoProvider::clone(&self.provider);
        if self.prefer_chacha20 {
            // In a guest, without instructions for AES, it is five to six times faster.
            let is_other = |suite: &rustls::SupportedCipherSuite| !format!("{:?}", suite.suite()).contains("CHACHA20");
            provider.cipher_suites.sort_by_key(is_other);
        }
        Arc::new(provider)
    }

    pub(super) fn versions(&self) -> Result<Vec<&'static SupportedProtocolVersion>> {
        between(self.minimum_version, self.maximum_version)
    }

    /// RFC 7301: a protocol's name has 1 to 255 bytes.
    pub(super) fn check_alpn(&self) -> Result<()> {
        let all: usize = self.alpn.iter().map(|name| name.len() + 1).sum();
        if all > MOST_ALPN {
            return Err(Error::InvalidInput(
                format!("the names of all application protocols have {all} bytes, {MOST_ALPN} is the most").into(),
            ));
        }
        match self.alpn.iter().find(|name| name.is_empty() || name.len() > 255) {
            Some(name) => Err(Error::InvalidInput(
                format!("the name of an application protocol has 1 to 255 bytes, not {}", name.len()).into(),
            )),
            None => Ok(()),
        }
    }
}

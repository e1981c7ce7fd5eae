//! A certificate with its key, and the choice among several.

use std::sync::Arc;

use rustls::client::verify_server_name;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::ServerName;
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{Error as TlsError, InconsistentKeys};

use super::pem::{Pem, not_x509};
use crate::error::Result;

/// Reads a certificate chain and its key, and checks that they belong together.
pub(super) fn load(provider: &CryptoProvider, chain: &Pem, key: &Pem) -> Result<CertifiedKey> {
    const CERTIFICATE: &str = "certificate";
    const KEY: &str = "private key";
    let certificates = chain.certificates(CERTIFICATE)?;
    let loaded = provider.key_provider.load_private_key(key.private_key(KEY)?);
    let loaded = loaded.map_err(|error| key.refusal(KEY, format_args!("it is of no usable kind: {error}")))?;
    let identity = CertifiedKey::new(certificates, loaded);
    match identity.keys_match() {
        // Some keys, those of hardware say, cannot tell.
        Ok(()) | Err(TlsError::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(identity),
        Err(TlsError::InconsistentKeys(_)) => {
            let why = format!("it does not belong to {}", chain.called(CERTIFICATE));
            Err(key.refusal(KEY, why))
        }
        Err(error) => Err(chain.refusal(CERTIFICATE, not_x509(&error))),
    }
}

/// Chooses among several identities by the name that the client asks for (SNI) and what it can verify.
#[derive(Debug)]
pub(super) struct ByName(Vec<Arc<CertifiedKey>>);

impl ByName {
    /// At least one.
    pub(super) fn new(identities: Vec<CertifiedKey>) -> Self {
        Self(identities.into_iter().map(Arc::new).collect())
    }
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, client: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let usable = |identity: &&Arc<CertifiedKey>| identity.key.choose_scheme(client.signature_schemes()).is_some();
        let asked = client.server_name().and_then(|name| ServerName::try_from(name).ok());
        let named = asked.and_then(|name| self.0.iter().filter(usable).find(|identity| is_named(identity, &name)));
        // Where there is nothing that the client can verify, rustls says so about the first.
        named.or_else(|| self.0.iter().find(usable)).or(self.0.first()).cloned()
    }
}

fn is_named(identity: &CertifiedKey, name: &ServerName<'_>) -> bool {
    let parsed = identity.end_entity_cert().and_then(ParsedCertificate::try_from);
    parsed.is_ok_and(|certificate| verify_server_name(&certificate, name).is_ok())
}

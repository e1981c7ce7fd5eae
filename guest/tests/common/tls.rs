//! Certificates for the TLS tests.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use wasi_streams::{TlsAcceptor, TlsConnector};

/// A certificate authority.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new() -> Self {
        Self::named("test authority")
    }

    pub(crate) fn named(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        Self::with(params)
    }

    pub(crate) fn with(params: CertificateParams) -> Self {
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(crate) fn connector(&self) -> TlsConnector {
        TlsConnector::builder().roots_pem(self.0.pem()).build().unwrap()
    }

    pub(crate) fn acceptor(&self, name: &str) -> TlsAcceptor {
        self.acceptor_with(name, |_| {})
    }

    pub(crate) fn acceptor_with(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> TlsAcceptor {
        let (chain, key) = self.identity(name, change);
        TlsAcceptor::builder().identity_pem(chain, key).build().unwrap()
    }

    /// What signs.
    pub(crate) fn issuer(&self) -> &CertifiedIssuer<'static, KeyPair> {
        &self.0
    }

    /// The authority's own certificate.
    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for `name` and its key.
    pub(crate) fn identity(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> (String, String) {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        (certificate.pem(), key.serialize_pem())
    }
}

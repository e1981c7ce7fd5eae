//! Certificates made on the spot, for components and for their peers.

use std::process::Command;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, PKCS_ED25519,
};

pub(crate) use crate::support::Folder;

/// A certificate authority.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate chain and its private key, both in PEM.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) chain: String,
    pub(crate) key: String,
}

/// Of which kind the key of a certificate is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum KeyKind {
    Ecdsa,
    Ed25519,
    Rsa,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = params(&[]);
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let issuer = CertifiedIssuer::self_signed(params, KeyKind::Ecdsa.generate());
        Authority(issuer.expect("a certificate of an authority"))
    }

    /// Its own certificate, in PEM.
    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// Issues a certificate for names and IP addresses, in which `change` changes what is to differ.
    pub(crate) fn issue(&self, names: &[&str], kind: KeyKind, change: impl FnOnce(&mut CertificateParams)) -> Identity {
        let mut params = params(names);
        params.distinguished_name.push(DnType::CommonName, names.first().copied().unwrap_or("nameless"));
        // Python 3.13 refuses certificates that do not say whose key has signed them.
        params.use_authority_key_identifier_extension = true;
        change(&mut params);
        let key = kind.generate();
        let certificate = params.signed_by(&key, &self.0).expect("a certificate");
        Identity { chain: certificate.pem(), key: key.serialize_pem() }
    }
}

fn params(names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    CertificateParams::new(names).expect("names that a certificate can have")
}

impl KeyKind {
    fn generate(self) -> KeyPair {
        let key = match self {
            KeyKind::Ecdsa => KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256),
            KeyKind::Ed25519 => KeyPair::generate_for(&PKCS_ED25519),
            KeyKind::Rsa => KeyPair::from_pem(&rsa_key()),
        };
        key.expect("a key")
    }
}

/// ring signs with RSA, but makes no keys for it.
fn rsa_key() -> String {
    let made =
        Command::new("openssl").args(["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"]).output();
    let made = made.expect("openssl runs: install it (Debian and Ubuntu: apt install openssl)");
    assert!(made.status.success(), "openssl genpkey: {}", String::from_utf8_lossy(&made.stderr));
    String::from_utf8(made.stdout).expect("PEM is text")
}

#[test]
fn every_kind_of_key_makes_a_certificate() {
    let authority = Authority::new("an authority");
    assert!(authority.pem().starts_with("-----BEGIN CERTIFICATE-----"));
    for kind in [KeyKind::Ecdsa, KeyKind::Ed25519, KeyKind::Rsa] {
        let identity = authority.issue(&["server.test", "127.0.0.1"], kind, |_| {});
        assert!(identity.chain.starts_with("-----BEGIN CERTIFICATE-----"), "{kind:?}");
        assert!(identity.key.starts_with("-----BEGIN PRIVATE KEY-----"), "{kind:?}");
        let folder = Folder::new();
        let path = folder.write("key.pem", &identity.key);
        assert_eq!(path, folder.path().join("key.pem"));
    }
}

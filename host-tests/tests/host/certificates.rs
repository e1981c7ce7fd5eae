//! Certificates made on the spot, for components and for their peers.

use std::process::Command;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType, IsCa, KeyIdMethod,
    KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, RevokedCertParams, date_time_ymd,
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

    /// A list that revokes the certificates with these serial numbers, in PEM.
    pub(crate) fn revoke(&self, serial_numbers: &[u64]) -> String {
        let revoked = |&number: &u64| RevokedCertParams {
            serial_number: number.into(),
            revocation_time: date_time_ymd(2020, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2020, 1, 2),
            next_update: date_time_ymd(4000, 1, 1),
            crl_number: 1.into(),
            issuing_distribution_point: None,
            revoked_certs: serial_numbers.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.0).and_then(|list| list.pem()).expect("a revocation list")
    }
}

/// A certificate that nobody else has issued.
pub(crate) fn self_signed(names: &[&str]) -> Identity {
    let key = KeyKind::Ecdsa.generate();
    let certificate = params(names).self_signed(&key).expect("a certificate");
    Identity { chain: certificate.pem(), key: key.serialize_pem() }
}

fn params(names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    CertificateParams::new(names).expect("names that a certificate can have")
}

impl KeyKind {
    fn generate(self) -> KeyPair {
        let key = match self {
            KeyKind::Ecdsa => KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256),
            KeyKind::Ed25519 => KeyPair::from_pem(&key_by_openssl(&["ED25519"])),
            KeyKind::Rsa => KeyPair::from_pem(&key_by_openssl(&["RSA", "-pkeyopt", "rsa_keygen_bits:2048"])),
        };
        key.expect("a key")
    }
}

/// ring makes no keys of RSA, and those of Ed25519 in a newer format than OpenSSL 3.0 reads.
fn key_by_openssl(algorithm: &[&str]) -> String {
    let made = Command::new("openssl").args(["genpkey", "-algorithm"]).args(algorithm).output();
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

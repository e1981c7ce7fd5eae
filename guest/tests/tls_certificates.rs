//! Certificates and keys that must be refused, each with its own words.
#![cfg(feature = "tls-ring")]

mod common;

use std::fs;
use std::path::PathBuf;

use common::tls::Authority;
use common::{settle, simulate, take_reports};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber, date_time_ymd,
};
use wasi_streams::{
    Certificate, Error, Pem, Report, Result, StreamReader, StreamWriter, TlsAcceptor, TlsConnector, TlsErrorKind,
    open_connection, start_server,
};

const NAME: &str = "server.test";

#[test]
fn t02_every_bad_certificate_is_refused_in_its_own_words() {
    simulate(async |_net| {
        let ca = Authority::new();
        let own = |ca: bool| {
            let mut params = CertificateParams::new(vec![NAME.to_owned()]).unwrap();
            params.distinguished_name.push(DnType::CommonName, "on my own");
            params.is_ca = if ca { IsCa::Ca(BasicConstraints::Unconstrained) } else { IsCa::NoCa };
            let key = KeyPair::generate().unwrap();
            acceptor(params.self_signed(&key).unwrap().pem(), key.serialize_pem())
        };
        let with = |change: fn(&mut CertificateParams)| ca.acceptor_with(NAME, change);
        use TlsErrorKind as Kind;
        for (acceptor, kind, words) in [
            (
                Authority::named("a stranger").acceptor(NAME),
                Kind::UnknownIssuer,
                "no trusted authority has issued the peer's certificate",
            ),
            (own(false), Kind::SelfSigned, "the peer's certificate is self-signed and not trusted"),
            (own(true), Kind::SelfSigned, "the peer's certificate is a self-signed authority's (CA:TRUE)"),
            (
                with(|params| params.not_after = date_time_ymd(2001, 2, 3)),
                Kind::Expired,
                "the peer's certificate, or one of its chain, expired at 2001-02-03T00:00:00Z",
            ),
            (
                with(|params| params.not_before = date_time_ymd(3000, 1, 1)),
                Kind::NotYetValid,
                "the peer's certificate, or one of its chain, is not valid before 3000-01-01T00:00:00Z",
            ),
            (
                ca.acceptor("other.test"),
                Kind::WrongName,
                "the peer's certificate is not for server.test, but for other.test",
            ),
            (
                with(|params| params.subject_alt_names.clear()),
                Kind::WrongName,
                "the peer's certificate is not for server.test: it has no subjectAltName",
            ),
            (
                with(|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth]),
                Kind::BadCertificate,
                "invalid peer certificate",
            ),
        ] {
            let error = refused(ca.connector(), acceptor).await;
            let Error::Tls { kind: found, message } = &error else { panic!("{error:?}") };
            assert_eq!(*found, kind, "{message}");
            assert!(message.contains(words), "{message}");
        }
    });
}

#[test]
fn t02_a_certificate_on_a_revocation_list_is_refused_and_others_are_not() {
    simulate(async |_net| {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "an authority with a list");
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let ca = Authority::with(params);
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2020, 1, 1),
            next_update: date_time_ymd(2120, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: vec![RevokedCertParams {
                serial_number: SerialNumber::from(13),
                revocation_time: date_time_ymd(2021, 1, 1),
                reason_code: None,
                invalidity_date: None,
            }],
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = list.signed_by(ca.issuer()).unwrap().pem().unwrap();
        let connector = TlsConnector::builder().roots_pem(ca.pem()).revocation_lists_pem(&list).build().unwrap();
        let with = |number: u64| ca.acceptor_with(NAME, |params| params.serial_number = Some(number.into()));
        let error = refused(connector.clone(), with(13)).await;
        assert!(matches!(error, Error::Tls { kind: TlsErrorKind::Revoked, .. }), "{error:?}");
        assert!(error.to_string().contains("was revoked"), "{error}");
        attempt(connector, with(14)).await.unwrap().1.close();

        // Clients' certificates, too.
        let (chain, key) = ca.identity("client.test", |params| params.serial_number = Some(13.into()));
        let connector = TlsConnector::builder().roots_pem(ca.pem()).identity_pem(chain, key).build().unwrap();
        let (chain, key) = ca.identity(NAME, |_| {});
        let acceptor = TlsAcceptor::builder().identity_pem(chain, key);
        let acceptor = acceptor.require_client_certificates(ca.pem()).revocation_lists_pem(&list).build().unwrap();
        let kind = refused_client(connector, acceptor).await;
        assert_eq!(kind, TlsErrorKind::Revoked);
    });
}

#[test]
fn t02_clients_are_refused_for_their_certificates_and_told_so() {
    simulate(async |_net| {
        let ca = Authority::new();
        let acceptor = || {
            let (chain, key) = ca.identity(NAME, |_| {});
            TlsAcceptor::builder().identity_pem(chain, key).require_client_certificates(ca.pem()).build().unwrap()
        };
        let connector = |identity: Option<(String, String)>| {
            let builder = TlsConnector::builder().roots_pem(ca.pem());
            match identity {
                Some((chain, key)) => builder.identity_pem(chain, key),
                None => builder,
            }
            .build()
            .unwrap()
        };
        let stranger = Authority::named("a stranger").identity("client.test", |_| {});
        let expired = ca.identity("client.test", |params| params.not_after = date_time_ymd(2001, 1, 1));
        for (identity, kind) in [
            (None, TlsErrorKind::NoCertificate),
            (Some(stranger), TlsErrorKind::UnknownIssuer),
            (Some(expired), TlsErrorKind::Expired),
        ] {
            assert_eq!(refused_client(connector(identity), acceptor()).await, kind);
        }
    });
}

#[test]
fn pem_that_cannot_be_used_is_named_with_what_is_wrong() {
    let ca = Authority::new();
    let (chain, key) = ca.identity(NAME, |_| {});
    let (_, other_key) = ca.identity(NAME, |_| {});
    let folder = Folder::new("pem");
    let nonsense = "-----BEGIN CERTIFICATE-----\nAAECAw==\n-----END CERTIFICATE-----\n";
    let no_key = "-----BEGIN PRIVATE KEY-----\nAAECAw==\n-----END PRIVATE KEY-----\n";
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAECAw==\n-----END ENCRYPTED PRIVATE KEY-----\n";
    for (chain_text, key_text, culprit, words) in [
        ("", &key[..], "chain.pem", "it is empty"),
        (&chain, "", "key.pem", "it is empty"),
        (&key, &key, "chain.pem", "no certificate in it, but: PRIVATE KEY"),
        (&chain, &chain, "key.pem", "no private key in it, but: CERTIFICATE"),
        (nonsense, &key, "chain.pem", "no usable X.509 certificate"),
        (&chain, no_key, "key.pem", "it is of no usable kind"),
        (&chain, encrypted, "key.pem", "the private key is encrypted"),
        (&chain, &other_key, "key.pem", "it does not belong to certificate"),
        (&chain[..200], &key, "chain.pem", "broken PEM"),
    ] {
        let (chain, key) = (folder.write("chain.pem", chain_text), folder.write("key.pem", key_text));
        let errors = [
            TlsAcceptor::builder().identity_pem(Pem::file(&chain), Pem::file(&key)).build().map(|_| ()),
            TlsConnector::builder().identity_pem(Pem::file(&chain), Pem::file(&key)).build().map(|_| ()),
        ];
        for error in errors.map(Result::unwrap_err) {
            assert!(matches!(error, Error::InvalidInput(_)), "{error:?}");
            let text = error.to_string();
            let named = text.split(": ").next().unwrap();
            assert!(named.ends_with(culprit) && text.contains(words), "{text}");
        }
    }
    let missing = folder.path.join("missing.pem");
    let error = TlsConnector::builder().roots_pem(Pem::file(&missing)).build().unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
    assert!(error.to_string().contains("missing.pem"), "{error}");
    let error = TlsConnector::builder().roots_pem(nonsense).build().unwrap_err();
    assert!(error.to_string().starts_with("the certificate authorities given: "), "{error}");
}

#[test]
fn configurations_that_make_no_sense_are_refused() {
    let ca = Authority::new();
    let (chain, key) = ca.identity(NAME, |_| {});
    let builder = || TlsConnector::builder().roots_pem(ca.pem());
    for (error, words) in [
        (TlsAcceptor::builder().build().map(|_| ()), "needs a certificate and its key"),
        (
            TlsAcceptor::builder().identity_pem(&chain, &key).revocation_lists_pem("x").build().map(|_| ()),
            "only meaningful with client certificates",
        ),
        (
            builder().revocation_lists_pem("x").dangerous_without_verification().build().map(|_| ()),
            "no meaning when certificates are not fully verified",
        ),
        (builder().revocation_lists_pem(ca.pem()).build().map(|_| ()), "no X509 CRL in it, but: CERTIFICATE"),
    ] {
        let error = error.unwrap_err();
        assert!(matches!(error, Error::InvalidInput(_)) && error.to_string().contains(words), "{error:?}");
    }
    assert!(matches!(Certificate::parse(b"0\x03nonsense"), Err(Error::InvalidInput(_))));
}

fn acceptor(chain: String, key: String) -> TlsAcceptor {
    TlsAcceptor::builder().identity_pem(chain, key).build().unwrap()
}

async fn attempt(connector: TlsConnector, acceptor: TlsAcceptor) -> Result<(StreamReader, StreamWriter)> {
    let server = start_server(answer, "127.0.0.1", 0).tls(acceptor).await.unwrap();
    let at = server.sockets()[0];
    let outcome = open_connection(at.ip(), at.port()).tls(connector).server_name(NAME).await;
    settle().await;
    assert!(server.is_serving(), "T07");
    outcome
}

/// How a client refuses, of which the server is told.
async fn refused(connector: TlsConnector, acceptor: TlsAcceptor) -> Error {
    let error = attempt(connector, acceptor).await.unwrap_err();
    let reports = take_reports();
    let [Report::HandshakeFailed { error: Error::Tls { kind: TlsErrorKind::Alert(_), message }, .. }] = &reports[..]
    else {
        panic!("{reports:?}")
    };
    assert!(message.contains("the peer refuses: alert "), "{message}");
    error
}

/// How a server refuses, of which the client is told by its first read.
async fn refused_client(connector: TlsConnector, acceptor: TlsAcceptor) -> TlsErrorKind {
    let (mut reader, writer) = attempt(connector, acceptor).await.unwrap();
    let error = reader.read(1).await.unwrap_err();
    assert!(matches!(error, Error::Tls { kind: TlsErrorKind::Alert(_), .. }), "{error:?}");
    assert!(writer.is_closing());
    let reports = take_reports();
    let [Report::HandshakeFailed { error: Error::Tls { kind, .. }, .. }] = &reports[..] else { panic!("{reports:?}") };
    *kind
}

async fn answer(_reader: StreamReader, writer: StreamWriter) -> Result<()> {
    writer.write("hello")?;
    writer.close();
    writer.wait_closed().await
}

/// A folder that goes away.
struct Folder {
    path: PathBuf,
}

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("wasi-streams-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self { path }
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path.join(name);
        fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

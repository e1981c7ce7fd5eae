//! What a TLS connection knows of itself, and what is negotiated.
#![cfg(feature = "tls-ring")]

mod common;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use common::place::{Place, pair, start};
use common::tls::Authority;
use common::{secs, settle, simulate};
use futures_lite::future::zip;
use rcgen::{DnType, date_time_ymd};
use wasi_streams::{
    Error, ExtraInfo, StreamReader, StreamWriter, SubjectAltName, TlsAcceptor, TlsConnector, TlsErrorKind, TlsRole,
    TlsVersion, timeout,
};

const NAME: &str = "server.test";
const NAMES: [&str; 5] = ["sslcontext", "cipher", "compression", "peercert", "ssl_object"];

#[test]
fn x05_x07_a_plain_connection_has_none_of_the_names_of_tls() {
    simulate(async |_net| {
        let ((_r1, one), (_r2, other)) = pair().await;
        for name in NAMES {
            assert_eq!(one.get_extra_info(name), None, "{name}");
        }
        assert!(one.tls().is_none());
        one.close();
        other.close();
    });
}

#[test]
fn x05_x06_x07_x08_x09_the_names_of_tls_on_both_sides() {
    simulate(async |_net| {
        let ca = Authority::new();
        let connector = ca.connector();
        let acceptor = ca.acceptor_with(NAME, |params| {
            params.distinguished_name.push(DnType::CommonName, "the server");
            params.not_before = date_time_ymd(2020, 1, 2);
            params.not_after = date_time_ymd(2120, 1, 2);
        });
        let (client, server) = connected(connector.clone(), acceptor.clone()).await;
        let (client, server) = (&client.1, &server.1);
        let context = ExtraInfo::SslContext(TlsRole::Client(connector));
        assert_eq!(client.get_extra_info("sslcontext"), Some(context.clone()));
        assert_eq!(server.get_extra_info("sslcontext"), Some(ExtraInfo::SslContext(TlsRole::Server(acceptor))));
        assert_ne!(server.get_extra_info("sslcontext"), Some(context));
        for writer in [client, server] {
            let cipher = writer.get_extra_info("cipher").unwrap();
            assert_eq!(cipher.to_string(), "('TLS_CHACHA20_POLY1305_SHA256', 'TLSv1.3', 256)");
            assert_eq!(writer.get_extra_info("compression"), None);
            let Some(ExtraInfo::Tls(tls)) = writer.get_extra_info("ssl_object") else { panic!("no ssl_object") };
            assert_eq!(tls.protocol_version(), TlsVersion::Tls13);
            assert_eq!(Some(&tls), writer.tls());
        }
        assert!(client.tls().unwrap().role().is_client());
        assert!(!server.tls().unwrap().role().is_client());
        assert_eq!(server.tls().unwrap().server_name(), Some(NAME));
        assert_eq!(server.get_extra_info("peercert"), None, "the client has shown none");
        let Some(ExtraInfo::PeerCertificate(Some(certificate))) = client.get_extra_info("peercert") else {
            panic!("no peercert")
        };
        assert!(certificate.subject().contains("CN=the server"), "{certificate:?}");
        assert!(certificate.issuer().contains("CN=test authority"), "{certificate:?}");
        assert_eq!(certificate.subject_alt_names(), [SubjectAltName::Dns(NAME.into())]);
        assert_eq!(certificate.subject_alt_names()[0].to_string(), "DNS:server.test");
        let day = Duration::from_secs(86_400);
        assert_eq!(certificate.not_before(), SystemTime::UNIX_EPOCH + day * 18_263);
        assert_eq!(certificate.not_after(), SystemTime::UNIX_EPOCH + day * 54_787);
        assert_eq!(client.tls().unwrap().peer_certificates().next(), Some(certificate.der()));
        client.close();
        client.wait_closed().await.unwrap();
        server.wait_closed().await.unwrap();
    });
}

#[test]
fn x08_an_unverified_peer_s_certificate_is_known_to_be_there_and_no_more() {
    simulate(async |_net| {
        let connector = TlsConnector::builder().dangerous_without_verification().build().unwrap();
        let (client, _server) = connected(connector, Authority::new().acceptor(NAME)).await;
        assert_eq!(client.1.get_extra_info("peercert"), Some(ExtraInfo::PeerCertificate(None)));
        assert!(!client.1.tls().unwrap().is_verified());
        assert!(client.1.tls().unwrap().peer_certificate().unwrap().is_some(), "for those who look");
        client.1.close();
    });
}

#[test]
fn x10_everything_stays_known_when_the_connection_is_gone() {
    simulate(async |_net| {
        let ca = Authority::new();
        let (client, server) = connected(ca.connector(), ca.acceptor(NAME)).await;
        client.1.close();
        client.1.wait_closed().await.unwrap();
        server.1.wait_closed().await.unwrap();
        for name in ["sslcontext", "cipher", "peercert", "ssl_object", "peername", "sockname"] {
            assert!(client.1.get_extra_info(name).is_some(), "{name}");
        }
    });
}

#[test]
fn x11_w19_after_start_tls_the_same_writer_and_transport_answer_for_tls() {
    simulate(async |_net| {
        let ca = Authority::new();
        let ((_r1, client), (_r2, server)) = pair().await;
        let transport = client.transport();
        assert_eq!(transport.get_extra_info("cipher"), None);
        let shake = zip(async { client.start_tls(ca.connector()).server_name(NAME).await }, async {
            server.start_tls(ca.acceptor(NAME)).await
        });
        let (one, other) = shake.await;
        one.and(other).unwrap();
        for name in ["sslcontext", "cipher", "peercert", "ssl_object"] {
            assert!(client.get_extra_info(name).is_some(), "{name}");
            assert_eq!(transport.get_extra_info(name), client.get_extra_info(name), "{name}");
        }
        client.close();
        server.close();
    });
}

#[test]
fn t18_x06_versions_are_chosen_on_either_side() {
    simulate(async |_net| {
        let ca = Authority::new();
        let (chain, key) = ca.identity(NAME, |_| {});
        let connector =
            |low, high| TlsConnector::builder().roots_pem(ca.pem()).minimum_version(low).maximum_version(high).build();
        let acceptor = |low, high| {
            let builder = TlsAcceptor::builder().identity_pem(&chain, &key);
            builder.minimum_version(low).maximum_version(high).build().unwrap()
        };
        use TlsVersion::{Tls12, Tls13};
        for (ours, theirs, agreed) in [
            ((Tls12, Tls13), (Tls12, Tls13), Tls13),
            ((Tls12, Tls12), (Tls12, Tls13), Tls12),
            ((Tls12, Tls13), (Tls12, Tls12), Tls12),
            ((Tls13, Tls13), (Tls12, Tls13), Tls13),
        ] {
            let (client, server) = connected(connector(ours.0, ours.1).unwrap(), acceptor(theirs.0, theirs.1)).await;
            for (_, writer) in [&client, &server] {
                assert_eq!(writer.tls().unwrap().protocol_version(), agreed);
                let name = if agreed == Tls13 {
                    "TLS_CHACHA20_POLY1305_SHA256"
                } else {
                    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"
                };
                assert_eq!(writer.tls().unwrap().cipher().name, name);
            }
            client.1.close();
        }
        let error = attempt(connector(Tls13, Tls13).unwrap(), acceptor(Tls12, Tls12)).await;
        assert!(matches!(error, Error::Tls { kind: TlsErrorKind::NothingInCommon, .. }), "{error:?}");
        let error = connector(Tls13, Tls12).unwrap_err();
        assert_eq!(error.to_string(), "the minimum version TLSv1.3 is above the maximum version TLSv1.2");
    });
}

#[test]
fn t18_application_protocols_without_a_common_one_are_an_error() {
    simulate(async |_net| {
        let ca = Authority::new();
        let (chain, key) = ca.identity(NAME, |_| {});
        let acceptor = TlsAcceptor::builder().identity_pem(&chain, &key).alpn(["h2"]).build().unwrap();
        let connector = TlsConnector::builder().roots_pem(ca.pem()).alpn(["http/1.1"]).build().unwrap();
        let error = attempt(connector, acceptor).await;
        assert!(matches!(error, Error::Tls { kind: TlsErrorKind::NothingInCommon, .. }), "{error:?}");
        let many = vec!["x".repeat(200); 100];
        let error = TlsConnector::builder().roots_pem(ca.pem()).alpn(&many).build().unwrap_err();
        assert!(error.to_string().contains("20100 bytes"), "{error}");
        let long = "x".repeat(256);
        for name in ["", &long] {
            let error = TlsConnector::builder().roots_pem(ca.pem()).alpn([name]).build().unwrap_err();
            assert!(error.to_string().contains("1 to 255 bytes"), "{error}");
        }
    });
}

#[test]
fn the_order_of_the_suites_can_be_the_provider_s() {
    simulate(async |_net| {
        let ca = Authority::new();
        let (chain, key) = ca.identity(NAME, |_| {});
        let connector = TlsConnector::builder().roots_pem(ca.pem()).prefer_chacha20(false).build().unwrap();
        for (prefer, suite) in [(true, "TLS_CHACHA20_POLY1305_SHA256"), (false, "TLS_AES_256_GCM_SHA384")] {
            let builder = TlsAcceptor::builder().identity_pem(&chain, &key).prefer_chacha20(prefer);
            let (client, _server) = connected(connector.clone(), builder.build().unwrap()).await;
            assert_eq!(client.1.tls().unwrap().cipher().name, suite, "the server decides, unless it leaves that to us");
            client.1.close();
        }
    });
}

#[test]
fn t18_a_server_with_several_certificates_shows_the_one_asked_for() {
    simulate(async |_net| {
        let ca = Authority::new();
        let mut builder = TlsAcceptor::builder();
        for name in ["one.test", "*.two.test"] {
            let (chain, key) = ca.identity(name, |_| {});
            builder = builder.identity_pem(chain, key);
        }
        let acceptor = builder.build().unwrap();
        let lenient = TlsConnector::builder().roots_pem(ca.pem()).dangerous_without_name_check().build().unwrap();
        for (asked, shown) in [
            ("one.test", "one.test"),
            ("a.two.test", "*.two.test"),
            ("two.test", "one.test"),
            ("127.0.0.1", "one.test"),
            ("", "one.test"),
        ] {
            let (client, server) = connected_as(lenient.clone(), acceptor.clone(), asked).await;
            let certificate = client.1.tls().unwrap().peer_certificate().unwrap().unwrap();
            assert_eq!(certificate.subject_alt_names(), [SubjectAltName::Dns(shown.into())], "asked for {asked:?}");
            let sni = server.1.tls().unwrap().server_name().unwrap_or("").to_owned();
            assert_eq!(sni, if asked.ends_with("test") { asked } else { "" }, "addresses are not told");
            client.1.close();
        }
    });
}

#[test]
fn o07_an_empty_server_name_checks_the_chain_and_no_name() {
    simulate(async |_net| {
        let ca = Authority::new();
        let lenient = |ca: &Authority| {
            TlsConnector::builder().roots_pem(ca.pem()).dangerous_without_name_check().build().unwrap()
        };
        let (client, server) = connected_as(lenient(&ca), ca.acceptor(NAME), "").await;
        assert_eq!(server.1.tls().unwrap().server_name(), None, "no name is told");
        assert!(client.1.tls().unwrap().is_verified());
        client.1.close();

        let server = start(async |_: StreamReader, _: StreamWriter| {}).tls(ca.acceptor(NAME));
        let server = server.await.unwrap();
        let place = Place::of(&server);
        let stranger = lenient(&Authority::named("another"));
        let error = place.open_tls(stranger, "").await.unwrap_err();
        assert!(matches!(error, Error::Tls { kind: TlsErrorKind::UnknownIssuer, .. }), "{error:?}");
        let error = place.open_tls(ca.connector(), "").await.unwrap_err();
        assert!(error.to_string().contains("dangerous_without_name_check"), "{error}");
        settle().await;
        common::take_reports();
    });
}

type Streams = (StreamReader, StreamWriter);

/// A client and the server's side of it.
async fn connected(connector: TlsConnector, acceptor: TlsAcceptor) -> (Streams, Streams) {
    connected_as(connector, acceptor, NAME).await
}

async fn connected_as(connector: TlsConnector, acceptor: TlsAcceptor, name: &str) -> (Streams, Streams) {
    let accepted = Rc::new(RefCell::new(None));
    let slot = Rc::clone(&accepted);
    let handler = move |reader: StreamReader, writer: StreamWriter| *slot.borrow_mut() = Some((reader, writer));
    let server = start(handler).tls(acceptor).await.unwrap();
    let place = Place::of(&server);
    let client = place.open_tls(connector, name).await.unwrap();
    settle().await;
    let accepted = accepted.take().expect("accepted");
    (client, accepted)
}

/// How a client fails.
async fn attempt(connector: TlsConnector, acceptor: TlsAcceptor) -> Error {
    let server = start(async |_: StreamReader, _: StreamWriter| {}).tls(acceptor);
    let server = server.await.unwrap();
    let place = Place::of(&server);
    let connect = place.open_tls(connector, NAME);
    let error = timeout(secs(1), connect).await.expect("no waiting").unwrap_err();
    settle().await;
    assert_eq!(server.failed_handshakes(), 1);
    common::take_reports();
    error
}

//! TLS over the simulated network and in memory, both ends ours.
#![cfg(feature = "tls-ring")]

mod common;

use std::io::ErrorKind;
use std::rc::Rc;

use common::tls::Authority;
use common::{echo, pattern, secs, settle, simulate, take_reports};
use rcgen::date_time_ymd;
use wasi_streams::{
    Error, Instant, Report, StreamReader, StreamWriter, TlsAcceptor, TlsConnector, TlsErrorKind, TlsVersion,
    open_connection, spawn, start_server,
};

const NAME: &str = "server.test";

#[test]
fn t01_o01_o06_a_trusted_name_is_connected_to_and_bytes_go_both_ways() {
    simulate(async |net| {
        net.name(NAME, &["127.0.0.1".parse().unwrap()]);
        let ca = Authority::new();
        let server = start_server(echo, "127.0.0.1", 4433).tls(ca.acceptor(NAME)).await.unwrap();
        let (mut reader, writer) = open_connection(NAME, 4433).tls(ca.connector()).await.unwrap();
        let data = pattern(1 << 20, 1);
        writer.write(&data).unwrap();
        assert!(reader.readexactly(data.len()).await.unwrap() == data);
        let tls = writer.tls().unwrap();
        assert_eq!(tls.protocol_version(), TlsVersion::Tls13);
        assert_eq!(tls.cipher().name, "TLS_CHACHA20_POLY1305_SHA256");
        assert_eq!(tls.peer_certificates().count(), 1);
        writer.close();
        writer.wait_closed().await.unwrap();
        assert!(!tls.truncated());
        server.close();
        server.wait_closed().await;
    });
}

#[test]
fn t02_a_wrong_name_an_unknown_issuer_and_an_expired_certificate_are_refused_by_kind() {
    simulate(async |_net| {
        let ca = Authority::new();
        let expired = ca.acceptor_with(NAME, |params| params.not_after = date_time_ymd(2001, 1, 1));
        let early = ca.acceptor_with(NAME, |params| params.not_before = date_time_ymd(3000, 1, 1));
        for (acceptor, connector, name, kind) in [
            (ca.acceptor(NAME), ca.connector(), "other.test", TlsErrorKind::WrongName),
            (ca.acceptor(NAME), Authority::named("another").connector(), NAME, TlsErrorKind::UnknownIssuer),
            (expired, ca.connector(), NAME, TlsErrorKind::Expired),
            (early, ca.connector(), NAME, TlsErrorKind::NotYetValid),
        ] {
            let server = start_server(echo, "127.0.0.1", 0).tls(acceptor).await.unwrap();
            let address = server.sockets()[0];
            let error =
                open_connection(address.ip(), address.port()).tls(connector).server_name(name).await.unwrap_err();
            assert!(matches!(error, Error::Tls { kind: k, .. } if k == kind), "{kind:?}: {error:?}");
            settle().await;
            let reports = take_reports();
            assert!(matches!(reports[..], [Report::HandshakeFailed { .. }]), "{reports:?}");
            assert!(server.is_serving(), "T07");
        }
    });
}

#[test]
fn t03_a_handshake_that_takes_too_long_is_aborted() {
    simulate(async |net| {
        let listener = net.listen("10.0.0.1:443".parse().unwrap());
        let start = Instant::now();
        let error = open_connection("10.0.0.1", 443).tls(Authority::new().connector()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionAborted);
        assert_eq!(error.to_string(), "TLS handshake is taking longer than 60 seconds: aborting the connection");
        assert_eq!(start.elapsed(), secs(60));
        drop(listener);
    });
}

#[test]
fn t04_a_peer_that_leaves_during_the_handshake_is_a_reset() {
    simulate(async |net| {
        let listener = net.listen("10.0.0.1:443".parse().unwrap());
        let peer = async {
            let peer = listener.accept().await;
            peer.finish();
            peer
        };
        let connect = open_connection("10.0.0.1", 443).tls(Authority::new().connector());
        let (error, _peer) = futures_lite::future::zip(async { connect.await.unwrap_err() }, peer).await;
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    });
}

#[test]
fn t07_plaintext_on_a_tls_port_never_reaches_the_handler() {
    simulate(async |net| {
        let ca = Authority::new();
        async fn handler(_: StreamReader, _: StreamWriter) {
            panic!("reached");
        }
        let server = start_server(handler, "127.0.0.1", 0).tls(ca.acceptor(NAME)).await.unwrap();
        let peer = net.connect(server.sockets()[0]).unwrap();
        peer.send(b"GET / HTTP/1.0\r\n\r\n");
        peer.ended().await;
        let reports = take_reports();
        assert!(
            matches!(
                &reports[..],
                [Report::HandshakeFailed { error: Error::Tls { kind: TlsErrorKind::NotTls, .. }, .. }]
            ),
            "{reports:?}"
        );
        assert!(server.is_serving());
    });
}

#[test]
fn t09_t11_what_is_queued_at_close_arrives_before_the_goodbye() {
    simulate(async |_net| {
        let ((mut client, writer), (mut server_in, server_out)) = tls_pair().await;
        let data = pattern(3 << 20, 9);
        server_out.write(&data).unwrap();
        server_out.close();
        assert!(client.read_to_end().await.unwrap() == data);
        writer.wait_closed().await.unwrap();
        server_out.wait_closed().await.unwrap();
        assert!(writer.is_closing());
        assert!(!writer.tls().unwrap().truncated());
        assert_eq!(server_in.read(1).await.unwrap(), "");
        assert_eq!(writer.drain().await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    });
}

#[test]
fn t10_a_peer_that_does_not_say_goodbye_costs_the_shutdown_timeout() {
    simulate(async |_net| {
        let ((mut client, writer), (_server_in, server_out)) = tls_pair().await;
        server_out.transport().pause_reading();
        let start = Instant::now();
        writer.close();
        let error = writer.wait_closed().await.unwrap_err();
        assert_eq!((error.kind(), start.elapsed()), (ErrorKind::TimedOut, secs(30)));
        assert_eq!(error.to_string(), "TLS shutdown timed out");
        assert_eq!(client.read(1).await.unwrap_err().kind(), ErrorKind::TimedOut);
        server_out.transport().abort();
    });
}

#[test]
fn t13_an_end_without_goodbye_reads_as_an_end_and_is_known() {
    simulate(async |_net| {
        let ((mut client, writer), (_server_in, server_out)) = tls_pair().await;
        server_out.write("half a").unwrap();
        settle().await;
        server_out.transport().abort();
        assert_eq!(client.read_to_end().await.unwrap(), "half a");
        assert!(writer.tls().unwrap().truncated());
    });
}

#[test]
fn o04_o05_o08_o09_tls_arguments_are_checked_before_anything_else() {
    simulate(async |net| {
        let tls = || Authority::new().connector();
        for (connect, part) in [
            (open_connection("10.0.0.1", 1).server_name(""), "server_name is only meaningful with tls"),
            (open_connection((), 1).tls(tls()), "you must set server_name"),
            (open_connection("10.0.0.1", 1).tls_handshake_timeout(secs(1)), "only meaningful with tls"),
            (open_connection("10.0.0.1", 1).tls_shutdown_timeout(secs(1)), "only meaningful with tls"),
            (open_connection("10.0.0.1", 1).tls(tls()).tls_handshake_timeout(secs(0)), "should be a positive number"),
            (open_connection("10.0.0.1", 1).tls(tls()).tls_shutdown_timeout(secs(0)), "should be a positive number"),
        ] {
            let error = connect.await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            assert!(error.to_string().contains(part), "{error}");
        }
        assert!(net.events().is_empty());
    });
}

#[test]
fn t08_a_stalled_handshake_blocks_nobody() {
    simulate(async |net| {
        let ca = Authority::new();
        let server = start_server(echo, "127.0.0.1", 0).tls(ca.acceptor(NAME)).await.unwrap();
        let address = server.sockets()[0];
        let stalled: Vec<_> = (0..10).map(|_| net.connect(address).unwrap()).collect();
        let start = Instant::now();
        for _ in 0..5 {
            let (mut reader, writer) =
                open_connection(address.ip(), address.port()).tls(ca.connector()).server_name(NAME).await.unwrap();
            writer.write("hello").unwrap();
            assert_eq!(reader.readexactly(5).await.unwrap(), "hello");
            writer.close();
            writer.wait_closed().await.unwrap();
        }
        assert!(start.elapsed() < secs(1));
        drop(stalled);
        settle().await;
        take_reports();
    });
}

#[test]
fn t18_client_certificates_and_application_protocols_are_negotiated() {
    simulate(async |_net| {
        let ca = Authority::new();
        let (chain, key) = ca.identity("client.test", |_| {});
        let acceptor = |ca: &Authority, required: bool| {
            let (chain, key) = ca.identity(NAME, |_| {});
            let builder = TlsAcceptor::builder().identity_pem(chain, key).alpn(["h2", "echo"]);
            let builder = if required {
                builder.require_client_certificates(ca.pem())
            } else {
                builder.request_client_certificates(ca.pem())
            };
            builder.build().unwrap()
        };
        let bare = || TlsConnector::builder().roots_pem(ca.pem()).alpn(["echo"]);
        for (required, identity, answered) in
            [(true, true, true), (false, true, true), (false, false, true), (true, false, false)]
        {
            let server = start_server(echo, "127.0.0.1", 0).tls(acceptor(&ca, required)).await.unwrap();
            let address = server.sockets()[0];
            let connector = if identity { bare().identity_pem(&chain, &key) } else { bare() }.build().unwrap();
            let (mut reader, writer) =
                open_connection(address.ip(), address.port()).tls(connector).server_name(NAME).await.unwrap();
            assert_eq!(writer.tls().unwrap().alpn(), Some(&b"echo"[..]));
            writer.write("hello").unwrap();
            let answer = reader.readexactly(5).await;
            assert_eq!(answer.is_ok(), answered, "{required} {identity}: {answer:?}");
            writer.close();
            let _ = writer.wait_closed().await;
        }
    });
}

#[test]
fn verification_is_off_only_by_a_name_that_says_so() {
    simulate(async |_net| {
        let server = start_server(echo, "127.0.0.1", 0).tls(Authority::new().acceptor(NAME)).await.unwrap();
        let address = server.sockets()[0];
        let connector = TlsConnector::builder().dangerous_without_verification().build().unwrap();
        let (_reader, writer) = open_connection(address.ip(), address.port()).tls(connector).await.unwrap();
        writer.close();
        writer.wait_closed().await.unwrap();
    });
}

#[test]
fn a_second_connection_resumes_the_session_of_the_first() {
    simulate(async |_net| {
        let ca = Authority::new();
        let server = start_server(echo, "127.0.0.1", 0).tls(ca.acceptor(NAME)).await.unwrap();
        let (address, connector) = (server.sockets()[0], ca.connector());
        for resumed in [false, true] {
            if resumed {
                // Many others come in between, and nothing is forgotten for them.
                for _ in 0..300 {
                    let connect = open_connection(address.ip(), address.port()).tls(ca.connector()).server_name(NAME);
                    connect.await.unwrap().1.close();
                    settle().await;
                }
            }
            let connect = open_connection(address.ip(), address.port()).tls(connector.clone()).server_name(NAME);
            let (mut reader, writer) = connect.await.unwrap();
            assert_eq!(writer.tls().unwrap().resumed(), resumed);
            writer.write("x").unwrap();
            assert_eq!(reader.readexactly(1).await.unwrap(), "x"); // the ticket has come by now
            writer.close();
            writer.wait_closed().await.unwrap();
        }
    });
}

#[test]
fn builders_show_no_keys() {
    let (chain, key) = Authority::new().identity(NAME, |_| {});
    let acceptor = format!("{:?}", TlsAcceptor::builder().identity_pem(&chain, &key));
    let connector = format!("{:?}", TlsConnector::builder().identity_pem(&chain, &key));
    assert!(acceptor.len() < 100 && connector.len() < 100, "{acceptor} {connector}");
}

#[test]
fn t08_a_storm_of_handshakes_leaves_turns_to_established_connections() {
    simulate(async |_net| {
        let ca = Authority::new();
        let server = start_server(echo, "127.0.0.1", 0).tls(ca.acceptor(NAME)).await.unwrap();
        let address = server.sockets()[0];
        let connector = ca.connector();
        let connect = move || {
            let connector = connector.clone();
            async move { open_connection(address.ip(), address.port()).tls(connector).server_name(NAME).await.unwrap() }
        };
        let (mut reader, writer) = connect().await;
        let storm: Vec<_> = (0..50).map(|_| spawn(connect())).collect();
        let mut echoes = 0;
        while storm.iter().any(|handshake| !handshake.is_finished()) {
            writer.write("still here").unwrap();
            assert_eq!(reader.readexactly(10).await.unwrap(), "still here");
            echoes += 1;
        }
        // Each of the 50 takes a few steps on either side, one of them a turn; an echo takes a few turns.
        assert!(echoes >= 10, "{echoes} echoes during 50 handshakes");
        for handshake in storm {
            handshake.await.unwrap().1.close();
        }
        writer.close();
        writer.wait_closed().await.unwrap();
    });
}

#[test]
fn u04_a_client_verifies_the_host_it_connected_to_or_is_refused() {
    simulate(async |net| {
        net.name("other.test", &["127.0.0.1".parse().unwrap()]);
        let ca = Authority::new();
        let acceptor = ca.acceptor(NAME);
        let handler =
            common::with_state(&acceptor, |acceptor, reader: StreamReader, writer: StreamWriter| async move {
                let _kept = reader; // or what arrives is thrown away
                // The client refuses, which is what is tested.
                let _ = writer.start_tls(acceptor).await;
            });
        let server = start_server(handler, "127.0.0.1", 25).await.unwrap();
        let (_reader, writer) = open_connection("other.test", 25).await.unwrap();
        let error = writer.start_tls(ca.connector()).await.unwrap_err();
        assert!(matches!(error, Error::Tls { kind: TlsErrorKind::WrongName, .. }), "{error:?}");
        let ((_r, nameless), _other) = wasi_streams::stream_pair();
        let error = nameless.start_tls(ca.connector()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        server.close();
    });
}

#[test]
fn d17_the_write_buffer_size_counts_ciphertext_that_waits() {
    simulate(async |_net| {
        let ca = Authority::new();
        let ((_client_in, client), (mut server_in, server)) = wasi_streams::stream_pair();
        let shake =
            futures_lite::future::zip(async { client.start_tls(ca.connector()).server_name(NAME).await }, async {
                server.start_tls(ca.acceptor(NAME)).await
            });
        let (one, other) = shake.await;
        one.and(other).unwrap();
        settle().await;
        server.transport().pause_reading();
        settle().await;
        client.write(vec![7; 200_000]).unwrap();
        settle().await;
        // The pair holds 64 KiB of ciphertext, which is a little less than 64 KiB of plaintext: the rest is with us.
        let waiting = client.transport().get_write_buffer_size();
        assert!((200_000 - 64 * 1024 + 1..201_000).contains(&waiting), "{waiting}");
        server.transport().resume_reading();
        assert_eq!(server_in.readexactly(200_000).await.unwrap().len(), 200_000);
        settle().await;
        assert_eq!(client.transport().get_write_buffer_size(), 0);
        client.close();
        client.wait_closed().await.unwrap();
    });
}

/// Two TLS connections, each a reader and a writer, connected to each other in memory.
async fn tls_pair() -> ((StreamReader, StreamWriter), (StreamReader, StreamWriter)) {
    let ca = Authority::new();
    let accepted = Rc::new(std::cell::RefCell::new(None));
    let slot = Rc::clone(&accepted);
    let handler = move |reader: StreamReader, writer: StreamWriter| *slot.borrow_mut() = Some((reader, writer));
    let server = start_server(handler, "127.0.0.1", 0).tls(ca.acceptor(NAME)).await.unwrap();
    let address = server.sockets()[0];
    let client = open_connection(address.ip(), address.port()).tls(ca.connector()).server_name(NAME).await.unwrap();
    settle().await;
    let accepted = accepted.take().expect("accepted");
    (client, accepted)
}

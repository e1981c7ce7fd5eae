//! `start_tls` in memory, both ends ours.
#![cfg(feature = "tls-ring")]

mod common;

use std::io::ErrorKind;

use common::tls::Authority;
use common::{secs, settle, simulate};
use futures_lite::future::zip;
use wasi_streams::{
    Error, Instant, StreamReader, StreamWriter, TlsErrorKind, open_connection, start_server, stream_pair,
};

const NAME: &str = "server.test";

#[test]
fn u01_u03_u07_both_sides_go_on_over_tls_in_place() {
    simulate(async |_net| {
        let ca = Authority::new();
        let ((mut client_in, client), (mut server_in, server)) = stream_pair();
        client.write("STARTTLS\n").unwrap();
        assert_eq!(server_in.readline().await.unwrap(), "STARTTLS\n");
        server.write("ready\n").unwrap();
        assert_eq!(client_in.readline().await.unwrap(), "ready\n");
        assert!(client.tls().is_none());
        let shake = zip(async { client.start_tls(ca.connector()).server_name(NAME).await }, async {
            server.start_tls(ca.acceptor(NAME)).await
        });
        let (as_client, as_server) = shake.await;
        as_client.unwrap();
        as_server.unwrap();
        for writer in [&client, &server] {
            assert!(writer.tls().is_some());
            assert!(!writer.can_write_eof());
            assert_eq!(writer.transport().get_write_buffer_limits(), (131_072, 524_288));
        }
        client.write("secret\n").unwrap();
        assert_eq!(server_in.readline().await.unwrap(), "secret\n");
        server.write("answer\n").unwrap();
        assert_eq!(client_in.readline().await.unwrap(), "answer\n");
        client.close();
        client.wait_closed().await.unwrap();
        server.wait_closed().await.unwrap();
    });
}

#[test]
fn u02_what_is_queued_goes_out_in_the_clear_first_and_a_closed_connection_is_refused() {
    simulate(async |_net| {
        let ca = Authority::new();
        let ((_client_in, client), (mut server_in, server)) = stream_pair();
        client.write(vec![b'x'; 200_000]).unwrap();
        let upgrade = async { client.start_tls(ca.connector()).server_name(NAME).await };
        let peer = async {
            assert_eq!(server_in.readexactly(200_000).await.unwrap(), vec![b'x'; 200_000]);
            server.start_tls(ca.acceptor(NAME)).await
        };
        let (client_done, server_done) = zip(upgrade, peer).await;
        client_done.unwrap();
        server_done.unwrap();
        client.close();
        client.wait_closed().await.unwrap();
        let error = client.start_tls(ca.connector()).server_name(NAME).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ResourceBusy, "TLS already");
        let ((_r, closed), _other) = stream_pair();
        closed.close();
        settle().await;
        let error = closed.start_tls(ca.connector()).server_name(NAME).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
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
        let ((_r, nameless), _other) = stream_pair();
        let error = nameless.start_tls(ca.connector()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        server.close();
    });
}

#[test]
fn u06_a_failed_handshake_is_the_error_of_everything_after_it() {
    simulate(async |_net| {
        let ((mut client_in, client), (_server_in, server)) = stream_pair();
        server.write("this is no TLS at all\n").unwrap();
        let upgrade = async { client.start_tls(Authority::new().connector()).server_name(NAME).await };
        let (error, ()) = zip(async { upgrade.await.unwrap_err() }, settle()).await;
        assert!(matches!(error.kind(), ErrorKind::InvalidData), "{error:?}");
        assert_eq!(client_in.read(1).await.unwrap_err().kind(), error.kind());
        assert_eq!(client.wait_closed().await.unwrap_err().kind(), error.kind());
        assert!(client.is_closing());
    });
}

#[test]
fn u08_ciphertext_that_a_server_has_buffered_goes_to_the_engine() {
    simulate(async |_net| {
        let ca = Authority::new();
        let ((_client_in, client), (mut server_in, server)) = stream_pair();
        client.write("PROXY\n").unwrap();
        let upgrade = async { client.start_tls(ca.connector()).server_name(NAME).await };
        let peer = async {
            settle().await; // the header and the ClientHello are both here now
            assert_eq!(server_in.readline().await.unwrap(), "PROXY\n");
            server.start_tls(ca.acceptor(NAME)).await
        };
        let (client_done, server_done) = zip(upgrade, peer).await;
        client_done.unwrap();
        server_done.unwrap();
        client.close();
        server.close();
    });
}

#[test]
fn u09_plaintext_that_a_client_has_buffered_is_refused() {
    simulate(async |_net| {
        let ((mut client_in, client), (_server_in, server)) = stream_pair();
        server.write("ready\ninjected\n").unwrap();
        assert_eq!(client_in.readline().await.unwrap(), "ready\n");
        let error = client.start_tls(Authority::new().connector()).server_name(NAME).await.unwrap_err();
        assert!(error.to_string().contains("injected"), "{error}");
        assert_eq!(client_in.readline().await.unwrap_err().kind(), ErrorKind::InvalidData);
    });
}

#[test]
fn u11_u12_after_the_end_or_twice_it_is_refused_at_once() {
    simulate(async |_net| {
        let ((_client_in, client), _other) = stream_pair();
        client.write_eof().unwrap();
        let error = client.start_tls(Authority::new().connector()).server_name(NAME).await.unwrap_err();
        assert!(matches!(error, Error::WriteAfterEof(_)), "{error:?}");
    });
}

#[test]
fn u13_t06_the_handshake_has_its_timeout_and_ends_with_the_connection() {
    simulate(async |_net| {
        let ((_client_in, client), _silent) = stream_pair();
        let start = Instant::now();
        let upgrade = client.start_tls(Authority::new().connector()).server_name(NAME).tls_handshake_timeout(secs(3));
        assert_eq!(upgrade.await.unwrap_err().kind(), ErrorKind::ConnectionAborted);
        assert_eq!(start.elapsed(), secs(3));
        let ((_client_in, client), _silent) = stream_pair();
        let start = Instant::now();
        let upgrade = async { client.start_tls(Authority::new().connector()).server_name(NAME).await };
        let close = async {
            settle().await;
            client.close();
        };
        let (outcome, ()) = zip(upgrade, close).await;
        assert_eq!(outcome.unwrap_err().kind(), ErrorKind::ConnectionReset);
        assert_eq!(start.elapsed(), secs(0));
    });
}

//! `start_tls` in memory, both ends ours.
#![cfg(feature = "tls-ring")]

mod common;

use std::io::ErrorKind;

use common::place::pair;
use common::tls::Authority;
use common::{secs, settle, simulate};
use futures_lite::future::zip;
use futures_lite::{AsyncBufReadExt, AsyncReadExt};
use wasi_streams::{Error, Instant, StreamReader};

const NAME: &str = "server.test";

#[test]
fn u01_u03_u07_both_sides_go_on_over_tls_in_place() {
    simulate(async |_net| {
        let ca = Authority::new();
        let ((mut client_in, client), (mut server_in, server)) = pair().await;
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
fn u02_u12_what_is_queued_goes_out_in_the_clear_first_and_a_closed_connection_is_refused() {
    simulate(async |_net| {
        let ca = Authority::new();
        let ((_client_in, client), (mut server_in, server)) = pair().await;
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
        let ((_r, closed), _other) = pair().await;
        closed.close();
        settle().await;
        let error = closed.start_tls(ca.connector()).server_name(NAME).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    });
}

#[test]
fn u06_a_failed_handshake_is_the_error_of_everything_after_it() {
    simulate(async |_net| {
        let ((mut client_in, client), (_server_in, server)) = pair().await;
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
        let ((_client_in, client), (mut server_in, server)) = pair().await;
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
        let ((mut client_in, client), (_server_in, server)) = pair().await;
        server.write("ready\ninjected\n").unwrap();
        assert_eq!(client_in.readline().await.unwrap(), "ready\n");
        let error = client.start_tls(Authority::new().connector()).server_name(NAME).await.unwrap_err();
        assert!(error.to_string().contains("injected"), "{error}");
        assert_eq!(client_in.readline().await.unwrap_err().kind(), ErrorKind::InvalidData);
    });
}

#[test]
fn u11_after_the_end_it_is_refused_at_once() {
    simulate(async |_net| {
        let ((_client_in, client), _other) = pair().await;
        client.write_eof().unwrap();
        let error = client.start_tls(Authority::new().connector()).server_name(NAME).await.unwrap_err();
        assert!(matches!(error, Error::WriteAfterEof(_)), "{error:?}");
    });
}

#[test]
fn u13_t06_the_handshake_has_its_timeout_and_ends_with_the_connection() {
    simulate(async |_net| {
        let ((_client_in, client), _silent) = pair().await;
        let start = Instant::now();
        let upgrade = client.start_tls(Authority::new().connector()).server_name(NAME).tls_handshake_timeout(secs(3));
        assert_eq!(upgrade.await.unwrap_err().kind(), ErrorKind::ConnectionAborted);
        assert_eq!(start.elapsed(), secs(3));
        let ((_client_in, client), _silent) = pair().await;
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

/// Reads a line in each of the ways that read ahead.
async fn line_by(way: u8, reader: &mut StreamReader) -> String {
    let mut line = String::new();
    match way {
        0 => line = String::from_utf8_lossy(&reader.readline().await.unwrap()).into(),
        1 => line = String::from_utf8_lossy(reader.readline_ref().await.unwrap()).into(),
        2 => drop(AsyncBufReadExt::read_line(reader, &mut line).await.unwrap()),
        _ => {
            let mut bytes = [0; 6];
            AsyncReadExt::read_exact(reader, &mut bytes).await.unwrap();
            line = String::from_utf8_lossy(&bytes).into();
        }
    }
    line
}

#[test]
fn u09_plaintext_that_was_lent_to_the_reader_is_refused_as_well() {
    for way in 0..4 {
        simulate(async |_net| {
            let ((mut client_in, client), (_server_in, server)) = pair().await;
            server.write("ready\ninjected\n").unwrap();
            assert_eq!(line_by(way, &mut client_in).await, "ready\n");
            let error = client.start_tls(Authority::new().connector()).server_name(NAME).await.unwrap_err();
            assert!(error.to_string().contains("injected"), "{error}");
            assert_eq!(client_in.readline_ref().await.unwrap_err().kind(), ErrorKind::InvalidData);
        });
    }
}

#[test]
fn u08_ciphertext_that_was_lent_to_the_reader_goes_to_the_engine_as_well() {
    for way in 0..4 {
        simulate(async |_net| {
            let ca = Authority::new();
            let ((mut client_in, client), (mut server_in, server)) = pair().await;
            client.write("PROXY\n").unwrap();
            let upgrade = async { client.start_tls(ca.connector()).server_name(NAME).await };
            let peer = async {
                settle().await; // the header and the ClientHello are both here now
                assert_eq!(line_by(way, &mut server_in).await, "PROXY\n");
                server.start_tls(ca.acceptor(NAME)).await
            };
            let (client_done, server_done) = zip(upgrade, peer).await;
            client_done.and(server_done).unwrap();
            client.write("line 1\nline 2\n").unwrap();
            assert_eq!(server_in.readline_ref().await.unwrap(), b"line 1\n");
            assert_eq!(line_by(way, &mut server_in).await.len(), if way == 3 { 6 } else { 7 });
            server.write("answer\n").unwrap();
            assert_eq!(client_in.readline().await.unwrap(), "answer\n");
            client.close();
            server.close();
        });
    }
}

#[test]
fn u12_while_it_runs_it_cannot_be_started_again_and_there_is_no_half_close() {
    simulate(async |_net| {
        let ca = Authority::new();
        let ((_client_in, client), (_server_in, server)) = pair().await;
        let upgrade = async { client.start_tls(ca.connector()).server_name(NAME).await };
        let others = async {
            settle().await;
            let again = client.start_tls(ca.connector()).server_name(NAME).await;
            assert_eq!(again.unwrap_err().kind(), ErrorKind::ResourceBusy);
            assert!(!client.can_write_eof());
            assert_eq!(client.write_eof().unwrap_err().kind(), ErrorKind::Unsupported);
            server.start_tls(ca.acceptor(NAME)).await
        };
        let (done, other) = zip(upgrade, others).await;
        done.and(other).unwrap();
        client.close();
        server.close();
    });
}

#[test]
fn given_up_in_the_middle_it_aborts_the_connection() {
    simulate(async |_net| {
        let ca = Authority::new();
        let ((mut client_in, client), (mut server_in, _server)) = pair().await;
        let upgrade = async { client.start_tls(ca.connector()).server_name(NAME).await };
        assert!(wasi_streams::timeout(secs(1), upgrade).await.is_err());
        client.wait_closed().await.unwrap();
        assert_eq!(client_in.read(1).await.unwrap(), "");
        assert!(!server_in.read_to_end().await.unwrap().is_empty(), "the ClientHello, and the end");
    });
}

//! Peers that speak TLS wrongly, or not at all: the connection ends with its error, and the server goes on.
#![cfg(feature = "tls-ring")]

mod common;

use std::io::ErrorKind;

use common::place::{Place, client_of, listen, name_of, start};
use common::tls::Authority;
use common::tls_peer::{Engine, TlsPeer};
use common::{echo, pattern, secs, settle, simulate, take_reports};
use futures_lite::future::zip;
use wasi_streams::sim::{Network, Peer};
use wasi_streams::{Error, Report, Server, StreamReader, TlsErrorKind, sleep};

const NAME: &str = "server.test";

#[test]
fn t07_what_is_no_tls_is_said_to_be_none_with_its_beginning() {
    simulate(async |net| {
        let (ca, server) = serving().await;
        for garbage in
            [&b"GET / HTTP/1.0\r\n\r\n"[..], b"\x00", b"SSH-2.0-x\r\n", &[0xff; 100_000], b"\x80\x2e\x01\x00\x02"]
        {
            let error = bad_client(&net, &server, garbage, false).await;
            assert!(is(&error, TlsErrorKind::NotTls), "{error:?}");
            let shown = garbage[..garbage.len().min(20)].escape_ascii().to_string();
            assert!(error.to_string().contains(&shown) && error.to_string().len() < 200, "{error}");
        }
        still_works(&ca, &server).await;
    });
}

#[test]
fn a_client_that_meets_a_plain_server_is_told_so() {
    simulate(async |net| {
        let (listener, place) = listen(&net);
        let server = async {
            let peer = listener.accept().await;
            peer.send(b"220 mail.example ESMTP\r\n");
            peer.ended().await;
        };
        let connect = place.open_tls(Authority::new().connector(), NAME);
        let (error, ()) = zip(async { connect.await.unwrap_err() }, server).await;
        let place = place.to_string();
        assert_eq!(
            error.to_string(),
            format!(
                "{}: the peer spoke something that is not TLS (\"220 mail.example ESM\"): is this port plain?",
                place.trim_end_matches(":80")
            )
        );
    });
}

#[test]
fn t07_records_that_cannot_be_are_refused() {
    simulate(async |net| {
        let (ca, server) = serving().await;
        let header = |kind: u8, length: u16| [&[kind, 3, 3][..], &length.to_be_bytes()].concat();
        for record in [
            header(22, 0xffff),                                        // longer than any record
            [header(22, 4), vec![1, 0xff, 0xff, 0xff]].concat(),       // a ClientHello of 16 MiB
            [header(22, 4), vec![99, 0, 0, 0]].concat(),               // no kind of handshake message
            [header(23, 5), b"hello".to_vec()].concat(),               // data before the handshake
            [header(22, 40), vec![1, 0, 0, 36], vec![0; 36]].concat(), // a ClientHello of nothing
            header(20, 0),
            header(22, 0),
        ] {
            let error = bad_client(&net, &server, &record, false).await;
            assert!(is(&error, TlsErrorKind::Protocol) || is(&error, TlsErrorKind::NothingInCommon), "{error:?}");
        }
        still_works(&ca, &server).await;
    });
}

#[test]
fn t04_a_record_that_is_cut_off_is_a_reset() {
    simulate(async |net| {
        let (ca, server) = serving().await;
        let hello = Engine::client(&ca, NAME).ciphertext();
        for length in [1, 4, 5, 6, hello.len() / 2, hello.len() - 1] {
            let error = bad_client(&net, &server, &hello[..length], true).await;
            assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error:?}");
        }
        still_works(&ca, &server).await;
    });
}

#[test]
fn t04_u06_cut_off_at_any_byte_of_the_handshake_a_client_gives_up() {
    simulate(async |net| {
        let ca = Authority::new();
        for length in (0..600).step_by(37) {
            let (listener, place) = listen(&net);
            let server = async {
                let peer = listener.accept().await;
                let hello = peer.recv(1).await;
                let mut engine = Engine::server(&ca, NAME);
                engine.feed(&[hello, peer.take_received()].concat());
                let flight = engine.ciphertext();
                assert!(flight.len() > 600, "{}", flight.len());
                peer.send(&flight[..length]);
                peer.finish();
            };
            let connect = place.open_tls(ca.connector(), NAME);
            let (error, ()) = zip(async { connect.await.unwrap_err() }, server).await;
            assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{length}: {error:?}");
        }
    });
}

#[test]
fn t01_a_client_hello_one_byte_at_a_time_is_served() {
    simulate(async |net| {
        let (ca, server) = serving().await;
        let peer = client_of(&net, &server);
        let mut client = Engine::client(&ca, NAME);
        let mut answer = Vec::new();
        let mut said = false;
        while answer.len() < 6 {
            let mut bytes = client.ciphertext();
            if !client.is_handshaking() && !said {
                bytes.extend(client.encrypt(b"hello\n"));
                said = true;
            }
            for byte in bytes {
                peer.send(&[byte]);
                settle().await;
            }
            client.feed(&peer.take_received());
            answer.extend(client.plaintext());
        }
        assert_eq!(answer, b"hello\n");
        peer.send(&client.say_goodbye());
        peer.ended().await;
        client.feed(&peer.take_received());
        assert!(client.saw_goodbye());
        still_works(&ca, &server).await;
    });
}

#[test]
fn t03_t08_one_that_stops_in_the_middle_is_timed_out_and_nobody_waits_for_it() {
    simulate(async |net| {
        let ca = Authority::new();
        let server = start(echo).tls(ca.acceptor(NAME)).tls_handshake_timeout(secs(7));
        let server = server.await.unwrap();
        let hello = Engine::client(&ca, NAME).ciphertext();
        let stopped: Vec<Peer> = [0, 3, hello.len() / 2, hello.len()]
            .into_iter()
            .map(|length| {
                let peer = client_of(&net, &server);
                peer.send(&hello[..length]);
                peer
            })
            .collect();
        still_works(&ca, &server).await;
        assert_eq!(server.connections(), 4);
        sleep(secs(8)).await;
        assert_eq!((server.connections(), server.failed_handshakes()), (0, 4));
        for report in take_reports() {
            let Report::HandshakeFailed { error, .. } = report else { panic!("{report:?}") };
            assert_eq!(error.kind(), ErrorKind::ConnectionAborted);
            assert!(error.to_string().contains("longer than 7 seconds"), "{error}");
        }
        for peer in stopped {
            peer.ended().await;
        }
    });
}

#[test]
fn a_client_that_sends_handshake_messages_for_ever_costs_bounded_memory() {
    simulate(async |net| {
        let (ca, server) = serving().await;
        let peer = client_of(&net, &server);
        // A ClientHello that announces 64 KiB, in small pieces, and never ends.
        peer.send(&[22, 3, 1, 0, 4, 1, 0, 0xff, 0xff]);
        let mut sent = 0;
        while !peer.saw_eof() && !peer.saw_reset() && sent < 1 << 20 {
            let record = [&[22, 3, 1, 0x10, 0][..], &[0; 4096]].concat();
            peer.send(&record);
            sent += record.len();
            settle().await;
        }
        assert!(sent < 1 << 20, "the server takes and takes");
        take_reports();
        still_works(&ca, &server).await;
    });
}

#[test]
fn t16_garbage_after_the_handshake_ends_that_connection_only() {
    simulate(async |net| {
        let (ca, server) = serving().await;
        for garbage in [pattern(100, 1), pattern(70_000, 2), b"GET / HTTP/1.0\r\n\r\n".to_vec(), vec![23, 3, 3, 0, 0]] {
            let mut client = TlsPeer::client(client_of(&net, &server), &ca, NAME);
            client.shake_hands().await;
            client.send(b"hello\n");
            assert_eq!(client.recv(6).await, b"hello\n");
            client.peer.send(&garbage);
            client.peer.ended().await;
            settle().await;
            let reports = take_reports();
            let [Report::HandlerFailed { error, .. }] = &reports[..] else { panic!("{reports:?}") };
            assert!(error.starts_with("TLS: "), "{error}");
        }
        still_works(&ca, &server).await;
    });
}

#[test]
fn u10_u08_every_cut_between_plaintext_and_tls_is_right() {
    // PROXY header, then a ClientHello; whatever arrives together, no byte reaches the wrong layer.
    simulate(async |net| {
        let ca = Authority::new();
        for cut in 0..40 {
            let acceptor = ca.acceptor(NAME);
            let handler = common::with_state(&acceptor, |acceptor, mut reader: StreamReader, writer| async move {
                assert_eq!(reader.readline().await?, "PROXY TCP4\n");
                writer.start_tls(acceptor).await?;
                echo(reader, writer).await
            });
            let server = start(handler).await.unwrap();
            let peer = client_of(&net, &server);
            let mut client = Engine::client(&ca, NAME);
            let first = [&b"PROXY TCP4\n"[..], &client.ciphertext()].concat();
            peer.send(&first[..cut]);
            settle().await;
            peer.send(&first[cut..]);
            settle().await;
            client.feed(&peer.take_received());
            peer.send(&client.encrypt(b"hello\n"));
            settle().await;
            client.feed(&peer.take_received());
            assert_eq!(client.plaintext(), b"hello\n", "cut at {cut}");
            peer.send(&client.say_goodbye());
            peer.close();
            server.close();
            server.wait_closed().await;
        }
    });
}

fn is(error: &Error, kind: TlsErrorKind) -> bool {
    matches!(error, Error::Tls { kind: k, .. } if *k == kind)
}

async fn serving() -> (Authority, Server) {
    let ca = Authority::new();
    let server = start(echo).tls(ca.acceptor(NAME)).await.unwrap();
    (ca, server)
}

/// What the server says about a client that sends this, and then nothing or its end.
async fn bad_client(net: &Network, server: &Server, bytes: &[u8], ends: bool) -> Error {
    let before = server.failed_handshakes();
    let peer = client_of(net, server);
    peer.send(bytes);
    if ends {
        peer.finish();
    }
    peer.ended().await;
    settle().await;
    assert_eq!(server.failed_handshakes(), before + 1);
    let reports = take_reports();
    let [Report::HandshakeFailed { error, peer: who }] = &reports[..] else { panic!("{reports:?}") };
    assert_eq!(*who, name_of(&peer));
    error.clone()
}

async fn still_works(ca: &Authority, server: &Server) {
    let (mut reader, writer) = Place::of(server).open_tls(ca.connector(), NAME).await.unwrap();
    writer.write("still here\n").unwrap();
    assert_eq!(reader.readline().await.unwrap(), "still here\n");
    writer.close();
    writer.wait_closed().await.unwrap();
}

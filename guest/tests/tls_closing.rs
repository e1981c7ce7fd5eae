//! How TLS connections end, and what waits in them: against a peer that holds every record in its hands.
#![cfg(feature = "tls-ring")]

mod common;

use std::io::ErrorKind;

use common::place::{client_of, leave_unread, listen, start};
use common::tls::Authority;
use common::tls_peer::TlsPeer;
use common::{MEGABYTES, ms, pattern, secs, settle, simulate, simulate_without_sockets, take_reports};
use futures_lite::future::{poll_once, zip};
use wasi_streams::sim::{Network, Peer};
use wasi_streams::{Error, Instant, Report, StreamReader, StreamWriter, TlsConnector, TlsErrorKind, sleep, spawn};

const NAME: &str = "server.test";

#[test]
fn t05_a_connection_that_is_lost_during_the_handshake_says_how() {
    simulate(async |net| {
        let (listener, place) = listen(&net);
        let peer = async {
            let peer = listener.accept().await;
            peer.recv(100).await;
            peer.reset();
        };
        let connect = place.open_tls(Authority::new().connector(), NAME);
        let (error, ()) = zip(async { connect.await.unwrap_err() }, peer).await;
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        assert!(!error.to_string().contains("left during"), "a reset is no end: {error}");
    });
}

#[test]
fn t06_a_connection_given_up_during_the_handshake_leaves_nothing() {
    simulate(async |net| {
        let (listener, place) = listen(&net);
        {
            let connect = place.open_tls(Authority::new().connector(), NAME);
            let mut connect = Box::pin(connect);
            let mut accepted = None;
            while accepted.is_none() {
                assert!(poll_once(&mut connect).await.is_none());
                settle().await;
                accepted = listener.try_accept();
            }
        }
        settle().await; // and `simulate` looks for what is left
    });
}

#[test]
fn t07_s31_a_server_waits_for_its_handshakes_or_aborts_them() {
    simulate(async |net| {
        let ca = Authority::new();
        async fn never(_: StreamReader, _: StreamWriter) {
            unreachable!()
        }
        let server = start(never).tls(ca.acceptor(NAME)).tls_handshake_timeout(secs(5)).await;
        let server = server.unwrap();
        let stalled = client_of(&net, &server);
        settle().await;
        assert_eq!(server.connections(), 1);
        server.close();
        let closed = Instant::now();
        server.wait_closed().await;
        assert_eq!(closed.elapsed(), secs(5), "the handshake timeout");
        assert_eq!(server.failed_handshakes(), 1);
        assert!(stalled.saw_eof() || stalled.saw_reset());

        let server = start(never).tls(ca.acceptor(NAME)).await.unwrap();
        let stalled = client_of(&net, &server);
        settle().await;
        server.close();
        server.abort_clients();
        let start = Instant::now();
        server.wait_closed().await;
        assert_eq!(start.elapsed(), secs(0));
        settle().await;
        assert!(stalled.saw_eof() || stalled.saw_reset());
        take_reports();
    });
}

#[test]
fn t09_close_flushes_then_says_goodbye_and_the_peer_s_answer_ends_it() {
    simulate(async |net| {
        let (_reader, writer, mut peer) = connected(&net).await;
        let data = pattern(MEGABYTES, 3);
        writer.write(&data).unwrap();
        writer.close();
        assert!(peer.recv_to_goodbye().await == data);
        settle().await;
        assert!(poll_once(writer.wait_closed()).await.is_none(), "the peer has not answered");
        peer.goodbye();
        writer.wait_closed().await.unwrap();
        assert!(!writer.tls().unwrap().truncated());
    });
}

#[test]
fn t11_t12_w17_the_peer_s_goodbye_flushes_our_queue_first_and_closes() {
    simulate(async |net| {
        let (mut reader, writer, mut peer) = connected(&net).await;
        peer.peer.stall();
        let data = pattern(MEGABYTES, 5);
        writer.write(&data).unwrap();
        settle().await;
        let queued = writer.transport().get_write_buffer_size();
        assert!(queued > 0);
        peer.send(b"last words");
        peer.goodbye();
        assert_eq!(reader.read_to_end().await.unwrap(), "last words");
        settle().await;
        assert!(writer.is_closing(), "there is no half of a TLS connection");
        writer.write("not accepted any more").unwrap();
        assert!(poll_once(writer.wait_closed()).await.is_none(), "the queue is still here");
        peer.peer.resume();
        assert!(peer.recv_to_goodbye().await == data, "the whole queue, and nothing after it");
        peer.peer.finish();
        writer.wait_closed().await.unwrap();
        let error = writer.drain().await.unwrap_err(); // D05
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    });
}

#[test]
fn t13_w17_an_end_without_goodbye_closes_and_is_an_error_for_those_who_want_it() {
    simulate(async |net| {
        for suppress in [true, false] {
            let connector = |ca: &Authority| {
                TlsConnector::builder().roots_pem(ca.pem()).suppress_ragged_eofs(suppress).build().unwrap()
            };
            let (mut reader, writer, mut peer) = connected_with(&net, connector).await;
            peer.send(b"cut o");
            peer.peer.finish();
            settle().await;
            let read = reader.readline().await;
            match suppress {
                true => assert_eq!(read.unwrap(), "cut o"),
                false => assert!(is_tls(&read.unwrap_err(), TlsErrorKind::Truncated)),
            }
            assert!(writer.tls().unwrap().truncated());
            assert!(writer.is_closing());
            let closed = writer.wait_closed().await;
            match suppress {
                true => closed.unwrap(),
                false => assert!(is_tls(&closed.unwrap_err(), TlsErrorKind::Truncated)),
            }
        }
    });
}

#[test]
fn t14_f09_a_reset_of_an_established_connection_is_noticed_without_a_call_and_told_everywhere() {
    simulate(async |net| {
        let (mut reader, writer, peer) = connected(&net).await;
        leave_unread(&writer).await;
        peer.peer.reset();
        settle().await;
        assert!(writer.is_closing());
        assert_eq!(reader.read(1).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
        assert_eq!(writer.drain().await.unwrap_err().kind(), ErrorKind::ConnectionReset);
        assert_eq!(writer.wait_closed().await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    });
}

#[test]
fn t15_what_still_arrives_after_our_close_is_discarded() {
    simulate(async |net| {
        let (mut reader, writer, mut peer) = connected(&net).await;
        writer.close();
        for round in 0..20 {
            peer.send(&pattern(50_000, round));
            settle().await;
        }
        assert!(poll_once(writer.wait_closed()).await.is_none(), "the peer has not said goodbye");
        peer.goodbye();
        writer.wait_closed().await.unwrap();
        assert_eq!(reader.read(1).await.unwrap(), "", "none of it was delivered");
    });
}

#[test]
fn t10_t15_a_peer_that_never_stops_sending_costs_the_shutdown_timeout_and_nobody_else() {
    simulate(async |net| {
        let (_reader, writer, mut peer) = connected(&net).await;
        let flood = spawn(async move {
            let record = peer.encrypt(&[b'x'; 1000]);
            peer.peer.send(&record);
            loop {
                let record = peer.encrypt(&[b'x'; 1000]);
                peer.peer.send(&record);
                sleep(ms(1)).await;
            }
        });
        let start = Instant::now();
        writer.close();
        let error = writer.wait_closed().await.unwrap_err();
        assert_eq!((error.kind(), start.elapsed()), (ErrorKind::TimedOut, secs(30)));
        flood.abort();
    });
}

#[test]
fn t16_f09_a_damaged_record_ends_the_connection_with_its_error() {
    simulate(async |net| {
        let (mut reader, writer, mut peer) = connected(&net).await;
        peer.send(b"whole\n");
        let mut record = peer.encrypt(b"damaged\n");
        *record.last_mut().unwrap() ^= 1;
        peer.peer.send(&record);
        settle().await;
        assert!(writer.is_closing(), "noticed without a call");
        let error = reader.readline().await.unwrap_err();
        assert!(is_tls(&error, TlsErrorKind::Protocol), "{error:?}");
        assert!(is_tls(&writer.wait_closed().await.unwrap_err(), TlsErrorKind::Protocol));
        assert!(is_tls(&writer.drain().await.unwrap_err(), TlsErrorKind::Protocol));
    });
}

#[test]
fn t17_a_paused_reader_stops_decrypting_and_reading_and_goes_on_where_it_was() {
    simulate(async |net| {
        let (mut reader, writer, mut peer) = connected(&net).await;
        let data = pattern(4 * MEGABYTES, 17);
        let sent = peer.send(&data);
        sleep(secs(1)).await;
        // The buffer of the reader, one piece of ciphertext in the engine, and the host's own.
        let taken = sent - peer.peer.unsent();
        assert!(taken < 512 * 1024, "{taken} bytes taken from a peer whom nobody reads");
        assert!(!writer.is_closing());
        assert!(reader.readexactly(data.len()).await.unwrap() == data);
        // By hand, too.
        writer.transport().pause_reading();
        let sent = peer.send(&data);
        sleep(secs(1)).await;
        assert!(sent - peer.peer.unsent() < 512 * 1024);
        writer.transport().resume_reading();
        assert!(reader.readexactly(data.len()).await.unwrap() == data);
        peer.goodbye();
        writer.wait_closed().await.unwrap();
    });
}

#[test]
fn d02_drain_waits_at_the_high_mark_over_tls_and_until_the_low_one() {
    simulate(async |net| {
        let (_reader, writer, mut peer) = connected(&net).await;
        peer.peer.stall();
        while writer.transport().get_write_buffer_size() == 0 {
            writer.write([0; 10_000]).unwrap();
            settle().await;
        }
        writer.drain().await.unwrap();
        let mut written = 0;
        while poll_once(writer.drain()).await.is_some() {
            writer.write([0; 4096]).unwrap();
            written += 4096;
            settle().await;
        }
        let size = writer.transport().get_write_buffer_size();
        assert!((512 * 1024..640 * 1024).contains(&size), "{size} bytes wait, {written} written since the stall");
        peer.peer.resume();
        writer.drain().await.unwrap();
        let size = writer.transport().get_write_buffer_size();
        assert!(size <= 128 * 1024 + 64 * 1024 + 1024, "{size} bytes wait after drain");
        writer.close();
        peer.recv_to_goodbye().await;
        peer.goodbye();
        writer.wait_closed().await.unwrap();
    });
}

#[test]
fn w11_w15_d11_tls_has_no_half_close_and_higher_marks() {
    simulate(async |net| {
        let (_reader, writer, _peer) = connected(&net).await;
        assert!(!writer.can_write_eof());
        assert_eq!(writer.write_eof().unwrap_err().kind(), ErrorKind::Unsupported);
        assert_eq!(writer.transport().get_write_buffer_limits(), (131_072, 524_288));
        writer.transport().abort();
    });
}

#[test]
fn d12_marks_that_are_not_given_are_those_of_tls() {
    simulate(async |net| {
        let (_reader, writer, peer) = connected(&net).await;
        writer.transport().set_write_buffer_limits(10, 1).unwrap();
        writer.transport().set_write_buffer_limits(None, None).unwrap();
        assert_eq!(writer.transport().get_write_buffer_limits(), (131_072, 524_288));
        leave_unread(&writer).await;
        peer.peer.reset();
        settle().await;
    });
}

#[test]
fn a_flush_waits_for_the_ciphertext_too() {
    simulate(async |net| {
        let (_reader, mut writer, mut peer) = connected(&net).await;
        peer.peer.stall();
        while writer.transport().get_write_buffer_size() == 0 {
            writer.write([0; 10_000]).unwrap();
            settle().await;
        }
        while poll_once(futures_lite::AsyncWriteExt::flush(&mut writer)).await.is_none() {
            assert!(writer.transport().get_write_buffer_size() > 0);
            peer.peer.resume();
            peer.recv(1).await;
            settle().await;
        }
        assert_eq!(writer.transport().get_write_buffer_size(), 0);
        peer.peer.reset();
        settle().await;
    });
}

#[test]
fn w07_writes_to_a_lost_tls_connection_are_discarded_and_reported_from_the_fifth_on() {
    simulate(async |net| {
        let (_reader, writer, peer) = connected(&net).await;
        leave_unread(&writer).await;
        peer.peer.reset();
        settle().await;
        for _ in 0..5 {
            writer.write("lost").unwrap();
        }
        let reports = take_reports();
        assert!(matches!(reports[..], [Report::WritesAfterLoss { count: 5, .. }]), "{reports:?}");
    });
}

#[test]
fn the_end_of_the_program_does_not_complain_about_a_goodbye_that_is_missing() {
    let net = common::network();
    common::collect_reports();
    wasi_streams::run(async {
        let (_reader, writer, mut peer) = connected(&net).await;
        writer.write("everything").unwrap();
        writer.close();
        assert_eq!(peer.recv(10).await, b"everything");
        drop(spawn(async move {
            let _kept = peer;
            sleep(secs(1000)).await;
        }));
    });
    assert!(net.now() <= secs(10), "{:?}", net.now());
    let reports = take_reports();
    assert!(reports.is_empty(), "{reports:?}");
}

#[test]
fn s12_timeouts_without_tls_and_of_zero_are_refused() {
    simulate_without_sockets(async |_net| {
        let handler = || async |_: StreamReader, _: StreamWriter| {};
        let acceptor = Authority::new().acceptor(NAME);
        for (server, part) in [
            (start(handler()).tls_handshake_timeout(secs(1)), "only meaningful with tls"),
            (start(handler()).tls_shutdown_timeout(secs(1)), "only meaningful with tls"),
            (start(handler()).tls(acceptor.clone()).tls_handshake_timeout(secs(0)), "should be a positive number"),
            (start(handler()).tls(acceptor.clone()).tls_shutdown_timeout(secs(0)), "should be a positive number"),
        ] {
            let error = server.await.unwrap_err();
            assert!(matches!(error, Error::InvalidInput(_)) && error.to_string().contains(part), "{error}");
        }
    });
}

fn is_tls(error: &Error, kind: TlsErrorKind) -> bool {
    matches!(error, Error::Tls { kind: k, .. } if *k == kind)
}

/// An established connection of the guest, the client, and its peer.
async fn connected(net: &Network) -> (StreamReader, StreamWriter, TlsPeer) {
    connected_with(net, Authority::connector).await
}

async fn connected_with(
    net: &Network,
    connector: impl Fn(&Authority) -> TlsConnector,
) -> (StreamReader, StreamWriter, TlsPeer) {
    let ca = Authority::new();
    let (listener, place) = listen(net);
    let accepting = async {
        let peer: Peer = listener.accept().await;
        let mut peer = TlsPeer::server(peer, &ca, NAME);
        peer.shake_hands().await;
        peer
    };
    let connect = place.open_tls(connector(&ca), NAME);
    let (connected, peer) = zip(connect, accepting).await;
    let (reader, writer) = connected.unwrap();
    settle().await;
    (reader, writer, peer)
}

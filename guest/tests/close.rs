//! `close`, `abort`, `wait_closed`, and what dropping does.

mod common;

use std::io::ErrorKind;
use std::pin::pin;

use futures_lite::future::poll_once;
use wasi_streams::sim::Network;
use wasi_streams::{Error, Instant, Report, StreamReader, sleep, spawn, timeout};

use common::place::{leave_unread, name_of};
use common::{MEGABYTES, clog, connected, ms, secs, settle, simulate, take_reports};

#[test]
fn c01_close_stops_reading_and_flushes_in_the_background() {
    simulate(async |net| {
        let (reader, writer, peer) = connected(&net).await;
        let accepted = clog(&writer, &peer).await;
        writer.close();
        writer.close();
        assert!(!writer.transport().is_reading());
        peer.send(b"too late");
        net.after(secs(3), {
            let peer = peer.clone();
            move || peer.resume()
        });
        assert_eq!(peer.recv_to_end().await, accepted);
        writer.close();
        writer.wait_closed().await.unwrap();
        assert!(reader.at_eof() && reader.exception().is_none(), "lost without error, and nothing more was read");
    });
}

#[test]
fn c02_a_read_waiting_at_ones_own_close_returns_what_eof_would_give() {
    simulate(async |net| {
        async fn closed_under<T: 'static>(net: &Network, read: impl AsyncFnOnce(StreamReader) -> T + 'static) -> T {
            let (reader, writer, peer) = connected(net).await;
            peer.send(b"part");
            settle().await;
            let reading = spawn(async move { read(reader).await });
            settle().await;
            assert!(!reading.is_finished());
            writer.close();
            reading.await.unwrap()
        }
        let rest = closed_under(&net, async |mut r| (r.read(4).await.unwrap(), r.read(1).await.unwrap())).await;
        assert_eq!(rest, ("part".into(), "".into()));
        let line = closed_under(&net, async |mut r| r.readline().await).await;
        assert_eq!(line.unwrap(), "part");
        let all = closed_under(&net, async |mut r| r.read_to_end().await).await;
        assert_eq!(all.unwrap(), "part");
        let exact = closed_under(&net, async |mut r| r.readexactly(9).await).await;
        assert!(matches!(exact, Err(Error::Incomplete { partial, expected: Some(9) }) if partial == "part"));
        let until = closed_under(&net, async |mut r| r.readuntil("!").await).await;
        assert!(matches!(until, Err(Error::Incomplete { partial, expected: None }) if partial == "part"));
    });
}

#[test]
fn c03_what_is_buffered_at_ones_own_close_can_still_be_read() {
    simulate(async |net| {
        let (mut reader, writer, peer) = connected(&net).await;
        peer.send(b"one\ntwo\n");
        settle().await;
        writer.close();
        assert_eq!(reader.readline().await.unwrap(), "one\n");
        writer.wait_closed().await.unwrap();
        assert!(!reader.at_eof());
        assert_eq!(reader.readline().await.unwrap(), "two\n");
        assert_eq!(reader.readline().await.unwrap(), "");
        assert!(reader.at_eof());
    });
}

#[test]
fn c04_wait_closed_returns_when_the_queue_is_flushed() {
    simulate(async |net| {
        let (reader, writer, peer) = connected(&net).await;
        clog(&writer, &peer).await;
        writer.close();
        let start = Instant::now();
        net.after(ms(1234), {
            let peer = peer.clone();
            move || peer.resume()
        });
        writer.wait_closed().await.unwrap();
        assert_eq!(start.elapsed(), ms(1234));
        assert!(reader.at_eof());
    });
}

#[test]
fn c05_wait_closed_of_a_closed_connection_returns_at_once() {
    simulate(async |net| {
        let (_reader, writer, _peer) = connected(&net).await;
        writer.close();
        writer.wait_closed().await.unwrap();
        for _ in 0..3 {
            assert!(poll_once(writer.wait_closed()).await.unwrap().is_ok());
        }
    });
}

#[test]
fn c06_wait_closed_waits_without_limit_for_a_stalled_peer() {
    simulate(async |net| {
        let (_reader, writer, peer) = connected(&net).await;
        clog(&writer, &peer).await;
        writer.close();
        assert!(timeout(secs(1_000_000), writer.wait_closed()).await.is_err());
        peer.resume();
        writer.wait_closed().await.unwrap();
    });
}

#[test]
fn c07_wait_closed_raises_the_loss_every_time() {
    simulate(async |net| {
        let (_reader, writer, peer) = connected(&net).await;
        leave_unread(&writer).await;
        peer.reset();
        for _ in 0..3 {
            assert_eq!(writer.wait_closed().await.unwrap_err().kind(), ErrorKind::ConnectionReset);
        }
        writer.close();
        for _ in 0..3 {
            assert_eq!(writer.wait_closed().await.unwrap_err().kind(), ErrorKind::ConnectionReset);
        }
    });
}

#[test]
fn c07_a_reset_while_closing_is_raised_too() {
    simulate(async |net| {
        let (_reader, writer, peer) = connected(&net).await;
        clog(&writer, &peer).await;
        writer.close();
        net.after(secs(2), move || peer.reset());
        assert_eq!(writer.wait_closed().await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    });
}

#[test]
fn c08_the_peers_end_alone_does_not_end_wait_closed() {
    simulate(async |net| {
        let (mut reader, writer, peer) = connected(&net).await;
        peer.finish();
        assert_eq!(reader.read_to_end().await.unwrap(), "");
        assert!(timeout(secs(100_000), writer.wait_closed()).await.is_err());
        writer.close();
        writer.wait_closed().await.unwrap();
    });
}

#[test]
fn c09_wait_closed_can_be_given_up_and_called_again() {
    simulate(async |net| {
        let (_reader, writer, peer) = connected(&net).await;
        let accepted = clog(&writer, &peer).await;
        writer.close();
        for _ in 0..3 {
            assert!(timeout(ms(10), writer.wait_closed()).await.is_err());
        }
        peer.resume();
        writer.wait_closed().await.unwrap();
        assert_eq!(peer.received_len(), accepted.len() as u64);
    });
}

#[test]
fn c10_abort_drops_the_queue_and_loses_the_connection_without_error() {
    simulate(async |net| {
        let (mut reader, writer, peer) = connected(&net).await;
        let before = net.counts();
        clog(&writer, &peer).await;
        writer.write(vec![0; MEGABYTES]).unwrap();
        {
            let mut drain = pin!(writer.drain());
            let mut closed = pin!(writer.wait_closed());
            let mut read = pin!(reader.read(1));
            assert!(poll_once(drain.as_mut()).await.is_none());
            assert!(poll_once(closed.as_mut()).await.is_none());
            assert!(poll_once(read.as_mut()).await.is_none());
            writer.transport().abort();
            drain.await.unwrap();
            closed.await.unwrap();
            assert_eq!(read.await.unwrap(), "");
        }
        assert_eq!(writer.drain().await.unwrap_err().to_string(), "connection lost");
        assert_eq!(writer.transport().get_write_buffer_size(), 0);
        writer.transport().abort();
        writer.wait_closed().await.unwrap();
        assert!(net.counts().sockets == before.sockets, "it is parked: the host still works on it");
        peer.resume();
        settle().await;
        assert_eq!(net.counts().sockets, before.sockets - 1);
        assert!(peer.received_len() < MEGABYTES as u64 && peer.saw_eof());
    });
}

#[test]
fn c10_abort_of_an_idle_connection_frees_it_at_once() {
    simulate(async |net| {
        let (_reader, writer, peer) = connected(&net).await;
        writer.transport().abort();
        let counts = net.counts();
        assert_eq!((counts.sockets, counts.input_streams, counts.output_streams), (0, 0, 0));
        peer.ended().await;
    });
}

#[test]
fn c12_a_dropped_writer_closes_as_by_close_and_is_told_once() {
    simulate(async |net| {
        let (mut reader, writer, peer) = connected(&net).await;
        let accepted = clog(&writer, &peer).await;
        drop(writer);
        let reports = take_reports();
        assert!(
            matches!(reports[..], [Report::WriterDropped { peer: named }] if named == name_of(&peer)),
            "{reports:?}"
        );
        sleep(secs(30)).await;
        peer.resume();
        assert_eq!(peer.recv_to_end().await, accepted);
        assert_eq!(reader.read(1).await.unwrap(), "");

        let (_reader, writer, peer) = connected(&net).await;
        drop(writer);
        peer.ended().await;
        assert_eq!(take_reports().len(), 0, "told once");
    });
}

#[test]
fn c12_dropping_a_closed_writer_is_not_told() {
    simulate(async |net| {
        let (_reader, writer, peer) = connected(&net).await;
        clog(&writer, &peer).await;
        writer.close();
        drop(writer);
        assert_eq!(take_reports().len(), 0);
        peer.resume();
    });
}

#[test]
fn c13_without_a_reader_what_arrives_is_thrown_away_and_the_connection_stays() {
    simulate(async |net| {
        let (reader, writer, peer) = connected(&net).await;
        peer.send(&vec![0; MEGABYTES]);
        settle().await;
        assert!(peer.unsent() > 0, "the reader holds the peer back");
        drop(reader);
        peer.drained().await;
        peer.send(&vec![0; MEGABYTES]);
        peer.drained().await;
        assert!(!writer.is_closing());
        writer.write(b"still here").unwrap();
        assert_eq!(peer.recv(10).await, b"still here");
        writer.close();
    });
}

#[test]
fn c14_a_receive_error_loses_the_connection_with_it_and_drops_the_queue() {
    simulate(async |net| {
        let (mut reader, writer, peer) = connected(&net).await;
        clog(&writer, &peer).await;
        peer.reset();
        settle().await;
        assert!(writer.is_closing());
        assert_eq!(writer.transport().get_write_buffer_size(), 0);
        assert_eq!(reader.exception().unwrap().kind(), ErrorKind::ConnectionReset);
        assert_eq!(reader.read(1).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
        assert_eq!(writer.drain().await.unwrap_err().kind(), ErrorKind::ConnectionReset);
        assert_eq!(writer.wait_closed().await.unwrap_err().kind(), ErrorKind::ConnectionReset);
        assert_eq!(net.counts().sockets, 0);
    });
}

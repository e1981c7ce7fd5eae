//! `StreamWriter`: write, writelines, write_eof, and what `is_closing` says.

mod common;

use std::io::ErrorKind;

use wasi_streams::{Error, Report, sleep, stream_pair};

use common::place::{leave_unread, name_of};
use common::{MEGABYTES, clog, connected, ms, pattern, secs, settle, simulate, take_reports};

#[test]
fn w01_write_sends_at_once_while_nothing_is_queued_and_queues_the_rest() {
    simulate(async |net| {
        let (_reader, writer, peer) = connected(&net).await;
        let large = pattern(20_000, 1);
        writer.write(&large).unwrap();
        assert_eq!(peer.take_received(), large, "without a single await");
        assert_eq!(writer.transport().get_write_buffer_size(), 0);

        peer.stall();
        let huge = pattern(MEGABYTES, 2);
        writer.write(&huge).unwrap();
        let queued = writer.transport().get_write_buffer_size();
        assert!(queued > 0 && queued < MEGABYTES, "the host took a part of it: {queued}");
        writer.write(b"behind").unwrap();
        assert_eq!(writer.transport().get_write_buffer_size(), queued + 6);
        peer.resume();
        assert_eq!(peer.recv(MEGABYTES + 6).await, [&huge, &b"behind"[..]].concat());
        writer.close();
    });
}

#[test]
fn w01_a_small_write_needs_no_drain_to_leave() {
    simulate(async |net| {
        let (_reader, writer, peer) = connected(&net).await;
        let before = net.counts().writes;
        writer.write(b"one ").unwrap();
        writer.write(b"two").unwrap();
        assert_eq!(peer.recv(7).await, b"one two");
        assert_eq!(net.counts().writes, before + 1, "small writes of one turn leave as one");
        writer.close();
    });
}

#[test]
fn w02_bytes_leave_in_the_order_of_the_calls() {
    simulate(async |net| {
        let (_reader, writer, peer) = connected(&net).await;
        let mut expected = Vec::new();
        for round in 0..40_u64 {
            if round == 10 {
                peer.stall();
            }
            let (small, large) = (pattern(7, round), pattern(17_000, round));
            writer.write(&small).unwrap();
            writer.writelines([&large, &small, &large]).unwrap();
            writer.write(&large).unwrap();
            for piece in [&small, &large, &small, &large, &large] {
                expected.extend_from_slice(piece);
            }
            if round % 3 == 0 {
                settle().await;
            }
        }
        peer.resume();
        assert_eq!(peer.recv(expected.len()).await, expected);
        writer.close();
    });
}

#[test]
fn w03_writing_nothing_has_no_effect() {
    simulate(async |net| {
        let (_reader, writer, peer) = connected(&net).await;
        let calls = net.counts().writes;
        writer.write(b"").unwrap();
        writer.writelines(Vec::<&[u8]>::new()).unwrap();
        writer.writelines([b"", b""]).unwrap();
        settle().await;
        assert_eq!(net.counts().writes, calls);
        leave_unread(&writer).await;
        peer.reset();
        settle().await;
        take_reports();
        for _ in 0..10 {
            writer.write(b"").unwrap();
        }
        assert_eq!(take_reports().len(), 0, "it does not count as a write to a lost connection");
    });
}

#[test]
fn w05_writing_after_write_eof_is_an_error_even_of_nothing_and_even_once_closed() {
    simulate(async |net| {
        let (_reader, writer, _peer) = connected(&net).await;
        writer.write_eof().unwrap();
        let check = || {
            for data in [&b"x"[..], b""] {
                let error = writer.write(data).unwrap_err();
                assert!(matches!(error, Error::WriteAfterEof("write")));
                assert_eq!(error.to_string(), "cannot call write() after write_eof()");
            }
            let error = writer.writelines(Vec::<&[u8]>::new()).unwrap_err();
            assert_eq!(error.to_string(), "cannot call writelines() after write_eof()");
        };
        check();
        writer.close();
        check();
        writer.wait_closed().await.unwrap();
        check();
    });
}

#[test]
fn w06_drain_after_write_eof_is_fine() {
    simulate(async |net| {
        let (_reader, writer, _peer) = connected(&net).await;
        writer.write(b"last").unwrap();
        writer.write_eof().unwrap();
        writer.drain().await.unwrap();
        settle().await;
        writer.drain().await.unwrap();
        writer.close();
    });
}

#[test]
fn w07_from_the_fifth_write_to_a_lost_connection_on_each_is_reported() {
    simulate(async |net| {
        let (_reader, writer, peer) = connected(&net).await;
        let name = name_of(&peer);
        leave_unread(&writer).await;
        peer.reset();
        settle().await;
        for _ in 0..4 {
            writer.write(b"nobody gets this").unwrap();
        }
        assert_eq!(take_reports().len(), 0);
        for expected in 5..7 {
            writer.writelines([b"nor this"]).unwrap();
            let [Report::WritesAfterLoss { peer, count }] = take_reports()[..] else { panic!("one report") };
            assert_eq!((peer, count), (name, expected));
        }
        assert_eq!(writer.transport().get_write_buffer_size(), 0);
    });
}

#[test]
fn w08_what_is_written_after_close_is_discarded() {
    simulate(async |net| {
        let (_reader, writer, peer) = connected(&net).await;
        let accepted = clog(&writer, &peer).await;
        writer.close();
        writer.write(b"too late").unwrap();
        peer.resume();
        assert_eq!(peer.recv_to_end().await, accepted);
    });
}

#[test]
fn w09_a_send_that_fails_loses_the_connection_and_write_returns_normally() {
    simulate(async |net| {
        for large in [false, true] {
            let (mut reader, writer, peer) = connected(&net).await;
            leave_unread(&writer).await;
            writer.transport().pause_reading(); // else the reset is noticed by reading
            peer.reset();
            settle().await;
            assert!(!writer.is_closing());
            writer.write(vec![7; if large { 100_000 } else { 1 }]).unwrap();
            settle().await;
            assert_eq!(writer.wait_closed().await.unwrap_err().kind(), ErrorKind::ConnectionReset);
            assert_eq!(writer.drain().await.unwrap_err().kind(), ErrorKind::ConnectionReset);
            assert_eq!(reader.read(1).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
        }
    });
}

#[test]
fn w10_to_a_peer_that_closed_both_ways_the_first_write_seems_to_succeed() {
    simulate(async |net| {
        let (mut reader, writer, peer) = connected(&net).await;
        peer.close();
        assert_eq!(reader.read(1).await.unwrap(), "");
        writer.write(b"seems to succeed").unwrap();
        writer.drain().await.unwrap();
        sleep(ms(1)).await;
        writer.write(b"does not").unwrap();
        settle().await;
        let gone = |error: Error| matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset);
        assert!(gone(writer.drain().await.unwrap_err()));
        assert!(gone(reader.read(1).await.unwrap_err()));
        assert!(gone(writer.wait_closed().await.unwrap_err()));
    });
}

#[test]
fn w11_plain_connections_can_write_eof() {
    simulate(async |net| {
        let (_reader, writer, _peer) = connected(&net).await;
        assert!(writer.can_write_eof());
        let ((_r1, one), (_r2, other)) = stream_pair();
        assert!(one.can_write_eof() && other.can_write_eof());
        [writer, one, other].iter().for_each(|writer| writer.close());
    });
}

#[test]
fn w12_the_end_is_sent_behind_what_is_queued() {
    simulate(async |net| {
        let (_reader, writer, peer) = connected(&net).await;
        let data = clog(&writer, &peer).await;
        writer.write_eof().unwrap();
        peer.set_window(10_000);
        peer.resume();
        let mut received = Vec::new();
        while received.len() < data.len() {
            settle().await;
            assert!(!peer.saw_eof() || peer.received_len() == data.len() as u64);
            received.extend(peer.take_received());
        }
        settle().await;
        assert!(peer.saw_eof());
        assert_eq!(received, data);
        writer.close();
    });
}

#[test]
fn w13_write_eof_repeated_or_after_close_has_no_effect() {
    simulate(async |net| {
        let (mut reader, writer, peer) = connected(&net).await;
        writer.write_eof().unwrap();
        writer.write_eof().unwrap();
        settle().await;
        writer.write_eof().unwrap();
        peer.send(b"answer");
        assert_eq!(reader.read(9).await.unwrap(), "answer");
        writer.close();
        writer.write_eof().unwrap();
        writer.wait_closed().await.unwrap();
        writer.write_eof().unwrap();

        let (_reader, writer, peer) = connected(&net).await;
        writer.write(b"all").unwrap();
        writer.close();
        writer.write_eof().unwrap();
        writer.write(b"discarded, not refused").unwrap();
        assert_eq!(peer.recv_to_end().await, b"all");
    });
}

#[test]
fn w14_after_write_eof_reading_goes_on() {
    simulate(async |net| {
        let (mut reader, writer, peer) = connected(&net).await;
        writer.write_eof().unwrap();
        peer.ended().await;
        for _ in 0..3 {
            sleep(secs(100)).await;
            peer.send(b"still here\n");
            assert_eq!(reader.readline().await.unwrap(), "still here\n");
            assert!(!writer.is_closing());
        }
        peer.finish();
        assert_eq!(reader.read(1).await.unwrap(), "");
        assert!(!writer.is_closing());
        writer.close();
    });
}

#[test]
fn w16_after_the_peers_end_writing_goes_on() {
    simulate(async |net| {
        let (mut reader, writer, peer) = connected(&net).await;
        peer.finish();
        assert_eq!(reader.read(1).await.unwrap(), "");
        for _ in 0..3 {
            sleep(secs(100)).await;
            writer.write(b"still here").unwrap();
            writer.drain().await.unwrap();
            assert_eq!(peer.recv(10).await, b"still here");
        }
        writer.close();
        writer.wait_closed().await.unwrap();
        assert!(peer.saw_eof() && !peer.saw_reset());
    });
}

#[test]
fn w17_is_closing_after_close_abort_reset_and_failure_but_not_after_the_peers_end() {
    simulate(async |net| {
        let (_reader, writer, peer) = connected(&net).await;
        assert!(!writer.is_closing());
        peer.finish();
        settle().await;
        assert!(!writer.is_closing(), "half open");
        writer.close();
        assert!(writer.is_closing());

        let (_reader, writer, _peer) = connected(&net).await;
        writer.transport().abort();
        assert!(writer.is_closing() && writer.transport().is_closing());

        let (_reader, writer, peer) = connected(&net).await;
        clog(&writer, &peer).await;
        writer.transport().pause_reading();
        peer.reset();
        settle().await;
        assert!(writer.is_closing(), "the send failed");
    });
}

#[test]
fn w18_a_reset_of_an_idle_connection_is_noticed_without_any_call() {
    simulate(async |net| {
        let (_reader, writer, peer) = connected(&net).await;
        leave_unread(&writer).await;
        net.after(secs(5), move || peer.reset());
        sleep(secs(4)).await;
        assert!(!writer.is_closing());
        sleep(secs(2)).await;
        assert!(writer.is_closing());
    });
}

#[test]
fn w19_transport_is_the_connection_of_the_writer() {
    simulate(async |net| {
        let (_reader, writer, peer) = connected(&net).await;
        assert_eq!(writer.transport().get_extra_info("peername"), writer.get_extra_info("peername"));
        writer.transport().close();
        assert!(writer.is_closing());
        peer.ended().await;
        writer.wait_closed().await.unwrap();
    });
}

#[test]
fn w20_transport_controls_and_tells() {
    simulate(async |net| {
        let (mut reader, writer, peer) = connected(&net).await;
        let transport = writer.transport();
        assert!(transport.is_reading());
        transport.pause_reading();
        assert!(!transport.is_reading());
        peer.send(b"later");
        sleep(secs(1)).await;
        assert_eq!(peer.unsent(), 5, "nothing was taken");
        transport.resume_reading();
        assert!(transport.is_reading());
        assert_eq!(reader.read(9).await.unwrap(), "later");

        transport.set_write_buffer_limits(1000, None).unwrap();
        assert_eq!(transport.get_write_buffer_limits(), (250, 1000));
        assert_eq!(transport.get_write_buffer_size(), 0);
        clog(&writer, &peer).await;
        assert!(transport.get_write_buffer_size() > 0);
        assert_eq!(transport.get_extra_info("peername").unwrap().address(), name_of(&peer));

        assert!(!transport.is_closing());
        transport.abort();
        assert!(transport.is_closing() && !transport.is_reading());
        peer.resume();
        settle().await;
    });
}

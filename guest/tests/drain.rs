//! `drain` and the write marks: when it waits, what ends the wait, and with what.

mod common;

use std::io::ErrorKind;
use std::pin::pin;
use std::rc::Rc;

use futures_lite::future::poll_once;
use wasi_streams::sim::{Faults, Network, Peer};
use wasi_streams::{Error, Instant, StreamReader, StreamWriter, sleep, spawn, timeout, yield_now};

use common::place::leave_unread;
use common::{MEGABYTES, clog, connected, ms, pattern, secs, settle, simulate};

#[test]
fn d01_at_or_below_the_high_mark_drain_returns_at_once() {
    simulate(async |net| {
        let (_reader, writer, peer) = connected(&net).await;
        writer.drain().await.unwrap();
        clog(&writer, &peer).await;
        writer.write(vec![0; 65_536 - writer.transport().get_write_buffer_size()]).unwrap();
        assert_eq!(writer.transport().get_write_buffer_size(), 65_536);
        assert!(poll_once(writer.drain()).await.is_some(), "it is not a flush");
        writer.write(b"!").unwrap();
        assert!(poll_once(writer.drain()).await.is_none(), "one byte above the mark");
        peer.resume();
        writer.close();
    });
}

#[test]
fn d02_drain_waits_until_the_queue_is_at_the_low_mark() {
    simulate(async |net| {
        let (_reader, writer, peer) = trickling(&net).await;
        writer.transport().set_write_buffer_limits(10_000, 2_500).unwrap();
        writer.write(vec![7; 20_000]).unwrap();
        let mut drain = pin!(writer.drain());
        let mut steps = 0;
        while poll_once(drain.as_mut()).await.is_none() {
            assert!(writer.transport().get_write_buffer_size() > 2_500);
            peer.take_received();
            settle().await;
            steps += 1;
        }
        assert!(writer.transport().get_write_buffer_size() <= 2_500);
        assert!(writer.transport().get_write_buffer_size() > 0 && steps > 5, "it fell step by step");
        peer.set_window(usize::MAX);
        writer.close();
    });
}

#[test]
fn d03_waiting_drains_are_released_together() {
    simulate(async |net| {
        let (_reader, writer, peer) = connected(&net).await;
        let writer = Rc::new(writer);
        peer.stall();
        writer.write(vec![0; MEGABYTES]).unwrap();
        let drains: Vec<_> = (0..5)
            .map(|_| {
                let writer = Rc::clone(&writer);
                spawn(async move { writer.drain().await.map(|()| Instant::now()) })
            })
            .collect();
        sleep(secs(1)).await;
        assert!(drains.iter().all(|drain| !drain.is_finished()));
        let resumed = Instant::now();
        peer.resume();
        for drain in drains {
            assert_eq!(drain.await.unwrap().unwrap(), resumed);
        }
        writer.close();
    });
}

#[test]
fn d04_drain_raises_the_error_stored_in_the_reader() {
    simulate(async |net| {
        let (reader, writer, _peer) = connected(&net).await;
        reader.set_exception(Error::io(ErrorKind::InvalidData, "bad protocol"));
        for _ in 0..2 {
            assert_eq!(writer.drain().await.unwrap_err().to_string(), "bad protocol");
        }
        writer.close();
    });
}

#[test]
fn d05_drain_of_a_connection_that_is_gone_without_error_says_connection_lost() {
    simulate(async |net| {
        let (_reader, writer, _peer) = connected(&net).await;
        writer.close();
        assert_lost(writer.drain().await); // right after one's own close
        writer.wait_closed().await.unwrap();
        assert_lost(writer.drain().await);

        let (_reader, writer, _peer) = connected(&net).await;
        writer.transport().abort();
        assert_lost(writer.drain().await);
    });
}

#[test]
fn d06_a_waiting_drain_raises_the_loss_or_returns_when_there_is_none() {
    simulate(async |net| {
        let (_reader, writer, peer) = connected(&net).await;
        let writer = Rc::new(writer);
        let drain = waiting_drain(&writer, &peer).await;
        peer.reset();
        assert_eq!(drain.await.unwrap().unwrap_err().kind(), ErrorKind::ConnectionReset);
        assert_ne!(writer.drain().await.unwrap_err().to_string(), "connection lost");

        let (_reader, writer, peer) = connected(&net).await;
        let writer = Rc::new(writer);
        let drain = waiting_drain(&writer, &peer).await;
        writer.transport().abort();
        drain.await.unwrap().unwrap();
        assert_lost(writer.drain().await);
        peer.resume();
        settle().await;
    });
}

#[test]
fn d07_while_closing_drain_waits_for_the_flush() {
    simulate(async |net| {
        let (_reader, writer, peer) = connected(&net).await;
        peer.stall();
        writer.write(vec![0; MEGABYTES]).unwrap();
        writer.close();
        {
            let mut drain = pin!(writer.drain());
            assert!(timeout(secs(100), drain.as_mut()).await.is_err());
            peer.resume();
            drain.await.unwrap();
        }
        writer.wait_closed().await.unwrap();
        assert_eq!(peer.received_len(), MEGABYTES as u64);
    });
}

#[test]
fn d08_a_loop_of_write_and_drain_sees_the_loss() {
    simulate(async |net| {
        let (_reader, writer, peer) = connected(&net).await;
        leave_unread(&writer).await;
        peer.reset();
        let mut rounds = 0;
        while writer.write(b"x").is_ok() && writer.drain().await.is_ok() {
            rounds += 1;
            assert!(rounds < 100, "it would spin for ever");
        }

        let (_reader, writer, _peer) = connected(&net).await;
        writer.close();
        while writer.write(b"x").is_ok() && writer.drain().await.is_ok() {
            rounds += 1;
            assert!(rounds < 100, "it would spin for ever");
        }
    });
}

#[test]
fn d08_each_drain_of_a_closing_connection_lets_the_others_run() {
    simulate(async |net| {
        net.set_send_buffer(1);
        let (_reader, writer, peer) = connected(&net).await;
        peer.stall();
        writer.write(vec![0; 1000]).unwrap(); // in flight: the queue is empty, and the close has to wait
        settle().await;
        writer.close();
        let turns = spawn(async {
            for _ in 0..10 {
                yield_now().await;
            }
        });
        for _ in 0..20 {
            writer.drain().await.unwrap();
        }
        assert!(turns.is_finished());
        peer.resume();
        writer.wait_closed().await.unwrap();
    });
}

#[test]
fn d09_after_the_peers_end_alone_drain_is_fine() {
    simulate(async |net| {
        let (mut reader, writer, peer) = connected(&net).await;
        peer.finish();
        assert_eq!(reader.read(1).await.unwrap(), "");
        writer.drain().await.unwrap();
        writer.write(vec![0; MEGABYTES]).unwrap();
        writer.drain().await.unwrap();
        writer.close();
    });
}

#[test]
fn d10_cancelling_drain_leaves_the_data_queued() {
    simulate(async |net| {
        let (_reader, writer, peer) = connected(&net).await;
        peer.stall();
        let data = pattern(MEGABYTES, 1);
        writer.write(&data).unwrap();
        settle().await;
        let queued = writer.transport().get_write_buffer_size();
        assert!(queued > 0);
        assert!(timeout(ms(10), writer.drain()).await.is_err());
        assert_eq!(writer.transport().get_write_buffer_size(), queued);
        peer.resume();
        assert_eq!(peer.recv(MEGABYTES).await, data);
        writer.close();
    });
}

#[test]
fn d11_the_marks_are_16_and_64_kib_unless_set() {
    simulate(async |net| {
        let (_reader, writer, _peer) = connected(&net).await;
        let transport = writer.transport();
        assert_eq!(transport.get_write_buffer_limits(), (16_384, 65_536));
        transport.set_write_buffer_limits(1, 1).unwrap();
        transport.set_write_buffer_limits(None, None).unwrap();
        assert_eq!(transport.get_write_buffer_limits(), (16_384, 65_536));
        writer.close();
    });
}

#[test]
fn d12_a_high_mark_of_zero_makes_drain_a_flush() {
    simulate(async |net| {
        let (_reader, writer, peer) = trickling(&net).await;
        writer.transport().set_write_buffer_limits(0, None).unwrap();
        writer.write(b"x".repeat(5000)).unwrap();
        {
            let mut drain = pin!(writer.drain());
            while poll_once(drain.as_mut()).await.is_none() {
                assert!(writer.transport().get_write_buffer_size() > 0);
                peer.take_received();
                settle().await;
            }
        }
        assert_eq!(writer.transport().get_write_buffer_size(), 0);
        peer.set_window(usize::MAX);
        writer.close();
    });
}

#[test]
fn d13_impossible_marks_leave_the_old_ones() {
    simulate(async |net| {
        let (_reader, writer, _peer) = connected(&net).await;
        let transport = writer.transport();
        transport.set_write_buffer_limits(1000, 10).unwrap();
        let error = transport.set_write_buffer_limits(5, 6).unwrap_err();
        assert!(matches!(error, Error::InvalidInput(_)), "{error:?}");
        assert_eq!(transport.get_write_buffer_limits(), (10, 1000));
        writer.close();
    });
}

#[test]
fn d14_d15_new_marks_hold_drain_at_once_and_release_it_only_when_the_queue_falls() {
    simulate(async |net| {
        let (_reader, writer, peer) = connected(&net).await;
        clog(&writer, &peer).await;
        writer.write(vec![0; 1000]).unwrap();
        assert!(poll_once(writer.drain()).await.is_some());
        writer.transport().set_write_buffer_limits(10, 5).unwrap();
        {
            let mut drain = pin!(writer.drain());
            assert!(poll_once(drain.as_mut()).await.is_none(), "held at once");
            writer.transport().set_write_buffer_limits(MEGABYTES, None).unwrap();
            assert!(timeout(secs(1), drain.as_mut()).await.is_err(), "raised marks alone release nobody");
            peer.resume();
            drain.await.unwrap();
        }
        writer.close();
    });
}

#[test]
fn d16_writelines_past_the_high_mark_holds_drain() {
    simulate(async |net| {
        let (_reader, writer, peer) = connected(&net).await;
        clog(&writer, &peer).await;
        writer.writelines((0..100).map(|_| [0; 1000])).unwrap();
        assert!(poll_once(writer.drain()).await.is_none());
        peer.resume();
        writer.drain().await.unwrap();
        writer.close();
    });
}

#[test]
fn d17_the_write_buffer_size_is_what_was_accepted_and_not_handed_over() {
    simulate(async |net| {
        let (_reader, writer, peer) = connected(&net).await;
        let transport = writer.transport();
        writer.write(b"12345").unwrap();
        assert_eq!(transport.get_write_buffer_size(), 5, "it leaves at the end of the turn");
        settle().await;
        assert_eq!((transport.get_write_buffer_size(), peer.received_len()), (0, 5));
        let accepted = clog(&writer, &peer).await.len() + 5;
        let handed_over = usize::try_from(net.counts().bytes_written).unwrap();
        assert_eq!(transport.get_write_buffer_size(), accepted - handed_over);
        transport.abort();
        assert_eq!(transport.get_write_buffer_size(), 0);
        peer.resume();
        settle().await;
    });
}

fn assert_lost(result: Result<(), Error>) {
    let error = result.unwrap_err();
    assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::ConnectionReset, "connection lost"));
}

/// A drain that waits, and will for as long as the peer stalls.
async fn waiting_drain(writer: &Rc<StreamWriter>, peer: &Peer) -> wasi_streams::JoinHandle<wasi_streams::Result<()>> {
    peer.stall();
    writer.write(vec![0; MEGABYTES]).unwrap();
    let task = spawn({
        let writer = Rc::clone(writer);
        async move { writer.drain().await }
    });
    settle().await;
    assert!(!task.is_finished());
    task
}

/// A connection whose every part holds 1000 bytes, so that the queue falls by 1000 when the peer takes as much.
async fn trickling(net: &Network) -> (StreamReader, StreamWriter, Peer) {
    net.set_send_buffer(1000);
    net.set_faults(Faults { max_write: Some(1000), ..Faults::default() });
    let (reader, writer, peer) = connected(net).await;
    peer.set_window(1000);
    (reader, writer, peer)
}

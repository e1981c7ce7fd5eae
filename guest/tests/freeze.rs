//! A peer that stops reading, with megabytes on the way to it, holds up nobody else: however the connection ends.

mod common;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use wasi_streams::sim::{Network, Peer};
use wasi_streams::{EXIT_STALL, Instant, Report, StreamReader, StreamWriter, run, sleep, spawn, timeout};

use common::place::{client_of, name_of, start};
use common::{MEGABYTES, assert_no_task_panicked, collect_reports, connected, ms, network, secs, settle, take_reports};

#[test]
fn closed_while_the_peer_stalls() {
    nobody_waits(async |stalled| {
        stalled.writer.close();
        drop(stalled.reader);
        assert!(timeout(secs(10), stalled.writer.wait_closed()).await.is_err());
    });
}

#[test]
fn dropped_while_the_peer_stalls() {
    nobody_waits(async |stalled| {
        drop((stalled.reader, stalled.writer));
        sleep(secs(10)).await;
    });
}

#[test]
fn aborted_while_the_peer_stalls() {
    nobody_waits(async |stalled| {
        stalled.writer.transport().abort();
        stalled.writer.wait_closed().await.unwrap();
        sleep(secs(10)).await;
    });
}

#[test]
fn timed_out_while_the_peer_stalls() {
    nobody_waits(async |stalled| {
        let conversation = async move {
            stalled.writer.drain().await.unwrap();
            drop(stalled.reader);
        };
        assert!(timeout(secs(10), conversation).await.is_err());
    });
}

#[test]
fn cancelled_while_the_peer_stalls() {
    nobody_waits(async |stalled| {
        let task = spawn(async move { stalled.writer.drain().await });
        sleep(secs(10)).await;
        task.abort();
        assert!(task.await.is_err());
    });
}

#[test]
fn aborted_by_the_server_while_the_peer_stalls() {
    let net = network();
    run(async {
        let handler = async |_reader: StreamReader, writer: StreamWriter| {
            writer.write(vec![0; MEGABYTES]).unwrap();
            writer.drain().await.unwrap();
        };
        let server = start(handler).await.unwrap();
        let peer = client_of(&net, &server);
        peer.stall();
        sleep(secs(1)).await;
        server.close();
        server.abort_clients();
        timeout(ms(1), server.wait_closed()).await.unwrap();
        sleep(secs(10)).await;
    });
    assert_eq!(net.freezes(), 0);
}

#[test]
fn left_at_the_end_of_the_program_while_the_peer_stalls() {
    for leave in [Leave::Alone, Leave::Closed, Leave::InATask] {
        let net = network();
        collect_reports();
        let (peer, ended) = run(async {
            let Stalled { reader, writer, peer } = stalled(&net).await;
            match leave {
                Leave::Alone => drop((reader, writer)),
                Leave::Closed => writer.close(),
                Leave::InATask => drop(spawn(async move {
                    let _reader = reader;
                    writer.drain().await
                })),
            }
            settle().await;
            (peer, Instant::now())
        });
        assert_eq!(ended.elapsed(), EXIT_STALL, "{leave:?}");
        assert_eq!(net.freezes(), 0);
        let undelivered = take_reports().into_iter().find_map(|report| match report {
            Report::Undelivered { peer: to, bytes } if to == name_of(&peer) => Some(bytes),
            _ => None,
        });
        let handed_over = usize::try_from(net.counts().bytes_written).unwrap();
        assert_eq!(undelivered, Some(MEGABYTES - handed_over), "{leave:?}");
        net.exit();
    }
}

#[derive(Clone, Copy, Debug)]
enum Leave {
    Alone,
    Closed,
    InATask,
}

struct Stalled {
    reader: StreamReader,
    writer: StreamWriter,
    peer: Peer,
}

async fn stalled(net: &Network) -> Stalled {
    let (reader, writer, peer) = connected(net).await;
    peer.stall();
    writer.write(vec![0; MEGABYTES]).unwrap();
    settle().await;
    assert!(writer.transport().get_write_buffer_size() > 0);
    Stalled { reader, writer, peer }
}

/// Ends a stalled connection by `end`; another conversation and a ticker go on as if nothing were.
fn nobody_waits(end: impl AsyncFnOnce(Stalled)) {
    let net = network();
    collect_reports();
    run(async {
        let stalled = stalled(&net).await;
        let peer = stalled.peer.clone();
        let ticks = Rc::new(RefCell::new(vec![Instant::now()]));
        let ticker = spawn({
            let ticks = Rc::clone(&ticks);
            async move {
                loop {
                    sleep(ms(10)).await;
                    ticks.borrow_mut().push(Instant::now());
                }
            }
        });
        let (mut reader, writer, friend) = connected(&net).await;
        let talk = spawn(async move {
            for _ in 0..100 {
                writer.write(b"ping\n").unwrap();
                friend.recv_until(b"\n").await;
                friend.send(b"pong\n");
                assert_eq!(reader.readline().await.unwrap(), "pong\n");
                sleep(ms(100)).await;
            }
            writer.close();
        });
        let start = Instant::now();
        end(stalled).await;
        talk.await.unwrap();
        assert!(start.elapsed() < secs(11), "the conversation was held up");
        ticker.abort();
        let ticks = ticks.take();
        assert!(ticks.len() > 1000);
        assert!(ticks.windows(2).all(|pair| pair[1] - pair[0] == Duration::from_millis(10)), "a tick came late");
        drop(peer);
        sleep(secs(3)).await;
        assert_eq!(net.counts().sockets, 0, "freed once the peer is gone");
    });
    assert_eq!(net.freezes(), 0);
    assert_no_task_panicked();
}

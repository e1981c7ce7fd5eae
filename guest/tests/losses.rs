//! What is lost is told, and what was given is not ignored: the cases between the rows of CONFORMANCE.md.

mod common;

use std::rc::Rc;

use common::place::{client_of, start};
use common::{clog, connected, network, pattern, settle, simulate};
use futures_lite::AsyncWriteExt;
use wasi_streams::sim::Network;
use wasi_streams::{StreamReader, StreamWriter, run, set_report_hook, spawn};

#[test]
fn c07_a_write_in_flight_that_fails_before_close_is_told_by_wait_closed() {
    simulate(async |net| {
        let writer = write_in_flight_to_a_half_closed_peer(&net, async |_, peer| peer.reset()).await;
        writer.close();
        assert!(writer.wait_closed().await.is_err());
    });
}

#[test]
fn c07_a_write_in_flight_that_fails_behind_close_is_told_by_wait_closed() {
    simulate(async |net| {
        let close_first = async |writer: &StreamWriter, peer: &wasi_streams::sim::Peer| {
            writer.close();
            settle().await;
            peer.reset();
        };
        let writer = write_in_flight_to_a_half_closed_peer(&net, close_first).await;
        assert!(writer.wait_closed().await.is_err());
    });
}

#[test]
fn a_flush_that_waits_while_the_connection_is_aborted_is_no_success() {
    simulate(async |net| {
        let (_reader, mut writer, peer) = connected(&net).await;
        clog(&writer, &peer).await;
        let transport = writer.transport();
        let flush = spawn(async move { writer.flush().await });
        settle().await;
        transport.abort();
        assert!(flush.await.unwrap().is_err());
        peer.resume();
        settle().await;
    });
}

#[test]
fn a_long_write_to_a_fast_peer_leaves_the_loop_to_others() {
    simulate(async |net| {
        let (_reader, writer, peer) = connected(&net).await;
        let before = net.counts().writes;
        writer.write(pattern(16 << 20, 3)).unwrap();
        assert!(net.counts().writes - before <= 8, "{} host writes in one call", net.counts().writes - before);
        assert!(peer.recv(16 << 20).await == pattern(16 << 20, 3));
        writer.close();
    });
}

#[test]
fn a_report_hook_may_write_to_a_lost_connection() {
    let net = network();
    run(async {
        let (_reader, writer, _peer) = connected(&net).await;
        let writer = Rc::new(writer);
        let log = Rc::clone(&writer);
        set_report_hook(move |report| log.write(format!("{report}\n")).unwrap());
        writer.transport().abort();
        for _ in 0..6 {
            writer.write("x").unwrap();
        }
        set_report_hook(|_| {});
    });
}

#[test]
fn a_closed_server_lets_go_of_its_handler() {
    simulate(async |_net| {
        let state = Rc::new(());
        let inner = Rc::clone(&state);
        let handler = move |_: StreamReader, _: StreamWriter| drop(Rc::clone(&inner));
        let server = start(handler).await.unwrap();
        server.close();
        server.wait_closed().await;
        settle().await;
        assert_eq!(Rc::strong_count(&state), 1);
    });
}

#[test]
fn what_a_report_hook_starts_at_the_end_does_not_outlive_the_run() {
    let net = network();
    let state = Rc::new(());
    let inner = Rc::clone(&state);
    set_report_hook(move |_| {
        let kept = Rc::clone(&inner);
        drop(spawn(async move {
            std::future::pending::<()>().await;
            drop(kept);
        }));
    });
    run(async {
        let (_reader, writer, peer) = connected(&net).await;
        clog(&writer, &peer).await;
        writer.close();
        std::mem::forget(peer);
    });
    set_report_hook(|_| {});
    assert_eq!(Rc::strong_count(&state), 1);
}

#[test]
fn a_handler_may_return_any_value() {
    simulate(async |net| {
        async fn count(mut reader: StreamReader, writer: StreamWriter) -> wasi_streams::Result<usize> {
            let data = reader.read_to_end().await?;
            writer.close();
            Ok(data.len())
        }
        let server = start(count).await.unwrap();
        let peer = client_of(&net, &server);
        peer.send(b"abc");
        peer.finish();
        assert_eq!(peer.recv_to_end().await, b"");
    });
}

/// The peer half closes and stalls; a write leaves our queue and stays in the host's hands; then `end` happens.
async fn write_in_flight_to_a_half_closed_peer(
    net: &Network,
    end: impl AsyncFnOnce(&StreamWriter, &wasi_streams::sim::Peer),
) -> StreamWriter {
    net.set_send_buffer(4096);
    let (mut reader, writer, peer) = connected(net).await;
    peer.finish();
    assert!(reader.read(1).await.unwrap().is_empty());
    peer.stall();
    writer.write(pattern(30_000, 0)).unwrap();
    settle().await;
    assert_eq!(writer.transport().get_write_buffer_size(), 0);
    end(&writer, &peer).await;
    settle().await;
    writer
}

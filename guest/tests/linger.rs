//! TCP connections that linger once closed, because a reset could destroy what was sent; Unix sockets do not have to (see `unix.rs`).

mod common;

use wasi_streams::sim::{Network, Peer};
use wasi_streams::{Instant, sleep, spawn};

use common::{MEGABYTES, clog, connected, ms, pattern, secs, settle, simulate};

#[test]
fn a_peer_that_still_sends_gets_what_was_written_before_the_close() {
    simulate(async |net| {
        let (reader, writer, peer) = connected(&net).await;
        let accepted = clog(&writer, &peer).await;
        peer.send(&vec![0; MEGABYTES]); // unread data would make the system send a reset
        settle().await;
        drop(reader);
        writer.close();
        sleep(secs(1)).await;
        peer.resume();
        assert_eq!(peer.recv_to_end().await, accepted);
        assert!(!peer.saw_reset());
        writer.wait_closed().await.unwrap();
        peer.finish();
    });
}

/// Closes a connection that has sent `data` to a peer with `unread` bytes of its own on the way; gives the peer.
async fn closed_after(net: &Network, data: &[u8], unread: &[u8]) -> Peer {
    let (_reader, writer, peer) = connected(net).await;
    writer.transport().pause_reading();
    peer.send(unread);
    writer.write(data).unwrap();
    settle().await;
    writer.close();
    let start = Instant::now();
    writer.wait_closed().await.unwrap();
    assert_eq!(peer.recv_to_end().await, data);
    assert_eq!(start.elapsed(), secs(0), "lingering keeps neither the program nor the peer waiting");
    peer
}

#[test]
fn a_closed_connection_discards_what_the_peer_sends_until_two_seconds_after_the_last_of_it() {
    simulate(async |net| {
        let peer = closed_after(&net, b"bye", b"unread").await;
        for _ in 0..5 {
            sleep(ms(1999)).await;
            assert_eq!(net.counts().sockets, 1, "it lingers");
            peer.send(b"more");
            peer.drained().await;
            assert!(!peer.saw_reset());
        }
        sleep(ms(1999)).await;
        assert_eq!(net.counts().sockets, 1);
        sleep(ms(2)).await;
        assert_eq!(net.counts().sockets, 0);
    });
}

#[test]
fn a_closed_connection_discards_for_thirty_seconds_at_most() {
    simulate(async |net| {
        let peer = closed_after(&net, b"bye", b"unread").await;
        let closed = Instant::now();
        spawn(async move {
            loop {
                sleep(ms(100)).await;
                peer.send(b"more");
            }
        });
        sleep(ms(29_950)).await;
        assert_eq!(net.counts().sockets, 1);
        sleep(ms(200)).await;
        assert_eq!(closed.elapsed(), ms(30_150));
        assert_eq!(net.counts().sockets, 0);
    });
}

#[test]
fn a_connection_that_has_sent_more_than_eight_kilobytes_lingers_though_nothing_is_unread() {
    simulate(async |net| {
        // Until the peer's end, whatever comes before it.
        let peer = closed_after(&net, &pattern(8 * 1024 + 1, 1), b"").await;
        sleep(ms(1500)).await;
        peer.send(b"late");
        peer.drained().await;
        sleep(ms(1500)).await;
        assert_eq!(net.counts().sockets, 1, "it lingers");
        peer.finish();
        settle().await;
        assert_eq!(net.counts().sockets, 0);
        assert!(!peer.saw_reset());

        let _silent = closed_after(&net, &pattern(8 * 1024 + 1, 1), b"").await;
        sleep(ms(1999)).await;
        assert_eq!(net.counts().sockets, 1);
        sleep(ms(2)).await;
        assert_eq!(net.counts().sockets, 0, "the peer has nothing to say");
    });
}

#[test]
fn a_connection_with_nothing_to_lose_is_dropped_at_once() {
    simulate(async |net| {
        let _peer = closed_after(&net, &pattern(8 * 1024, 1), b"").await;
        assert_eq!(net.counts().sockets, 0, "little was sent, and nothing is unread");

        let (mut reader, writer, peer) = connected(&net).await;
        peer.finish();
        assert_eq!(reader.read(1).await.unwrap(), "");
        writer.write(vec![0; 64 * 1024]).unwrap();
        writer.close();
        writer.wait_closed().await.unwrap();
        settle().await;
        assert_eq!(net.counts().sockets, 0, "the peer has finished");
        assert_eq!(peer.recv_to_end().await.len(), 64 * 1024);
    });
}

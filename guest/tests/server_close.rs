//! `Server`: closing it, its clients, and waiting for both.

mod common;

use std::cell::RefCell;
use std::rc::Rc;

use futures_lite::future::poll_once;
use wasi_streams::sim::{Network, Peer};
use wasi_streams::{Error, Server, StreamReader, StreamWriter, sleep, spawn, timeout};

use common::place::{Place, client_of, start};
use common::{MEGABYTES, ms, secs, settle, simulate};

#[test]
fn s25_serve_forever_given_up_closes_the_server_and_leaves_the_clients() {
    simulate(async |net| {
        let (server, peer) = with_client(&net).await;
        let serving = spawn({
            let server = Rc::clone(&server);
            async move { server.serve_forever().await }
        });
        settle().await;
        let at = Place::of(&server);
        serving.abort();
        assert!(!server.is_serving());
        assert_eq!(at.connect(&net).unwrap_err(), at.refusal());
        assert!(timeout(secs(10), server.wait_closed()).await.is_err(), "a client is there");
        still_served(&peer).await;
        peer.finish();
        server.wait_closed().await;
    });
}

#[test]
fn s26_close_ends_serve_forever_as_if_cancelled_once_the_clients_are_gone() {
    simulate(async |net| {
        let (server, peer) = with_client(&net).await;
        let serving = spawn({
            let server = Rc::clone(&server);
            async move { server.serve_forever().await }
        });
        settle().await;
        server.close();
        sleep(secs(10)).await;
        assert!(!serving.is_finished(), "a client is there");
        still_served(&peer).await;
        peer.finish();
        let error = serving.await.unwrap().unwrap_err();
        assert!(matches!(error, Error::Cancelled(_)), "{error:?}");
        assert_eq!(net.now(), secs(10));
    });
}

#[test]
fn s27_close_refuses_connections_at_once_and_leaves_the_open_ones() {
    simulate(async |net| {
        let (server, peer) = with_client(&net).await;
        let at = Place::of(&server);
        server.close();
        server.close();
        assert_eq!(at.connect(&net).unwrap_err(), at.refusal());
        assert_eq!(net.counts().sockets, 1, "the client's");
        still_served(&peer).await;
        peer.finish();
        server.wait_closed().await;
    });
}

#[test]
fn s28_wait_closed_of_an_open_server_without_clients_waits() {
    simulate(async |_net| {
        let server = Rc::new(start(upper).await.unwrap());
        let waiting = spawn({
            let server = Rc::clone(&server);
            async move { server.wait_closed().await }
        });
        sleep(secs(1000)).await;
        assert!(!waiting.is_finished());
        server.close();
        timeout(ms(1), waiting).await.unwrap().unwrap();
    });
}

#[test]
fn s29_any_number_may_wait_for_the_last_client() {
    simulate(async |net| {
        let (server, peer) = with_client(&net).await;
        let second = client_of(&net, &server);
        let wait = |server: &Rc<Server>| {
            let server = Rc::clone(server);
            spawn(async move { server.wait_closed().await })
        };
        let early = [wait(&server), wait(&server)];
        settle().await;
        server.close();
        let late = [wait(&server), wait(&server)];
        peer.finish();
        sleep(secs(10)).await;
        assert!(early.iter().chain(&late).all(|waiter| !waiter.is_finished()), "one client is left");
        second.finish();
        for waiter in early.into_iter().chain(late) {
            timeout(ms(1), waiter).await.unwrap().unwrap();
        }
    });
}

#[test]
fn s29_clients_may_go_before_the_close() {
    simulate(async |net| {
        let (server, peer) = with_client(&net).await;
        peer.finish();
        settle().await;
        assert!(timeout(secs(1), server.wait_closed()).await.is_err(), "it is open");
        server.close();
        timeout(ms(1), server.wait_closed()).await.unwrap();
    });
}

#[test]
fn s30_wait_closed_returns_at_once_every_time_when_nothing_is_left() {
    simulate(async |_net| {
        let server = start(upper).await.unwrap();
        server.close();
        for _ in 0..3 {
            assert!(poll_once(server.wait_closed()).await.is_some());
        }
    });
}

#[test]
fn s31_a_client_is_gone_when_its_connection_is_whatever_its_handler_does() {
    simulate(async |net| {
        let busy = async |_reader: StreamReader, writer: StreamWriter| {
            writer.close();
            sleep(secs(1000)).await;
        };
        let server = start(busy).await.unwrap();
        let peer = client_of(&net, &server);
        peer.ended().await;
        server.close();
        server.wait_closed().await;
        assert_eq!((net.now(), server.connections()), (secs(0), 0));
    });
}

#[test]
fn s32_close_clients_flushes_what_is_queued() {
    simulate(async |net| {
        let (server, peers) = flooding(&net, 3).await;
        server.close();
        server.close_clients();
        assert!(timeout(secs(100), server.wait_closed()).await.is_err());
        for peer in &peers {
            peer.resume();
            assert_eq!(peer.recv_to_end().await.len(), MEGABYTES);
        }
        timeout(ms(1), server.wait_closed()).await.unwrap();
    });
}

#[test]
fn s33_abort_clients_does_not_wait_for_stalled_peers() {
    simulate(async |net| {
        let (server, peers) = flooding(&net, 3).await;
        server.close();
        server.abort_clients();
        assert_eq!(server.connections(), 0);
        timeout(ms(1), server.wait_closed()).await.unwrap();
        for peer in &peers {
            assert!(peer.received_len() < MEGABYTES as u64);
            peer.resume();
            peer.ended().await;
        }
        settle().await;
        assert_eq!(net.counts().sockets, 0);
    });
}

#[test]
fn s34_leaving_the_scope_is_close_and_wait_closed() {
    simulate(async |net| {
        let (server, peer) = with_client(&net).await;
        net.after(secs(5), {
            let peer = peer.clone();
            move || peer.finish()
        });
        server.close();
        server.wait_closed().await;
        assert_eq!((net.now(), net.counts().sockets), (secs(5), 0));
    });
}

#[test]
fn s42_dropping_the_server_closes_it_and_leaves_the_clients() {
    simulate(async |net| {
        let (server, peer) = with_client(&net).await;
        let at = Place::of(&server);
        drop(server);
        assert_eq!(at.connect(&net).unwrap_err(), at.refusal());
        still_served(&peer).await;
        peer.finish();
        peer.ended().await;
    });
}

#[test]
fn a_handler_may_close_its_server() {
    simulate(async |net| {
        let server = Rc::new(RefCell::new(None::<Server>));
        let last = {
            let server = Rc::clone(&server);
            move |_: StreamReader, writer: StreamWriter| {
                server.borrow().as_ref().unwrap().close();
                writer.write(b"the last one").unwrap();
                writer.close();
            }
        };
        *server.borrow_mut() = Some(start(last).await.unwrap());
        let at = Place::of(server.borrow().as_ref().unwrap());
        let (first, second) = (at.connect(&net).unwrap(), at.connect(&net).unwrap());
        assert_eq!(first.recv_to_end().await, b"the last one");
        assert_eq!(second.recv_to_end().await, b"");
        assert!(second.saw_reset(), "it was never accepted");
        assert_eq!(at.connect(&net).unwrap_err(), at.refusal());
        server.take();
    });
}

/// Answers each line in upper case until the client has finished.
async fn upper(mut reader: StreamReader, writer: StreamWriter) -> wasi_streams::Result<()> {
    loop {
        let line = reader.readline().await?;
        if line.is_empty() {
            writer.close();
            return Ok(());
        }
        writer.write(line.to_ascii_uppercase())?;
    }
}

/// A server with one client, which has been accepted.
async fn with_client(net: &Network) -> (Rc<Server>, Peer) {
    let server = start(upper).await.unwrap();
    let peer = client_of(net, &server);
    settle().await;
    assert_eq!(server.connections(), 1);
    (Rc::new(server), peer)
}

async fn still_served(peer: &Peer) {
    peer.send(b"served?\n");
    assert_eq!(peer.recv(8).await, b"SERVED?\n");
}

/// A server with megabytes for each of `n` clients, none of which reads.
async fn flooding(net: &Network, n: usize) -> (Server, Vec<Peer>) {
    let flood = async |_reader: StreamReader, writer: StreamWriter| {
        writer.write(vec![0; MEGABYTES]).unwrap();
        drop(writer.drain().await);
        drop(writer.wait_closed().await);
    };
    let server = start(flood).await.unwrap();
    let peers: Vec<Peer> = (0..n).map(|_| client_of(net, &server)).collect();
    peers.iter().for_each(Peer::stall);
    settle().await;
    assert_eq!(server.connections(), n);
    (server, peers)
}

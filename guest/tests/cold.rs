//! A connection that was quiet for long, while others are busy, is noticed within the tick of the reactor: in virtual time,
//! exactly.

mod common;

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use wasi_streams::sim::{Faults, Network, Peer};
use wasi_streams::{Instant, Result, Server, StreamReader, StreamWriter, spawn, yield_now};

use common::place::{client_of, start};
use common::{ms, pass, simulate, with_state};

#[test]
fn a_cold_connection_is_noticed_within_a_tick_at_whatever_phase_its_request_comes() {
    for (cold, busy) in [(80, 3), (300, 3), (1000, 5), (200, 70)] {
        simulate(async |net| {
            let (server, noticed, peers) = crowd(&net, cold + busy).await;
            let talking = talk(&net, &peers[..busy]);
            let waits = ask_each_other_time(&net, &peers[busy..], &noticed, busy).await;
            let worst = *waits.iter().max().unwrap();
            println!("{worst:?} with {cold} cold and {busy} busy connections, {:?} are allowed", tick(cold + busy));
            assert!(worst <= tick(cold + busy), "{worst:?} with {cold} cold and {busy} busy connections");
            assert!(worst <= TICK);
            stop(talking, server, peers).await;
        });
    }
}

#[test]
fn a_cold_connection_is_noticed_within_a_tick_while_the_loop_never_rests() {
    simulate(async |net| {
        let (cold, busy) = (300, 3);
        let (server, noticed, peers) = crowd(&net, cold + busy + 1).await;
        let talking = talk(&net, &peers[..busy]);
        // Something is always ready, so that time passes only by what polls take.
        let flooding = peers.last().unwrap();
        net.set_faults(Faults { max_read: Some(64), ..Faults::default() });
        flooding.send(&vec![b'f'; 16 << 20]);
        net.set_poll_cost(POLL);
        let waits = ask_each_other_time(&net, &peers[busy..busy + cold], &noticed, busy).await;
        assert!(flooding.unsent() > 0, "the flood went on to the end");
        // The poll that the request just missed, the one that says that the tick is over, and the one of everybody.
        let bound = tick(cold + busy) + 3 * POLL;
        let worst = *waits.iter().max().unwrap();
        println!("{worst:?}, {bound:?} are allowed");
        assert!(worst <= bound, "{worst:?}, where {bound:?} are allowed");
        flooding.reset();
        net.set_poll_cost(Duration::ZERO);
        stop(talking, server, peers).await;
    });
}

#[test]
fn a_cold_connection_is_noticed_within_a_tick_and_a_sweep_where_more_are_always_ready_than_a_host_tells_of() {
    simulate(async |net| {
        let (cold, busy) = (300, 200);
        let (server, noticed, peers) = crowd(&net, cold + busy).await;
        net.set_faults(Faults { budget: Some(128), ..Faults::default() });
        net.set_poll_cost(POLL);
        let talking = Rc::new(());
        for peer in &peers[..busy] {
            let (peer, weak) = (peer.clone(), Rc::downgrade(&talking));
            drop(spawn(async move {
                while weak.strong_count() > 0 {
                    peer.send(b".");
                    peer.recv(1).await; // and at once again
                }
            }));
        }
        let waits = ask_each_other_time(&net, &peers[busy..], &noticed, busy).await;
        // Everybody is asked in pieces of 120: before each the host takes a breath, and while it is served there are two more looks.
        // The sweep that the request just missed ends, and then comes another.
        let pieces = u32::try_from((cold + busy).div_ceil(120)).unwrap();
        let bound = tick(cold + busy) + 2 * (pieces + 1) * 4 * POLL;
        let worst = *waits.iter().max().unwrap();
        println!("{worst:?}, {bound:?} are allowed");
        assert!(worst <= bound, "{worst:?}, where {bound:?} are allowed");
        net.set_poll_cost(Duration::ZERO);
        stop(talking, server, peers).await;
    });
}

/// An echo server with so many clients, all of them connected; and when a request of a cold one was noticed last.
async fn crowd(net: &Network, n: usize) -> (Server, Rc<Cell<Option<Instant>>>, Vec<Peer>) {
    let noticed = Rc::new(Cell::new(None));
    let server = start(with_state(&noticed, serve)).backlog(2000).await.unwrap();
    let peers: Vec<Peer> = (0..n).map(|_| client_of(net, &server)).collect();
    while server.connections() < n {
        yield_now().await;
    }
    (server, noticed, peers)
}

/// Echoes; notes when a request comes.
async fn serve(noticed: Rc<Cell<Option<Instant>>>, mut reader: StreamReader, writer: StreamWriter) -> Result<()> {
    loop {
        let piece = reader.read(64 * 1024).await.unwrap_or_default();
        match piece.first() {
            None => break,
            Some(b'?') => noticed.set(Some(Instant::now())),
            Some(_) => {}
        }
        writer.write(piece)?;
        writer.drain().await?;
    }
    writer.close();
    Ok(())
}

/// Each of these peers sends a byte every 200 µs, one after the other, until what this returns is dropped.
fn talk(net: &Network, peers: &[Peer]) -> Rc<()> {
    fn step(net: Network, peer: Peer, talking: std::rc::Weak<()>) {
        if talking.strong_count() > 0 {
            peer.send(b".");
            net.clone().after(Duration::from_micros(200), move || step(net, peer, talking));
        }
    }
    let talking = Rc::new(());
    for (peer, offset) in peers.iter().cloned().zip(1..) {
        let (again, weak) = (net.clone(), Rc::downgrade(&talking));
        net.after(Duration::from_micros(offset % 200), move || step(again, peer, weak));
    }
    talking
}

/// How long each of some requests waits: they come from different cold connections, at different phases of the tick.
async fn ask_each_other_time(
    net: &Network,
    cold: &[Peer],
    noticed: &Rc<Cell<Option<Instant>>>,
    busy: usize,
) -> Vec<Duration> {
    let mut waits = Vec::new();
    pass(net, ms(30)).await; // the crowd cools down
    let before = net.counts();
    for request in 0..REQUESTS {
        // At another phase of the tick each time, whatever that is.
        pass(net, Duration::from_micros(2_000 + request * 1_371 % 5_000)).await;
        noticed.set(None);
        let sent = Instant::now();
        let peer = &cold[usize::try_from(request).unwrap() * 7 % cold.len()];
        peer.send(b"?");
        assert_eq!(peer.recv(1).await, b"?");
        waits.push(noticed.get().unwrap() - sent);
    }
    // Two tiers were at work, or else nothing is proven: most polls are not of everybody.
    let after = net.counts();
    let per_poll = (after.polled - before.polled) / (after.polls - before.polls);
    assert!(
        per_poll < (busy + cold.len() / 2) as u64,
        "{per_poll} entries in a poll, {} cold, {busy} busy",
        cold.len()
    );
    assert!(waits.iter().any(|wait| !wait.is_zero()), "some came between two polls of everybody");
    waits
}

async fn stop(talking: Rc<()>, server: Server, peers: Vec<Peer>) {
    drop((talking, peers));
    server.close();
    server.wait_closed().await;
}

/// The documented bound: 5 ms, and less where there are fewer than a thousand sources.
fn tick(connections: usize) -> Duration {
    let sources = u32::try_from(connections + 2).unwrap(); // the listener; a write that waits
    TICK.min(sources * Duration::from_micros(5))
}

const TICK: Duration = Duration::from_millis(5);
const POLL: Duration = Duration::from_micros(100);
const REQUESTS: u64 = 25;

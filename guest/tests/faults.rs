//! A host that gives little, late, or nothing for now: every byte arrives all the same, and everybody is served.

mod common;

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use wasi_streams::sim::{Faults, Network, Peer};
use wasi_streams::{Instant, Server, sleep, spawn, yield_now};

use common::place::{Place, client_of, connected_within, listen, start};
use common::{echo, ms, pattern, secs, settle, simulate};

const SEEDS: u64 = 200;

#[test]
fn a_server_echoes_every_byte_under_every_fault() {
    for seed in 0..SEEDS {
        simulate(async |net| {
            squeeze(&net, seed);
            let server = start(echo).await.unwrap();
            let clients: Vec<_> = (0..4)
                .map(|i| {
                    let peer = client_of(&net, &server);
                    let net = net.clone();
                    spawn(async move {
                        let data = pattern(1 + (seed as usize * 37 + i * 997) % 2500, seed + i as u64);
                        for piece in data.chunks(1 + (seed as usize + i) % 1100) {
                            peer.send(piece);
                            if piece.len() % 3 == 0 {
                                sleep(ms(1)).await;
                            }
                        }
                        peer.finish();
                        assert!(peer.recv_to_end().await == data, "seed {seed}, client {i} at {:?}", net.now());
                    })
                })
                .collect();
            for client in clients {
                client.await.unwrap();
            }
            server.close();
            server.wait_closed().await;
        });
    }
}

#[test]
fn clients_get_every_byte_back_under_every_fault() {
    for seed in 0..SEEDS {
        simulate(async |net| {
            squeeze(&net, seed);
            let (listener, place) = listen(&net);
            let clients: Vec<_> = (0..4).map(|i| spawn(send_and_check(place.clone(), seed, i))).collect();
            for _ in 0..4 {
                let peer = listener.accept().await;
                drop(spawn(async move {
                    loop {
                        let data = peer.recv(1 + seed as usize % 700).await;
                        peer.send(&data);
                        if data.len() < 1 + seed as usize % 700 {
                            return peer.finish();
                        }
                    }
                }));
            }
            for client in clients {
                client.await.unwrap();
            }
        });
    }
}

#[test]
fn a_program_talks_to_itself_under_every_fault() {
    for seed in 0..SEEDS {
        simulate(async |net| {
            net.set_send_buffer(500);
            net.set_receive_buffer(700);
            squeeze(&net, seed);
            let server = start(echo).await.unwrap();
            let at = Place::of(&server);
            let clients: Vec<_> = (0..4).map(|i| spawn(send_and_check(at.clone(), seed, i))).collect();
            for client in clients {
                client.await.unwrap();
            }
            server.close();
            server.wait_closed().await;
        });
    }
}

#[test]
fn many_connections_under_a_small_budget_all_get_their_echo_in_turn() {
    simulate(async |net| {
        net.set_faults(Faults { budget: Some(128), ..Faults::default() });
        let server = start(echo).backlog(1000).await.unwrap();
        let peers: Vec<Peer> = (0..1000).map(|_| client_of(&net, &server)).collect();
        settle().await;
        while server.connections() < 1000 {
            yield_now().await;
        }
        for round in 0..3 {
            let polls = net.counts().polls;
            // All are ready at once.
            peers.iter().zip(0_u32..).for_each(|(peer, i)| peer.send(&(i + round).to_le_bytes()));
            for (peer, i) in peers.iter().zip(0_u32..) {
                assert_eq!(peer.recv(4).await, (i + round).to_le_bytes());
            }
            assert_eq!(net.now(), ms(0), "and nobody waits for time to pass");
            // A yield for each 128 readinesses and for each 128 permits, and some slack.
            assert!(net.counts().polls - polls < 3000, "{} polls", net.counts().polls - polls);
        }
        peers.iter().for_each(Peer::finish);
        for peer in &peers {
            peer.ended().await;
        }
        server.close();
        server.wait_closed().await;
    });
}

#[test]
fn connections_that_never_rest_do_not_starve_one_behind_them() {
    simulate(async |net| {
        net.set_faults(Faults { budget: Some(128), ..Faults::default() });
        let server = start(echo).backlog(1000).await.unwrap();
        let busy: Vec<Peer> = (0..400).map(|_| client_of(&net, &server)).collect();
        let last = client_of(&net, &server);
        while server.connections() < 401 {
            yield_now().await;
        }
        let served = Rc::new(Cell::new(0_u32));
        for peer in busy {
            let served = Rc::clone(&served);
            drop(spawn(async move {
                while served.get() < 50_000 {
                    peer.send(b"again");
                    peer.recv(5).await; // and at once again
                    served.set(served.get() + 1);
                }
            }));
        }
        while served.get() < 1000 {
            yield_now().await;
        }
        let before = served.get();
        last.send(b"me too");
        assert_eq!(last.recv(6).await, b"me too");
        assert!(served.get() - before < 2_000, "{} others came first", served.get() - before);
    });
}

#[test]
fn of_many_that_never_rest_each_is_served_as_often_as_any_other() {
    simulate(async |net| {
        net.set_faults(Faults { budget: Some(128), ..Faults::default() });
        let server = start(echo).backlog(1000).await.unwrap();
        let total = Rc::new(Cell::new(0_u32));
        let served: Vec<Rc<Cell<u32>>> = (0..400).map(|_| Rc::default()).collect();
        for served in &served {
            let (peer, served, total) = (client_of(&net, &server), Rc::clone(served), Rc::clone(&total));
            drop(spawn(async move {
                while total.get() < 40_000 {
                    peer.send(b"again");
                    peer.recv(5).await; // and at once again
                    served.set(served.get() + 1);
                    total.set(total.get() + 1);
                }
            }));
        }
        while total.get() < 40_000 {
            yield_now().await;
        }
        let least = served.iter().map(|served| served.get()).min();
        assert!(least >= Some(50), "{least:?} times, where the average is 100");
    });
}

#[test]
fn a_cold_connection_is_served_within_a_tick_while_others_are_busy() {
    simulate(async |net| {
        let (_server, cold) = crowd(&net, 300).await;
        let busy = chatter(&net, 3);
        sleep(ms(100)).await; // the crowd cools down
        let mut worst = Duration::ZERO;
        for (i, peer) in cold.iter().enumerate().step_by(7) {
            sleep(Duration::from_micros(1_313 * i as u64)).await;
            let sent = Instant::now();
            peer.send(b"after a long time");
            assert_eq!(peer.recv(17).await, b"after a long time");
            worst = worst.max(sent.elapsed());
        }
        assert!(worst <= ms(6), "{worst:?}");
        assert!(worst > ms(1), "or else there are no two tiers: {worst:?}");
        assert!(busy.get() > 1000);
    });
}

#[test]
fn a_quiet_crowd_does_not_make_each_poll_longer() {
    simulate(async |net| {
        let (_server, cold) = crowd(&net, 500).await;
        let busy = chatter(&net, 3);
        sleep(ms(100)).await;
        let before = net.counts();
        sleep(secs(1)).await;
        let after = net.counts();
        let per_poll = (after.polled - before.polled) / (after.polls - before.polls);
        assert!(per_poll < 30, "{per_poll} entries in a poll, with {} connections", cold.len());
        // With all of them quiet, everybody is polled again: nothing is missed, and nothing spins.
        let polls = net.counts().polls;
        drop(busy);
        cold[499].send(b"x");
        assert_eq!(cold[499].recv(1).await, b"x");
        assert!(net.counts().polls - polls < 100);
    });
}

/// Little pieces, no permits, readiness that is none, a small budget: some of it, by seed.
fn squeeze(net: &Network, seed: u64) {
    let sizes = [None, Some(1), Some(3), Some(64), Some(1000)];
    net.set_faults(Faults {
        seed,
        max_read: sizes[seed as usize % 5],
        max_write: sizes[seed as usize / 5 % 5],
        spurious: [0, 10, 60][seed as usize / 25 % 3],
        zero_permits: [0, 20, 70][seed as usize / 3 % 3],
        budget: [None, Some(1), Some(16)][seed as usize / 7 % 3],
    });
}

/// Sends data to an echo server at `at` while it reads what comes back.
async fn send_and_check(at: Place, seed: u64, i: usize) {
    let data = Rc::new(pattern(1 + (seed as usize * 41 + i * 991) % 2500, seed + i as u64));
    let (mut reader, writer) = at.open().await.unwrap();
    let writing = spawn({
        let data = Rc::clone(&data);
        async move {
            for piece in data.chunks(1 + (seed as usize + i) % 1100) {
                writer.write(piece).unwrap();
                writer.drain().await.unwrap();
            }
            writer.write_eof().unwrap();
            writer
        }
    });
    assert!(reader.read_to_end().await.unwrap() == *data, "seed {seed}, client {i}");
    let writer = writing.await.unwrap();
    writer.close();
    writer.wait_closed().await.unwrap();
}

/// So many clients of an echo server, all of them connected and quiet.
async fn crowd(net: &Network, n: usize) -> (Server, Vec<Peer>) {
    let server = start(echo).backlog(1000).await.unwrap();
    let peers: Vec<Peer> = (0..n).map(|_| client_of(net, &server)).collect();
    while server.connections() < n {
        yield_now().await;
    }
    (server, peers)
}

/// `n` connections of the guest that get a byte every 100 µs, until the answer is dropped; counts the bytes.
fn chatter(net: &Network, n: usize) -> Rc<Cell<u32>> {
    fn step(net: Network, peer: Peer, count: std::rc::Weak<Cell<u32>>) {
        if count.strong_count() > 0 {
            peer.send(b".");
            net.clone().after(Duration::from_micros(100), move || step(net, peer, count));
        }
    }
    let count = Rc::new(Cell::new(0));
    for _ in 0..n {
        let (net, weak) = (net.clone(), Rc::downgrade(&count));
        drop(spawn(async move {
            let (mut reader, writer, peer) = connected_within(&net, None).await;
            step(net.clone(), peer, weak.clone());
            while let Some(count) = weak.upgrade() {
                count.set(count.get() + 1);
                drop(count);
                reader.read(1).await.unwrap();
            }
            writer.close();
        }));
    }
    count
}

#[test]
fn once_a_crowd_has_gone_a_flood_costs_no_more_polls_than_before() {
    simulate(async |net| {
        net.set_faults(Faults { budget: Some(128), max_read: Some(64), ..Faults::default() });
        let server = start(echo).backlog(1000).await.unwrap();
        let flood = async || {
            let peer = client_of(&net, &server);
            let data = pattern(64 * 1024, 1);
            let before = net.counts().polls;
            peer.send(&data);
            let (all_but_one, _) = data.split_at(data.len() - 1);
            assert!(peer.recv(all_but_one.len()).await == all_but_one);
            peer.reset(); // with the last byte unread, as Unix sockets ask for
            settle().await;
            net.counts().polls - before
        };
        let before = flood().await;
        let crowd: Vec<Peer> = (0..400).map(|_| client_of(&net, &server)).collect();
        for _ in 0..3 {
            crowd.iter().for_each(|peer| peer.send(b"all at once"));
            for peer in &crowd {
                assert_eq!(peer.recv(11).await, b"all at once");
            }
        }
        crowd.iter().for_each(|peer| peer.send(b"unread"));
        settle().await;
        crowd.iter().for_each(Peer::reset);
        drop(crowd);
        while server.connections() > 0 {
            yield_now().await;
        }
        let after = flood().await;
        assert!(after <= before + before / 4, "{before} polls before there was a crowd, {after} behind it");
    });
}

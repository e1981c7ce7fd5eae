//! A connection that floods us beside 99 that play ping-pong: each of these keeps its share of the reads, by exact counts.
//!
//! A piece is what one read gives. The fair share of one of a hundred connections is a hundredth of all pieces that are
//! taken while all of them want something; everybody must get at least half of that. Each of the 99 makes the same number of
//! rounds, and the pieces of the flood are counted from the first of all these rounds to the last, so that each single one of
//! the 99 counts, not their sum.

mod common;

use std::cell::Cell;
use std::rc::Rc;

use wasi_streams::sim::{Faults, Network, Peer};
use wasi_streams::{Result, StreamReader, StreamWriter, spawn, yield_now};

use common::place::{client_of, start};
use common::{simulate, with_state};

#[test]
fn beside_a_flood_99_that_are_always_ready_get_as_much_as_it() {
    // One piece for each of them in each turn of the loop; twice as many for the flood would be half of their share.
    let flood = pieces_of_the_flood(0);
    assert!(flood <= 2 * ROUNDS, "{flood} pieces of the flood in {ROUNDS} rounds");
    assert!(flood >= ROUNDS / 2, "nor is it kept back: {flood} pieces of the flood in {ROUNDS} rounds");
}

#[test]
fn beside_a_flood_99_that_think_before_each_round_keep_half_of_their_fair_share() {
    for turns in [1, 3, 10] {
        let flood = pieces_of_the_flood(turns);
        let fair_share = (flood + OTHERS * ROUNDS) / (OTHERS + 1);
        assert!(2 * ROUNDS >= fair_share, "{flood} pieces of the flood in {ROUNDS} rounds, thinking for {turns} turns");
        // What has arrived is found after eight more turns at most: nobody waits for the flood to pause.
        let most = (turns + TURNS_PER_LOOK + 2) * ROUNDS;
        assert!(flood <= most, "{flood} pieces of the flood in {ROUNDS} rounds, thinking for {turns} turns");
    }
}

/// How many pieces of the flood are taken while each of the others makes its rounds, for each of which it thinks for so many
/// turns of the loop.
fn pieces_of_the_flood(turns: u64) -> u64 {
    let counted = Rc::new(Cell::new(0));
    let result = Rc::clone(&counted);
    simulate(async move |net| {
        net.set_faults(Faults { max_read: Some(PIECE), ..Faults::default() });
        let seen = Rc::new(Seen::default());
        let server = start(with_state(&seen, serve)).backlog(1000).await.unwrap();
        let connect = |net: &Network| client_of(net, &server);
        let others: Vec<Peer> = (0..OTHERS).map(|_| connect(&net)).collect();
        let flooding = connect(&net);
        flooding.send(&vec![b'f'; FLOOD]);
        while seen.flood.get() < 10 {
            yield_now().await;
        }
        let games: Vec<_> = others.into_iter().map(|other| spawn(play(other, turns))).collect();
        for game in games {
            game.await.unwrap();
        }
        assert!(flooding.unsent() > 0, "{} pieces of the flood came before the last round", seen.flood.get());
        result.set(seen.flood_at_last_round.get() - seen.flood_at_first_round.get());
        flooding.reset();
        server.close();
        server.wait_closed().await;
    });
    counted.get()
}

async fn play(peer: Peer, turns: u64) {
    for round in 0..ROUNDS {
        let ping = [round as u8; PING];
        peer.send(&ping);
        assert_eq!(peer.recv(PING).await, ping);
        for _ in 0..turns {
            yield_now().await;
        }
    }
}

/// What the server counts.
#[derive(Default)]
struct Seen {
    /// Pieces of the flood so far.
    flood: Cell<u64>,
    flood_at_first_round: Cell<u64>,
    flood_at_last_round: Cell<u64>,
    rounds: Cell<u64>,
}

/// Echoes; the first byte tells a flood.
async fn serve(seen: Rc<Seen>, mut reader: StreamReader, writer: StreamWriter) -> Result<()> {
    loop {
        let piece = reader.read(PIECE).await.unwrap_or_default();
        if piece.is_empty() {
            break;
        }
        if piece[0] == b'f' {
            seen.flood.set(seen.flood.get() + 1);
        } else {
            assert_eq!(piece.len(), PING, "a round is a piece");
            if seen.rounds.get() == 0 {
                seen.flood_at_first_round.set(seen.flood.get());
            }
            seen.rounds.set(seen.rounds.get() + 1);
            seen.flood_at_last_round.set(seen.flood.get());
        }
        writer.write(piece)?;
        writer.drain().await?;
    }
    writer.close();
    Ok(())
}

const OTHERS: u64 = 99;
/// Fewer than there are letters before the flood's.
const ROUNDS: u64 = 100;
const PING: usize = 64;
const PIECE: usize = 1024;
const FLOOD: usize = 16 << 20;
/// How many turns the loop may make without asking the host, while it has something to do.
const TURNS_PER_LOOK: u64 = 8;

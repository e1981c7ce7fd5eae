//! A client that floods the server as fast as it can, beside 99 that play ping-pong: these keep at least half of their fair
//! share.
//!
//! The fair share of one of a hundred is a hundredth of all pieces that the server takes; a piece is what one read gives it,
//! of the flood up to 64 KiB. The server itself counts them, so no clock and no speed of the clients is in it. Each of the
//! 99 makes the same number of rounds, and the flood is counted from the first of all these rounds to the last: a single
//! client that gets less than half of its share would make the flood that much longer.

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use wasi_streams_host::peer::Peer;
use wasi_streams_host::{Guest, block_on, patiently};

use crate::support::{DEADLINE, heavy, number};

#[test]
fn beside_a_flood_each_of_99_others_keeps_half_of_its_fair_share() -> Result<()> {
    let _heavy = heavy();
    block_on(async {
        let arguments = [OTHERS.to_string(), ROUNDS.to_string()];
        let mut guest = Guest::named("fairness").args(arguments).start().await?;
        let address = guest.wait_line("Serving on ").await?["Serving on ".len()..].parse()?;
        let mut others = Vec::new();
        for _ in 0..OTHERS {
            let mut other = Peer::connect(address).await?;
            other.write_all(b"p").await?;
            others.push(other);
        }
        let (echoed, flowing) = oneshot::channel();
        let flood = tokio::spawn(flood(Peer::connect(address).await?, echoed));
        guest.wait_line("all are here").await?;
        patiently(DEADLINE, flowing).await.context("it takes too long")??;
        let mut games = JoinSet::new();
        for mut other in others {
            games.spawn(async move {
                for round in 0..ROUNDS {
                    let ping = [round as u8; PING];
                    other.write_all(&ping).await?;
                    assert_eq!(other.read_exact(PING).await?, ping);
                }
                anyhow::Ok(())
            });
        }
        while let Some(game) = games.join_next().await {
            game??;
        }
        let pieces = number(&guest.wait_line("flood pieces ").await?, "flood pieces ")?;
        flood.abort();
        println!("{pieces} pieces of the flood in {ROUNDS} rounds of each of {OTHERS} others");
        assert!(pieces > 0, "the flood went on meanwhile");
        let fair_share = (pieces + OTHERS * ROUNDS) / (OTHERS + 1);
        assert!(
            2 * ROUNDS >= fair_share,
            "{ROUNDS} rounds, where {fair_share} were fair: {pieces} pieces of the flood"
        );
        // It was one: its pieces are as large as pieces get.
        let largest = number(&guest.wait_line("largest piece ").await?, "largest piece ")?;
        assert!(largest >= 32 * 1024, "{largest} bytes");
        guest.finish().await.success()?;
        Ok(())
    })
}

/// Sends as fast as the server takes it, and reads what comes back; tells when the first of it has.
async fn flood(mut flooding: Peer, echoed: oneshot::Sender<()>) {
    let (mut reading, mut writing) = flooding.stream().split();
    let (data, mut buffer) = (vec![b'f'; 256 * 1024], vec![0; 256 * 1024]);
    let mut echoed = Some(echoed);
    let write = async { while writing.write_all(&data).await.is_ok() {} };
    let read = async {
        while let Ok(1..) = reading.read(&mut buffer).await {
            echoed.take().map(|echoed| echoed.send(()));
        }
    };
    tokio::join!(write, read);
}

const OTHERS: u64 = 99;
const ROUNDS: u64 = 200;
const PING: usize = 64;

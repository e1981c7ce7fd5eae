//! A program that has the library by composition serves a hundred connections, one of which takes nothing of what comes back.

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;
use tokio::net::tcp::OwnedReadHalf;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;
use wasi_streams_host::peer::Peer;
use wasi_streams_host::{Guest, block_on};

use crate::support::{DEADLINE, assert_same, heavy};

#[test]
fn a_composed_consumer_with_100_connections_one_of_them_stalled_keeps_serving_the_other_99() -> Result<()> {
    serves_99_beside_a_stalled_one(Guest::named("composed/rust-echo-server").args(["127.0.0.1", "0"]))
}

#[test]
fn the_push_driver_with_100_connections_one_of_them_stalled_keeps_serving_the_other_99() -> Result<()> {
    serves_99_beside_a_stalled_one(Guest::named("composed/rust-push").args(["--port", "0"]))
}

fn serves_99_beside_a_stalled_one(guest: Guest) -> Result<()> {
    let _heavy = heavy();
    block_on(async {
        let mut guest = guest.start().await?;
        let line = guest.wait_line("Serving on ").await?;
        let address = line["Serving on ".len()..].parse()?;

        let mut others = Vec::new();
        for _ in 0..OTHERS {
            others.push(Peer::connect(address).await?);
        }
        let (stalled, sending) = stall(address).await?;
        let mut talking = JoinSet::new();
        for (name, peer) in others.into_iter().enumerate() {
            talking.spawn(talk(name, peer));
        }
        let mut answers = 0;
        while let Some(talked) = talking.join_next().await {
            answers += talked??;
        }
        assert_eq!(answers, OTHERS * ROUNDS);
        assert!(!sending.is_finished(), "what was sent is in the guest, which is to read no more than is taken back");

        // And it was only stalled: once it takes its data it gets all of it.
        let received = read_all(stalled).await?;
        timeout(DEADLINE, sending).await???;
        assert_same(&received, &text(STALLED));
        let outcome = guest.stop().await;
        assert_eq!(outcome.stderr, "");
        assert!(outcome.last.memory_bytes < MEMORY, "{} bytes", outcome.last.memory_bytes);
        Ok(())
    })
}

/// Opens a connection that only sends, and waits until it is served: from then on its answers fill whatever there is to fill.
async fn stall(address: SocketAddr) -> Result<(OwnedReadHalf, JoinHandle<std::io::Result<()>>)> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(WINDOW)?;
    let (reading, mut writing) = socket.connect(address).await?.into_split();
    let sending = tokio::spawn(async move {
        writing.write_all(&text(STALLED)).await?;
        writing.shutdown().await
    });
    timeout(DEADLINE, reading.readable()).await.context("the first answer")??;
    Ok((reading, sending))
}

/// Asks again and again, with as much as fits into no single piece; gives the number of answers.
async fn talk(name: usize, mut peer: Peer) -> Result<usize> {
    for round in 0..ROUNDS {
        let question = format!("CLIENT {name} ASKS {round}: {}\n", "?".repeat(round * 1000)).into_bytes();
        peer.write_all(&question).await?;
        let answer = peer.read_exact(question.len()).await?;
        ensure!(answer == question, "client {name} got another answer in round {round}");
    }
    peer.half_close().await?;
    ensure!(peer.read_to_end().await?.is_empty(), "client {name} got more than it asked for");
    Ok(ROUNDS)
}

async fn read_all(mut reading: OwnedReadHalf) -> Result<Vec<u8>> {
    let mut received = Vec::with_capacity(STALLED);
    while timeout(DEADLINE, reading.read_buf(&mut received)).await.context("waited for data")?? > 0 {}
    Ok(received)
}

/// Lines of which no two are alike, and the same in capitals.
fn text(length: usize) -> Vec<u8> {
    let lines = (0..length / LINE).map(|number| format!("LINE {number:0>width$}\n", width = LINE - 6));
    lines.collect::<String>().into_bytes()
}

const OTHERS: usize = 99;
const ROUNDS: usize = 20;
/// More than systems keep for a connection, and guests are to.
const STALLED: usize = 32 << 20;
const MEMORY: usize = 24 << 20;
const LINE: usize = 1024;
/// A receive buffer of several segments: with less, the system's own timers make a slow peer much slower.
const WINDOW: u32 = 256 * 1024;

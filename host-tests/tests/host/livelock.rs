//! A thousand connections that become ready at once: each gets its answer, and nobody is forgotten.
//!
//! The guest stands still while everything is sent, so that all of it is there when it looks again.

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;
use wasi_streams_host::peer::{Listener, Peer};
use wasi_streams_host::{Guest, Running, block_on};

use crate::support::{LONGEST_PAUSE, heavy, need_descriptors, number};

#[test]
fn a_thousand_clients_that_are_ready_at_once_get_their_echo() -> Result<()> {
    let _heavy = heavy();
    block_on(async {
        let (mut guest, peers) = thousand_clients(0).await?;
        let peers = everybody_writes(&mut guest, peers).await?;
        each_gets_its_echoes(peers, 1).await?;
        finish(guest).await
    })
}

#[test]
fn a_thousand_outgoing_connections_that_are_ready_at_once_echo() -> Result<()> {
    let _heavy = heavy();
    block_on(async {
        need_descriptors(DESCRIPTORS)?;
        let listener = Listener::v4()?;
        let arguments = ["dial".into(), THOUSAND.to_string(), listener.addr().to_string()];
        let mut guest = Guest::named("load").args(arguments).piped_stdin().start().await?;
        let mut peers = Vec::new();
        while peers.len() < THOUSAND {
            peers.push(listener.accept().await?);
        }
        let peers = everybody_writes(&mut guest, peers).await?;
        each_gets_its_echoes(peers, 1).await?;
        finish(guest).await
    })
}

#[test]
fn a_connection_that_floods_starves_none_of_a_thousand_others() -> Result<()> {
    let _heavy = heavy();
    block_on(async {
        let (mut guest, mut peers) = thousand_clients(1).await?;
        let mut flooding = peers.pop().context("one more than a thousand")?;
        let flood = tokio::spawn(async move {
            let (mut reading, mut writing) = flooding.stream().split();
            let (data, mut buffer) = (vec![7; 256 * 1024], vec![0; 256 * 1024]);
            let mut total = 0;
            let write = async { while writing.write_all(&data).await.is_ok() {} };
            let read = async {
                while let Ok(n @ 1..) = reading.read(&mut buffer).await {
                    total += n;
                    FLOODED.store(total, std::sync::atomic::Ordering::Relaxed);
                }
            };
            tokio::join!(write, read)
        });
        let peers = everybody_writes(&mut guest, peers).await?;
        let before = FLOODED.load(std::sync::atomic::Ordering::Relaxed);
        each_gets_its_echoes(peers, 10).await?;
        let flooded = FLOODED.load(std::sync::atomic::Ordering::Relaxed) - before;
        println!("flooded with {flooded} bytes meanwhile");
        assert!(flooded > 0, "the flood goes on as well");
        flood.abort();
        finish(guest).await
    })
}

/// A server that stands still, with its clients, all of them accepted.
async fn thousand_clients(more: usize) -> Result<(Running, Vec<Peer>)> {
    need_descriptors(DESCRIPTORS)?;
    let count = THOUSAND + more;
    let mut guest = Guest::named("load").args(["serve".into(), count.to_string()]).piped_stdin().start().await?;
    let line = guest.wait_line("Serving on ").await?;
    let address = line["Serving on ".len()..].parse()?;
    let mut peers = Vec::new();
    while peers.len() < count {
        peers.push(Peer::connect(address).await?);
    }
    Ok((guest, peers))
}

/// Once the guest stands still, every peer writes; then the guest may go on.
async fn everybody_writes(guest: &mut Running, mut peers: Vec<Peer>) -> Result<Vec<Peer>> {
    guest.wait_line("standing still").await?;
    for (number, peer) in peers.iter_mut().enumerate() {
        peer.write_all(&message(number)).await?;
    }
    guest.write_stdin(b"go on\n").await?;
    Ok(peers)
}

/// Every peer gets the echo of what it wrote, asks again as often as said, and leaves.
async fn each_gets_its_echoes(peers: Vec<Peer>, rounds: usize) -> Result<()> {
    let mut talks = JoinSet::new();
    for (number, mut peer) in peers.into_iter().enumerate() {
        talks.spawn(async move {
            let message = message(number);
            for round in 0..rounds {
                if round > 0 {
                    peer.write_all(&message).await?;
                }
                let echo = peer.read_exact(message.len()).await.with_context(|| format!("peer {number}"))?;
                assert_eq!(echo, message, "peer {number}");
            }
            peer.half_close().await?;
            assert_eq!(peer.read_to_end().await?, b"", "peer {number}");
            anyhow::Ok(())
        });
    }
    while let Some(talk) = talks.join_next().await {
        talk??;
    }
    Ok(())
}

fn message(number: usize) -> Vec<u8> {
    format!("peer {number} ").repeat(10).into_bytes()
}

async fn finish(mut guest: Running) -> Result<()> {
    let line = guest.wait_line("largest gap ").await?;
    println!("{line} ms");
    assert!(number(&line, "largest gap ")? < LONGEST_PAUSE, "{line}");
    let outcome = guest.finish().await.success()?;
    assert_eq!(outcome.stderr, "", "{outcome}");
    assert_eq!(outcome.last.resources.tcp_sockets, 0, "{:?}", outcome.last);
    Ok(())
}

const THOUSAND: usize = 1000;
/// Both ends of every connection are in this process, and other tests run beside.
const DESCRIPTORS: u64 = 4000;
static FLOODED: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);

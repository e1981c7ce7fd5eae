//! Ten thousand clients of one component at the same time.
//!
//! Each end of a connection is a descriptor. The component's are in a process of its own, the runner's, so that each of the
//! two processes needs little more than ten thousand of them.

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use tokio::task::JoinSet;
use wasi_streams_host::peer::Peer;
use wasi_streams_host::{block_on, open_fds};

use crate::support::{Process, heavy, number, raise_descriptors};

#[test]
fn ten_thousand_clients_at_once_are_served_and_cost_little() -> Result<()> {
    let _heavy = heavy();
    block_on(async {
        let count = as_many_as_the_system_allows()?;
        println!("{count} clients");
        let mut process = Process::start("scale", &[], None)?;
        let address = process.wait_line("Serving on ").await?["Serving on ".len()..].parse()?;
        let (_, empty) = told(&mut process).await?;

        let first = come(address, count).await?;
        let first = each_gets_its_echo(first).await?;
        let (clients, full) = told(&mut process).await?;
        assert_eq!(clients, count);
        let each = (full - empty) / count;
        println!("{each} bytes of the guest's memory for each idle client");
        assert!(each <= IDLE, "{each} bytes");
        one_more(address).await?;
        leave(first).await?;
        everybody_is_gone(&mut process).await?;

        let second = come(address, count).await?;
        leave(each_gets_its_echo(second).await?).await?;
        let again = everybody_is_gone(&mut process).await?;
        println!("{empty} bytes at first, {full} with all, {again} after as many again");
        assert!(again <= full + SLACK, "from {full} to {again} bytes");
        one_more(address).await?;
        assert!(process.finish().await?.success());
        Ok(())
    })
}

/// Ten thousand, or what the hard limit of descriptors allows.
fn as_many_as_the_system_allows() -> Result<usize> {
    let limit = usize::try_from(raise_descriptors(u64::try_from(ALL + RESERVE)?)?)?;
    let free = limit.saturating_sub(open_fds().max(RESERVE));
    if free < ALL {
        println!("the hard limit of descriptors is {limit}: fewer clients than {ALL} (ulimit -Hn)");
    }
    ensure!(free >= LEAST, "no use with a hard limit of {limit} descriptors: raise it (ulimit -Hn)");
    Ok(free.min(ALL))
}

/// So many clients connect, some at a time.
async fn come(address: SocketAddr, count: usize) -> Result<Vec<Peer>> {
    let mut coming = JoinSet::new();
    for worker in 0..AT_A_TIME {
        let share = count / AT_A_TIME + usize::from(worker < count % AT_A_TIME);
        coming.spawn(async move {
            let mut peers = Vec::with_capacity(share);
            for _ in 0..share {
                peers.push(Peer::connect(address).await?);
            }
            anyhow::Ok(peers)
        });
    }
    let mut peers = Vec::with_capacity(count);
    while let Some(some) = coming.join_next().await {
        peers.extend(some??);
    }
    Ok(peers)
}

/// All ask before anybody looks for the answer, so they are many at once for the server.
async fn each_gets_its_echo(mut peers: Vec<Peer>) -> Result<Vec<Peer>> {
    for (number, peer) in peers.iter_mut().enumerate() {
        peer.write_all(&message(number)).await?;
    }
    for (number, peer) in peers.iter_mut().enumerate() {
        let echo = peer.read_exact(message(number).len()).await.with_context(|| format!("client {number}"))?;
        assert_eq!(echo, message(number), "client {number}");
    }
    Ok(peers)
}

/// Everybody leaves, and has got nothing more than one echo.
async fn leave(mut peers: Vec<Peer>) -> Result<()> {
    for peer in &mut peers {
        peer.half_close().await?;
    }
    for (number, mut peer) in peers.into_iter().enumerate() {
        assert_eq!(peer.read_to_end().await?, b"", "client {number}");
    }
    Ok(())
}

async fn one_more(address: SocketAddr) -> Result<()> {
    let peer = Peer::connect(address).await?;
    leave(each_gets_its_echo(vec![peer]).await?).await
}

/// Waits for the server to see that; how much memory it has then.
async fn everybody_is_gone(process: &mut Process) -> Result<usize> {
    for _ in 0..100 {
        match told(process).await? {
            (0, memory) => return Ok(memory),
            _ => tokio::time::sleep(std::time::Duration::from_millis(20)).await,
        }
    }
    anyhow::bail!("some clients stay: {:?}", told(process).await?)
}

/// How many clients the server has, and how many bytes of memory.
async fn told(process: &mut Process) -> Result<(usize, usize)> {
    process.write_stdin("\n").await?;
    let line = process.wait_line("clients ").await?;
    let (clients, memory) = line.split_once(" memory ").context("two numbers")?;
    Ok((usize::try_from(number(clients, "clients ")?)?, memory.parse()?))
}

fn message(number: usize) -> Vec<u8> {
    format!("client {number} ").repeat(4).into_bytes()
}

const ALL: usize = 10_000;
/// Descriptors that are no clients: what either process has besides, other tests in this one included.
const RESERVE: usize = 2_000;
/// Fewer would prove nothing.
const LEAST: usize = 500;
const AT_A_TIME: usize = 200;
/// What an idle connection may cost of the guest's linear memory, in bytes.
const IDLE: usize = 2560;
/// How much more the second wave may need than the first, in bytes.
const SLACK: usize = 256 * 1024;

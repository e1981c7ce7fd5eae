//! Ten thousand connections come and go and leave nothing behind: no entry in the host's table, no memory, no
//! descriptor; and a server that ran out of descriptors goes on when there are some again.
//!
//! Table and memory belong to a guest; descriptors belong to a process, so those are counted in one that has no other
//! tests.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Result;
use tokio::task::JoinSet;
use wasi_streams_host::peer::{Listener, Peer};
use wasi_streams_host::{Guest, Resources, Running, Snapshot, block_on};

use crate::support::{Process, heavy};

#[test]
fn ten_thousand_clients_leave_nothing_in_the_hosts_table_and_no_memory() -> Result<()> {
    let _heavy = heavy();
    block_on(async {
        let mut guest = Guest::named("load").arg("echo").piped_stdin().start().await?;
        let address = serving(&guest.wait_line("Serving on ").await?)?;
        clients(address, WARM_UP).await?;
        let before = quiet(&mut guest, 1).await?;
        clients(address, ALL - WARM_UP).await?;
        assert_as_before(before, quiet(&mut guest, 1).await?);
        guest.close_stdin();
        assert_eq!(guest.finish().await.success()?.stderr, "");
        Ok(())
    })
}

#[test]
fn ten_thousand_outgoing_connections_leave_nothing_in_the_hosts_table_and_no_memory() -> Result<()> {
    let _heavy = heavy();
    block_on(async {
        let listener = Listener::v4()?;
        let address = listener.addr().to_string();
        let mut guest = Guest::named("load").args(["churn".into(), address]).piped_stdin().start().await?;
        let serving = tokio::spawn(serve(listener));
        guest.write_stdin(format!("{WARM_UP}\n").as_bytes()).await?;
        guest.wait_line("done ").await?;
        let before = quiet(&mut guest, 0).await?;
        guest.write_stdin(format!("{}\n", ALL - WARM_UP).as_bytes()).await?;
        guest.wait_line("done ").await?;
        assert_as_before(before, quiet(&mut guest, 0).await?);
        guest.close_stdin();
        assert_eq!(guest.finish().await.success()?.stderr, "");
        serving.abort();
        Ok(())
    })
}

#[test]
fn ten_thousand_clients_leave_no_descriptor_open() -> Result<()> {
    let _heavy = heavy();
    block_on(async {
        let mut process = Process::start("load", &["echo"], None)?;
        let address = serving(&process.wait_line("Serving on ").await?)?;
        let before = process.descriptors()?;
        clients(address, ALL).await?;
        process.wait_descriptors(before).await?;
        assert!(process.finish().await?.success());
        Ok(())
    })
}

#[test]
fn ten_thousand_outgoing_connections_leave_no_descriptor_open() -> Result<()> {
    let _heavy = heavy();
    block_on(async {
        let listener = Listener::v4()?;
        let mut process = Process::start("load", &["churn", &listener.addr().to_string()], None)?;
        let serving = tokio::spawn(serve(listener));
        process.wait_line("ready").await?;
        let before = process.descriptors()?;
        process.write_stdin(&format!("{ALL}\n")).await?;
        process.wait_line("done ").await?;
        process.wait_descriptors(before).await?;
        assert!(process.finish().await?.success());
        serving.abort();
        Ok(())
    })
}

#[test]
fn s40_the_server_recovers_from_descriptor_exhaustion() -> Result<()> {
    block_on(async {
        let mut process = Process::start("load", &["echo"], Some(64))?;
        let address = serving(&process.wait_line("Serving on ").await?)?;
        let mut early = Vec::new();
        for _ in 0..10 {
            let mut peer = Peer::connect(address).await?;
            echo(&mut peer).await?;
            early.push(peer);
        }
        // The system accepts them, the guest cannot.
        let mut late = Vec::new();
        while late.len() < 90 {
            late.push(Peer::connect(address).await?);
        }
        process.wait_stderr_line("wasi-streams: cannot accept connections on 127.0.0.1:").await?;
        // It is still there for those it has.
        for peer in &mut early {
            echo(peer).await?;
        }
        let mut last = late.remove(late.len() - 1);
        drop((early, late));
        echo(&mut last).await?;
        echo(&mut Peer::connect(address).await?).await?;
        drop(last);
        assert!(process.finish().await?.success());
        Ok(())
    })
}

#[test]
fn descriptor_exhaustion_when_connecting_is_an_error_and_no_trap() -> Result<()> {
    block_on(async {
        let listener = Listener::v4()?;
        let mut process = Process::start("load", &["dial", "100", &listener.addr().to_string()], Some(64))?;
        let line = process.wait_stderr_line("Error: ").await?;
        // This host has no word of its own for it.
        assert!(line.contains("cannot create a TCP socket"), "{line}");
        assert_eq!(process.finish().await?.code(), Some(1));
        Ok(())
    })
}

fn serving(line: &str) -> Result<SocketAddr> {
    Ok(line["Serving on ".len()..].parse()?)
}

/// So many clients, some at a time.
async fn clients(address: SocketAddr, count: usize) -> Result<()> {
    let mut workers = JoinSet::new();
    for worker in 0..AT_A_TIME {
        let share = count / AT_A_TIME + usize::from(worker < count % AT_A_TIME);
        workers.spawn(async move {
            for number in 0..share {
                let mut peer = Peer::connect(address).await?;
                echo(&mut peer).await?;
                match number % 3 {
                    // Every way to leave that a client has.
                    0 => drop(peer),
                    1 => peer.reset()?,
                    _ => {
                        peer.half_close().await?;
                        assert_eq!(peer.read_to_end().await?, b"");
                    }
                }
            }
            anyhow::Ok(())
        });
    }
    while let Some(worker) = workers.join_next().await {
        worker??;
    }
    Ok(())
}

async fn echo(peer: &mut Peer) -> Result<()> {
    peer.write_all(b"hello\n").await?;
    assert_eq!(peer.read_line().await?, b"hello\n");
    Ok(())
}

/// A native server of echoes.
async fn serve(listener: Listener) -> Result<()> {
    loop {
        let mut peer = listener.accept().await?;
        tokio::spawn(async move {
            let line = peer.read_line().await?;
            peer.write_all(&line).await?;
            peer.read_to_end().await
        });
    }
}

/// The guest's numbers when all connections are gone and it waits for something to do.
async fn quiet(guest: &mut Running, listeners: usize) -> Result<Snapshot> {
    loop {
        let seen = guest.wait_until(|now| now.resources.tcp_sockets == listeners).await?;
        tokio::time::sleep(Duration::from_millis(100)).await;
        if guest.snapshot() == seen {
            return Ok(seen);
        }
    }
}

/// Exact but for timers, of which the library keeps up to two for the next time: a pollable and what it points to each.
fn assert_as_before(before: Snapshot, after: Snapshot) {
    println!("{:?} with {} bytes", before.resources, before.memory_bytes);
    println!("{:?} with {} bytes", after.resources, after.memory_bytes);
    let counted = |now: Resources| (now.tcp_sockets, now.input_streams, now.output_streams);
    assert_eq!(counted(after.resources), counted(before.resources));
    assert!(after.resources.pollables <= before.resources.pollables + 2);
    assert!(after.resources.others <= before.resources.others + 2);
    assert!(after.memory_bytes <= before.memory_bytes + SLACK);
}

const WARM_UP: usize = 1000;
const ALL: usize = 10_000;
const AT_A_TIME: usize = 50;
/// Thirty bytes a connection would be more.
const SLACK: usize = 256 * 1024;

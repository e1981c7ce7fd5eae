//! Two hundred handshakes at once, ten of which never end.

use std::time::Duration;

use anyhow::Result;
use wasi_streams_host::peer::{Peer, Program};
use wasi_streams_host::{Resources, Snapshot, block_on};

use crate::support::{LONGEST_PAUSE, heavy, number};
use crate::tls_support::{Pki, Server, client_hello, value};

#[test]
fn t08_two_hundred_handshakes_at_once_leave_turns_to_an_established_connection_and_nothing_behind() -> Result<()> {
    let _heavy = heavy();
    block_on(async {
        let pki = Pki::new();
        let mut server = pki.serve(&[]).await?;
        let address = server.address.to_string();
        let hello = client_hello(&pki).await?;
        let mut established = pki.python(STORM, &["established", &address])?;
        established.wait_line("connected").await?;
        let mut numbers = Vec::new();
        // The first ones make the memory as large as storms need.
        for _ in 0..STORMS {
            server.guest.write_stdin(b"stand still\n").await?;
            server.guest.wait_line("standing still").await?;
            let mut stalled = Vec::new();
            for part in 0..STALLED {
                let mut peer = Peer::connect(server.address).await?;
                peer.write_all(&hello[..hello.len() * part / STALLED]).await?;
                stalled.push(peer);
            }
            let mut storm = pki.python(STORM, &["storm", &address, &SERVED.to_string()])?;
            storm.wait_line("waiting").await?;
            let before = answers(&mut established).await?;
            server.guest.write_stdin(b"go on\n").await?;
            assert_eq!(storm.wait_line("connected ").await?, format!("connected {SERVED}"));
            let during = answers(&mut established).await? - before;
            server.guest.write_stdin(b"largest gap\n").await?;
            let gap = server.guest.wait_line("largest gap ").await?;
            println!("{during} answers on the established connection during {SERVED} handshakes, {gap} ms");
            // Each handshake is at least two steps, of which a turn of the loop takes one.
            assert!(during >= 20, "{during} answers");
            assert!(number(&gap, "largest gap ")? < LONGEST_PAUSE, "{gap}");
            assert_eq!(counted(&mut server).await?, SERVED + STALLED + 1);
            storm.write_stdin(b"\n").await?;
            assert_eq!(storm.wait_line("echoed ").await?, format!("echoed {SERVED}"));
            storm.finish().await?.success()?;
            drop(stalled);
            established.write_stdin(b"pause\n").await?;
            established.wait_line("paused").await?;
            numbers.push(quiet(&mut server).await?);
            established.write_stdin(b"go on\n").await?;
        }
        assert_as_before(numbers[STORMS - 3], numbers[STORMS - 1]);
        established.finish().await?.success()?;
        let seen = server.finish().await?;
        assert_eq!(seen.matches("accepted ").count(), STORMS * SERVED + 1);
        assert!(seen.ends_with(&format!("closed after {} failed handshakes\n", STORMS * STALLED)), "{seen}");
        Ok(())
    })
}

/// How many answers the established connection has got so far.
async fn answers(established: &mut Program) -> Result<u64> {
    established.write_stdin(b"count\n").await?;
    number(&established.wait_line("answers ").await?, "answers ")
}

async fn counted(server: &mut Server) -> Result<usize> {
    server.guest.write_stdin(b"\n").await?;
    let line = server.guest.wait_line("connections=").await?;
    Ok(value(&format!(" {line}"), "connections").parse()?)
}

/// The guest's numbers with one connection and nothing to do.
async fn quiet(server: &mut Server) -> Result<Snapshot> {
    loop {
        let seen = server.guest.wait_until(|now| now.resources.tcp_sockets == 2).await?;
        tokio::time::sleep(Duration::from_millis(100)).await;
        if server.guest.snapshot() == seen {
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

const STORMS: usize = 4;
const SERVED: usize = 190;
const STALLED: usize = 10;
/// What the two storms between the looks may leave: the sessions that can be resumed, of which a server keeps the last thousands. There
/// are two for each connection, of about a kilobyte; an open connection is ten times that.
const SLACK: usize = 2 * SERVED * 2 * 1280;
const STORM: &str = include_str!("../../peers/tls_storm.py");

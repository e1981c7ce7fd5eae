//! Much data over TLS in both directions at once: all of it arrives as it was sent, and little of it is held.

use std::time::Duration;

use anyhow::Result;
use wasi_streams_host::peer::ProgramStatus;
use wasi_streams_host::{Outcome, block_on};

use crate::support::{heavy, number};
use crate::tls_support::{NAME, Pki, line, serving, value};

#[test]
fn d02_d11_64_mebibytes_go_both_ways_at_once_between_our_client_and_asyncio_reading_slowly() -> Result<()> {
    let _heavy = heavy();
    block_on(async {
        let pki = Pki::new();
        let mut peer = pki.python(FLOOD, &["serve", "1.2", BYTES, "slow"])?;
        let address = serving(&peer.wait_line("Serving on ").await?)?;
        let guest = pki.client("flood", address, &["--name", NAME, "--bytes", BYTES]);
        let mut guest = guest.deadline(LONG).start().await?;
        guest.wait_line("full").await?;
        peer.write_stdin(b"\n").await?;
        assert_exchanged("TLSv1.2", guest.finish().await.success()?, peer.finish().await?.success()?);
        Ok(())
    })
}

#[test]
fn d02_d11_64_mebibytes_go_both_ways_at_once_between_our_server_and_asyncio_reading_slowly() -> Result<()> {
    let _heavy = heavy();
    block_on(async {
        let pki = Pki::new();
        let identity = ["--identity", "/pki/server.pem", "/pki/server.key"];
        let guest = pki.guest("flood", &[&identity[..], &["--bytes", BYTES]].concat());
        let mut guest = guest.deadline(LONG).start().await?;
        let address = guest.wait_line("Serving on ").await?["Serving on ".len()..].to_owned();
        let mut peer = pki.python(FLOOD, &[&address, "1.3", BYTES, "slow"])?;
        guest.wait_line("full").await?;
        peer.write_stdin(b"\n").await?;
        assert_exchanged("TLSv1.3", guest.finish().await.success()?, peer.finish().await?.success()?);
        Ok(())
    })
}

/// Each side has received what the other has sent, and we have held little of it.
fn assert_exchanged(version: &str, ours: Outcome, theirs: ProgramStatus) {
    let seen = &ours.stdout;
    assert_eq!(value(line(seen, "connected "), "version"), version);
    assert_eq!(line(seen, "closed "), "closed truncated=false");
    for (to, from) in [("sent ", "received "), ("received ", "sent ")] {
        let digest = &line(seen, to)[to.len()..];
        assert_eq!(digest.len(), 64);
        assert_eq!(line(&theirs.stdout, from), format!("{from}{digest}"));
    }
    let queued = number(line(seen, "at most queued "), "at most queued ").expect("a number");
    println!("at most {queued} bytes queued, {} bytes of memory", ours.last.memory_bytes);
    // What a write of the fixture adds to it, and the ciphertext on its way.
    assert!(queued <= HIGH_WATER + PIECE + CIPHERTEXT, "{queued} bytes queued");
    assert!(ours.last.memory_bytes < MEMORY, "{} bytes of memory", ours.last.memory_bytes);
}

#[test]
fn t17_a_reader_that_is_not_read_stops_its_peer_and_holds_little() -> Result<()> {
    let _heavy = heavy();
    block_on(async {
        let pki = Pki::new();
        let mut peer = pki.python(FLOOD, &["serve", "1.3", BYTES, "fast"])?;
        let address = serving(&peer.wait_line("Serving on ").await?)?;
        let guest = pki.client("flood", address, &["--name", NAME, "--bytes", BYTES, "--hold"]);
        let mut guest = guest.piped_stdin().deadline(LONG).start().await?;
        // Ours goes through while theirs is stuck.
        let received = peer.wait_line("received ").await?;
        peer.wait_line("stuck").await?;
        let held = guest.snapshot();
        println!("{} bytes of memory while nothing is read", held.memory_bytes);
        assert!(held.memory_bytes < MEMORY, "{} bytes of memory", held.memory_bytes);
        guest.write_stdin(b"\n").await?;
        let seen = guest.finish().await.success()?.stdout;
        assert_eq!(received["received ".len()..], line(&seen, "sent ")["sent ".len()..]);
        let sent = peer.wait_line("sent ").await?;
        assert_eq!(sent["sent ".len()..], line(&seen, "received ")["received ".len()..]);
        peer.finish().await?.success()?;
        Ok(())
    })
}

/// On a machine that does other things as well a slow reader takes its time.
const LONG: Duration = Duration::from_secs(300);
const BYTES: &str = "67108864";
/// The marks and sizes that the documentation promises.
const HIGH_WATER: u64 = 524_288;
/// One write of the fixture.
const PIECE: u64 = 100_000;
/// 64 KiB of plaintext, encrypted.
const CIPHERTEXT: u64 = 66_000;
/// The program itself, and what its buffers may hold; not the data.
const MEMORY: usize = 6 << 20;
const FLOOD: &str = include_str!("../../peers/tls_flood.py");

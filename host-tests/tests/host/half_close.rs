//! The ends of a connection, told apart: one direction, both, a reset, and a client that left before it was seen.

use anyhow::Result;
use wasi_streams_host::peer::{Listener, Peer};
use wasi_streams_host::{Guest, Running, block_on};

use crate::support::{assert_same, pattern};

#[test]
fn w16_r09_after_the_peers_end_an_answer_still_goes_out() -> Result<()> {
    block_on(async {
        let (guest, mut peer) = connected("answer").await?;
        let question = pattern(1_000_000);
        peer.write_all(&question).await?;
        peer.half_close().await?;
        assert_same(&peer.read_to_end().await?, &question.repeat(2));
        guest.finish().await.success()?;
        Ok(())
    })
}

#[test]
fn w14_after_write_eof_an_answer_still_comes_in() -> Result<()> {
    block_on(async {
        let (mut guest, mut peer) = connected("ask").await?;
        assert_eq!(peer.read_to_end().await?, b"question");
        peer.write_all(&pattern(1_000_000)).await?;
        peer.half_close().await?;
        guest.wait_line("1000000 bytes").await?;
        guest.finish().await.success()?;
        Ok(())
    })
}

#[test]
fn c07_c14_a_reset_reaches_a_waiting_read_and_everything_after_it() -> Result<()> {
    block_on(async {
        let (mut guest, peer) = connected("read").await?;
        guest.wait_line("reading").await?;
        peer.reset()?;
        let outcome = guest.finish().await.success()?;
        let expected = format!("reading\nread: ConnectionReset\n{}", everything("ConnectionReset"));
        assert_eq!(outcome.stdout, expected, "{outcome}");
        Ok(())
    })
}

#[test]
fn f09_w18_an_idle_connection_notices_a_reset() -> Result<()> {
    block_on(async {
        let (mut guest, peer) = connected("idle").await?;
        guest.wait_line("idle").await?;
        peer.reset()?;
        let outcome = guest.finish().await.success()?;
        assert_eq!(outcome.stdout, format!("idle\n{}", everything("ConnectionReset")), "{outcome}");
        Ok(())
    })
}

#[test]
fn d06_a_reset_reaches_a_waiting_drain() -> Result<()> {
    block_on(async {
        let listener = Listener::stalling(4096)?;
        let mut guest = Guest::named("endings").args(["drain".into(), listener.addr().to_string()]).start().await?;
        let peer = listener.accept().await?;
        guest.wait_line("draining").await?;
        peer.reset()?;
        let outcome = guest.finish().await.success()?;
        let expected = format!("draining\ndrain: ConnectionReset\n{}", everything("ConnectionReset"));
        assert_eq!(outcome.stdout, expected, "{outcome}");
        Ok(())
    })
}

#[test]
fn w10_writing_to_a_peer_that_left_for_good_fails_in_drain_reads_and_wait_closed() -> Result<()> {
    block_on(async {
        let (mut guest, peer) = connected("write").await?;
        drop(peer);
        guest.wait_line("writing").await?;
        let outcome = guest.finish().await.success()?;
        let kinds = ["BrokenPipe", "ConnectionReset"];
        let expected = kinds.map(|kind| format!("writing\n{}", everything(kind)));
        assert!(expected.contains(&outcome.stdout), "{outcome}");
        Ok(())
    })
}

#[test]
fn s39_clients_that_left_before_they_were_accepted_are_heard_or_skipped() -> Result<()> {
    block_on(async {
        let mut guest = Guest::named("endings").arg("serve-after-a-line").piped_stdin().start().await?;
        let line = guest.wait_line("Serving on ").await?;
        let address = line["Serving on ".len()..].parse()?;
        for _ in 0..5 {
            Peer::connect(address).await?.reset()?;
        }
        let mut early = Peer::connect(address).await?;
        early.write_all(b"early\n").await?;
        drop(early);
        for _ in 0..5 {
            Peer::connect(address).await?.reset()?;
        }
        let mut last = Peer::connect(address).await?;
        last.write_all(b"last\n").await?;
        guest.write_stdin(b"go on\n").await?;
        assert_eq!(last.read_line().await?, b"last\n");
        let outcome = guest.finish().await.success()?;
        // Systems differ in whether they give out a connection that was reset already.
        let handled = outcome.stdout.lines().skip(1).filter(|line| !line.contains("ConnectionReset"));
        let expected = ["handled Ok(b\"early\\n\")", "handled Ok(b\"last\\n\")"];
        assert_eq!(handled.collect::<Vec<_>>(), expected, "{outcome}");
        Ok(())
    })
}

/// A guest that does something with its connection to us.
async fn connected(what: &str) -> Result<(Running, Peer)> {
    let listener = Listener::v4()?;
    let guest = Guest::named("endings").args([what.into(), listener.addr().to_string()]).start().await?;
    let peer = listener.accept().await?;
    Ok((guest, peer))
}

/// What a guest tells when everything it calls fails with this kind.
fn everything(kind: &str) -> String {
    ["read", "drain", "wait_closed", "wait_closed"].map(|call| format!("{call}: {kind}\n")).concat()
}

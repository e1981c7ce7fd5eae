//! A peer that does not read, with megabytes queued for it, holds up nothing but itself, however its connection ends.
//!
//! A host blocks the whole guest when an output stream with a write in flight is dropped, which is what most ways of
//! ending a connection come to in the end.

use std::time::{Duration, Instant};

use anyhow::Result;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;
use wasi_streams_host::peer::{Listener, Peer};
use wasi_streams_host::{Guest, Outcome, Resources, Running, block_on};

use crate::support::{DEADLINE, LONGEST_PAUSE, assert_same, number, pattern, read_piece, timely};

#[test]
fn a_stalled_connection_that_is_dropped_freezes_nothing() -> Result<()> {
    let outcome = end_while_stalled("drop")?;
    assert!(outcome.stderr.contains("bytes were dropped"), "{outcome}");
    Ok(())
}

#[test]
fn a_stalled_connection_that_is_aborted_freezes_nothing() -> Result<()> {
    let outcome = end_while_stalled("abort")?;
    // Its data was given up by the program, so its end waits for nothing.
    assert_eq!(outcome.stderr, "");
    Ok(())
}

#[test]
fn a_stalled_connection_that_times_out_freezes_nothing() -> Result<()> {
    let outcome = end_while_stalled("timeout")?;
    assert!(outcome.stderr.contains("bytes were dropped"), "{outcome}");
    Ok(())
}

#[test]
fn a_stalled_connection_whose_owner_is_cancelled_freezes_nothing() -> Result<()> {
    let outcome = end_while_stalled("cancel")?;
    assert!(outcome.stderr.contains("bytes were dropped"), "{outcome}");
    Ok(())
}

#[test]
fn a_stalled_connection_left_at_program_end_does_not_hold_up_another() -> Result<()> {
    let _timely = timely();
    block_on(async {
        let (stalled, reading) = (Listener::stalling(4096)?, Listener::stalling(WIDE)?);
        let addresses = [stalled.addr().to_string(), reading.addr().to_string()];
        let mut guest = Guest::named("freeze").arg("leave").args(addresses).start().await?;
        let _unread = stalled.accept().await?;
        let mut peer = reading.accept().await?;
        assert_gap(&mut guest).await?;
        // From here on the program is over, and what its peers get is the library's business.
        let mut received = Vec::new();
        let mut largest_gap = Duration::ZERO;
        loop {
            let asked = Instant::now();
            let piece = read_piece(&mut peer).await?;
            largest_gap = largest_gap.max(asked.elapsed());
            if piece.is_empty() {
                break;
            }
            received.extend(piece);
            // It reads slowly: the data has to outlast the program.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        println!("largest gap after the end: {largest_gap:?}");
        assert!(largest_gap < Duration::from_millis(LONGEST_PAUSE), "{largest_gap:?}");
        assert_same(&received, &pattern(4 << 20));
        let outcome = finish_within_bounds(guest).await?;
        assert!(outcome.stderr.contains("bytes were dropped"), "{outcome}");
        Ok(())
    })
}

#[test]
fn a_cancelled_splice_into_a_stalled_connection_freezes_nothing() -> Result<()> {
    let _timely = timely();
    block_on(async {
        let (stalled, flooding) = (Listener::stalling(4096)?, Listener::v4()?);
        let addresses = [stalled.addr().to_string(), flooding.addr().to_string()];
        let mut guest = Guest::named("freeze").arg("splice").args(addresses).start().await?;
        let mut flooding = flooding.accept().await?;
        let flood = tokio::spawn(async move {
            let data = vec![7; 256 * 1024];
            while flooding.stream().write_all(&data).await.is_ok() {}
        });
        let _unread = stalled.accept().await?;
        assert_gap(&mut guest).await?;
        finish_within_bounds(guest).await?;
        // The source is closed with the program, whatever its peer still sends.
        timeout(DEADLINE, flood).await??;
        Ok(())
    })
}

#[test]
fn s33_a_client_that_stalls_does_not_hold_up_abort_clients() -> Result<()> {
    let _timely = timely();
    block_on(async {
        let mut guest = Guest::named("freeze").arg("serve").piped_stdin().start().await?;
        let line = guest.wait_line("Serving on ").await?;
        let address = line["Serving on ".len()..].parse()?;
        let _unread = Peer::connect_with_receive_buffer(address, 4096).await?;
        guest.wait_line("stalled").await?;
        guest.write_stdin(b"\n").await?;
        assert_gap(&mut guest).await?;
        let outcome = finish_within_bounds(guest).await?;
        // The program has said that the rest may be dropped.
        assert!(!outcome.stderr.contains("bytes were dropped"), "{outcome}");
        Ok(())
    })
}

#[test]
fn what_an_abort_leaves_to_the_host_is_dropped_when_the_peer_goes() -> Result<()> {
    aborted_and_parked(|peer| {
        drop(peer);
        async { Ok(()) }
    })
}

#[test]
fn what_an_abort_leaves_to_the_host_is_dropped_when_the_peer_reads() -> Result<()> {
    aborted_and_parked(|mut peer| async move {
        let received = peer.read_to_end().await?;
        // No more than the host had already, and that in order.
        let sent = pattern(16 << 20);
        assert!(received.len() < sent.len());
        assert_same(&received, &sent[..received.len()]);
        Ok(())
    })
}

/// Lets the guest end a connection with megabytes queued, and go on for a second.
fn end_while_stalled(how: &str) -> Result<Outcome> {
    let _timely = timely();
    block_on(async {
        let listener = Listener::stalling(4096)?;
        let guest = Guest::named("freeze").arg(how).arg(listener.addr().to_string());
        let mut guest = guest.start().await?;
        let _unread = listener.accept().await?;
        assert_gap(&mut guest).await?;
        finish_within_bounds(guest).await
    })
}

async fn assert_gap(guest: &mut Running) -> Result<()> {
    let line = guest.wait_line("largest gap ").await?;
    println!("{line} ms");
    assert!(number(&line, "largest gap ")? < LONGEST_PAUSE, "{line}");
    Ok(())
}

/// Its own end comes soon after five seconds without progress.
async fn finish_within_bounds(guest: Running) -> Result<Outcome> {
    let over = Instant::now();
    let outcome = guest.finish().await.success()?;
    println!("ended {:?} after its program", over.elapsed());
    assert!(over.elapsed() < EXIT_STALL + MARGIN, "{:?}: {outcome}", over.elapsed());
    Ok(outcome)
}

fn aborted_and_parked<F: Future<Output = Result<()>>>(go_on: impl FnOnce(Peer) -> F) -> Result<()> {
    block_on(async {
        let listener = Listener::stalling(WIDE)?;
        let guest = Guest::named("freeze").arg("park").arg(listener.addr().to_string());
        let mut guest = guest.start().await?;
        let peer = listener.accept().await?;
        guest.wait_line("aborted").await?;
        let held = |now: Resources| (now.tcp_sockets, now.output_streams, now.input_streams);
        // The output stream must not be dropped, the socket not before it; the other output is standard output.
        guest.wait_until(|now| held(now.resources) == (1, 2, 0)).await?;
        go_on(peer).await?;
        guest.wait_until(|now| held(now.resources) == (0, 1, 0)).await?;
        guest.stop().await;
        Ok(())
    })
}

/// A receive buffer of several segments: with less, the system's own timers make a slow peer much slower.
const WIDE: u32 = 256 * 1024;
/// `wasi_streams::EXIT_STALL`.
const EXIT_STALL: Duration = Duration::from_secs(5);
const MARGIN: Duration = Duration::from_secs(10);

//! Bytes that `write` accepted arrive, however little the program cares about them afterwards.

use std::time::Duration;

use anyhow::Result;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wasi_streams_host::peer::{Listener, Peer};
use wasi_streams_host::{Guest, Outcome, block_on};

use crate::support::{assert_same, pattern, read_piece};

#[test]
fn c01_everything_written_arrives_after_close_and_the_end_of_main() -> Result<()> {
    let outcome = delivered_to_a_slow_peer("close")?;
    assert_eq!(outcome.stderr, "");
    Ok(())
}

#[test]
fn c12_everything_written_arrives_after_a_dropped_writer_and_the_end_of_main() -> Result<()> {
    delivered_to_a_slow_peer("drop")?;
    Ok(())
}

#[test]
fn w12_everything_written_arrives_before_the_end_of_write_eof_and_after_the_end_of_main() -> Result<()> {
    delivered_to_a_slow_peer("eof")?;
    Ok(())
}

#[test]
fn w01_w02_what_is_written_goes_out_in_order_while_the_program_only_reads() -> Result<()> {
    block_on(async {
        let listener = Listener::stalling(WIDE)?;
        let guest = Guest::named("deliver").args(["read".into(), listener.addr().to_string()]).start().await?;
        let mut peer = listener.accept().await?;
        let sent = pattern(8 << 20);
        let mut received = Vec::new();
        while received.len() < sent.len() {
            received.extend(slow_piece(&mut peer).await?);
        }
        assert_same(&received, &sent);
        peer.write_all(b"all of it\n").await?;
        assert_eq!(peer.read_to_end().await?, b"");
        guest.finish().await.success()?;
        Ok(())
    })
}

#[test]
fn closing_while_the_peer_sends_does_not_destroy_what_was_sent() -> Result<()> {
    delivered_to_a_sending_peer(&[7; 64 * 1024], Duration::ZERO, Duration::from_millis(1))
}

#[test]
fn closing_while_the_peer_trickles_does_not_destroy_what_was_sent() -> Result<()> {
    // Mostly nothing is unread at the close: the next byte is what would make the system cut the connection.
    delivered_to_a_sending_peer(b"x", Duration::from_millis(20), Duration::from_millis(10))
}

/// The peer sends `data` again and again with a pause between, and reads slowly, until the guest's end.
fn delivered_to_a_sending_peer(data: &[u8], between_sends: Duration, between_reads: Duration) -> Result<()> {
    block_on(async {
        let listener = Listener::stalling(WIDE)?;
        let guest = Guest::named("deliver").args(["unread".into(), listener.addr().to_string()]).start().await?;
        let mut peer = listener.accept().await?;
        let (mut reading, mut writing) = peer.stream().split();
        let (mut received, mut piece) = (Vec::new(), vec![0; 16 * 1024]);
        let sending = async {
            // Until the guest's side is closed, which is what makes the system cut the connection.
            while writing.write_all(data).await.is_ok() {
                if !between_sends.is_zero() {
                    tokio::time::sleep(between_sends).await;
                }
            }
            std::future::pending::<()>().await
        };
        let receiving = async {
            loop {
                match reading.read(&mut piece).await {
                    Ok(0) => return Ok(()),
                    Ok(length) => received.extend(&piece[..length]),
                    Err(error) => return Err(error),
                }
                tokio::time::sleep(between_reads).await;
            }
        };
        let received_all = tokio::select! { result = receiving => result, () = sending => Ok(()) };
        assert!(received_all.is_ok(), "{received_all:?} after {} bytes", received.len());
        assert_same(&received, &pattern(1 << 20));
        drop(peer);
        guest.finish().await.success()?;
        Ok(())
    })
}

fn delivered_to_a_slow_peer(how: &str) -> Result<Outcome> {
    block_on(async {
        let listener = Listener::stalling(WIDE)?;
        let guest = Guest::named("deliver").args([how.into(), listener.addr().to_string()]).start().await?;
        let mut peer = listener.accept().await?;
        let mut received = Vec::new();
        loop {
            let piece = slow_piece(&mut peer).await?;
            if piece.is_empty() {
                break;
            }
            received.extend(piece);
        }
        assert_same(&received, &pattern(8 << 20));
        drop(peer);
        guest.finish().await.success()
    })
}

/// What there is, but not often.
async fn slow_piece(peer: &mut Peer) -> Result<Vec<u8>> {
    tokio::time::sleep(Duration::from_millis(5)).await;
    read_piece(peer).await
}

/// A receive buffer of several segments, and far less than what is sent: the rest waits at the sender.
const WIDE: u32 = 256 * 1024;

//! Standard input, output and error as streams beside a socket.

use std::process::Stdio;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use wasi_streams_host::peer::{Listener, Peer};
use wasi_streams_host::{Guest, Running, block_on, components_dir, patiently};

#[test]
fn a_socket_works_while_standard_input_is_waited_for() -> Result<()> {
    block_on(async {
        let (mut guest, mut peer) = relay().await?;
        // Nothing comes on standard input, and the peer is heard all the same.
        for word in ["one", "two"] {
            peer.write_all(format!("{word}\n").as_bytes()).await?;
            assert_eq!(guest.wait_line("").await?, word);
        }
        // The peer says nothing, and standard input is read all the same.
        for word in ["three", "four\u{1f642}"] {
            guest.write_stdin(format!("{word}\n").as_bytes()).await?;
            assert_eq!(peer.read_line().await?, format!("{word}\n").into_bytes());
            assert_eq!(guest.wait_stderr_line("").await?, format!("sent {} bytes", word.len() + 1));
        }
        guest.close_stdin();
        assert_eq!(peer.read_to_end().await?, b"");
        // Input has ended, and the peer may still talk.
        peer.write_all(b"last, without an end").await?;
        drop(peer);
        let outcome = guest.finish().await.success()?;
        assert!(outcome.stdout.ends_with("two\nlast, without an end"), "{outcome}");
        Ok(())
    })
}

#[test]
fn much_input_and_much_output_pass_whole() -> Result<()> {
    block_on(async {
        let (mut guest, mut peer) = relay().await?;
        let lines: Vec<u8> = (0..100_000).flat_map(|n| format!("line {n}\n").into_bytes()).collect();
        let feeding = async {
            guest.write_stdin(&lines).await?;
            guest.close_stdin();
            anyhow::Ok(guest)
        };
        let (guest, echoed) = tokio::join!(feeding, async {
            let mut received = Vec::new();
            loop {
                let piece = peer.read_some(64 * 1024).await?;
                if piece.is_empty() {
                    drop(peer);
                    return anyhow::Ok(received);
                }
                peer.write_all(&piece).await?;
                received.extend(piece);
            }
        });
        assert!(echoed? == lines, "the peer received all of it, in order");
        let outcome = guest?.finish().await.success()?;
        assert!(outcome.stdout.as_bytes() == lines, "{} of {} bytes came back", outcome.stdout.len(), lines.len());
        assert_eq!(outcome.stderr.lines().count(), 100_000);
        Ok(())
    })
}

#[test]
fn the_runner_passes_pipes_through_in_both_directions() -> Result<()> {
    block_on(async {
        let listener = Listener::v4()?;
        let mut child = Command::new(env!("CARGO_BIN_EXE_wasi-streams-run"))
            .arg(components_dir().join("platform.wasm"))
            .args(["relay", &listener.addr().to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let mut stdin = child.stdin.take().context("piped")?;
        let mut stdout = child.stdout.take().context("piped")?;
        let mut peer = listener.accept().await?;
        stdin.write_all(b"in\n").await?;
        assert_eq!(peer.read_line().await?, b"in\n");
        peer.write_all(b"out\n").await?;
        let mut heard = [0; 4];
        patiently(DEADLINE, stdout.read_exact(&mut heard)).await.context("it takes too long")??;
        assert_eq!(&heard, b"out\n");
        drop(stdin);
        assert_eq!(peer.read_to_end().await?, b"");
        drop(peer);
        let output = patiently(DEADLINE, child.wait_with_output()).await.context("it takes too long")??;
        assert_eq!((output.status.code(), output.stderr), (Some(0), b"sent 3 bytes\n".to_vec()));
        Ok(())
    })
}

/// A guest that passes standard input on to the peer, and what the peer says to standard output.
async fn relay() -> Result<(Running, Peer)> {
    let listener = Listener::v4()?;
    let guest = Guest::named("platform").args(["relay", &listener.addr().to_string()]).piped_stdin().start().await?;
    Ok((guest, listener.accept().await?))
}

const DEADLINE: std::time::Duration = std::time::Duration::from_secs(30);

//! What traps is never done: waiting for nothing, writing beyond the permit, dropping a parent before its child.
//!
//! A trap would end the guest and with it its test.

use std::sync::{Arc, Mutex};

use anyhow::Result;
use tokio::io::{AsyncWriteExt, copy};
use wasi_streams_host::peer::{Listener, refusing_address};
use wasi_streams_host::{Guest, Resources, Status, block_on};

use crate::support::{assert_same, pattern};

#[test]
fn waiting_for_nothing_at_all_waits() -> Result<()> {
    block_on(async {
        let mut guest = Guest::named("traps").arg("nothing").start().await?;
        guest.wait_line("waiting for nothing").await?;
        guest.wait_until(|now| now.polls >= 1).await?;
        let outcome = guest.stop().await;
        assert_eq!(outcome.status, Status::Stopped, "{outcome}");
        Ok(())
    })
}

#[test]
fn waiting_for_nothing_but_timers_waits_for_them() -> Result<()> {
    block_on(async {
        Guest::named("traps").arg("timers").run().await?.success()?;
        Ok(())
    })
}

#[test]
fn waiting_for_nothing_but_a_socket_waits_for_it() -> Result<()> {
    block_on(async {
        let listener = Listener::v4()?;
        let mut guest = Guest::named("traps").args(["sockets".into(), listener.addr().to_string()]).start().await?;
        let mut peer = listener.accept().await?;
        guest.wait_line("connected").await?;
        // A poll with the connection's streams in hand: it waits for them, and for nothing else.
        guest.wait_until(|now| now.resources.input_streams > 0).await?;
        peer.write_all(b"at last\n").await?;
        assert_eq!(peer.read_to_end().await?, b"");
        guest.finish().await.success()?;
        Ok(())
    })
}

#[test]
fn writes_of_every_size_stay_within_the_permit() -> Result<()> {
    block_on(async {
        let listener = Listener::v4()?;
        let guest = Guest::named("traps").args(["write".into(), listener.addr().to_string()]).start().await?;
        let mut peer = listener.accept().await?;
        let received = peer.read_to_end().await?;
        assert_same(&received, &pattern(received.len()));
        assert!(received.len() > 32 << 20);
        peer.half_close().await?;
        guest.finish().await.success()?;
        Ok(())
    })
}

#[test]
fn a_connection_can_be_dropped_at_every_moment_of_its_life() -> Result<()> {
    block_on(async {
        let (refusing, _refusing) = refusing_address()?;
        let (echoing, stalling) = (Listener::v4()?, Listener::stalling(4096)?);
        let addresses = [refusing, echoing.addr(), stalling.addr()].map(|address| address.to_string());
        let mut guest = Guest::named("traps").arg("stages").args(addresses).start().await?;
        let echoes = tokio::spawn(echo_all(echoing));
        let unread = Arc::new(Mutex::new(Vec::new()));
        let accepted = tokio::spawn({
            let unread = Arc::clone(&unread);
            async move {
                while let Ok(peer) = stalling.accept().await {
                    unread.lock().expect("keeping does not panic").push(peer);
                }
            }
        });
        println!("{}", guest.wait_line("dropped at ").await?);
        accepted.abort();
        let kept = std::mem::take(&mut *unread.lock().expect("keeping does not panic"));
        println!("{} stalled", kept.len());
        assert!(!kept.is_empty());
        drop(kept);
        // What stays are standard output and error, each with its pollable, and the timer.
        let idle = |now: Resources| {
            (now.tcp_sockets, now.input_streams) == (0, 0) && now.output_streams <= 2 && now.pollables <= 3
        };
        let left = guest.wait_until(|now| idle(now.resources)).await?;
        println!("{left:?}");
        echoes.abort();
        assert_eq!(guest.stop().await.status, Status::Stopped);
        Ok(())
    })
}

/// A native server that echoes each connection to its end.
async fn echo_all(listener: Listener) -> Result<()> {
    loop {
        let mut peer = listener.accept().await?;
        tokio::spawn(async move {
            let (mut reading, mut writing) = peer.stream().split();
            copy(&mut reading, &mut writing).await?;
            writing.shutdown().await
        });
    }
}

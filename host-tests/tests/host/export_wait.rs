//! The exported interface: waiting for several things at once, by `wait` and by pollables, and what nobody can take away from
//! those who wait.

use std::time::Duration;

use anyhow::Result;
use wasi_streams_host::block_on;
use wasi_streams_host::exported::{Exported, Held};
use wasi_streams_host::peer::{BlackHole, Listener, Peer};
use wasmtime::component::ResourceAny;

use crate::export_support::{
    ErrorKind, FORMS, Form, Interest, Pair, any_ready, call, client_config, drop_all, expect_error, listen, net, pair,
    pair_with, perform, settle,
};
use crate::support::{heavy, need_descriptors, pattern};
use crate::tls_support::{NAME, Pki};

#[test]
fn wait_tells_all_that_may_go_on_of_many_different_things() -> Result<()> {
    block_on(async {
        let pki = Pki::new();
        let mut net = net().await?;
        let (hole, listener) = (BlackHole::v4().await?, Listener::stalling(4096)?);
        let quiet = pair(&mut net).await?;
        let mut talking = pair(&mut net).await?;
        let stalled = pair_with(&mut net, &listener, None).await?;
        call!(net.writer.call_write(stalled.writer, &pattern(8 << 20)))?;
        let upgrading = pair(&mut net).await?;
        let config = client_config(&mut net, &pki).await?;
        call!(net.writer.call_start_tls_client(upgrading.writer, config, Some(NAME)))?;
        let (server, address) = listen(&mut net, None).await?;
        let pending = call!(net.call_start_connect("127.0.0.1", hole.addr().port(), None))?;
        // All of them have said "not yet".
        assert!(call!(net.reader.call_try_read(quiet.reader, 1))?.is_none());
        assert!(call!(net.reader.call_try_read(talking.reader, 1))?.is_none());
        assert!(!call!(net.writer.call_try_drain(stalled.writer))?);
        assert!(!call!(net.writer.call_try_handshake(upgrading.writer))?);
        assert!(!call!(net.writer.call_try_wait_closed(quiet.writer))?);
        assert!(call!(net.server.call_try_accept(server))?.is_none());
        assert!(call!(net.connecting.call_try_finish(pending))?.is_none());
        let late = net.timer(Duration::from_secs(60))?;
        let all = |foreign: Held| {
            [
                Interest::Readable(quiet.reader),
                Interest::Readable(talking.reader),
                Interest::Drained(stalled.writer),
                Interest::Handshaken(upgrading.writer),
                Interest::Closed(quiet.writer),
                Interest::Acceptable(server),
                Interest::Connected(pending),
                Interest::Foreign(foreign),
            ]
        };
        let before = net.snapshot().polls;
        assert_eq!(call!(net.call_wait(&all(late), Some(300)))?, [], "the timeout");
        let polls = net.snapshot().polls - before;
        assert!(polls <= 12, "{polls} polls of the host for nothing");

        let soon = net.timer(Duration::from_millis(50))?;
        assert_eq!(call!(net.call_wait(&all(soon), None))?, [7], "the foreign one");
        talking.peer.write_all(b"x").await?;
        let late = net.timer(Duration::from_secs(60))?;
        assert_eq!(call!(net.call_wait(&all(late), None))?, [1], "what can be read");
        assert_eq!(call!(net.reader.call_try_read(talking.reader, 1))?.as_deref(), Some(&b"x"[..]));
        assert!(call!(net.reader.call_try_read(talking.reader, 1))?.is_none());
        let _client = Peer::connect(address).await?;
        let late = net.timer(Duration::from_secs(60))?;
        assert_eq!(call!(net.call_wait(&all(late), None))?, [5], "who comes");
        assert!(call!(net.server.call_try_accept(server))?.is_some());
        assert!(call!(net.server.call_try_accept(server))?.is_none());
        // Several at once: all that are there are told, in their order.
        quiet.peer.reset()?;
        talking.peer.write_all(b"y").await?;
        let _client = Peer::connect(address).await?;
        drop((stalled.peer, upgrading.peer));
        let mut seen = Vec::new();
        while seen != [0, 1, 2, 3, 4, 5] {
            let late = net.timer(Duration::from_secs(60))?;
            seen = call!(net.call_wait(&all(late), None))?;
            assert!(seen.is_sorted() && !seen.is_empty() && !seen.contains(&6) && !seen.contains(&7), "{seen:?}");
        }
        Ok(())
    })
}

#[test]
fn who_tries_again_and_again_does_not_have_the_host_asked_each_time() -> Result<()> {
    const TRIES: u64 = 1000;
    block_on(async {
        let mut net = net().await?;
        let mut quiet = pair(&mut net).await?;
        let before = net.snapshot().polls;
        for _ in 0..TRIES {
            assert!(call!(net.reader.call_try_read(quiet.reader, 1))?.is_none());
        }
        let polls = net.snapshot().polls - before;
        assert!(polls < TRIES / 2, "{polls} polls of the host for {TRIES} tries");
        // It is asked all the same: nobody waits here, and what has come is found.
        quiet.peer.write_all(b"x").await?;
        while call!(net.reader.call_try_read(quiet.reader, 1))?.is_none() {}
        Ok(())
    })
}

#[test]
fn waiting_for_nothing_is_an_error_or_a_sleep() -> Result<()> {
    block_on(async {
        let mut net = net().await?;
        assert_eq!(expect_error(call!(net.call_wait(&[], None))).kind, ErrorKind::InvalidArgument);
        assert_eq!(call!(net.call_wait(&[], Some(0)))?, []);
        let before = tokio::time::Instant::now();
        assert_eq!(call!(net.call_wait(&[], Some(50)))?, []);
        assert!(before.elapsed() >= Duration::from_millis(50));
        // Huge timeouts, and the same thing many times.
        let pair = pair(&mut net).await?;
        assert!(call!(net.reader.call_try_read(pair.reader, 1))?.is_none());
        drop(pair.peer);
        let on: Vec<Interest> = (0..1000).map(|_| Interest::Readable(pair.reader)).collect();
        let ready = call!(net.call_wait(&on, Some(u32::MAX)))?;
        assert_eq!(ready, (0..1000).collect::<Vec<u32>>());
        Ok(())
    })
}

#[test]
fn what_a_pollable_tells_of_is_taken_away_by_no_call_on_something_else() -> Result<()> {
    block_on(async {
        let mut net = net().await?;
        let mut first = pair(&mut net).await?;
        let second = pair(&mut net).await?;
        let (server, address) = listen(&mut net, None).await?;
        let listener = Listener::v4()?;
        for round in 0..8 {
            let connecting = call!(net.call_start_connect("127.0.0.1", listener.port(), None))?;
            assert!(call!(net.reader.call_try_read(first.reader, 9))?.is_none());
            let readable = call!(net.reader.call_subscribe(first.reader));
            assert!(call!(net.server.call_try_accept(server))?.is_none());
            let acceptable = call!(net.server.call_subscribe(server));
            let connected = call!(net.connecting.call_subscribe(connecting));
            // Everything happens now that these wait for.
            first.peer.write_all(b"hello").await?;
            let _client = Peer::connect(address).await?;
            tokio::time::sleep(Duration::from_millis(20)).await;
            // And other things are done meanwhile that drive whatever they can.
            match round {
                0 => assert!(call!(net.reader.call_try_read(second.reader, 9))?.is_none()),
                1 => assert_eq!(call!(net.call_wait(&[Interest::Readable(second.reader)], Some(20)))?, []),
                2 => call!(net.writer.call_drain(second.writer))?,
                // The writer of the same connection is something else, too.
                3 => {
                    call!(net.writer.call_write(first.writer, b"bye"))?;
                    call!(net.writer.call_drain(first.writer))?;
                    assert_eq!(first.peer.read_exact(3).await?, b"bye");
                }
                4 => assert!(!call!(net.writer.call_try_wait_closed(first.writer))?),
                // No handshake is under way.
                5 => assert!(call!(net.writer.call_try_handshake(first.writer))?),
                6 => call!(net.writer.call_handshake(first.writer))?,
                _ => drop_all_later(&mut net, first.writer).await?,
            }
            for pollables in [readable, acceptable, connected] {
                assert!(any_ready(&mut net, &pollables).await?, "round {round}");
                drop_all(&mut net, pollables)?;
            }
            let read = perform!(Form::Polling, net.reader: call_read | call_try_read as Readable(first.reader, 9))?;
            assert_eq!(read, b"hello", "round {round}");
            let accepted = perform!(Form::Polling, net.server: call_accept | call_try_accept as Acceptable(server))?;
            net.drop_resource(accepted.1).await?;
            perform!(Form::Polling, net.connecting: call_finish | call_try_finish as Connected(connecting))?;
        }
        Ok(())
    })
}

#[test]
fn a_loop_of_pollables_serves_a_hundred_connections_and_misses_nothing() -> Result<()> {
    block_on(async {
        let mut net = net().await?;
        let (server, address) = listen(&mut net, None).await?;
        let clients = clients(address, 100, 20);
        // Like an event loop of another language: each connection is tried, and what it waits for is kept until all are polled.
        let mut connections: Vec<(ResourceAny, ResourceAny, Vec<Held>)> = Vec::new();
        let mut waiting = Vec::new();
        let mut over = 0;
        while over < 100 {
            if waiting.is_empty() || any_of(&mut net, &waiting).await? {
                drop_all(&mut net, std::mem::take(&mut waiting))?;
                while let Some((reader, writer)) = call!(net.server.call_try_accept(server))? {
                    connections.push((reader, writer, Vec::new()));
                }
                waiting = call!(net.server.call_subscribe(server));
            }
            let mut open = Vec::new();
            for (reader, writer, pollables) in connections {
                if !pollables.is_empty() && !any_of(&mut net, &pollables).await? {
                    open.push((reader, writer, pollables));
                    continue;
                }
                drop_all(&mut net, pollables)?;
                let over_now = loop {
                    match call!(net.reader.call_try_read_line(reader))? {
                        None => break false,
                        Some(line) if line.is_empty() => break true,
                        Some(line) => call!(net.writer.call_write(writer, &line))?,
                    }
                };
                if over_now {
                    over += 1;
                    net.drop_resource(reader).await?;
                    net.drop_resource(writer).await?;
                } else {
                    let pollables = call!(net.reader.call_subscribe(reader));
                    open.push((reader, writer, pollables));
                }
            }
            connections = open;
            if over < 100 {
                net.poll(waiting.iter().chain(connections.iter().flat_map(|(_, _, pollables)| pollables))).await?;
            }
        }
        clients.await?
    })
}

#[test]
fn a_stalled_peer_holds_up_none_of_ninety_nine_others() -> Result<()> {
    let _heavy = heavy();
    need_descriptors(1024)?;
    block_on(async {
        let mut net = net().await?;
        let (server, address) = listen(&mut net, None).await?;
        let mut stalled = Peer::connect_with_receive_buffer(address, 4096).await?;
        let (_, stuck) = call!(net.server.call_accept(server))?;
        call!(net.writer.call_write(stuck, &pattern(16 << 20)))?;
        assert!(!call!(net.writer.call_try_drain(stuck))?);
        let clients = clients(address, 99, 20);
        let mut connections: Vec<(ResourceAny, ResourceAny)> = Vec::new();
        let mut over = 0;
        while over < 99 {
            let mut on = vec![Interest::Acceptable(server), Interest::Drained(stuck)];
            on.extend(connections.iter().map(|(reader, _)| Interest::Readable(*reader)));
            let ready = call!(net.call_wait(&on, None))?;
            assert!(!ready.contains(&1), "nobody reads there");
            while let Some(accepted) = call!(net.server.call_try_accept(server))? {
                connections.push(accepted);
            }
            for index in ready.into_iter().filter(|index| *index >= 2).rev() {
                let (reader, writer) = connections[index as usize - 2];
                while let Some(line) = call!(net.reader.call_try_read_line(reader))? {
                    if line.is_empty() {
                        over += 1;
                        connections.remove(index as usize - 2);
                        net.drop_resource(reader).await?;
                        net.drop_resource(writer).await?;
                        break;
                    }
                    call!(net.writer.call_write(writer, &line))?;
                }
            }
        }
        clients.await??;
        // It is dropped while it is stuck, and holds up nothing then either.
        net.drop_resource(stuck).await?;
        net.drop_resource(server).await?;
        settle(&mut net).await?;
        let reading = tokio::spawn(async move { stalled.read_to_end().await });
        while !reading.is_finished() {
            call!(net.call_wait(&[], Some(10)))?;
        }
        crate::support::assert_same(&reading.await??, &pattern(16 << 20));
        Ok(())
    })
}

#[test]
fn a_loss_is_told_to_who_waits_for_the_end_of_an_open_connection() -> Result<()> {
    block_on(async {
        let mut net = net().await?;
        for form in FORMS {
            let Pair { reader, writer, peer } = pair(&mut net).await?;
            assert!(!call!(net.writer.call_try_wait_closed(writer))?);
            if form == Form::Polling {
                let pollables = call!(net.writer.call_subscribe(writer));
                assert!(!any_ready(&mut net, &pollables).await?, "it is drained, and nobody has asked for that");
                drop_all(&mut net, pollables)?;
            } else {
                // A read that was given up is none in the way.
                assert!(call!(net.reader.call_try_read(reader, 1))?.is_none());
                let given_up = call!(net.reader.call_subscribe(reader));
                drop_all(&mut net, given_up)?;
            }
            let resetting = tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(50)).await;
                peer.reset()
            });
            let lost = perform!(form, net.writer: call_wait_closed | call_try_wait_closed as Closed(writer));
            assert_eq!(expect_error(lost).kind, ErrorKind::ConnectionReset, "{form:?}");
            resetting.await??;
        }
        Ok(())
    })
}

/// Native clients, each of which sends so many lines and waits for each to come back.
fn clients(address: std::net::SocketAddr, count: usize, lines: usize) -> tokio::task::JoinHandle<Result<()>> {
    tokio::spawn(async move {
        let mut all = tokio::task::JoinSet::new();
        for number in 0..count {
            all.spawn(async move {
                let mut peer = Peer::connect(address).await?;
                for line in 0..lines {
                    let line = format!("line {line} of {number}\n");
                    let (first, second) = line.as_bytes().split_at(line.len() / 2);
                    peer.write_all(first).await?;
                    tokio::task::yield_now().await;
                    peer.write_all(second).await?;
                    assert_eq!(peer.read_line().await?, line.as_bytes());
                }
                peer.half_close().await?;
                assert_eq!(peer.read_to_end().await?, b"");
                anyhow::Ok(())
            });
        }
        while let Some(client) = all.join_next().await {
            client??;
        }
        Ok(())
    })
}

/// Whether one of these is ready, of which nobody knows yet.
async fn any_of(net: &mut Exported, pollables: &[Held]) -> Result<bool> {
    let now = net.timer(Duration::ZERO)?;
    let ready = net.poll(pollables.iter().chain([&now])).await?;
    net.drop_pollable(now)?;
    Ok(ready.into_iter().any(|index| index < pollables.len()))
}

/// Subscribes to a writer whose reader has pollables out, and drops what that gives.
async fn drop_all_later(net: &mut Exported, writer: ResourceAny) -> Result<()> {
    assert!(!call!(net.writer.call_try_wait_closed(writer))?);
    let pollables = call!(net.writer.call_subscribe(writer));
    assert!(!pollables.is_empty());
    drop_all(net, pollables)
}

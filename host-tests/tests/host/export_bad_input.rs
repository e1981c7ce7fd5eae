//! The exported interface in careless hands: resources and pollables dropped in any order, kept too long, or forgotten. Nothing of
//! that traps, and what it holds is bounded.

use std::time::Duration;

use anyhow::Result;
use wasi_streams_host::exported::{Exported, Held};
use wasi_streams_host::peer::{BlackHole, Listener, Peer};
use wasi_streams_host::{Guest, block_on};

use crate::export_support::{
    ErrorKind, Interest, Pair, any_ready, call, client_config, drop_all, expect_error, listen, net, pair, pair_with,
    server_config, settle, tls_options,
};
use crate::support::{heavy, pattern};
use crate::tls_support::{NAME, Pki};

/// So many handles are kept for pollables that outlive them: `KEPT` of the library.
const KEPT: usize = 256;

#[test]
fn every_order_of_dropping_is_fine() -> Result<()> {
    block_on(async {
        let mut net = net().await?;
        let listener = Listener::stalling(4096)?;
        // Reader, writer, and the pollables of each, in every order, of connections idle and busy.
        for busy in [false, true] {
            for order in permutations() {
                let Pair { reader, writer, mut peer } = pair_with(&mut net, &listener, None).await?;
                if busy {
                    call!(net.writer.call_write(writer, &pattern(BUSY)))?;
                    assert!(!call!(net.writer.call_try_drain(writer))?);
                } else {
                    assert!(!call!(net.writer.call_try_wait_closed(writer))?);
                }
                assert!(call!(net.reader.call_try_read(reader, 1))?.is_none());
                let mut pollables =
                    [Some(call!(net.reader.call_subscribe(reader))), Some(call!(net.writer.call_subscribe(writer)))];
                for what in order {
                    match what {
                        0 => net.drop_resource(reader).await?,
                        1 => net.drop_resource(writer).await?,
                        pollable => {
                            let kept = pollables[pollable - 2].take().unwrap_or_default();
                            any_ready(&mut net, &kept).await?;
                            drop_all(&mut net, kept)?;
                        }
                    }
                    // Whatever is called meanwhile.
                    assert_eq!(call!(net.call_wait(&[], Some(0)))?, []);
                }
                let reading = tokio::spawn(async move { peer.read_to_end().await });
                while !reading.is_finished() {
                    call!(net.call_wait(&[], Some(5)))?;
                }
                assert_eq!(reading.await??.len(), if busy { BUSY } else { 0 }, "{order:?}");
            }
        }
        Ok(())
    })
}

#[test]
fn pollables_of_everything_outlive_it() -> Result<()> {
    block_on(async {
        let mut net = net().await?;
        let (hole, listener) = (BlackHole::v4().await?, Listener::v4()?);
        let mut kept = Vec::new();
        for _ in 0..KEPT / 8 {
            let Pair { reader, writer, peer } = pair_with(&mut net, &listener, None).await?;
            assert!(call!(net.reader.call_try_read(reader, 1))?.is_none());
            kept.extend(call!(net.reader.call_subscribe(reader)));
            kept.extend(call!(net.writer.call_subscribe(writer)));
            let (server, _) = listen(&mut net, None).await?;
            assert!(call!(net.server.call_try_accept(server))?.is_none());
            kept.extend(call!(net.server.call_subscribe(server)));
            let connecting = call!(net.call_start_connect("127.0.0.1", hole.addr().port(), None))?;
            assert!(call!(net.connecting.call_try_finish(connecting))?.is_none());
            kept.extend(call!(net.connecting.call_subscribe(connecting)));
            for resource in [reader, writer, server, connecting] {
                net.drop_resource(resource).await?;
            }
            drop(peer);
        }
        settle(&mut net).await?;
        // They can be polled, and dropped at any time.
        any_ready(&mut net, &kept).await?;
        drop_all(&mut net, kept)?;
        settle(&mut net).await
    })
}

#[test]
fn a_forgotten_pollable_costs_its_own_connection_and_no_other() -> Result<()> {
    let _heavy = heavy();
    block_on(async {
        let mut net = net().await?;
        let listener = Listener::v4()?;
        // What is forgotten is never dropped; the rest is, before the next call on that object.
        let forgotten = polled_and_closed(&mut net, &listener, false).await?;
        settle(&mut net).await?;
        for _ in 0..KEPT + 44 {
            assert!(polled_and_closed(&mut net, &listener, true).await?.is_empty());
        }
        settle(&mut net).await?;
        let now = net.resources();
        assert_eq!((now.tcp_sockets, now.input_streams, now.output_streams), (KEPT + 1, KEPT + 1, KEPT + 1));
        assert!(any_ready(&mut net, &forgotten).await?, "it is over");
        drop_all(&mut net, forgotten)?;
        settle(&mut net).await
    })
}

#[test]
fn where_everything_is_forgotten_nothing_traps() -> Result<()> {
    let _heavy = heavy();
    block_on(async {
        let mut net = net().await?;
        let listener = Listener::v4()?;
        let mut forgotten = Vec::new();
        for _ in 0..KEPT + 44 {
            forgotten.extend(polled_and_closed(&mut net, &listener, false).await?);
        }
        settle(&mut net).await?;
        assert_eq!(net.resources().tcp_sockets, KEPT + 44);
        drop_all(&mut net, forgotten)?;
        settle(&mut net).await
    })
}

/// Opens a connection, polls for its reader, and drops both sides; the peer leaves too, or the connection would linger. Who
/// `comes_back` drops the pollables first, and calls once more; else they are given.
async fn polled_and_closed(net: &mut Exported, listener: &Listener, comes_back: bool) -> Result<Vec<Held>> {
    let Pair { reader, writer, mut peer } = pair_with(net, listener, None).await?;
    assert!(call!(net.reader.call_try_read(reader, 1))?.is_none());
    let mut pollables = call!(net.reader.call_subscribe(reader));
    peer.write_all(b"x").await?;
    net.poll(&pollables).await?;
    if comes_back {
        drop_all(net, std::mem::take(&mut pollables))?;
        assert_eq!(call!(net.reader.call_try_read(reader, 1))?, Some(b"x".to_vec()));
    }
    net.drop_resource(writer).await?;
    net.drop_resource(reader).await?;
    Ok(pollables)
}

#[test]
fn thousands_of_connections_leave_nothing_but_a_bounded_number_of_handles() -> Result<()> {
    let _heavy = heavy();
    block_on(async {
        let mut net = net().await?;
        let listener = Listener::v4()?;
        let port = listener.port();
        let serving = tokio::spawn(async move {
            loop {
                let mut peer = listener.accept().await?;
                tokio::spawn(async move {
                    let line = peer.read_line().await?;
                    peer.write_all(&line).await?;
                    peer.read_to_end().await
                });
            }
            #[expect(unreachable_code, reason = "says the type")]
            anyhow::Ok(())
        });
        let mut before = None;
        for (polling, count) in [(false, 200), (false, 1800), (true, 600), (true, 1400)] {
            for _ in 0..count {
                let (reader, writer) = call!(net.call_connect("127.0.0.1", port, None))?;
                let mut pollables = Vec::new();
                if polling {
                    assert!(call!(net.reader.call_try_read_line(reader))?.is_none());
                    pollables = call!(net.reader.call_subscribe(reader));
                }
                call!(net.writer.call_write(writer, b"hello\n"))?;
                call!(net.writer.call_drain(writer))?;
                if polling {
                    net.poll(&pollables).await?;
                    drop_all(&mut net, pollables)?;
                }
                assert_eq!(call!(net.reader.call_read_line(reader))?, b"hello\n");
                net.drop_resource(writer).await?;
                net.drop_resource(reader).await?;
            }
            settle(&mut net).await?;
            let (now, memory) = (net.resources(), net.snapshot().memory_bytes);
            println!("{count} more, polling: {polling}: {now:?} with {memory} bytes");
            // None of those that were only read from, and the newest of those that were polled.
            let kept = if polling { KEPT } else { 0 };
            assert_eq!((now.tcp_sockets, now.input_streams, now.output_streams), (kept, kept, kept));
            assert!(now.pollables <= 4, "{now:?}");
            match before.replace((polling, memory)) {
                Some((was_polling, was)) if was_polling == polling => {
                    assert!(memory <= was + SLACK, "{memory} bytes after {was}");
                }
                _ => {}
            }
        }
        serving.abort();
        Ok(())
    })
}

#[test]
fn options_and_configurations_may_go_before_what_was_made_with_them() -> Result<()> {
    block_on(async {
        let pki = Pki::new();
        let mut net = net().await?;
        let config = server_config(&mut net, &pki).await?;
        let options = call!(net.listen_options.call_constructor());
        call!(net.listen_options.call_set_tls(options, config));
        net.drop_resource(config).await?;
        let (server, address) = listen(&mut net, Some(options)).await?;
        net.drop_resource(options).await?;
        let config = client_config(&mut net, &pki).await?;
        let options = tls_options(&mut net, config, Some(NAME)).await?;
        net.drop_resource(config).await?;
        let connecting = call!(net.call_start_connect("127.0.0.1", address.port(), Some(options)))?;
        net.drop_resource(options).await?;
        let (_, writer) = call!(net.connecting.call_finish(connecting))?;
        call!(net.writer.call_write(writer, b"hello\n"))?;
        let (reader, _) = call!(net.server.call_accept(server))?;
        assert_eq!(call!(net.reader.call_read_line(reader))?, b"hello\n");
        Ok(())
    })
}

#[test]
fn forgotten_resources_hold_up_nothing() -> Result<()> {
    block_on(async {
        let mut net = net().await?;
        let listener = Listener::stalling(4096)?;
        let mut peers = Vec::new();
        for number in 0..50 {
            let Pair { reader, writer, mut peer } = pair_with(&mut net, &listener, None).await?;
            match number % 3 {
                // Nobody reads, or takes, or says anything any more.
                0 => peer.write_all(&pattern(100_000)).await?,
                1 => call!(net.writer.call_write(writer, &pattern(1 << 20)))?,
                _ => {
                    assert!(call!(net.reader.call_try_read(reader, 1))?.is_none());
                    let forgotten = call!(net.reader.call_subscribe(reader));
                    assert!(!forgotten.is_empty());
                }
            }
            peers.push(peer);
        }
        let before = net.snapshot().polls;
        assert_eq!(call!(net.call_wait(&[], Some(300)))?, []);
        let polls = net.snapshot().polls - before;
        assert!(polls <= 20, "{polls} polls of the host for nothing");
        let mut pair = pair(&mut net).await?;
        pair.peer.write_all(b"hello\n").await?;
        assert_eq!(call!(net.reader.call_read_line(pair.reader))?, b"hello\n");
        Ok(())
    })
}

#[test]
fn zero_and_huge_numbers_mean_what_they_say() -> Result<()> {
    block_on(async {
        let mut net = net().await?;
        let options = call!(net.connect_options.call_constructor());
        call!(net.connect_options.call_set_limit(options, u32::MAX));
        call!(net.connect_options.call_set_timeout(options, u32::MAX));
        call!(net.connect_options.call_set_interleave(options, u32::MAX));
        call!(net.connect_options.call_set_happy_eyeballs_delay(options, Some(u32::MAX)));
        let mut pair = pair_with(&mut net, &Listener::v4()?, Some(options)).await?;
        pair.peer.write_all(b"data").await?;
        assert_eq!(call!(net.reader.call_read(pair.reader, 0))?, b"");
        assert_eq!(call!(net.reader.call_read_exactly(pair.reader, 0))?, b"");
        assert_eq!(call!(net.reader.call_read(pair.reader, u32::MAX))?, b"data");
        assert!(call!(net.reader.call_try_read_exactly(pair.reader, u32::MAX))?.is_none());
        assert_eq!(call!(net.call_wait(&[Interest::Readable(pair.reader)], Some(0)))?, []);
        // No time at all is over at once.
        call!(net.connect_options.call_set_timeout(options, 0));
        let hole = BlackHole::v4().await?;
        let error = expect_error(call!(net.call_connect("127.0.0.1", hole.addr().port(), Some(options))));
        assert_eq!(error.kind, ErrorKind::TimedOut);
        let listening = call!(net.listen_options.call_constructor());
        call!(net.listen_options.call_set_limit(listening, u32::MAX));
        call!(net.listen_options.call_set_backlog(listening, u32::MAX));
        let (server, address) = listen(&mut net, Some(listening)).await?;
        let _peer = Peer::connect(address).await?;
        call!(net.server.call_accept(server))?;
        Ok(())
    })
}

#[test]
fn a_call_from_inside_a_call_is_refused_and_harms_nothing() -> Result<()> {
    block_on(async {
        // The component calls nobody but the host, so only a host that breaks the canonical ABI can call it again meanwhile.
        let (mut net, answers) = Guest::named("wasi-streams").export_reentered().await?;
        let mut pair = pair(&mut net).await?;
        let writing = tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(50)).await;
            pair.peer.write_all(b"hello\n").await.map(|()| pair.peer)
        });
        assert_eq!(call!(net.reader.call_read_line(pair.reader))?, b"hello\n");
        writing.await??;
        let answers = std::mem::take(&mut *answers.lock().expect("noting does not panic"));
        assert!(!answers.is_empty());
        assert!(answers.iter().all(|answer| answer.contains("InvalidState")), "{answers:?}");
        Ok(())
    })
}

/// Every order of four.
fn permutations() -> Vec<[usize; 4]> {
    let mut all = Vec::new();
    for a in 0..4 {
        for b in (0..4).filter(|b| *b != a) {
            for c in (0..4).filter(|c| *c != a && *c != b) {
                all.push([a, b, c, 6 - a - b - c]);
            }
        }
    }
    all
}

/// More than the system takes in for a peer that does not read.
const BUSY: usize = 8 << 20;
/// Thirty bytes a connection would be more.
const SLACK: usize = 64 * 1024;

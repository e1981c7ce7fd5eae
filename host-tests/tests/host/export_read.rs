//! The exported interface: reading, in each of its forms, and what it costs to wait for half a line.

use std::time::Duration;

use anyhow::Result;
use wasi_streams_host::block_on;
use wasi_streams_host::exported::connections;
use wasi_streams_host::peer::Listener;

use crate::export_support::{
    Error, ErrorKind, FORMS, Interest, Pair, any_ready, call, drop_all, expect_error, net, pair, pair_with, perform,
};
use crate::support::{assert_same, pattern};

#[test]
fn every_way_of_reading_takes_what_it_says_in_every_form() -> Result<()> {
    block_on(async {
        let mut net = net().await?;
        for form in FORMS {
            let Pair { reader, mut peer, .. } = pair(&mut net).await?;
            peer.write_all(b"12345one line\nkey: value\r\n\r\na;b.rest").await?;
            let read = perform!(form, net.reader: call_read | call_try_read as Readable(reader, 3))?;
            assert_eq!(read, b"123", "{form:?}");
            let read = perform!(form, net.reader: call_read_exactly | call_try_read_exactly as Readable(reader, 2))?;
            assert_eq!(read, b"45", "{form:?}");
            let read = perform!(form, net.reader: call_read_line | call_try_read_line as Readable(reader))?;
            assert_eq!(read, b"one line\n", "{form:?}");
            let blank = [b"\r\n\r\n".to_vec()];
            let read = perform!(form, net.reader: call_read_until | call_try_read_until as Readable(reader, &blank))?;
            assert_eq!(read, b"key: value\r\n\r\n", "{form:?}");
            let either = [b".".to_vec(), b";".to_vec()];
            let read = perform!(form, net.reader: call_read_until | call_try_read_until as Readable(reader, &either))?;
            assert_eq!(read, b"a;", "{form:?}: the one that ends first");
            let read = perform!(form, net.reader: call_read | call_try_read as Readable(reader, 0))?;
            assert_eq!(read, b"", "{form:?}: nothing was asked for");
            assert!(!call!(net.reader.call_at_eof(reader)));
            peer.half_close().await?;
            assert_eq!(call!(net.reader.call_read_to_end(reader))?, b"b.rest", "{form:?}");
            assert!(call!(net.reader.call_at_eof(reader)));
            for _ in 0..2 {
                let read = perform!(form, net.reader: call_read | call_try_read as Readable(reader, u32::MAX))?;
                assert_eq!(read, b"", "{form:?}: the end");
                let read = perform!(form, net.reader: call_read_line | call_try_read_line as Readable(reader))?;
                assert_eq!(read, b"", "{form:?}: the end");
                assert_eq!(call!(net.reader.call_read_to_end(reader))?, b"", "{form:?}: the end");
            }
        }
        Ok(())
    })
}

#[test]
fn every_form_waits_for_what_is_still_to_come() -> Result<()> {
    block_on(async {
        let mut net = net().await?;
        for form in FORMS {
            let Pair { reader, mut peer, .. } = pair(&mut net).await?;
            let writing = tokio::spawn(async move {
                // Long after the component has begun to wait, and in pieces.
                for piece in ["half a ", "line\n", "12", "34", "a", ";"] {
                    tokio::time::sleep(Duration::from_millis(30)).await;
                    peer.write_all(piece.as_bytes()).await?;
                }
                anyhow::Ok(peer)
            });
            let read = perform!(form, net.reader: call_read_line | call_try_read_line as Readable(reader))?;
            assert_eq!(read, b"half a line\n", "{form:?}");
            let read = perform!(form, net.reader: call_read_exactly | call_try_read_exactly as Readable(reader, 4))?;
            assert_eq!(read, b"1234", "{form:?}");
            let end = [b";".to_vec()];
            let read = perform!(form, net.reader: call_read_until | call_try_read_until as Readable(reader, &end))?;
            assert_eq!(read, b"a;", "{form:?}");
            let peer = writing.await??;
            let ending = tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(30)).await;
                drop(peer);
            });
            let read = perform!(form, net.reader: call_read | call_try_read as Readable(reader, 10))?;
            assert_eq!(read, b"", "{form:?}");
            ending.await?;
        }
        Ok(())
    })
}

#[test]
fn a_stream_that_ends_too_early_says_what_there_was() -> Result<()> {
    block_on(async {
        let mut net = net().await?;
        for form in FORMS {
            let Pair { reader, mut peer, .. } = pair(&mut net).await?;
            peer.write_all(b"12345").await?;
            peer.half_close().await?;
            let read = perform!(form, net.reader: call_read_exactly | call_try_read_exactly as Readable(reader, 6));
            let (partial, expected) = incomplete(expect_error(read));
            assert_eq!((partial.as_slice(), expected), (&b"12345"[..], Some(6)), "{form:?}");
            // It is consumed.
            let read = perform!(form, net.reader: call_read_exactly | call_try_read_exactly as Readable(reader, 1));
            assert_eq!(incomplete(expect_error(read)), (Vec::new(), Some(1)), "{form:?}");

            let Pair { reader, mut peer, .. } = pair(&mut net).await?;
            peer.write_all(b"no end").await?;
            peer.half_close().await?;
            let end = [b";".to_vec()];
            let read = perform!(form, net.reader: call_read_until | call_try_read_until as Readable(reader, &end));
            assert_eq!(incomplete(expect_error(read)), (b"no end".to_vec(), None), "{form:?}");
        }
        Ok(())
    })
}

#[test]
fn a_line_beyond_the_limit_says_how_to_go_on() -> Result<()> {
    block_on(async {
        let mut net = net().await?;
        let listener = Listener::v4()?;
        let options = call!(net.connect_options.call_constructor());
        call!(net.connect_options.call_set_limit(options, 8));
        for form in FORMS {
            let Pair { reader, mut peer, .. } = pair_with(&mut net, &listener, Some(options)).await?;
            peer.write_all(b"123456789;rest\n").await?;
            let end = [b";".to_vec()];
            let read = perform!(form, net.reader: call_read_until | call_try_read_until as Readable(reader, &end));
            let (consumed, found) = overrun(expect_error(read));
            assert_eq!((consumed, found), (9, true), "{form:?}");
            // Nothing is consumed; so many bytes can be taken without losing the separator.
            let read = call!(net.reader.call_read_exactly(reader, consumed as u32))?;
            assert_eq!(read, b"123456789", "{form:?}");
            let read = perform!(form, net.reader: call_read_line | call_try_read_line as Readable(reader))?;
            assert_eq!(read, b";rest\n", "{form:?}");
            // A line is dropped.
            peer.write_all(b"a line too long\nshort\n").await?;
            let read = perform!(form, net.reader: call_read_line | call_try_read_line as Readable(reader));
            assert_eq!(expect_error(read).kind, ErrorKind::LimitOverrun, "{form:?}");
            let next = loop {
                // Depending on what was there, the rest of it is a line of its own.
                let line = perform!(form, net.reader: call_read_line | call_try_read_line as Readable(reader))?;
                if b"a line too long\n".ends_with(&line) {
                    continue;
                }
                break line;
            };
            assert_eq!(next, b"short\n", "{form:?}");
        }
        Ok(())
    })
}

#[test]
fn separators_without_sense_are_refused() -> Result<()> {
    block_on(async {
        let mut net = net().await?;
        let Pair { reader, mut peer, .. } = pair(&mut net).await?;
        peer.write_all(b"line\n").await?;
        let (none, empty): ([Vec<u8>; 0], _) = ([], [b"\n".to_vec(), Vec::new()]);
        for separators in [&none[..], &empty[..]] {
            for form in FORMS {
                let read =
                    perform!(form, net.reader: call_read_until | call_try_read_until as Readable(reader, separators));
                assert_eq!(expect_error(read).kind, ErrorKind::InvalidArgument, "{form:?} {separators:?}");
            }
        }
        assert_eq!(call!(net.reader.call_read_line(reader))?, b"line\n");
        Ok(())
    })
}

#[test]
fn a_reset_comes_out_of_every_function_every_time() -> Result<()> {
    block_on(async {
        let mut net = net().await?;
        for form in FORMS {
            let Pair { reader, writer, peer } = pair(&mut net).await?;
            peer.reset()?;
            let end = [b";".to_vec()];
            for _ in 0..2 {
                let all = [
                    perform!(form, net.reader: call_read | call_try_read as Readable(reader, 1)),
                    perform!(form, net.reader: call_read_exactly | call_try_read_exactly as Readable(reader, 1)),
                    perform!(form, net.reader: call_read_line | call_try_read_line as Readable(reader)),
                    perform!(form, net.reader: call_read_until | call_try_read_until as Readable(reader, &end)),
                    call!(net.reader.call_read_to_end(reader)),
                ];
                for answer in all {
                    assert_eq!(expect_error(answer).kind, ErrorKind::ConnectionReset, "{form:?}");
                }
                let all = [
                    perform!(form, net.writer: call_drain | call_try_drain as Drained(writer)),
                    perform!(form, net.writer: call_wait_closed | call_try_wait_closed as Closed(writer)),
                ];
                for answer in all {
                    assert_eq!(expect_error(answer).kind, ErrorKind::ConnectionReset, "{form:?}");
                }
            }
        }
        Ok(())
    })
}

#[test]
fn megabytes_arrive_whole_in_every_form_and_read_ahead_is_bounded() -> Result<()> {
    block_on(async {
        let mut net = net().await?;
        let sent = pattern(8 << 20);
        for form in FORMS {
            let Pair { reader, mut peer, .. } = pair(&mut net).await?;
            let data = sent.clone();
            let writing = tokio::spawn(async move { peer.write_all(&data).await.map(|()| peer) });
            // Far more than the limit, and than what is read ahead.
            let count = 6 << 20;
            let read =
                perform!(form, net.reader: call_read_exactly | call_try_read_exactly as Readable(reader, count))?;
            assert_same(&read, &sent[..count as usize]);
            let mut rest = Vec::new();
            while rest.len() < 2 << 20 {
                rest.extend(perform!(form, net.reader: call_read | call_try_read as Readable(reader, u32::MAX))?);
            }
            assert_same(&rest, &sent[count as usize..]);
            drop(writing.await??);
        }
        // What nobody reads stays with the peer.
        let before = net.snapshot().memory_bytes;
        let Pair { reader, mut peer, .. } = pair(&mut net).await?;
        let writing = tokio::spawn(async move { peer.write_all(&vec![7; 64 << 20]).await });
        for _ in 0..10 {
            call!(net.call_wait(&[], Some(50)))?;
        }
        assert!(net.snapshot().memory_bytes <= before + (4 << 20));
        assert!(!writing.is_finished());
        net.drop_resource(reader).await?;
        // Without a reader it is thrown away.
        while !writing.is_finished() {
            call!(net.call_wait(&[], Some(10)))?;
        }
        writing.await?
    })
}

#[test]
fn half_a_line_wakes_nobody_until_more_arrives() -> Result<()> {
    block_on(async {
        let mut net = net().await?;
        let Pair { reader, mut peer, .. } = pair(&mut net).await?;
        let fresh = call!(net.reader.call_subscribe(reader));
        assert!(any_ready(&mut net, &fresh).await?, "nobody has said \"not yet\"");
        drop_all(&mut net, fresh)?;

        const DRIPS: usize = 50;
        let (mut wake_ups, mut line) = (0, Vec::new());
        assert!(call!(net.reader.call_try_read_line(reader))?.is_none());
        for drip in 0..DRIPS {
            // Nothing arrives, and nothing is ready: only the timer is.
            let mut pollables = call!(net.reader.call_subscribe(reader));
            assert!(!any_ready(&mut net, &pollables).await?, "drip {drip}");
            let byte = [b'a' + (drip % 26) as u8];
            peer.write_all(&byte).await?;
            line.extend(byte);
            assert!(!net.poll(&pollables).await?.is_empty());
            loop {
                wake_ups += 1;
                drop_all(&mut net, pollables)?;
                assert!(call!(net.reader.call_try_read_line(reader))?.is_none());
                pollables = call!(net.reader.call_subscribe(reader));
                if !any_ready(&mut net, &pollables).await? {
                    break;
                }
            }
            drop_all(&mut net, pollables)?;
        }
        println!("{wake_ups} wake-ups for {DRIPS} drips");
        assert!((DRIPS..=2 * DRIPS).contains(&wake_ups), "{wake_ups}");
        peer.write_all(b"\n").await?;
        line.push(b'\n');
        assert_eq!(call!(net.reader.call_read_line(reader))?, line);
        Ok(())
    })
}

#[test]
fn half_a_line_keeps_the_blocking_forms_asleep() -> Result<()> {
    block_on(async {
        let mut net = net().await?;
        let Pair { reader, mut peer, .. } = pair(&mut net).await?;
        peer.write_all(b"half ").await?;
        assert!(call!(net.reader.call_try_read_exactly(reader, 6))?.is_none());
        let before = net.snapshot().polls;
        assert!(call!(net.call_wait(&[Interest::Readable(reader)], Some(500)))?.len() <= 1);
        assert!(call!(net.reader.call_try_read_exactly(reader, 6))?.is_none());
        assert_eq!(call!(net.call_wait(&[Interest::Readable(reader)], Some(500)))?, []);
        let idle = net.snapshot().polls - before;

        const DRIPS: u64 = 50;
        let before = net.snapshot().polls;
        let dripping = tokio::spawn(async move {
            for _ in 0..DRIPS {
                tokio::time::sleep(Duration::from_millis(5)).await;
                peer.write_all(b".").await?;
            }
            peer.write_all(b"\n").await.map(|()| peer)
        });
        let line = call!(net.reader.call_read_line(reader))?;
        assert_eq!(line.len() as u64, 5 + DRIPS + 1);
        let dripped = net.snapshot().polls - before;
        println!("{idle} polls of the host in two silent waits, {dripped} for {DRIPS} drips");
        assert!(idle <= 12, "{idle}");
        assert!(dripped <= 4 * DRIPS, "{dripped}");
        drop(dripping.await??);
        Ok(())
    })
}

fn incomplete(error: Error) -> (Vec<u8>, Option<u64>) {
    assert_eq!(error.kind, ErrorKind::IncompleteRead);
    match error.detail {
        Some(connections::ErrorDetail::IncompleteRead(detail)) => (detail.partial, detail.expected),
        other => panic!("no detail of an incomplete read: {other:?}"),
    }
}

fn overrun(error: Error) -> (u64, bool) {
    assert_eq!(error.kind, ErrorKind::LimitOverrun);
    match error.detail {
        Some(connections::ErrorDetail::LimitOverrun(detail)) => (detail.consumed, detail.found),
        other => panic!("no detail of an overrun: {other:?}"),
    }
}

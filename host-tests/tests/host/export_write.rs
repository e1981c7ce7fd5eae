//! The exported interface: writing and closing, in each of its forms.

use std::time::Duration;

use anyhow::Result;
use wasi_streams_host::block_on;
use wasi_streams_host::peer::Listener;

use crate::export_support::{
    ErrorKind, FORMS, Form, Interest, Pair, any_ready, call, drop_all, expect_error, net, pair, pair_with, perform,
    settle,
};
use crate::support::{assert_same, pattern};

#[test]
fn what_is_written_arrives_and_draining_bounds_the_queue_in_every_form() -> Result<()> {
    block_on(async {
        let mut net = net().await?;
        let sent = pattern(8 << 20);
        for form in FORMS {
            let Pair { writer, mut peer, .. } = pair(&mut net).await?;
            let reading = tokio::spawn(async move { peer.read_to_end().await.map(|received| (peer, received)) });
            let mut most = 0;
            for piece in sent.chunks(100_000) {
                call!(net.writer.call_write(writer, piece))?;
                perform!(form, net.writer: call_drain | call_try_drain as Drained(writer))?;
                most = most.max(call!(net.writer.call_write_buffer_size(writer)));
            }
            assert!(most <= 64 * 1024, "{form:?}: {most}");
            call!(net.writer.call_write(writer, b""))?;
            call!(net.writer.call_close(writer));
            perform!(form, net.writer: call_wait_closed | call_try_wait_closed as Closed(writer))?;
            assert_eq!(call!(net.writer.call_write_buffer_size(writer)), 0, "{form:?}");
            assert_same(&reading.await??.1, &sent);
        }
        Ok(())
    })
}

#[test]
fn draining_waits_from_the_high_mark_to_the_low_one() -> Result<()> {
    block_on(async {
        let mut net = net().await?;
        let listener = Listener::stalling(4096)?;
        for form in FORMS {
            let Pair { writer, mut peer, .. } = pair_with(&mut net, &listener, None).await?;
            call!(net.writer.call_set_write_buffer_limits(writer, 400_000, Some(300_000)))?;
            // What system and host hold is not queued here.
            while call!(net.writer.call_write_buffer_size(writer)) < 350_000 {
                call!(net.writer.call_write(writer, &pattern(50_000)))?;
                assert!(call!(net.writer.call_try_drain(writer))?, "{form:?}: it was never above the high one");
            }
            call!(net.writer.call_write(writer, &pattern(200_000)))?;
            assert!(!call!(net.writer.call_try_drain(writer))?, "{form:?}");
            let pollables = call!(net.writer.call_subscribe(writer));
            assert!(!any_ready(&mut net, &pollables).await?, "{form:?}: nobody reads");
            drop_all(&mut net, pollables)?;
            assert_eq!(call!(net.call_wait(&[Interest::Drained(writer)], Some(30)))?, [], "{form:?}");
            let reading = tokio::spawn(async move { peer.read_to_end().await });
            perform!(form, net.writer: call_drain | call_try_drain as Drained(writer))?;
            let queued = call!(net.writer.call_write_buffer_size(writer));
            assert!((1..=300_000).contains(&queued), "{form:?}: {queued}");
            call!(net.writer.call_abort(writer));
            reading.await??;
        }
        let Pair { writer, peer: _peer, .. } = pair(&mut net).await?;
        let error = expect_error(call!(net.writer.call_set_write_buffer_limits(writer, 10, Some(11))));
        assert_eq!(error.kind, ErrorKind::InvalidArgument);
        // Huge ones are as good as none.
        call!(net.writer.call_set_write_buffer_limits(writer, u64::MAX, Some(u64::MAX)))?;
        call!(net.writer.call_set_write_buffer_limits(writer, u64::MAX, None))?;
        call!(net.writer.call_write(writer, &pattern(1 << 20)))?;
        assert!(call!(net.writer.call_try_drain(writer))?);
        call!(net.writer.call_set_write_buffer_limits(writer, 0, None))?;
        Ok(())
    })
}

#[test]
fn one_direction_ends_and_the_other_goes_on() -> Result<()> {
    block_on(async {
        let mut net = net().await?;
        let Pair { reader, writer, mut peer } = pair(&mut net).await?;
        assert!(call!(net.writer.call_can_write_eof(writer)));
        call!(net.writer.call_write(writer, b"all of it"))?;
        for _ in 0..2 {
            call!(net.writer.call_write_eof(writer))?;
        }
        assert_eq!(peer.read_to_end().await?, b"all of it");
        for data in [&b"more"[..], b""] {
            assert_eq!(expect_error(call!(net.writer.call_write(writer, data))).kind, ErrorKind::InvalidState);
        }
        assert!(!call!(net.writer.call_is_closing(writer)));
        peer.write_all(b"and the answer\n").await?;
        assert_eq!(call!(net.reader.call_read_line(reader))?, b"and the answer\n");
        // The peer's end alone closes nothing either.
        peer.half_close().await?;
        assert_eq!(call!(net.reader.call_read(reader, 1))?, b"");
        assert!(!call!(net.writer.call_is_closing(writer)));
        Ok(())
    })
}

#[test]
fn closing_delivers_and_may_be_repeated() -> Result<()> {
    block_on(async {
        let mut net = net().await?;
        for form in FORMS {
            let Pair { reader, writer, mut peer } = pair(&mut net).await?;
            let (address, local) =
                (call!(net.writer.call_peer_address(writer)), call!(net.writer.call_local_address(writer)));
            assert!(!call!(net.writer.call_try_wait_closed(writer))?, "{form:?}");
            let sent = pattern(2 << 20);
            call!(net.writer.call_write(writer, &sent))?;
            for _ in 0..2 {
                call!(net.writer.call_close(writer));
                assert!(call!(net.writer.call_is_closing(writer)));
            }
            call!(net.writer.call_write(writer, b"too late"))?;
            let reading = tokio::spawn(async move { peer.read_to_end().await.map(|received| (peer, received)) });
            for _ in 0..2 {
                perform!(form, net.writer: call_wait_closed | call_try_wait_closed as Closed(writer))?;
            }
            let (mut peer, received) = reading.await??;
            assert_same(&received, &sent);
            // After the end everything has an answer.
            assert_eq!(call!(net.reader.call_read(reader, 1))?, b"", "{form:?}");
            assert!(call!(net.reader.call_at_eof(reader)));
            call!(net.writer.call_write(writer, b"into the void"))?;
            let drained = perform!(form, net.writer: call_drain | call_try_drain as Drained(writer));
            assert_eq!(expect_error(drained).kind, ErrorKind::ConnectionReset, "{form:?}");
            call!(net.writer.call_write_eof(writer))?;
            call!(net.writer.call_pause_reading(writer, true));
            call!(net.writer.call_pause_reading(writer, false));
            call!(net.writer.call_set_write_buffer_limits(writer, 1, None))?;
            call!(net.writer.call_abort(writer));
            assert!(perform!(form, net.writer: call_handshake | call_try_handshake as Handshaken(writer)).is_ok());
            assert_eq!(call!(net.writer.call_write_buffer_size(writer)), 0);
            assert!(call!(net.writer.call_tls(writer)).is_none());
            let both = (call!(net.writer.call_peer_address(writer)), call!(net.writer.call_local_address(writer)));
            assert_eq!(format!("{both:?}"), format!("{:?}", (address, local)), "they stay known");
            let pollables = call!(net.writer.call_subscribe(writer));
            assert!(any_ready(&mut net, &pollables).await?, "{form:?}");
            drop_all(&mut net, pollables)?;
            assert_eq!(peer.read_some(1).await?, b"");
        }
        Ok(())
    })
}

#[test]
fn aborting_waits_for_nothing() -> Result<()> {
    block_on(async {
        let mut net = net().await?;
        let listener = Listener::stalling(4096)?;
        for form in FORMS {
            let Pair { reader, writer, mut peer } = pair_with(&mut net, &listener, None).await?;
            call!(net.writer.call_write(writer, &pattern(8 << 20)))?;
            assert!(!call!(net.writer.call_try_drain(writer))?);
            call!(net.writer.call_abort(writer));
            perform!(form, net.writer: call_wait_closed | call_try_wait_closed as Closed(writer))?;
            assert_eq!(call!(net.reader.call_read(reader, 1))?, b"", "{form:?}");
            // The queue is dropped, and what the host had goes out.
            let received = peer.read_to_end().await?;
            assert!(received.len() < 8 << 20, "{form:?}");
            assert_same(&received, &pattern(8 << 20)[..received.len()]);
        }
        Ok(())
    })
}

#[test]
fn a_dropped_writer_closes_and_what_was_written_is_delivered() -> Result<()> {
    block_on(async {
        let mut net = net().await?;
        for reader_first in [true, false] {
            let Pair { reader, writer, mut peer } = pair(&mut net).await?;
            call!(net.writer.call_write(writer, &pattern(3 << 20)))?;
            for resource in if reader_first { [reader, writer] } else { [writer, reader] } {
                net.drop_resource(resource).await?;
            }
            let reading = tokio::spawn(async move { peer.read_to_end().await });
            // Nothing moves between calls, so it takes some.
            while !reading.is_finished() {
                call!(net.call_wait(&[], Some(10)))?;
            }
            assert_same(&reading.await??, &pattern(3 << 20));
        }
        settle(&mut net).await?;
        assert_eq!(net.resources().tcp_sockets, 0);
        Ok(())
    })
}

#[test]
fn a_peer_that_goes_while_we_write_is_a_broken_pipe_or_a_reset() -> Result<()> {
    block_on(async {
        let mut net = net().await?;
        for form in FORMS {
            let Pair { writer, peer, .. } = pair(&mut net).await?;
            // So that only writing can tell.
            call!(net.writer.call_pause_reading(writer, true));
            peer.reset()?;
            let error = loop {
                call!(net.writer.call_write(writer, &pattern(100_000)))?;
                if let Err(error) = perform!(form, net.writer: call_drain | call_try_drain as Drained(writer)) {
                    break error;
                }
            };
            assert!(matches!(error.kind, ErrorKind::BrokenPipe | ErrorKind::ConnectionReset), "{error:?}");
            let closed = perform!(form, net.writer: call_wait_closed | call_try_wait_closed as Closed(writer));
            assert_eq!(expect_error(closed).kind, error.kind, "{form:?}: the same error from then on");
        }
        // The end of a stream that goes on being written to.
        let Pair { writer, peer, .. } = pair(&mut net).await?;
        call!(net.writer.call_pause_reading(writer, true));
        drop(peer);
        call!(net.writer.call_write(writer, b"answered by a reset"))?;
        call!(net.writer.call_drain(writer))?;
        tokio::time::sleep(Duration::from_millis(50)).await;
        let error = loop {
            call!(net.writer.call_write(writer, b"more"))?;
            if let Err(error) = call!(net.writer.call_drain(writer)) {
                break error;
            }
            call!(net.call_wait(&[], Some(1)))?;
        };
        assert_eq!(error.kind, ErrorKind::BrokenPipe);
        Ok(())
    })
}

#[test]
fn reading_can_be_paused() -> Result<()> {
    block_on(async {
        let mut net = net().await?;
        let Pair { reader, writer, mut peer } = pair(&mut net).await?;
        call!(net.writer.call_pause_reading(writer, true));
        peer.write_all(b"patience\n").await?;
        assert_eq!(call!(net.call_wait(&[], Some(30)))?, []);
        assert!(call!(net.reader.call_try_read(reader, 100))?.is_none());
        assert_eq!(call!(net.call_wait(&[Interest::Readable(reader)], Some(30)))?, []);
        // Only another call can end that, so there is nothing of the host's to wait for; one is never left without.
        let pollables = call!(net.reader.call_subscribe(reader));
        assert_eq!(pollables.len(), 1);
        drop_all(&mut net, pollables)?;
        call!(net.writer.call_pause_reading(writer, false));
        for form in [Form::Waiting, Form::Polling] {
            let read = perform!(form, net.reader: call_read | call_try_read as Readable(reader, 4))?;
            assert_eq!(read.len(), 4);
        }
        Ok(())
    })
}

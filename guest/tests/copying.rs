//! `copy`: through the guest, and inside of the host (`splice`).

mod common;

use std::io::ErrorKind;

use wasi_streams::sim::{Faults, Network, Peer};
use wasi_streams::{StreamReader, StreamWriter, copy, sleep, spawn, stream_pair, timeout};

use common::place::leave_unread;
use common::{MEGABYTES, connected, ms, pattern, secs, settle, simulate};

const BOTH_WAYS: [bool; 2] = [false, true];

#[test]
fn every_byte_is_copied_and_the_end_is_left_to_the_caller() {
    for (splice, faults) in [
        (false, Faults::default()),
        (true, Faults::default()),
        (
            true,
            Faults {
                seed: 1,
                max_read: Some(999),
                max_write: Some(777),
                spurious: 30,
                zero_permits: 30,
                budget: Some(7),
            },
        ),
    ] {
        simulate(async |net| {
            net.set_faults(faults);
            let Pipe { mut from, back: _back, to, source, sink, .. } = pipe(&net).await;
            let data = pattern(MEGABYTES / 4, 1);
            source.send(&data);
            source.finish();
            assert_eq!(copy(&mut from, &to).splice(splice).await.unwrap(), data.len() as u64);
            assert!(from.at_eof());
            assert!(sink.recv(data.len()).await == data);
            sleep(secs(1)).await;
            assert!(!sink.saw_eof() && !to.is_closing());
            to.write_eof().unwrap();
            sink.ended().await;
            to.close();
        });
    }
}

#[test]
fn what_was_buffered_and_what_was_queued_keep_their_order() {
    for splice in BOTH_WAYS {
        simulate(async |net| {
            let Pipe { mut from, back: _back, to, source, sink, .. } = pipe(&net).await;
            let data = pattern(100_000, 2);
            source.send(b"first line\n");
            source.send(&data);
            source.finish();
            assert_eq!(from.readline().await.unwrap(), "first line\n");
            to.write(b"head").unwrap();
            assert_eq!(copy(&mut from, &to).splice(splice).await.unwrap(), data.len() as u64);
            to.write(b"tail").unwrap();
            to.close();
            assert!(sink.recv_to_end().await == [b"head", &data[..], b"tail"].concat());
        });
    }
}

#[test]
fn two_copies_make_a_proxy_that_keeps_half_closes() {
    for splice in BOTH_WAYS {
        simulate(async |net| {
            let Pipe { mut from, back, to, mut answers, source, sink } = pipe(&net).await;
            let there = spawn(async move {
                let n = copy(&mut from, &to).splice(splice).await.unwrap();
                to.write_eof().unwrap();
                (n, to)
            });
            let returning = spawn(async move {
                let n = copy(&mut answers, &back).splice(splice).await.unwrap();
                back.write_eof().unwrap();
                (n, back)
            });
            source.send(b"question");
            source.finish();
            assert_eq!(sink.recv_to_end().await, b"question");
            sleep(secs(10)).await;
            assert!(!source.saw_eof(), "the other direction is open");
            sink.send(b"answer");
            sink.finish();
            assert_eq!(source.recv_to_end().await, b"answer");
            let ((n, to), (m, back)) = (there.await.unwrap(), returning.await.unwrap());
            assert_eq!((n, m), (8, 6));
            to.close();
            back.close();
        });
    }
}

#[test]
fn a_source_that_fails_ends_the_copy_with_its_error() {
    for splice in BOTH_WAYS {
        simulate(async |net| {
            let Pipe { mut from, back, to, source, sink, .. } = pipe(&net).await;
            source.send(b"so far");
            leave_unread(&back).await;
            net.after(secs(2), move || source.reset());
            let error = copy(&mut from, &to).splice(splice).await.unwrap_err();
            assert_eq!((error.kind(), net.now()), (ErrorKind::ConnectionReset, secs(2)));
            assert_eq!(from.read(1).await.unwrap_err().kind(), ErrorKind::ConnectionReset, "the reader knows it too");
            assert!(back.is_closing() && !to.is_closing());
            to.close();
            assert_eq!(sink.recv_to_end().await, b"so far");
        });
    }
}

#[test]
fn a_target_that_is_lost_ends_the_copy_while_the_source_is_idle() {
    for splice in BOTH_WAYS {
        simulate(async |net| {
            let Pipe { mut from, back: _back, to, source, sink, .. } = pipe(&net).await;
            leave_unread(&to).await;
            net.after(secs(1), move || sink.reset());
            let copying = spawn(async move { copy(&mut from, &to).splice(splice).await });
            sleep(secs(2)).await;
            source.send(b"for nobody");
            let error = timeout(secs(1), copying).await.unwrap().unwrap().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        });
    }
}

#[test]
fn a_target_that_left_is_an_error_and_not_the_end_of_the_source() {
    for splice in BOTH_WAYS {
        simulate(async |net| {
            let Pipe { mut from, back: _back, to, source, sink, .. } = pipe(&net).await;
            sink.close();
            settle().await;
            let copying = spawn(async move { (copy(&mut from, &to).splice(splice).await, from, to) });
            for _ in 0..5 {
                source.send(b"for nobody");
                sleep(secs(1)).await;
            }
            let (outcome, from, to) = timeout(secs(1), copying).await.expect("it ends").unwrap();
            let kind = outcome.unwrap_err().kind();
            assert!(matches!(kind, ErrorKind::BrokenPipe | ErrorKind::ConnectionReset), "{kind:?}");
            assert!(!from.at_eof() && to.is_closing());
            assert_eq!(to.wait_closed().await.unwrap_err().kind(), kind);
        });
    }
}

#[test]
fn given_up_while_the_target_stalls_nothing_is_lost() {
    for splice in BOTH_WAYS {
        simulate(async |net| {
            let Pipe { mut from, back: _back, to, source, sink, .. } = pipe(&net).await;
            let data = pattern(2 * MEGABYTES, 3);
            sink.stall();
            source.send(&data);
            assert!(timeout(secs(10), copy(&mut from, &to).splice(splice)).await.is_err());
            assert!(source.unsent() > MEGABYTES / 2, "the stall holds the source back");
            sink.resume();
            source.finish();
            copy(&mut from, &to).splice(!splice).await.unwrap(); // the other way this time
            to.close();
            assert!(sink.recv_to_end().await == data);
        });
    }
}

#[test]
fn dropped_while_the_target_stalls_it_freezes_nobody() {
    for splice in BOTH_WAYS {
        simulate(async |net| {
            let Pipe { mut from, back: _back, to, source, sink, .. } = pipe(&net).await;
            sink.stall();
            source.send(&pattern(2 * MEGABYTES, 4));
            let copying = spawn(async move { copy(&mut from, &to).splice(splice).await });
            sleep(secs(1)).await;
            copying.abort();
            sleep(secs(1)).await;
            assert_eq!(net.now(), secs(2));
            drop(sink);
            sleep(secs(3)).await;
        });
    }
}

#[test]
fn another_task_may_write_to_the_target_meanwhile() {
    for splice in BOTH_WAYS {
        simulate(async |net| {
            let Pipe { mut from, back: _back, to, source, sink, .. } = pipe(&net).await;
            sink.stall();
            let data = pattern(2 * MEGABYTES, 5);
            source.send(&data);
            source.finish();
            let shared = std::rc::Rc::new(to);
            let copying = spawn({
                let to = std::rc::Rc::clone(&shared);
                async move { copy(&mut from, &to).splice(splice).await }
            });
            sleep(secs(1)).await;
            shared.write(b"heartbeat").unwrap();
            sleep(secs(1)).await;
            sink.resume();
            let copied = timeout(secs(1), copying).await.expect("it goes on").unwrap().unwrap();
            assert_eq!(copied, data.len() as u64);
            shared.close();
            assert_eq!(sink.recv_to_end().await.len(), data.len() + 9);
        });
    }
}

#[test]
fn where_the_host_cannot_splice_the_guest_copies() {
    simulate(async |net| {
        let (mut from, back, source) = connected(&net).await;
        let ((_r, to), (mut sink, other)) = stream_pair();
        source.send(b"into memory");
        source.finish();
        assert_eq!(copy(&mut from, &to).splice(true).await.unwrap(), 11);
        to.close();
        assert_eq!(sink.read_to_end().await.unwrap(), "into memory");
        back.close();
        other.close();

        let (mut reader, writer, peer) = connected(&net).await;
        peer.send(b"echo");
        peer.finish();
        assert_eq!(copy(&mut reader, &writer).splice(true).await.unwrap(), 4, "from a connection to itself");
        writer.close();
        assert_eq!(peer.recv_to_end().await, b"echo");
    });
}

#[test]
fn a_copy_that_always_has_data_lets_the_others_run() {
    for splice in BOTH_WAYS {
        simulate(async |net| {
            let Pipe { mut from, back: _back, to, source, sink, .. } = pipe(&net).await;
            source.send(&vec![0; 4 * MEGABYTES]);
            source.finish();
            let copying = spawn(async move {
                let copied = copy(&mut from, &to).splice(splice).await.unwrap();
                to.close();
                copied
            });
            let mut turns = 0;
            while !copying.is_finished() {
                turns += 1;
                wasi_streams::yield_now().await;
            }
            assert!(turns >= 20, "{turns} turns for {} pieces", 4 * MEGABYTES / (64 * 1024));
            sink.ended().await;
            sleep(ms(1)).await;
        });
    }
}

/// Two connections of the guest: what `source` sends is to go to `sink`.
struct Pipe {
    from: StreamReader,
    back: StreamWriter,
    to: StreamWriter,
    answers: StreamReader,
    source: Peer,
    sink: Peer,
}

async fn pipe(net: &Network) -> Pipe {
    let (from, back, source) = connected(net).await;
    let (answers, to, sink) = connected(net).await;
    Pipe { from, back, to, answers, source, sink }
}

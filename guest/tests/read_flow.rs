//! Reading from a connection: reading ahead, pausing, resuming and ending, rows F01 to F10 and those R rows that need a
//! transport.
//!
//! Most of it runs three times: on a network that behaves, on one that gives a byte per read, and on one that gives a
//! few and says "ready" when it is not. Time is virtual: [`settle`] is "until nothing moves any more".

mod common;
mod random;

use std::cell::RefCell;
use std::future::poll_fn;
use std::io::ErrorKind;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use futures_lite::{AsyncBufRead, AsyncReadExt, StreamExt, future};
use wasi_streams::sim::{Faults, Network, Peer};
use wasi_streams::{Error, StreamReader, StreamWriter, copy, sleep, timeout};

use common::place::{client_of, connected_within, leave_unread, start};
use common::simulate;
use random::Random;

/// The most that a connection takes from the host at once.
const LARGEST_CHUNK: usize = 64 * 1024;

// ---------------------------------------------------------------------- limits and ends

#[test]
fn r01_the_limit_of_a_connection_is_65536_unless_given() {
    simulate(async |net| {
        let wire = Wire::connect(&net, None).await;
        assert_eq!(wire.reader.limit(), 65_536);
        assert_eq!(Wire::connect(&net, 5).await.reader.limit(), 5);
        let limits = Rc::new(RefCell::new(Vec::new()));
        for limit in [None, Some(7)] {
            let seen = Rc::clone(&limits);
            let handler = move |reader: StreamReader, _writer: StreamWriter| seen.borrow_mut().push(reader.limit());
            let server = start(handler);
            let server = if let Some(limit) = limit { server.limit(limit) } else { server }.await.unwrap();
            let _peer = client_of(&net, &server);
            settle().await;
        }
        assert_eq!(*limits.borrow(), [65_536, 7]);
    });
}

#[test]
fn r09_f09_the_end_is_noticed_without_any_read() {
    on_every_network(async |net| {
        let wire = Wire::connect(&net, 100).await;
        assert!(!wire.reader.at_eof());
        wire.peer.finish();
        settle().await;
        assert!(wire.reader.at_eof());
        assert!(!wire.writer.is_closing(), "the other direction goes on");
    });
}

#[test]
fn r09_the_end_behind_data_is_noticed_once_the_data_is_read() {
    on_every_network(async |net| {
        let mut wire = Wire::connect(&net, 100).await;
        wire.peer.send(b"abc");
        wire.peer.finish();
        settle().await;
        assert!(!wire.reader.at_eof());
        assert_eq!(wire.reader.readexactly(3).await.unwrap(), "abc");
        assert!(wire.reader.at_eof(), "at once: no further read has to find out");
    });
}

#[test]
fn r09_the_end_behind_a_pause_is_noticed_after_it() {
    on_every_network(async |net| {
        let mut wire = Wire::paused(&net, 100, 201).await;
        wire.peer.finish();
        settle().await;
        assert_eq!(wire.reader.readexactly(201).await.unwrap().len(), 201);
        settle().await;
        assert!(wire.reader.at_eof());
    });
}

#[test]
fn r12_an_error_stored_after_the_end_of_a_connection_wins() {
    on_every_network(async |net| {
        let mut wire = Wire::connect(&net, 100).await;
        wire.peer.send(b"abc");
        wire.peer.finish();
        settle().await;
        wire.reader.set_exception(Error::io(ErrorKind::Other, "stored"));
        assert_eq!(wire.reader.read(1).await.unwrap_err().to_string(), "stored");
    });
}

#[test]
fn r17_a_read_that_timed_out_loses_no_byte() {
    on_every_network(async |net| {
        let mut wire = Wire::connect(&net, 100).await;
        for (i, piece) in ["a", "bc", "d"].iter().enumerate() {
            wire.peer.send(piece.as_bytes());
            let short = Duration::from_millis(1);
            let error = match i {
                0 => timeout(short, wire.reader.readline()).await.unwrap_err(),
                1 => timeout(short, wire.reader.readexactly(9)).await.unwrap_err(),
                _ => timeout(short, wire.reader.readuntil("--")).await.unwrap_err(),
            };
            assert_eq!(error.kind(), ErrorKind::TimedOut);
        }
        wire.peer.send(b"\n");
        assert_eq!(wire.reader.readline().await.unwrap(), "abcd\n");
    });
}

// ---------------------------------------------------------------------- pausing and resuming

#[test]
fn f01_f02_a_reader_with_more_than_twice_its_limit_takes_no_more() {
    on_every_network(async |net| {
        let wire = Wire::connect(&net, 100).await;
        wire.send(200).await;
        assert!(wire.is_reading(), "exactly twice the limit");
        wire.send(1).await;
        assert!(!wire.is_reading());
        assert_eq!(wire.peer.unsent(), 0, "it was taken");
        let reads = net.counts().reads;
        wire.send(1000).await;
        assert_eq!(wire.peer.unsent(), 1000, "nothing more is taken");
        assert_eq!(net.counts().reads, reads, "nor asked for");
    });
}

#[test]
fn f03_f04_a_pause_ends_when_no_more_than_the_limit_is_left() {
    on_every_network(async |net| {
        let mut wire = Wire::paused(&net, 100, 201).await;
        wire.peer.send(b"later");
        for (n, left) in [(1, 200), (99, 101)] {
            assert_eq!(wire.reader.read(n).await.unwrap().len(), n);
            settle().await;
            assert!(!wire.is_reading(), "{left} are left");
            assert_eq!(wire.peer.unsent(), 5);
        }
        wire.reader.read(1).await.unwrap();
        assert!(wire.is_reading(), "100 are left");
        settle().await;
        assert_eq!(wire.peer.unsent(), 0, "it reads ahead again, with no read waiting");
        assert_eq!(wire.reader.readexactly(105).await.unwrap().slice(100..), "later");
    });
}

#[test]
fn f01_f03_lent_bytes_count_until_they_are_used() {
    on_every_network(async |net| {
        let mut wire = Wire::connect(&net, 4).await;
        wire.peer.send(b"ab\ncd\nef");
        settle().await;
        assert!(wire.is_reading(), "8 are here");
        assert_eq!(wire.reader.readline_ref().await.unwrap(), b"ab\n");
        wire.peer.send(b"\ngh");
        settle().await;
        assert!(wire.is_reading(), "8 again, of which 5 are lent");
        wire.peer.send(b"\n");
        settle().await;
        assert!(!wire.is_reading(), "9");
        wire.peer.send(b"more\n");
        settle().await;
        assert_eq!(wire.peer.unsent(), 5);
        assert_eq!(wire.reader.readline_ref().await.unwrap(), b"cd\n");
        settle().await;
        assert!(!wire.is_reading(), "6 are left");
        assert_eq!(wire.reader.readline_ref().await.unwrap(), b"ef\n");
        assert!(wire.is_reading(), "3 are left");
        assert_eq!(wire.reader.readline_ref().await.unwrap(), b"gh\n");
        assert_eq!(wire.reader.readline_ref().await.unwrap(), b"more\n");
    });
}

#[test]
fn f03_using_lent_bytes_resumes_the_transport() {
    on_every_network(async |net| {
        let mut wire = Wire::paused(&net, 100, 201).await;
        wire.peer.send(b"later");
        let lent = fill_buf(&mut wire.reader).await;
        assert_eq!(lent, 201);
        Pin::new(&mut wire.reader).consume(100);
        settle().await;
        assert_eq!(wire.peer.unsent(), 5, "101 are left");
        Pin::new(&mut wire.reader).consume(1);
        settle().await;
        assert_eq!(wire.peer.unsent(), 0, "100 are left");
        let mut buffer = [0; 105];
        wire.reader.read_exact(&mut buffer).await.unwrap();
        assert_eq!(&buffer[100..], b"later");
    });
}

#[test]
fn f05_r32_a_read_that_has_to_wait_resumes_the_transport_however_much_is_buffered() {
    on_every_network(async |net| {
        let mut wire = Wire::paused(&net, 100, 300).await;
        wire.peer.send(&[b'x'; 5000]);
        settle().await;
        assert!(!wire.is_reading());
        let data = timeout(Duration::from_secs(1), wire.reader.readexactly(5000)).await.expect("no deadlock").unwrap();
        assert_eq!(data.len(), 5000);
        assert_eq!(wire.reader.readexactly(300).await.unwrap().len(), 300);
    });
}

#[test]
fn f05_while_the_read_waits_the_transport_goes_on() {
    on_every_network(async |net| {
        let Wire { mut reader, writer, peer } = Wire::paused(&net, 10, 21).await;
        let transport = writer.transport();
        let read = reader.readexactly(60);
        let others = async {
            for _ in 0..3 {
                settle().await;
                assert!(transport.is_reading());
                peer.send(&[b'y'; 13]);
            }
        };
        let (data, ()) = future::zip(read, others).await;
        assert_eq!(data.unwrap().len(), 60);
    });
}

#[test]
fn f05_a_read_that_was_given_up_leaves_the_transport_reading_until_more_comes() {
    on_every_network(async |net| {
        let mut wire = Wire::paused(&net, 10, 21).await;
        timeout(Duration::from_millis(1), wire.reader.readexactly(99)).await.unwrap_err();
        assert!(wire.is_reading());
        wire.send(1).await;
        assert!(!wire.is_reading());
    });
}

#[test]
fn f01_r18_what_a_cancelled_read_to_end_puts_back_pauses_the_transport() {
    on_every_network(async |net| {
        let mut wire = Wire::connect(&net, 100).await;
        wire.peer.send(&[b'x'; 1000]);
        timeout(Duration::from_millis(1), wire.reader.read_to_end()).await.unwrap_err();
        assert!(!wire.is_reading());
        wire.send(5).await;
        assert_eq!(wire.peer.unsent(), 5);
        assert_eq!(wire.reader.readexactly(1000).await.unwrap().len(), 1000);
        settle().await;
        assert_eq!(wire.peer.unsent(), 0);
    });
}

#[test]
fn r59_after_an_overrun_the_transport_stays_paused_until_something_is_consumed() {
    on_every_network(async |net| {
        let mut wire = Wire::paused(&net, 100, 201).await;
        let Err(Error::LimitOverrun { consumed, found: false }) = wire.reader.readuntil("\n").await else {
            panic!("there is no newline")
        };
        settle().await;
        assert!(!wire.is_reading());
        wire.reader.readexactly(consumed).await.unwrap();
        assert!(wire.is_reading());
    });
}

#[test]
fn r76_a_line_over_the_limit_resumes_the_transport() {
    on_every_network(async |net| {
        let mut wire = Wire::paused(&net, 100, 201).await;
        wire.peer.send(b"tail\nline\n");
        let error = wire.reader.readline().await.unwrap_err();
        assert!(matches!(error, Error::LineTooLong { found: false }), "{error:?}");
        assert!(wire.is_reading());
        assert_eq!(wire.reader.readline().await.unwrap(), "tail\n");
        assert_eq!(wire.reader.readline().await.unwrap(), "line\n");
    });
}

#[test]
fn f08_the_buffer_exceeds_twice_the_limit_by_at_most_one_chunk() {
    for (limit, max_read, chunk) in
        [(1, None, LARGEST_CHUNK), (65_536, None, LARGEST_CHUNK), (65_536, Some(1000), 1000)]
    {
        simulate(async |net| {
            net.set_receive_buffer(4 << 20);
            net.set_faults(Faults { max_read, ..Faults::default() });
            let wire = Wire::connect(&net, limit).await;
            wire.send(2 << 20).await;
            let taken = (2 << 20) - wire.peer.unsent();
            assert!(taken > 2 * limit, "{taken} bytes taken, limit {limit}: it reads ahead");
            assert!(taken <= 2 * limit + chunk, "{taken} bytes taken, limit {limit}");
        });
    }
}

#[test]
fn f09_a_connection_that_nobody_reads_receives_until_it_is_full() {
    on_every_network(async |net| {
        let mut wire = Wire::connect(&net, 100).await;
        wire.send(150).await;
        assert_eq!(wire.peer.unsent(), 0, "taken, with no read in progress");
        wire.send(51).await;
        wire.send(7).await;
        assert_eq!(wire.peer.unsent(), 7);
        assert_eq!(wire.reader.readexactly(208).await.unwrap().len(), 208);
    });
}

#[test]
fn f09_a_reset_is_noticed_without_any_call() {
    on_every_network(async |net| {
        let mut wire = Wire::connect(&net, 100).await;
        wire.send(10).await;
        leave_unread(&wire.writer).await;
        wire.peer.reset();
        settle().await;
        let error = wire.reader.exception().expect("the reset");
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        assert!(wire.writer.is_closing());
        assert_eq!(wire.reader.read(1).await.unwrap_err().kind(), ErrorKind::ConnectionReset, "R11");
    });
}

#[test]
fn f10_what_the_peer_sends_after_our_close_is_not_delivered() {
    on_every_network(async |net| {
        let mut wire = Wire::connect(&net, 100).await;
        wire.peer.send(b"early");
        settle().await;
        wire.writer.close();
        wire.peer.send(b"late");
        settle().await;
        wire.peer.send(b"later");
        settle().await;
        assert_eq!(wire.reader.read_to_end().await.unwrap(), "early", "what was here before stays readable");
        assert!(wire.reader.at_eof());
    });
}

#[test]
fn f10_what_was_on_the_way_at_our_close_is_not_delivered() {
    on_every_network(async |net| {
        let mut wire = Wire::paused(&net, 100, 201).await;
        wire.send(50).await;
        wire.writer.close();
        assert_eq!(wire.reader.readexactly(201).await.unwrap().len(), 201);
        settle().await;
        assert_eq!(wire.reader.read_to_end().await.unwrap(), "", "not even though there is room now");
    });
}

#[test]
fn f10_a_read_that_waits_sees_the_end_at_our_close() {
    on_every_network(async |net| {
        let Wire { mut reader, writer, peer } = Wire::connect(&net, 100).await;
        peer.send(b"ab");
        let close = async {
            settle().await;
            writer.close();
            peer.send(b"cdefgh");
        };
        let (read, ()) = future::zip(reader.readexactly(5), close).await;
        assert!(matches!(&read, Err(Error::Incomplete { partial, expected: Some(5) }) if partial == "ab"), "{read:?}");
    });
}

// ---------------------------------------------------------------------- the same bytes, in other pieces

#[test]
fn however_the_network_splits_the_bytes_the_lines_are_the_same() {
    for seed in 0..300 {
        let random = &mut Random::new(seed);
        let max_read = Some(1 + random.below(9));
        let faults = Faults { seed, max_read, spurious: random.below(60) as u8, ..Faults::default() };
        let lines: Vec<Vec<u8>> = (0..random.below(30))
            .map(|_| {
                let len = random.below(20);
                [random.bytes(len, b"abc\r"), b"\n".to_vec()].concat()
            })
            .collect();
        simulate(async |net| {
            net.set_faults(faults);
            let Wire { mut reader, peer, writer: _writer } = Wire::connect(&net, 20).await;
            let mut rest = lines.concat();
            let send = async {
                while !rest.is_empty() {
                    let n = if random.chance(20) { 1 } else { 1 + random.below(40) };
                    let later = rest.split_off(n.min(rest.len()));
                    peer.send(&std::mem::replace(&mut rest, later));
                    sleep(Duration::from_millis(1)).await;
                }
                peer.finish();
            };
            let read = async {
                for (i, line) in lines.iter().enumerate() {
                    match i % 3 {
                        0 => assert_eq!(reader.readline_ref().await.unwrap(), line, "seed {seed}"),
                        1 => assert_eq!(reader.readline().await.unwrap(), line, "seed {seed}"),
                        _ => assert_eq!(reader.lines().next().await.unwrap().unwrap(), line, "seed {seed}"),
                    }
                }
                assert_eq!(reader.readline_ref().await.unwrap(), b"", "seed {seed}");
            };
            future::zip(send, read).await;
        });
    }
}

#[test]
fn what_was_lent_and_not_used_is_copied_too() {
    for splice in [false, true] {
        on_every_network(async |net| {
            let Wire { mut reader, writer: _writer, peer: source } = Wire::connect(&net, 100).await;
            let Wire { reader: _reader, writer, peer: sink } = Wire::connect(&net, 100).await;
            source.send(b"head\nrest");
            settle().await;
            assert_eq!(reader.readline_ref().await.unwrap(), b"head\n");
            source.send(b" and more");
            source.finish();
            let copied = timeout(Duration::from_secs(1), copy(&mut reader, &writer).splice(splice)).await;
            assert_eq!(copied.expect("no deadlock").unwrap(), 13);
            settle().await;
            assert_eq!(sink.take_received(), b"rest and more");
        });
    }
}

// ---------------------------------------------------------------------- helpers

/// A connection of the program, and its other end.
struct Wire {
    reader: StreamReader,
    writer: StreamWriter,
    peer: Peer,
}

impl Wire {
    async fn connect(net: &Network, limit: impl Into<Option<usize>>) -> Self {
        let (reader, writer, peer) = connected_within(net, limit.into()).await;
        Self { reader, writer, peer }
    }

    /// A connection that paused with so many bytes in its buffer, which is more than twice the limit.
    async fn paused(net: &Network, limit: usize, buffered: usize) -> Self {
        let wire = Self::connect(net, limit).await;
        wire.send(2 * limit).await;
        let rest = buffered - 2 * limit;
        net.set_faults(Faults::default()); // or it would pause at the first byte too many
        wire.send(rest).await;
        assert!(!wire.is_reading());
        assert_eq!(wire.peer.unsent(), 0);
        wire
    }

    /// Sends so many bytes from the peer, and lets them arrive.
    async fn send(&self, n: usize) {
        self.peer.send(&vec![b'x'; n]);
        settle().await;
    }

    fn is_reading(&self) -> bool {
        self.writer.transport().is_reading()
    }
}

/// Runs a test on a network that behaves, and on two that do not.
fn on_every_network(test: impl AsyncFn(Network)) {
    let faults = [
        Faults::default(),
        Faults { seed: 1, max_read: Some(1), spurious: 10, ..Faults::default() },
        Faults { seed: 2, max_read: Some(3), spurious: 50, budget: Some(4), ..Faults::default() },
    ];
    for faults in faults {
        simulate(async |net| {
            net.set_faults(faults);
            test(net).await;
        });
    }
}

/// Waits until everything that can happen has happened.
async fn settle() {
    sleep(Duration::from_millis(1)).await;
}

/// How much is lent by `fill_buf`.
async fn fill_buf(reader: &mut StreamReader) -> usize {
    poll_fn(|cx| match Pin::new(&mut *reader).poll_fill_buf(cx) {
        Poll::Ready(lent) => Poll::Ready(lent.unwrap().len()),
        Poll::Pending => Poll::Pending,
    })
    .await
}

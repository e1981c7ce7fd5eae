//! Reading from a connection: the R rows that `reader.rs` proves of bytes fed by hand, of bytes that a transport brings.
//!
//! A read that must not wait is polled once; what arrives in several pieces is awaited by a task of its own.

mod common;

use std::io::ErrorKind;

use futures_lite::StreamExt;
use futures_lite::future::poll_once;
use wasi_streams::sim::{Network, Peer};
use wasi_streams::{Bytes, Error, Result, StreamReader, StreamWriter, spawn};

use common::place::{connected_within, leave_unread};
use common::{settle, simulate};

// ---------------------------------------------------------------------- state

#[test]
fn r05_r07_bytes_arrive_in_order_and_they_and_the_end_wake_the_waiting_read() {
    simulate(async |net| {
        let wire = Wire::connect(&net, 100).await;
        let peer = wire.peer.clone();
        let read = wire.start(async |reader| [reader.read(9).await, reader.read(9).await, reader.read(9).await]);
        for piece in ["ab", "c"] {
            peer.send(piece.as_bytes());
            settle().await;
        }
        peer.finish();
        let [one, two, end] = read.await.unwrap();
        assert_eq!((one.unwrap(), two.unwrap(), end.unwrap()), ("ab".into(), "c".into(), "".into()));
    });
}

#[test]
fn r08_at_eof_takes_the_end_of_the_peer_and_an_empty_buffer() {
    simulate(async |net| {
        let mut wire = Wire::connect(&net, 100).await;
        assert!(!wire.reader.at_eof(), "empty, not ended");
        wire.send("ab").await;
        wire.finish().await;
        assert!(!wire.reader.at_eof(), "ended, not empty");
        assert_eq!(now(wire.reader.read(9)).await.unwrap(), "ab");
        assert!(wire.reader.at_eof());
    });
}

#[test]
fn r10_r11_a_reset_is_the_stored_error_and_what_every_read_gives_from_then_on() {
    simulate(async |net| {
        let mut wire = Wire::fed(&net, 100, "line\nrest").await;
        assert!(wire.reader.exception().is_none());
        leave_unread(&wire.writer).await;
        wire.peer.reset();
        settle().await;
        assert!(is_reset(&wire.reader.exception().unwrap()));
        for _ in 0..2 {
            assert!(is_reset(&now(wire.reader.read(0)).await.unwrap_err()));
            assert!(is_reset(&now(wire.reader.read(9)).await.unwrap_err()));
            assert!(is_reset(&now(wire.reader.read_to_end()).await.unwrap_err()));
            assert!(is_reset(&now(wire.reader.readexactly(0)).await.unwrap_err()));
            assert!(is_reset(&now(wire.reader.readexactly(4)).await.unwrap_err()));
            assert!(is_reset(&now(wire.reader.readuntil("e")).await.unwrap_err()));
            assert!(is_reset(&now(wire.reader.readline()).await.unwrap_err()));
        }
    });
}

#[test]
fn r10_a_reset_wakes_the_waiting_read() {
    simulate(async |net| {
        let wire = Wire::fed(&net, 100, "half a li").await;
        leave_unread(&wire.writer).await;
        let peer = wire.peer.clone();
        let read = wire.start(async |reader| reader.readline().await);
        settle().await;
        peer.reset();
        assert!(is_reset(&read.await.unwrap().unwrap_err()));
    });
}

// ---------------------------------------------------------------------- read and readexactly

#[test]
fn r20_r25_read_gives_what_has_arrived_at_once_and_is_not_capped_by_the_limit() {
    simulate(async |net| {
        let mut wire = Wire::fed(&net, 3, "abcde").await;
        assert_eq!(now(wire.reader.read(2)).await.unwrap(), "ab");
        assert_eq!(now(wire.reader.read(usize::MAX)).await.unwrap(), "cde");
        wire.send("fghij").await;
        assert_eq!(now(wire.reader.read(5)).await.unwrap(), "fghij");
    });
}

#[test]
fn r21_r22_read_waits_for_the_first_byte_or_the_end_which_comes_every_time() {
    simulate(async |net| {
        let mut wire = Wire::connect(&net, 100).await;
        assert!(poll_once(wire.reader.read(5)).await.is_none());
        wire.send("x").await;
        assert_eq!(now(wire.reader.read(5)).await.unwrap(), "x");
        assert!(poll_once(wire.reader.read(5)).await.is_none());
        wire.finish().await;
        for _ in 0..3 {
            assert_eq!(now(wire.reader.read(5)).await.unwrap(), "");
        }
    });
}

#[test]
fn r23_r28_reads_of_nothing_give_nothing_at_once_and_take_nothing() {
    simulate(async |net| {
        let mut wire = Wire::connect(&net, 100).await;
        for sent in ["", "ab"] {
            wire.send(sent).await;
            assert_eq!(now(wire.reader.read(0)).await.unwrap(), "");
            assert_eq!(now(wire.reader.readexactly(0)).await.unwrap(), "");
        }
        assert_eq!(now(wire.reader.read(9)).await.unwrap(), "ab");
    });
}

#[test]
fn r24_read_to_end_waits_for_the_end_of_the_peer_and_gives_everything() {
    simulate(async |net| {
        let wire = Wire::connect(&net, 2).await;
        let peer = wire.peer.clone();
        let read = wire.start(async |reader| (reader.read_to_end().await, reader.at_eof()));
        for piece in ["ab", "cdef", "g", "hijklmn"] {
            peer.send(piece.as_bytes());
            settle().await;
            assert!(!read.is_finished(), "not the end yet");
        }
        peer.finish();
        let (all, at_eof) = read.await.unwrap();
        assert_eq!((all.unwrap(), at_eof), ("abcdefghijklmn".into(), true));
    });
}

#[test]
fn r26_a_reset_half_way_through_read_to_end_is_its_error() {
    simulate(async |net| {
        let wire = Wire::fed(&net, 100, "ab").await;
        leave_unread(&wire.writer).await;
        let peer = wire.peer.clone();
        let read = wire.start(async |reader| (reader.read_to_end().await, reader.read(9).await));
        settle().await;
        peer.reset();
        let (all, later) = read.await.unwrap();
        assert!(is_reset(&all.unwrap_err()) && is_reset(&later.unwrap_err()));
    });
}

#[test]
fn r29_readexactly_takes_exactly_that_much_of_what_arrives() {
    simulate(async |net| {
        let mut wire = Wire::fed(&net, 100, "abcdef").await;
        assert_eq!(now(wire.reader.readexactly(4)).await.unwrap(), "abcd");
        let peer = wire.peer.clone();
        let read = wire.start(async |reader| (reader.readexactly(4).await, reader.read(9).await));
        for piece in ["g", "hij"] {
            settle().await;
            assert!(!read.is_finished());
            peer.send(piece.as_bytes());
        }
        let (exact, rest) = read.await.unwrap();
        assert_eq!((exact.unwrap(), rest.unwrap()), ("efgh".into(), "ij".into()));
    });
}

#[test]
fn r30_r31_readexactly_tells_what_there_was_when_the_peer_ended_first() {
    simulate(async |net| {
        let mut wire = Wire::fed(&net, 100, "abc").await;
        wire.finish().await;
        for had in ["abc", ""] {
            let error = now(wire.reader.readexactly(5)).await.unwrap_err();
            assert!(matches!(&error, Error::Incomplete { partial, expected: Some(5) } if partial == had), "{error:?}");
            assert!(wire.reader.at_eof(), "the buffer is empty afterwards");
        }
    });
}

// ---------------------------------------------------------------------- readuntil

#[test]
fn r41_readuntil_gives_the_bytes_up_to_and_with_the_separator() {
    simulate(async |net| {
        let mut wire = Wire::fed(&net, 100, "one--two--rest").await;
        assert_eq!(now(wire.reader.readuntil("--")).await.unwrap(), "one--");
        assert_eq!(now(wire.reader.readuntil("--")).await.unwrap(), "two--");
        assert_eq!(now(wire.reader.read(9)).await.unwrap(), "rest");
    });
}

#[test]
fn r42_r43_r44_an_empty_separator_is_an_argument_error_and_takes_nothing() {
    simulate(async |net| {
        let mut wire = Wire::fed(&net, 100, "ab").await;
        let none: [&str; 0] = [];
        for (error, text) in [
            (now(wire.reader.readuntil("")).await.unwrap_err(), "at least one-byte string"),
            (now(wire.reader.readuntil(none)).await.unwrap_err(), "at least one element"),
            (now(wire.reader.readuntil(["a", ""])).await.unwrap_err(), "at least one-byte string"),
        ] {
            assert!(matches!(&error, Error::InvalidInput(_)) && error.to_string().contains(text), "{error}");
        }
        assert_eq!(now(wire.reader.read(9)).await.unwrap(), "ab");
    });
}

#[test]
fn r45_r46_a_separator_is_found_however_it_is_cut_and_near_misses_do_not_count() {
    for (pieces, whole) in [(&["QWEaa", "XYaa", "a"][..], "QWEaaXYaaa"), (&["XXX", "a", "a", "a"], "XXXaaa")] {
        simulate(async |net| {
            let wire = Wire::connect(&net, 100).await;
            let peer = wire.peer.clone();
            let read = wire.start(async |reader| reader.readuntil("aaa").await);
            for piece in pieces {
                settle().await;
                assert!(!read.is_finished());
                peer.send(piece.as_bytes());
            }
            assert_eq!(read.await.unwrap().unwrap(), whole);
        });
    }
}

#[test]
fn r47_r48_r49_r50_of_several_separators_the_one_that_ends_first_wins() {
    simulate(async |net| {
        for (sent, separators, found, rest) in [
            ("ABCDEFG", ["DEF", "BCDE"], "ABCDE", "FG"),
            ("ab\r\ncd", ["\r\n", "\r"], "ab\r", "\ncd"),
            ("some dataA!", ["A", "ome dataA"], "some dataA", "!"),
            ("dataZAaaa", ["A", "long sep"], "dataZA", "aaa"),
        ] {
            let mut wire = Wire::fed(&net, 100, sent).await;
            assert_eq!(now(wire.reader.readuntil(separators)).await.unwrap(), found);
            assert_eq!(now(wire.reader.read(9)).await.unwrap(), rest);
        }
    });
}

#[test]
fn r51_the_separator_does_not_count_against_the_limit() {
    simulate(async |net| {
        let mut wire = Wire::fed(&net, 7, "1234567-----8").await;
        assert_eq!(now(wire.reader.readuntil("-----")).await.unwrap(), "1234567-----");
    });
}

#[test]
fn r52_r53_r54_an_overrun_says_how_much_is_safe_to_take_and_takes_nothing() {
    simulate(async |net| {
        for (sent, separators, consumed, found) in [
            ("1234--rest", &["--"][..], 4, true),
            ("some dataA", &["A", "ome dataA"], 9, true),
            ("abcdef", &["\n"], 6, false),
            ("abcdefAA", &["AAA"], 6, false),
        ] {
            let mut wire = Wire::fed(&net, 3, sent).await;
            for _ in 0..2 {
                assert_eq!(overrun(now(wire.reader.readuntil(separators)).await), (consumed, found), "{sent}");
            }
            assert_eq!(now(wire.reader.read(99)).await.unwrap(), sent);
        }
    });
}

#[test]
fn r55_the_limit_is_looked_at_before_the_end_of_the_peer() {
    simulate(async |net| {
        let mut wire = Wire::fed(&net, 3, "abcdef").await;
        wire.finish().await;
        assert_eq!(overrun(now(wire.reader.readuntil("\n")).await), (6, false));
        assert_eq!(now(wire.reader.read(99)).await.unwrap(), "abcdef");
    });
}

#[test]
fn r56_r57_at_the_end_of_the_peer_a_whole_separator_counts_and_half_of_one_is_what_there_was() {
    simulate(async |net| {
        let mut wire = Wire::fed(&net, 99, "aSEPsome dataSE").await;
        wire.finish().await;
        assert_eq!(now(wire.reader.readuntil("SEP")).await.unwrap(), "aSEP");
        for had in ["some dataSE", ""] {
            let error = now(wire.reader.readuntil("SEP")).await.unwrap_err();
            assert!(matches!(&error, Error::Incomplete { partial, expected: None } if partial == had), "{error:?}");
            assert!(wire.reader.at_eof(), "the buffer is empty afterwards");
        }
    });
}

#[test]
fn r58_after_an_overrun_the_safe_part_can_be_taken_and_the_search_goes_on() {
    simulate(async |net| {
        let mut wire = Wire::fed(&net, 3, "abcdefAA").await;
        let (consumed, _) = overrun(now(wire.reader.readuntil("AAA")).await);
        assert_eq!(now(wire.reader.readexactly(consumed)).await.unwrap(), "abcdef");
        wire.send("Arest").await;
        assert_eq!(now(wire.reader.readuntil("AAA")).await.unwrap(), "AAA", "no separator was cut in half");
    });
}

// ---------------------------------------------------------------------- readline and iteration

#[test]
fn r40_r70_r71_r72_lines_come_with_their_newline_the_rest_without_and_then_nothing() {
    simulate(async |net| {
        let mut wire = Wire::fed(&net, 100, "one\r;\n\nth").await;
        assert_eq!(now(wire.reader.readline()).await.unwrap(), "one\r;\n", "a newline and nothing else ends a line");
        assert_eq!(now(wire.reader.readline()).await.unwrap(), "\n");
        assert!(poll_once(wire.reader.readline()).await.is_none());
        wire.send("ree\nrest").await;
        wire.finish().await;
        for line in ["three\n", "rest", "", ""] {
            assert_eq!(now(wire.reader.readline()).await.unwrap(), line);
        }
    });
}

#[test]
fn r73_of_a_line_over_the_limit_whose_end_is_here_that_line_is_dropped() {
    simulate(async |net| {
        let mut wire = Wire::fed(&net, 3, "line1\nline2\n").await;
        assert!(matches!(now(wire.reader.readline()).await, Err(Error::LineTooLong { .. })));
        assert_eq!(now(wire.reader.read(99)).await.unwrap(), "line2\n");
    });
}

#[test]
fn r74_r75_of_a_line_over_the_limit_whose_end_is_not_here_everything_is_dropped() {
    simulate(async |net| {
        let mut wire = Wire::fed(&net, 3, "abcdef").await;
        assert!(matches!(now(wire.reader.readline()).await, Err(Error::LineTooLong { .. })));
        wire.send("gh\n").await;
        assert_eq!(now(wire.reader.readline()).await.unwrap(), "gh\n", "the tail is a line of its own");
        wire.send("abcdef").await;
        wire.finish().await;
        assert!(matches!(now(wire.reader.readline()).await, Err(Error::LineTooLong { .. })));
        assert!(wire.reader.at_eof());
        assert_eq!(now(wire.reader.readline()).await.unwrap(), "");
    });
}

#[test]
fn r77_r78_iterating_gives_the_lines_and_an_overlong_one_is_one_step_of_it() {
    simulate(async |net| {
        let mut wire = Wire::fed(&net, 3, "a\noverlong\nb\nc").await;
        wire.finish().await;
        let mut lines = StreamReader::lines(&mut wire.reader);
        assert_eq!(lines.next().await.unwrap().unwrap(), "a\n");
        assert!(matches!(lines.next().await, Some(Err(Error::LineTooLong { .. }))));
        assert_eq!(lines.next().await.unwrap().unwrap(), "b\n");
        assert_eq!(lines.next().await.unwrap().unwrap(), "c");
        assert!(lines.next().await.is_none());
    });
}

// ---------------------------------------------------------------------- the tools of the tests above

/// A connection of the guest, and its peer.
struct Wire {
    reader: StreamReader,
    writer: StreamWriter,
    peer: Peer,
}

impl Wire {
    async fn connect(net: &Network, limit: usize) -> Self {
        let (reader, writer, peer) = connected_within(net, Some(limit)).await;
        Self { reader, writer, peer }
    }

    /// One on which this has arrived.
    async fn fed(net: &Network, limit: usize, data: &str) -> Self {
        let wire = Self::connect(net, limit).await;
        wire.send(data).await;
        wire
    }

    async fn send(&self, data: &str) {
        self.peer.send(data.as_bytes());
        settle().await;
    }

    async fn finish(&self) {
        self.peer.finish();
        settle().await;
    }

    /// Reads in a task, to which the connection goes.
    fn start<T: 'static>(
        mut self,
        read: impl AsyncFnOnce(&mut StreamReader) -> T + 'static,
    ) -> wasi_streams::JoinHandle<T> {
        spawn(async move {
            let result = read(&mut self.reader).await;
            self.writer.close();
            result
        })
    }
}

/// The result of a read that need not wait.
async fn now(read: impl Future<Output = Result<Bytes>>) -> Result<Bytes> {
    poll_once(read).await.expect("a read that has what it needs")
}

/// Where the overrun says that it is, and whether the separator was found.
fn overrun(result: Result<Bytes>) -> (usize, bool) {
    match result {
        Err(Error::LimitOverrun { consumed, found }) => (consumed, found),
        other => panic!("no overrun: {other:?}"),
    }
}

fn is_reset(error: &Error) -> bool {
    error.kind() == ErrorKind::ConnectionReset
}

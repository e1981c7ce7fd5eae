//! Pairs in memory: they behave as connections do.

mod common;

use std::io::ErrorKind;

use futures_lite::future::poll_once;
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use wasi_streams::{Duplex, Error, Socket, open_connection, spawn, stream_pair, timeout};

use common::{MEGABYTES, pattern, secs, settle, simulate};

#[test]
fn bytes_go_both_ways_and_arrive_in_order() {
    simulate(async |_net| {
        let ((mut one_in, one_out), (mut other_in, other_out)) = stream_pair();
        let (there, back) = (pattern(MEGABYTES, 1), pattern(MEGABYTES, 2));
        one_out.write(&there).unwrap();
        other_out.write(&back).unwrap();
        one_out.write_eof().unwrap();
        other_out.write_eof().unwrap();
        let reading = spawn(async move { one_in.read_to_end().await });
        assert!(other_in.read_to_end().await.unwrap() == there);
        assert!(reading.await.unwrap().unwrap() == back);
        one_out.close();
        other_out.close();
    });
}

#[test]
fn a_reader_that_does_not_read_holds_the_writer_back() {
    simulate(async |_net| {
        let ((_one_in, one_out), (mut other_in, other_out)) = stream_pair();
        one_out.write(vec![0; MEGABYTES]).unwrap();
        assert!(timeout(secs(100), one_out.drain()).await.is_err());
        // Reader (twice its limit and a piece), pair, and nothing else.
        let taken = MEGABYTES - one_out.transport().get_write_buffer_size();
        assert!(taken <= 5 * 64 * 1024, "{taken}");
        let mut read = 0;
        while poll_once(one_out.drain()).await.is_none() {
            read += other_in.read(64 * 1024).await.unwrap().len();
            settle().await;
        }
        assert!(read > MEGABYTES / 2);
        one_out.transport().abort();
        other_out.close();
    });
}

#[test]
fn half_closing_works_in_both_directions() {
    simulate(async |_net| {
        let ((mut one_in, one_out), (mut other_in, other_out)) = stream_pair();
        one_out.write(b"question").unwrap();
        one_out.write_eof().unwrap();
        assert_eq!(other_in.read_to_end().await.unwrap(), "question");
        assert!(!other_out.is_closing() && !one_out.is_closing());
        other_out.write(b"answer").unwrap();
        other_out.write_eof().unwrap();
        assert_eq!(one_in.read_to_end().await.unwrap(), "answer");
        one_out.close();
        one_out.wait_closed().await.unwrap();
        other_out.close();
        other_out.wait_closed().await.unwrap();
    });
}

#[test]
fn dropping_a_side_delivers_what_it_wrote_and_ends_the_other() {
    simulate(async |_net| {
        let ((one_in, one_out), (mut other_in, other_out)) = stream_pair();
        one_out.write(vec![7; MEGABYTES]).unwrap();
        drop((one_in, one_out));
        let all = other_in.read_to_end().await.unwrap();
        assert_eq!(all.len(), MEGABYTES);
        settle().await;
        other_out.write(b"is anybody there?").unwrap();
        settle().await;
        assert_eq!(other_out.drain().await.unwrap_err().kind(), ErrorKind::BrokenPipe);
        assert_eq!(other_out.wait_closed().await.unwrap_err().kind(), ErrorKind::BrokenPipe);
        assert_eq!(other_in.read(1).await.unwrap_err().kind(), ErrorKind::BrokenPipe);
    });
}

#[test]
fn a_waiting_drain_learns_that_the_other_side_is_gone() {
    simulate(async |_net| {
        let ((_one_in, one_out), (_other_in, other_out)) = stream_pair();
        one_out.write(vec![0; MEGABYTES]).unwrap();
        settle().await;
        let drain = spawn(async move { one_out.drain().await });
        settle().await;
        other_out.transport().abort();
        let error = timeout(secs(1), drain).await.unwrap().unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    });
}

#[test]
fn a_socket_of_a_pair_can_be_taken_over() {
    simulate(async |net| {
        let calls = net.counts().host_calls;
        let (one, other) = Socket::pair();
        let (mut reader, writer) = open_connection((), ()).socket(one).limit(10).await.unwrap();
        let (_reader, peer) = open_connection((), ()).socket(other).await.unwrap();
        assert_eq!(reader.limit(), 10);
        peer.write(b"short\nmuch too long\n").unwrap();
        assert_eq!(reader.readline().await.unwrap(), "short\n");
        assert!(matches!(reader.readline().await, Err(Error::LineTooLong { .. })));
        assert_eq!((writer.peer_addr(), writer.local_addr()), (None, None));
        writer.close();
        peer.close();
        peer.wait_closed().await.unwrap();
        assert_eq!(net.counts().sockets, 0);
        assert_eq!(net.counts().host_calls, calls, "all of it happens in memory");
    });
}

#[test]
fn a_socket_that_is_never_taken_over_ends_the_other_side() {
    simulate(async |_net| {
        let (one, other) = Socket::pair();
        let (mut reader, writer) = open_connection((), ()).socket(one).await.unwrap();
        drop(other);
        assert_eq!(reader.read(1).await.unwrap(), "");
        writer.close();
    });
}

#[test]
fn a_duplex_is_a_stream_of_the_futures_traits() {
    simulate(async |_net| {
        let (one, other) = stream_pair();
        let (mut one, mut other) = (Duplex::from(one), Duplex::from(other));
        let data = pattern(MEGABYTES, 5);
        let expected = data.clone();
        let writing = spawn(async move {
            one.write_all(&data).await.unwrap();
            one.close().await.unwrap();
            let mut answer = String::new();
            one.read_to_string(&mut answer).await.unwrap();
            answer
        });
        let mut received = Vec::new();
        other.read_to_end(&mut received).await.unwrap();
        assert!(received == expected);
        other.write_all(b"thanks").await.unwrap();
        other.flush().await.unwrap();
        drop(other);
        assert_eq!(writing.await.unwrap(), "thanks");
    });
}

#[test]
fn a_flush_that_waits_ends_when_the_connection_does() {
    simulate(async |_net| {
        for close in [false, true] {
            let ((_one_in, mut one_out), (_other_in, other_out)) = stream_pair();
            one_out.write(vec![0; MEGABYTES]).unwrap();
            let transport = one_out.transport();
            let flush =
                spawn(
                    async move { if close { AsyncWriteExt::close(&mut one_out).await } else { one_out.flush().await } },
                );
            settle().await;
            assert!(!flush.is_finished());
            transport.abort();
            let outcome = timeout(secs(1), flush).await.expect("it ends").unwrap();
            assert!(outcome.is_err(), "what was queued is dropped, and the end was never sent");
            other_out.close();
        }
    });
}

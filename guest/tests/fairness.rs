//! One connection that could go on for ever lets the others have their turn.

mod common;

use std::cell::Cell;
use std::rc::Rc;

use wasi_streams::sim::{Network, Peer};
use wasi_streams::{StreamReader, StreamWriter, run, spawn, yield_now};

use common::network;
use common::place::connected_within;

async fn connect(net: &Network) -> (StreamReader, StreamWriter, Peer) {
    connected_within(net, None).await
}

/// Counts how often another task gets its turn until `done`.
fn count_turns() -> Rc<Cell<u32>> {
    let turns = Rc::new(Cell::new(0));
    let counter = Rc::clone(&turns);
    drop(spawn(async move {
        loop {
            counter.set(counter.get() + 1);
            yield_now().await;
        }
    }));
    turns
}

#[test]
fn a_peer_that_takes_everything_at_once_does_not_keep_the_loop() {
    let net = network();
    run(async {
        let (_reader, writer, peer) = connect(&net).await;
        let turns = count_turns();
        for _ in 0..1000 {
            writer.write([0; 1024]).unwrap();
            writer.drain().await.unwrap();
        }
        assert!(turns.get() >= 1000 / 50, "the other task ran {} times", turns.get());
        writer.close();
        writer.wait_closed().await.unwrap();
        assert_eq!(peer.recv_to_end().await.len(), 1000 * 1024);
    });
}

#[test]
fn a_peer_that_never_stops_sending_does_not_keep_the_loop() {
    let net = network();
    run(async {
        let (mut reader, writer, peer) = connect(&net).await;
        peer.send(&vec![0; 8 << 20]);
        peer.finish();
        let turns = count_turns();
        let mut received = 0;
        let mut reads = 0;
        loop {
            let data = reader.read(usize::MAX).await.unwrap();
            if data.is_empty() {
                break;
            }
            received += data.len();
            reads += 1;
        }
        assert_eq!(received, 8 << 20);
        assert!(turns.get() >= reads, "the other task ran {} times in {reads} reads", turns.get());
        writer.close();
    });
}

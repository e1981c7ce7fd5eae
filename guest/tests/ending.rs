//! The end of the program: what was accepted is delivered, within bounds, and nothing is left.

mod common;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use wasi_streams::sim::{Faults, Network, Peer};
use wasi_streams::{EXIT_STALL, EXIT_TOTAL, Instant, Report, StreamReader, StreamWriter, run, sleep, spawn};

use common::place::name_of;
use common::{
    assert_no_task_panicked, assert_nothing_is_left, collect_reports, connected, ms, network, pattern, secs, settle,
    simulate, take_reports,
};

const EIGHT_MIB: usize = 8 * 1024 * 1024;

#[test]
fn a_closed_writer_delivers_every_byte() {
    delivers(async |reader, writer| {
        writer.close();
        drop((reader, writer));
    });
}

#[test]
fn a_dropped_writer_delivers_every_byte() {
    delivers(async |reader, writer| drop((reader, writer)));
}

#[test]
fn write_eof_delivers_every_byte() {
    delivers(async |_reader, writer| writer.write_eof().unwrap());
}

#[test]
fn a_writer_in_a_task_that_is_dropped_delivers_every_byte() {
    delivers(async |reader, writer| {
        drop(spawn(async move {
            let _both = (reader, writer);
            std::future::pending::<()>().await;
        }));
        settle().await;
    });
}

#[test]
fn a_writer_that_waits_in_drain_delivers_every_byte() {
    delivers(async |_reader, writer| {
        drop(spawn(async move { writer.drain().await }));
        settle().await;
    });
}

#[test]
fn d01_w01_what_is_written_without_drain_leaves_while_the_program_only_reads() {
    simulate(async |net| {
        let (mut reader, writer, peer) = connected(&net).await;
        let data = pattern(EIGHT_MIB, 3);
        let received = read_slowly(&net, &peer);
        writer.write(&data).unwrap();
        net.after(secs(100), {
            let peer = peer.clone();
            move || peer.send(b"thanks\n")
        });
        assert_eq!(reader.readline().await.unwrap(), "thanks\n");
        assert_eq!(writer.transport().get_write_buffer_size(), 0);
        writer.close();
        peer.ended().await;
        sleep(ms(10)).await;
        assert!(*received.borrow() == data);
    });
}

#[test]
fn with_nothing_to_deliver_the_end_takes_no_time() {
    let net = network();
    run(async {
        let (reader, writer, peer) = connected(&net).await;
        writer.write(b"all taken").unwrap();
        drop(spawn(async move {
            let _both = (reader, writer);
            sleep(secs(1000)).await;
        }));
        peer.recv(9).await;
    });
    assert_eq!(net.now(), secs(0));
    assert_nothing_is_left(&net);
}

#[test]
fn a_peer_that_takes_nothing_holds_the_end_up_for_exit_stall() {
    let net = network();
    collect_reports();
    let (ended, name) = run(async {
        let (_reader, writer, peer) = connected(&net).await;
        peer.stall();
        writer.write(vec![0; EIGHT_MIB]).unwrap();
        writer.close();
        settle().await;
        let name = name_of(&peer);
        net.after(EXIT_STALL * 2, move || drop(peer)); // it stays for longer than that
        (Instant::now(), name)
    });
    assert_eq!(ended.elapsed(), EXIT_STALL);
    let undelivered = EIGHT_MIB - usize::try_from(net.counts().bytes_written).unwrap();
    let reports = take_reports();
    assert!(
        matches!(reports[..], [Report::Undelivered { peer: to, bytes }] if to == name && bytes == undelivered),
        "{reports:?}"
    );
    assert_eq!(net.freezes(), 0);
}

#[test]
fn a_peer_that_trickles_holds_the_end_up_for_exit_total() {
    let net = network();
    collect_reports();
    net.set_send_buffer(100);
    net.set_faults(Faults { max_write: Some(100), ..Faults::default() });
    let (ended, received) = run(async {
        let (_reader, writer, peer) = connected(&net).await;
        peer.set_window(100);
        writer.write(vec![0; EIGHT_MIB]).unwrap();
        writer.close();
        let received = read_every(&net, &peer, secs(4)); // always before EXIT_STALL is over
        (Instant::now(), received)
    });
    assert_eq!(ended.elapsed(), EXIT_TOTAL);
    assert!(matches!(take_reports()[..], [Report::Undelivered { bytes, .. }] if bytes > EIGHT_MIB - 10_000));
    assert!(received.borrow().len() >= 1000, "it did take something");
    assert_eq!(net.freezes(), 0);
}

#[test]
fn one_stalled_peer_does_not_cost_the_others_their_bytes() {
    let net = network();
    collect_reports();
    let data = pattern(EIGHT_MIB, 9);
    let (received, peer) = run(async {
        let (_r1, stalled, stalled_peer) = connected(&net).await;
        let (_r2, writer, peer) = connected(&net).await;
        stalled_peer.stall();
        stalled.write(vec![0; EIGHT_MIB]).unwrap();
        let received = read_slowly(&net, &peer);
        writer.write(&data).unwrap();
        net.after(secs(50), move || drop(stalled_peer));
        (received, peer)
    });
    assert_eq!(net.freezes(), 0);
    net.exit();
    take_the_rest(&peer, &received);
    assert!(*received.borrow() == data);
    assert!(net.now() >= EXIT_STALL && net.now() < EXIT_STALL + secs(10), "{:?}", net.now());
}

/// Writes 8 MiB to a slow peer, leaves reader and writer to `leave`, ends the program: everything arrives.
fn delivers(leave: impl AsyncFnOnce(StreamReader, StreamWriter)) {
    let net = network();
    collect_reports();
    let data = pattern(EIGHT_MIB, 8);
    let (received, peer) = run(async {
        let (reader, writer, peer) = connected(&net).await;
        let received = read_slowly(&net, &peer);
        writer.write(&data).unwrap();
        leave(reader, writer).await;
        (received, peer)
    });
    net.exit();
    take_the_rest(&peer, &received);
    assert!(*received.borrow() == data, "{} of {EIGHT_MIB} bytes", received.borrow().len());
    assert!(peer.saw_eof() && !peer.saw_reset());
    assert!(net.now() > ms(500), "it was slow");
    assert_eq!(net.freezes(), 0);
    assert_nothing_is_left(&net);
    assert_no_task_panicked();
}

/// The peer takes 64 KiB every 10 ms, whatever the guest is doing then.
fn read_slowly(net: &Network, peer: &Peer) -> Rc<RefCell<Vec<u8>>> {
    peer.set_window(64 * 1024);
    read_every(net, peer, ms(10))
}

/// The program is gone; its kernel still delivers what it has taken.
fn take_the_rest(peer: &Peer, received: &RefCell<Vec<u8>>) {
    while !peer.saw_eof() && !peer.saw_reset() {
        received.borrow_mut().extend(peer.take_received());
    }
    received.borrow_mut().extend(peer.take_received());
}

fn read_every(net: &Network, peer: &Peer, pause: Duration) -> Rc<RefCell<Vec<u8>>> {
    fn step(net: Network, peer: Peer, pause: Duration, received: Rc<RefCell<Vec<u8>>>) {
        received.borrow_mut().extend(peer.take_received());
        if !peer.saw_eof() {
            net.clone().after(pause, move || step(net, peer, pause, received));
        }
    }
    let received = Rc::new(RefCell::new(Vec::new()));
    step(net.clone(), peer.clone(), pause, Rc::clone(&received));
    received
}

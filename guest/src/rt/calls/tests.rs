//! Calls from outside and pollables in other hands, on the simulated host, which panics where a real one traps.

use std::future::IntoFuture;
use std::net::SocketAddr;
use std::rc::Rc;

use super::*;
use crate::sys::sim::{Network, Peer, poll, subscribe_duration};
use crate::{StreamReader, StreamWriter, open_connection, start_server};

/// So many handles with lent pollables are kept after their end.
const KEPT: usize = 256;

struct Connected {
    reader: StreamReader,
    writer: StreamWriter,
    peer: Peer,
    loan: Loan,
}

fn address(port: u16) -> SocketAddr {
    ([192, 0, 2, 1], port).into()
}

fn connect(net: &Network, port: u16) -> Connected {
    let listener = net.listen(address(port));
    let connection = open_connection("192.0.2.1", port).into_future();
    let (reader, writer) = block_on(connection).expect("no other call").expect("a connection");
    let peer = listener.try_accept().expect("a connection");
    Connected { reader, writer, peer, loan: Loan::default() }
}

impl Connected {
    fn lend(&self, hold: bool) -> Vec<Pollable> {
        lend(&self.loan, &|| self.reader.connection().tasks(), hold, &|| false)
    }

    fn buffered(&self) -> usize {
        self.reader.connection().look(|buffer| buffer.buffered())
    }
}

/// Whether one of these is ready without anything new happening.
fn any_ready(pollables: &[Pollable]) -> bool {
    let soon = subscribe_duration(1000);
    let list: Vec<&Pollable> = pollables.iter().chain([&soon]).collect();
    poll(&list).iter().any(|index| (*index as usize) < pollables.len())
}

#[test]
fn what_a_held_pollable_tells_of_is_left_to_its_holder() {
    let net = Network::new();
    let ours = connect(&net, 1);
    advance();
    let pollables = ours.lend(true);
    assert!(!any_ready(&pollables));
    ours.peer.send(b"hello");
    advance(); // some other call
    assert_eq!(ours.buffered(), 0);
    assert!(any_ready(&pollables));
    drop(pollables);
    reclaim(&ours.reader.connection().tasks());
    advance();
    assert_eq!(ours.buffered(), 5);
}

#[test]
fn what_is_queued_goes_out_whoever_has_the_pollables() {
    let net = Network::new();
    let ours = connect(&net, 1);
    ours.peer.stall();
    ours.writer.write(vec![7; 1 << 20]).expect("it is open");
    advance();
    let queued = ours.writer.connection().queued();
    assert!(queued > 0);
    let pollables = ours.lend(true);
    assert!(!any_ready(&pollables));
    ours.peer.resume();
    while ours.writer.connection().queued() > 0 {
        run_until(&mut || true, None).expect("no other call"); // some other call
        advance();
    }
    // Readiness to send stays: the holder learns of it still.
    assert!(any_ready(&pollables));
}

#[test]
fn a_connection_that_nobody_holds_goes_on_with_another_pollable() {
    let net = Network::new();
    let ours = connect(&net, 1);
    advance();
    let pollables = ours.lend(false);
    ours.peer.send(b"hello");
    advance();
    assert_eq!(ours.buffered(), 5);
    drop(pollables);
}

#[test]
fn there_is_always_something_to_poll() {
    let net = Network::new();
    let ours = connect(&net, 1);
    assert_eq!(lend(&Loan::default(), &Vec::new, true, &|| false).len(), 1);
    assert!(any_ready(&lend(&Loan::default(), &Vec::new, true, &|| true)));
    // Inside of a call too, where nothing else can be said.
    let inside =
        block_on(Box::pin(async { lend(&Loan::default(), &|| ours.reader.connection().tasks(), true, &|| false) }));
    assert!(any_ready(&inside.expect("no other call")));
}

#[test]
fn a_call_inside_of_a_call_is_refused_and_harms_nothing() {
    let net = Network::new();
    let mut ours = connect(&net, 1);
    ours.peer.send(b"hello");
    let read = block_on(Box::pin(async {
        assert!(matches!(block_on(Box::pin(async {})), Err(Error::Busy(_))));
        assert!(matches!(run_until(&mut || true, None), Err(Error::Busy(_))));
        run_ready();
        advance();
        ours.reader.read(5).await
    }));
    assert_eq!(read.expect("no other call").expect("data"), "hello");
}

#[test]
fn a_connection_may_go_before_its_pollables() {
    for hold in [true, false] {
        let net = Network::new();
        let ours = connect(&net, 1);
        advance();
        let pollables = ours.lend(hold);
        ours.writer.close();
        reclaim(&ours.reader.connection().tasks());
        let Connected { reader, writer, peer, loan: _ } = ours;
        drop((reader, writer));
        advance();
        assert!(peer.saw_eof());
        assert!(any_ready(&pollables), "whoever waits for it learns that it is over");
        drop(pollables);
    }
}

#[test]
fn so_many_that_are_over_are_kept_for_pollables_that_are_late() {
    let net = Network::new();
    let mut late: Vec<_> = (0..KEPT as u16).map(|number| end_settled(connect(&net, number + 1))).collect();
    assert_eq!(handles(&net), [KEPT; 3]);
    // Those who drop their pollables can have any number of connections.
    late.clear();
    for number in 0..1000 {
        drop(end_settled(connect(&net, 1000 + number)));
    }
    assert_eq!(handles(&net), [KEPT; 3]);
}

#[test]
fn a_pollable_that_is_forgotten_costs_no_more_than_its_connection() {
    let net = Network::new();
    let (leaked, loan) = end(connect(&net, 1));
    for number in 0..1000 {
        drop(end_settled(connect(&net, 1000 + number)));
    }
    assert_eq!(handles(&net), [KEPT + 1; 3]);
    // Whoever remembers in the end gets back what it cost.
    drop(leaked);
    loan.settle();
    drop(end_settled(connect(&net, 1)));
    assert_eq!(handles(&net), [KEPT; 3]);
}

#[test]
fn where_all_pollables_are_forgotten_all_connections_stay() {
    let net = Network::new();
    let count = 3 * KEPT;
    let leaked: Vec<_> = (0..count as u16).map(|number| end(connect(&net, number + 1))).collect();
    assert_eq!(handles(&net), [count; 3]);
    for (pollables, _) in &leaked {
        assert!(any_ready(pollables), "whoever waits for it learns that it is over");
    }
}

#[test]
fn one_who_comes_back_does_not_speak_for_another() {
    let net = Network::new();
    let ours = connect(&net, 1);
    advance();
    let (first, second) = (ours.lend(false), Loan::default());
    advance(); // it waits with another pollable now
    let other = lend(&second, &|| ours.reader.connection().tasks(), false, &|| false);
    assert!(!other.is_empty() && !any_ready(&other));
    drop(other);
    second.settle();
    let (_, loan) = end(ours);
    for number in 0..=KEPT as u16 {
        drop(end_settled(connect(&net, 1000 + number)));
    }
    assert_eq!(handles(&net), [KEPT + 1; 3]);
    drop((first, loan));
}

/// Ends a connection of which pollables were lent, and gives these.
fn end(ours: Connected) -> (Vec<Pollable>, Loan) {
    advance();
    let pollables = ours.lend(true);
    ours.writer.transport().abort();
    advance();
    (pollables, ours.loan)
}

/// The same, by one who has come back, late with the pollables.
fn end_settled(ours: Connected) -> Vec<Pollable> {
    advance();
    let pollables = ours.lend(true);
    ours.loan.settle();
    ours.writer.transport().abort();
    advance();
    pollables
}

/// How many sockets, input streams and output streams there are.
fn handles(net: &Network) -> [usize; 3] {
    let counts = net.counts();
    [counts.sockets, counts.input_streams, counts.output_streams]
}

#[test]
fn a_server_that_goes_before_its_pollables_sends_those_away_who_come() {
    let net = Network::new();
    let at = SocketAddr::from(([127, 0, 0, 1], 80));
    let listen = || {
        let handler = |_: StreamReader, writer: StreamWriter| std::mem::forget(Rc::new(writer));
        let server = block_on(start_server(handler, "127.0.0.1", 80).into_future());
        server.expect("no other call").expect("a server")
    };
    let server = listen();
    advance();
    let pollables = lend(&Loan::default(), &|| server.tasks(), true, &|| false);
    let waiting = net.connect(at).expect("it listens");
    drop(server);
    let late = net.connect(at).expect("it cannot stop to listen");
    advance();
    assert!(waiting.saw_eof() || waiting.saw_reset());
    assert!(late.saw_eof() || late.saw_reset());
    // Also those who come while nothing else happens.
    net.after(Duration::from_secs(1), move || drop(net_connect_twice(at)));
    run_until(&mut || false, Some(Duration::from_secs(2))).expect("no other call");
    assert_eq!(net.counts().sockets, 1);
    // Its place can be had again.
    let server = listen();
    advance();
    let welcome = net.connect(at).expect("it listens");
    advance();
    assert!(!welcome.saw_eof() && !welcome.saw_reset());
    drop((server, pollables));
}

fn net_connect_twice(at: SocketAddr) -> [Peer; 2] {
    [(); 2].map(|()| Network::current().connect(at).expect("it cannot stop to listen"))
}

#[test]
fn a_connect_that_is_given_up_before_its_pollables_ends_as_soon_as_it_is_there() {
    let net = Network::new();
    let listener = net.connect_after(address(1), Duration::from_secs(1));
    let connecting = crate::spawn(open_connection("192.0.2.1", 1).into_future());
    advance();
    let task = connecting.task_waker().expect("it is under way");
    let pollables = lend(&Loan::default(), &|| vec![task.clone()], true, &|| false);
    assert!(!any_ready(&pollables));
    connecting.abort();
    run_until(&mut || false, Some(Duration::from_secs(2))).expect("no other call");
    let peer = listener.try_accept().expect("a connect under way cannot be stopped");
    assert!(peer.saw_eof());
    drop(pollables);
}

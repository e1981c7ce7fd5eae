mod connections;

use std::cell::Cell;
use std::future::Future;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use crate::sys::types::{ErrorCode, Family, Shutdown, StreamFailure};

use super::*;

const MS: u64 = 1_000_000;

fn addr(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

fn trap(f: impl FnOnce()) -> String {
    let panic = catch_unwind(AssertUnwindSafe(f)).expect_err("a trap");
    match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(panic) => (*panic.downcast::<&str>().expect("a text")).to_owned(),
    }
}

fn wait(pollable: Pollable) {
    assert_eq!(poll(&[&pollable]), [0]);
}

/// Connects to a listener of the test. The socket comes first, because variables are dropped in reverse.
fn connected(net: &Network) -> (TcpSocket, Peer, InputStream, OutputStream) {
    let to = addr("10.0.0.1:80");
    let listener = net.listen(to);
    let socket = TcpSocket::create(Family::V4).expect("tcp");
    socket.start_connect(to).expect("start");
    wait(socket.subscribe());
    let (input, output) = socket.finish_connect().expect("connected");
    (socket, listener.try_accept().expect("a peer"), input, output)
}

fn listening(at: &str) -> TcpSocket {
    let at = addr(at);
    let socket = TcpSocket::create(Family::of(at.ip())).expect("tcp");
    socket.start_bind(at).and_then(|()| socket.finish_bind()).expect("bound");
    socket.start_listen().and_then(|()| socket.finish_listen()).expect("listening");
    socket
}

fn write(output: &OutputStream, bytes: &[u8]) -> Result<(), StreamFailure> {
    assert!(output.check_write()? >= bytes.len() as u64);
    output.write(bytes)
}

#[derive(Default)]
struct CountingWaker(AtomicUsize);

impl Wake for CountingWaker {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn poll_of_nothing_traps() {
    assert_eq!(trap(|| drop(poll(&[]))), "trap: poll of an empty list");
}

#[test]
fn the_clock_jumps_to_the_next_deadline_and_no_further() {
    let net = Network::new();
    let (late, soon) = (subscribe_duration(50 * MS), subscribe_duration(20 * MS));
    assert_eq!(poll(&[&late, &soon]), [1]);
    assert_eq!(net.now(), Duration::from_millis(20));
    assert_eq!(poll(&[&late]), [0]);
    assert_eq!(monotonic_now(), 50 * MS);
    assert_eq!(poll(&[&soon, &late]), [0, 1]);
}

#[test]
fn waiting_for_what_never_comes_is_a_deadlock() {
    let net = Network::new();
    let (_socket, _peer, input, _output) = connected(&net);
    let text = trap(|| wait(input.subscribe()));
    assert!(text.starts_with("simulated deadlock") && text.contains("10.0.0.1:80"), "{text}");
    assert!(trap(|| wait(subscribe_instant(u64::MAX))).starts_with("simulated deadlock"));
}

#[test]
fn spinning_is_a_livelock() {
    let net = Network::new();
    let (_socket, _peer, _input, output) = connected(&net);
    net.set_livelock_limit(10);
    let ready = output.subscribe();
    let text = trap(|| (0..11).for_each(|_| drop(poll(&[&ready]))));
    assert!(text.starts_with("simulated livelock"), "{text}");
}

#[test]
fn names_take_their_time_and_literals_none() {
    let net = Network::new();
    let ips = ["10.0.0.1".parse().expect("ip"), "::1".parse().expect("ip")];
    net.name_after("example.org", &ips, Duration::from_millis(7));
    let lookup = ResolveStream::start("Example.org").expect("started");
    assert_eq!(lookup.next(), Err(ErrorCode::WouldBlock));
    wait(lookup.subscribe());
    assert_eq!((lookup.next(), lookup.next(), lookup.next()), (Ok(Some(ips[0])), Ok(Some(ips[1])), Ok(None)));
    assert_eq!(net.now(), Duration::from_millis(7));
    assert_eq!(ResolveStream::start("[::1]").expect("literal").next(), Ok(Some(ips[1])));
    assert_eq!(ResolveStream::start("no such host").err(), Some(ErrorCode::InvalidArgument));
    let unknown = ResolveStream::start("nowhere").expect("started");
    wait(unknown.subscribe());
    assert_eq!(unknown.next(), Err(ErrorCode::NameUnresolvable));
    net.deny_names();
    assert_eq!(ResolveStream::start("127.0.0.1").err(), Some(ErrorCode::PermanentResolverFailure));
}

#[test]
fn a_spent_budget_starves_permits_until_the_host_gets_a_turn() {
    let net = Network::new();
    let (_socket, _peer, _input, output) = connected(&net);
    net.set_faults(Faults { budget: Some(1), ..Faults::default() });
    let ready = output.subscribe();
    for _ in 0..5 {
        assert_eq!(poll(&[&ready]), [0]);
        assert_eq!(output.check_write(), Ok(0));
    }
    let turn = subscribe_duration(0);
    assert_eq!(poll(&[&turn]), [0]);
    assert_eq!(output.check_write(), Ok(65536));
    assert_eq!(poll(&[&turn]), [0]);
    assert_eq!(output.check_write(), Ok(0), "only the first poll of a zero-duration timer yields");
}

#[test]
fn faults_never_take_progress_away() {
    let net = Network::new();
    let (_socket, peer, input, output) = connected(&net);
    net.set_faults(Faults { seed: 1, max_read: Some(2), spurious: 100, zero_permits: 100, ..Faults::default() });
    peer.send(b"abcde");
    let mut seen = Vec::new();
    for _ in 0..6 {
        seen.extend(input.read(99).expect("open"));
    }
    assert_eq!(seen, b"abcde");
    assert_eq!(output.check_write(), Ok(0));
    wait(subscribe_duration(0));
    assert!(output.check_write().expect("open") > 0);
    let quiet = input.subscribe();
    assert_eq!(poll(&[&quiet]), [0], "a lie");
    assert!(trap(|| drop(poll(&[&quiet]))).starts_with("simulated deadlock"));
}

#[test]
fn poll_returns_empty_when_it_woke_the_test() {
    let net = Network::new();
    let listener = net.connect_after(addr("10.0.0.1:80"), Duration::from_millis(3));
    let count = Arc::new(CountingWaker::default());
    let waker = Waker::from(count.clone());
    let mut cx = Context::from_waker(&waker);
    let mut accept = pin!(listener.accept());
    assert!(accept.as_mut().poll(&mut cx).is_pending());
    let socket = TcpSocket::create(Family::V4).expect("tcp");
    socket.start_connect(addr("10.0.0.1:80")).expect("start");
    assert_eq!(socket.finish_connect().err(), Some(ErrorCode::WouldBlock));
    let timer = subscribe_duration(5 * MS);
    assert_eq!(poll(&[&timer]), []);
    assert_eq!(count.0.load(Ordering::Relaxed), 1);
    let Poll::Ready(peer) = accept.as_mut().poll(&mut cx) else { panic!("accepted") };
    let (input, output) = socket.finish_connect().expect("connected");
    {
        let mut recv = pin!(peer.recv(3));
        assert!(recv.as_mut().poll(&mut cx).is_pending());
        write(&output, b"abcd").expect("written");
        assert_eq!(count.0.load(Ordering::Relaxed), 2);
        assert_eq!(recv.as_mut().poll(&mut cx), Poll::Ready(b"abc".to_vec()));
    }
    assert_eq!(poll(&[&timer]), [0]);
    drop((input, output, socket));
}

#[test]
fn scripts_run_at_their_time() {
    let net = Network::new();
    let ran = Rc::new(Cell::new(Duration::ZERO));
    net.after(Duration::from_millis(2), {
        let (ran, net) = (ran.clone(), net.clone());
        move || {
            ran.set(net.now());
            net.stdin(b"typed");
            net.stdin_end();
        }
    });
    let input = stdin();
    wait(input.subscribe());
    assert_eq!(ran.get(), Duration::from_millis(2));
    assert_eq!((input.read(9), input.read(9)), (Ok(b"typed".to_vec()), Err(StreamFailure::Closed)));
    let (out, err) = (stdout(), stderr());
    write(&out, b"o").and_then(|()| write(&err, b"e")).expect("written");
    assert_eq!((net.stdout(), net.stderr()), (b"o".to_vec(), b"e".to_vec()));
}

#[test]
fn what_is_left_of_an_older_world_is_ready() {
    Network::new();
    let (old, far) = (subscribe_duration(5 * MS), subscribe_duration(u64::MAX / 4));
    let net = Network::new();
    let new = subscribe_duration(3 * MS);
    assert_eq!(poll(&[&new, &old, &far]), [1, 2]);
    assert_eq!(poll(&[&new]), [0]);
    assert_eq!(net.now(), Duration::from_millis(3));
}

#[test]
fn watching_the_clock_for_ages_is_a_livelock() {
    let net = Network::new();
    net.set_livelock_limit(10);
    let text = trap(|| (0..101).for_each(|_| wait(subscribe_duration(MS))));
    assert!(text.starts_with("simulated livelock"), "{text}");
    Network::new();
    assert!(trap(|| wait(subscribe_duration(u64::MAX / 4))).starts_with("simulated deadlock"));
}

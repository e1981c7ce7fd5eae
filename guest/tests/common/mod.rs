//! What several test files need.
#![allow(dead_code, reason = "each test file uses a part of it")]

#[cfg(feature = "tls-ring")]
pub(crate) mod tls;
#[cfg(feature = "tls-ring")]
pub(crate) mod tls_peer;

pub(crate) mod place;

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::net::SocketAddr;
use std::ops::Deref;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::thread::panicking;
use std::time::Duration;

use wasi_streams::sim::{Network, Peer};
use wasi_streams::{Report, Result, StreamReader, StreamWriter, run, set_report_hook, yield_now};

/// More than the host, its kernel and the write marks take together.
pub(crate) const MEGABYTES: usize = 2 * 1024 * 1024;

thread_local! {
    static REPORTS: RefCell<Vec<Report>> = const { RefCell::new(Vec::new()) };
}

/// Runs `test` in a fresh world, then looks for what it must not leave behind: a panic in a task (which `spawn` would
/// hide), a freeze, a socket, a stream, a lookup, a pollable.
pub(crate) fn simulate(test: impl AsyncFnOnce(Network)) {
    simulate_in(&network(), test);
}

/// Runs `test` likewise, of what is refused before there is a socket.
pub(crate) fn simulate_without_sockets(test: impl AsyncFnOnce(Network)) {
    simulate_in(&Watched { net: Network::new(), has_sockets: false }, test);
}

fn simulate_in(net: &Network, test: impl AsyncFnOnce(Network)) {
    collect_reports();
    run(test(net.clone()));
    assert_no_task_panicked();
    assert_eq!(net.freezes(), 0);
    assert_nothing_is_left(net);
}

/// A fresh world. In `over_unix.rs`, what runs in it must make Unix sockets and no others, or it would prove nothing.
pub(crate) fn network() -> Watched {
    Watched { net: Network::new(), has_sockets: true }
}

/// A world that is looked at when it goes.
pub(crate) struct Watched {
    net: Network,
    has_sockets: bool,
}

impl Deref for Watched {
    type Target = Network;

    fn deref(&self) -> &Network {
        &self.net
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if panicking() {
            return;
        }
        let counts = self.net.counts();
        if !self.has_sockets {
            assert_eq!((counts.tcp_sockets, counts.unix_sockets), (0, 0), "sockets, before it was refused");
        } else if place::over_unix() {
            assert_eq!(counts.tcp_sockets, 0, "TCP sockets, in a test over Unix sockets");
            assert!(counts.unix_sockets > 0, "a test over Unix sockets that makes none");
        }
    }
}

/// Sends everything back, and closes when the peer has ended.
pub(crate) async fn echo(mut reader: StreamReader, writer: StreamWriter) -> Result<()> {
    loop {
        let data = reader.read(64 * 1024).await?;
        if data.is_empty() {
            writer.close();
            return writer.wait_closed().await;
        }
        writer.write(data)?;
        writer.drain().await?;
    }
}

/// Keeps the reports of this thread for [`take_reports`].
pub(crate) fn collect_reports() {
    set_report_hook(|report| REPORTS.with_borrow_mut(|all| all.push(report.clone())));
}

/// What was reported since the last call.
pub(crate) fn take_reports() -> Vec<Report> {
    REPORTS.take()
}

pub(crate) fn assert_no_task_panicked() {
    let reports = take_reports();
    assert!(!reports.iter().any(|report| matches!(report, Report::TaskPanicked { .. })), "{reports:?}");
}

/// The guest holds nothing of the host; the reactor may keep its timer and its tick.
pub(crate) fn assert_nothing_is_left(net: &Network) {
    let counts = net.counts();
    let left = (counts.sockets, counts.input_streams, counts.output_streams, counts.lookups);
    assert_eq!(left, (0, 0, 0, 0), "sockets, input streams, output streams and lookups");
    assert!(counts.pollables <= 2, "{} pollables", counts.pollables);
}

pub(crate) fn addr(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

pub(crate) fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A connection of the guest and its peer, with the guest's side at work already.
pub(crate) async fn connected(net: &Network) -> (StreamReader, StreamWriter, Peer) {
    let connected = place::connected_within(net, None).await;
    settle().await;
    connected
}

/// Stalls the peer and writes until bytes stay in the writer's queue; gives what was written in all.
pub(crate) async fn clog(writer: &StreamWriter, peer: &Peer) -> Vec<u8> {
    peer.stall();
    let mut written = Vec::new();
    while writer.transport().get_write_buffer_size() == 0 {
        let piece = pattern(20_000, written.len() as u64);
        writer.write(&piece).expect("write never fails");
        written.extend(piece);
        settle().await;
    }
    written
}

/// A handler that has a clone of `state` for each connection.
pub(crate) fn with_state<S, Fut>(
    state: &S,
    handler: impl Fn(S, StreamReader, StreamWriter) -> Fut + 'static,
) -> impl Fn(StreamReader, StreamWriter) -> Fut + 'static
where
    S: Clone + 'static,
    Fut: Future + 'static,
{
    let state = state.clone();
    move |reader, writer| handler(state.clone(), reader, writer)
}

/// Lets everything happen that can happen without time passing.
pub(crate) async fn settle() {
    for _ in 0..32 {
        yield_now().await;
    }
}

/// Lets so much time pass, without a timer of the guest.
pub(crate) async fn pass(net: &Network, time: Duration) {
    let state = Rc::new(Cell::new((false, None::<Waker>)));
    let end = Rc::clone(&state);
    net.after(time, move || {
        let (_, waker) = end.replace((true, None));
        waker.into_iter().for_each(Waker::wake);
    });
    poll_fn(|cx| match state.replace((false, None)) {
        (true, _) => Poll::Ready(()),
        (false, _) => {
            state.set((false, Some(cx.waker().clone())));
            Poll::Pending
        }
    })
    .await;
}

/// Bytes that do not repeat: whatever is lost, doubled or swapped shows.
pub(crate) fn pattern(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

//! Once a connection is warm, an echo asks for no memory but that in which the host hands over what it read, however many
//! connections there are.
//!
//! Every allocation of the thread is counted, except those of the simulated world and of the test's own peer. The memory that
//! a read and a poll of the host return is the world's: a real host allocates it in the program, by the canonical ABI.

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::backtrace::Backtrace;
use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::pin::pin;
use std::time::Duration;

use wasi_streams::sim::{Network, Peer};
use wasi_streams::{StreamReader, StreamWriter, start_server, timeout, yield_now};

use common::{pass, secs, simulate};

/// Counts what this thread asks for while it is watched.
struct Counting;

thread_local! {
    static WATCHED: Cell<bool> = const { Cell::new(false) };
    static COUNTED: Cell<u64> = const { Cell::new(0) };
    static TRACED: Cell<bool> = const { Cell::new(false) };
    static TRACES: RefCell<Vec<Backtrace>> = const { RefCell::new(Vec::new()) };
}

fn count() {
    if !WATCHED.try_with(Cell::get).unwrap_or(false) || Network::is_at_work() {
        return;
    }
    COUNTED.set(COUNTED.get() + 1);
    if TRACED.get() {
        let _unwatched = Watch::set(false);
        TRACES.with_borrow_mut(|traces| traces.push(Backtrace::force_capture()));
    }
}

// SAFETY: every call goes on to the system's allocator as it is.
#[allow(unsafe_code, reason = "the one way to see allocations")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps to the rules of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: all memory comes from `System`.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: all memory comes from `System`.
        unsafe { System.realloc(memory, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Whether the thread is watched, as long as it lives.
struct Watch {
    before: bool,
}

impl Watch {
    fn set(watched: bool) -> Self {
        Self { before: WATCHED.replace(watched) }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        WATCHED.set(self.before);
    }
}

/// Does what is not the library's, uncounted.
fn unwatched<T>(act: impl FnOnce() -> T) -> T {
    let _unwatched = Watch::set(false);
    act()
}

async fn unwatched_async<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    std::future::poll_fn(|cx| unwatched(|| future.as_mut().poll(cx))).await
}

#[test]
fn an_echo_by_lines_on_one_connection() {
    assert_none(1, by_lines);
}

#[test]
fn an_echo_by_pieces_on_one_connection() {
    assert_none(1, by_pieces);
}

#[test]
fn an_echo_on_so_many_connections_that_all_are_polled_at_once() {
    assert_none(50, by_pieces);
}

#[test]
fn an_echo_on_so_many_connections_that_the_busy_are_polled_apart() {
    assert_none(200, by_lines);
}

#[test]
fn an_echo_with_a_timeout_around_each_read() {
    assert_none(1, by_lines_in_time);
}

#[test]
fn the_counter_counts() {
    let watch = Watch::set(true);
    COUNTED.set(0);
    let (one, two) = (Box::new(1), unwatched(|| Box::new(2)));
    drop(watch);
    assert_eq!((COUNTED.get(), *one, *two), (1, 1, 2));
}

async fn by_lines_in_time(mut reader: StreamReader, writer: StreamWriter) -> wasi_streams::Result<()> {
    loop {
        let line = timeout(secs(30), reader.readline()).await??;
        if line.is_empty() {
            break;
        }
        writer.write(&line)?;
        timeout(secs(30), writer.drain()).await??;
    }
    writer.close();
    Ok(())
}

async fn by_lines(mut reader: StreamReader, writer: StreamWriter) -> wasi_streams::Result<()> {
    loop {
        let line = reader.readline().await?;
        if line.is_empty() {
            break;
        }
        writer.write(&line)?;
        writer.drain().await?;
    }
    writer.close();
    Ok(())
}

async fn by_pieces(mut reader: StreamReader, writer: StreamWriter) -> wasi_streams::Result<()> {
    loop {
        let piece = reader.read(64 * 1024).await?;
        if piece.is_empty() {
            break;
        }
        writer.write(&piece)?;
        writer.drain().await?;
    }
    writer.close();
    Ok(())
}

/// So many rounds of all connections together, counted after as many to warm up.
fn assert_none<Fut>(connections: usize, echo: impl Fn(StreamReader, StreamWriter) -> Fut + 'static)
where
    Fut: Future<Output = wasi_streams::Result<()>> + 'static,
{
    simulate(async move |net| {
        let server = start_server(echo, "127.0.0.1", 0).backlog(1000).await.unwrap();
        let peers: Vec<Peer> = (0..connections).map(|_| net.connect(server.sockets()[0]).unwrap()).collect();
        while server.connections() < connections {
            yield_now().await;
        }
        play(&net, &peers, ROUNDS).await;
        let counted = watched(play(&net, &peers, ROUNDS)).await;
        if counted > 0 {
            TRACED.set(true);
            watched(play(&net, &peers, 1)).await;
            TRACED.set(false);
            panic!(
                "{counted} allocations in {ROUNDS} rounds of {connections} connections; in one of them:\n{}",
                places()
            );
        }
        drop(peers);
        server.close();
        server.wait_closed().await;
    });
}

/// How many allocations there are meanwhile.
async fn watched(future: impl Future<Output = ()>) -> u64 {
    COUNTED.set(0);
    let watch = Watch::set(true);
    future.await;
    drop(watch);
    COUNTED.get()
}

/// Every peer sends a line and gets it back, so often.
async fn play(net: &Network, peers: &[Peer], rounds: usize) {
    for _ in 0..rounds {
        unwatched_async(pass(net, Duration::from_micros(10))).await; // so that the program waits for the host
        unwatched(|| peers.iter().for_each(|peer| peer.send(LINE)));
        for peer in peers {
            let echo = unwatched_async(peer.recv(LINE.len())).await;
            assert_eq!(echo, LINE);
            unwatched(|| drop(echo));
        }
    }
}

/// Where the traced allocations were, the most frequent first.
fn places() -> String {
    let mut places = BTreeMap::<String, usize>::new();
    for trace in TRACES.take() {
        let trace = trace.to_string();
        let frames = trace.lines().filter_map(|line| line.trim().split_once(": wasi_streams::"));
        let frames: Vec<&str> = frames.map(|(_, frame)| frame).take(4).collect();
        *places.entry(frames.join(" < ")).or_default() += 1;
    }
    let mut places: Vec<_> = places.into_iter().collect();
    places.sort_by_key(|(_, times)| Reverse(*times));
    places.iter().map(|(place, times)| format!("{times} x {place}\n")).collect()
}

const LINE: &[u8] = b"a line that is echoed again and again\n";
const ROUNDS: usize = 200;

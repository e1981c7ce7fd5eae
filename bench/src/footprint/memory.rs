//! Memory: of the host's process, of the guest as it has it from the host, and of what is allocated in that.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

use super::{Footprint, in_turns};
use crate::load::{PATIENCE, ask, churn_many, open};
use crate::measure::Plan;
use crate::peers::{Mode, Peer, Places, Server};
use crate::row::{Row, Series};
use crate::targets::Target;

const KIB: f64 = 1024.0;
pub(super) const IDLE: usize = 1000;
pub(super) const MANY: usize = 10_000;
/// Connections that are sent more than the server reads.
pub(super) const FULL: usize = 50;
const CHURN: u64 = 10_000;
/// The same level, in KiB: a tenth of a byte for each connection that was there.
const LEVEL: f64 = 1.0;
/// What a connection may buffer, by default, in KiB: twice the limit of its reader, and one piece of 64.
const BOUND: f64 = 3.0 * 64.0;

/// What the host's process grows by, for each connection that is open and has been used.
pub(super) fn idle(test: &Footprint, places: &Places, plan: Plan) -> Vec<Row> {
    let figure = |peer: Peer| -> Result<f64> {
        let server = Server::start(places, peer, Mode::Echo)?;
        drop(open(server.address, 1)?);
        let before = resident(&server)?;
        let open = open(server.address, IDLE)?;
        let after = resident(&server)?;
        drop(open);
        Ok((after - before) / IDLE as f64 / KIB)
    };
    let peers = [Peer::Ours, Peer::Raw, Peer::Wstd, Peer::Asyncio, Peer::Tokio];
    let all = in_turns(rounds(plan), &peers, figure);
    let mut rows = vec![test.absolute("KiB", &all[0], Some(Target::AtMost(6.0)))];
    let others = peers.iter().zip(&all).skip(1);
    rows.extend(others.map(|(peer, series)| test.beside("KiB", &all[0], *peer, series, None)));
    rows
}

/// The same with ten thousand, and what of it is the guest's; then they go, and as many come again.
pub(super) fn many(test: &Footprint, places: &Places, plan: Plan) -> Vec<Row> {
    let figures = || -> Result<[f64; 5]> {
        let server = Server::start(places, Peer::Ours, Mode::Memory)?;
        drop(open(server.address, 1)?);
        let (before, host_before) = (guest(&server)?, resident(&server)?);
        let first = open(server.address, MANY)?;
        let (after, host_after) = (guest(&server)?, resident(&server)?);
        drop(first);
        let gone = at_rest(&server)?;
        let second = open(server.address, MANY)?;
        let again = guest(&server)?;
        drop(second);
        let each = |before: f64, after: f64| (after - before) / MANY as f64 / KIB;
        Ok([
            each(host_before, host_after),
            each(before.linear, after.linear),
            each(before.allocated, after.allocated),
            each(before.allocated, gone.allocated),
            each(after.linear, again.linear),
        ])
    };
    let [host, linear, allocated, gone, again] = collect(if plan.quick { 1 } else { 3 }, figures);
    vec![
        test.absolute("host, KiB each", &host, None),
        test.absolute("guest, KiB each", &linear, None),
        test.absolute("allocated in the guest, KiB each", &allocated, None),
        test.absolute("allocated when they are gone, KiB each", &gone, None),
        test.absolute("guest, KiB more each when as many come again", &again, None),
    ]
}

/// What the guest's memory grows by when each connection is sent as much as it takes, and nobody reads that.
pub(super) fn full(test: &Footprint, places: &Places, plan: Plan) -> Vec<Row> {
    let figures = || -> Result<[f64; 2]> {
        let server = Server::start(places, Peer::Ours, Mode::MemoryChurn)?;
        let mut clients: Vec<TcpStream> = (0..FULL).map(|_| hold(server.address)).collect::<Result<_>>()?;
        let before = at_rest(&server)?;
        clients.iter_mut().try_for_each(fill)?;
        let after = at_rest(&server)?;
        let each = |before: f64, after: f64| (after - before) / FULL as f64 / KIB;
        Ok([each(before.linear, after.linear), each(before.allocated, after.allocated)])
    };
    let [linear, allocated] = collect(rounds(plan), figures);
    vec![
        test.absolute("KiB", &linear, Some(Target::AtMost(BOUND))),
        test.absolute("KiB allocated", &allocated, Some(Target::AtMost(BOUND))),
    ]
}

/// A connection from which nothing is read.
fn hold(address: SocketAddr) -> Result<TcpStream> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.write_all(b"hold\n")?;
    Ok(stream)
}

/// Sends until the server takes no more for a while.
fn fill(stream: &mut TcpStream) -> Result<()> {
    stream.set_write_timeout(Some(Duration::from_millis(20)))?;
    let piece = vec![b'x'; 64 * 1024];
    while stream.write(&piece).is_ok_and(|n| n > 0) {}
    Ok(())
}

/// How much more there is than after the first thousand.
pub(super) fn after_churn(test: &Footprint, places: &Places, plan: Plan) -> Vec<Row> {
    let figures = || -> Result<[f64; 3]> {
        let server = Server::start(places, Peer::Ours, Mode::MemoryChurn)?;
        churn_many(server.address, CHURN / 10)?;
        let (before, host_before) = (guest(&server)?, resident(&server)?);
        churn_many(server.address, CHURN)?;
        let (after, host_after) = (guest(&server)?, resident(&server)?);
        let more = |before: f64, after: f64| (after - before) / KIB;
        Ok([more(before.linear, after.linear), more(before.allocated, after.allocated), more(host_before, host_after)])
    };
    let [linear, allocated, host] = collect(rounds(plan), figures);
    vec![
        test.absolute("guest, KiB more", &linear, Some(Target::AtMost(0.0))),
        test.absolute("allocated in the guest, KiB more", &allocated, Some(Target::AtMost(LEVEL))),
        test.absolute("host, KiB more", &host, None),
    ]
}

fn rounds(plan: Plan) -> usize {
    if plan.quick { 1 } else { 3 }
}

/// Several figures that are taken together.
fn collect<const N: usize>(rounds: usize, figures: impl Fn() -> Result<[f64; N]>) -> [Series; N] {
    let all: Result<Vec<[f64; N]>> = (0..rounds).map(|_| figures()).collect();
    let all = all.map_err(|error| format!("{error:#}"));
    std::array::from_fn(|index| {
        all.as_ref().map(|all| all.iter().map(|one| one[index]).collect()).map_err(Clone::clone)
    })
}

/// What a guest says of itself, in bytes.
struct Guest {
    /// Its linear memory, which never shrinks.
    linear: f64,
    /// What it has allocated in it and not freed.
    allocated: f64,
}

fn guest(server: &Server) -> Result<Guest> {
    let said = ask(server.address, "memory\n")?;
    let numbers = || {
        let (linear, allocated) = said.trim_end().split_once(' ')?;
        Some(Guest { linear: linear.parse().ok()?, allocated: allocated.parse().ok()? })
    };
    numbers().with_context(|| format!("the guest has {said:?} bytes"))
}

/// The same when it no longer changes: on a busy machine a server takes its time to see that clients have gone.
fn at_rest(server: &Server) -> Result<Guest> {
    let mut last = guest(server)?;
    for _ in 0..50 {
        thread::sleep(Duration::from_millis(100));
        let now = guest(server)?;
        if (now.allocated - last.allocated).abs() < KIB {
            return Ok(now);
        }
        last = now;
    }
    Ok(last)
}

fn resident(server: &Server) -> Result<f64> {
    Ok(server.resident().context("the system does not say how much memory a process has")? as f64)
}

//! What a server takes beside time: memory, and the time until it is there.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::load::{ask, churn_many, open};
use crate::measure::{Plan, Row, median, ratios, spread};
use crate::peers::{Mode, Peer, Places, Server};
use crate::targets::Target;

const KIB: f64 = 1024.0;
const IDLE: usize = 1000;
const CHURN: u64 = 10_000;
/// Connections that are sent more than the server reads.
const FULL: usize = 50;

/// A test that compares no rates.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Footprint {
    pub(crate) name: &'static str,
    measure: fn(&Footprint, &Places, Plan) -> Result<Vec<Row>>,
}

pub(crate) fn footprints() -> [Footprint; 4] {
    [
        Footprint { name: "host memory of an idle connection", measure: idle },
        Footprint { name: "guest memory of a full connection", measure: full },
        Footprint { name: "guest memory after 10000 connections", measure: after_churn },
        Footprint { name: "start to first byte", measure: start },
    ]
}

impl Footprint {
    pub(crate) fn run(&self, places: &Places, plan: Plan) -> Result<Vec<Row>> {
        eprintln!("{}", self.name);
        (self.measure)(self, places, plan).with_context(|| self.name)
    }

    /// A figure of ours alone, which is its own ratio.
    fn absolute(&self, unit: &'static str, figures: &[f64], target: Option<Target>) -> Row {
        let middle = median(figures);
        Row {
            test: format!("{}, {unit}", self.name),
            peer: "(absolute)".into(),
            unit: "",
            values: (middle.unwrap_or(f64::NAN), None),
            ratio: middle,
            spread: spread(figures),
            by_cpu: None,
            target,
        }
    }

    fn beside(&self, unit: &'static str, ours: &[f64], peer: Peer, theirs: &[f64], target: Option<Target>) -> Row {
        let ratios = ratios(ours, theirs);
        Row {
            test: self.name.into(),
            peer: peer.name().into(),
            unit,
            values: (median(ours).unwrap_or(f64::NAN), median(theirs)),
            ratio: median(&ratios),
            spread: spread(&ratios),
            by_cpu: None,
            target,
        }
    }
}

/// What the host's process grows by, for each connection that is open and has been used.
fn idle(test: &Footprint, places: &Places, plan: Plan) -> Result<Vec<Row>> {
    let figure = |peer: Peer| -> Result<f64> {
        let server = Server::start(places, peer, Mode::Echo)?;
        drop(open(server.address, 1)?);
        let before = server.resident().context("the system does not say how much memory a process has")?;
        let open = open(server.address, IDLE)?;
        let after = server.resident().context("it ended")?;
        drop(open);
        Ok((after as f64 - before as f64) / IDLE as f64 / KIB)
    };
    let (ours, raw) = in_turns(if plan.quick { 1 } else { 3 }, figure, Peer::Ours, Peer::Raw)?;
    Ok(vec![test.absolute("KiB", &ours, Some(Target::AtMost(6.0))), test.beside("KiB", &ours, Peer::Raw, &raw, None)])
}

/// What the guest's memory grows by, for each connection with as much data as it takes and nobody who reads it.
fn full(test: &Footprint, places: &Places, _plan: Plan) -> Result<Vec<Row>> {
    let server = Server::start(places, Peer::Ours, Mode::Churn)?;
    let before = guest_memory(&server)?;
    let mut clients = Vec::with_capacity(FULL);
    for _ in 0..FULL {
        clients.push(fill(server.address)?);
    }
    let after = guest_memory(&server)?;
    let each = (after - before) / FULL as f64 / KIB;
    // Twice the limit of the reader and one piece of 64 KiB.
    Ok(vec![test.absolute("KiB", &[each], Some(Target::AtMost(3.0 * 64.0)))])
}

/// Sends until the server takes no more for a while.
fn fill(address: SocketAddr) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(b"hold\n")?;
    stream.set_write_timeout(Some(Duration::from_millis(20)))?;
    let piece = vec![b'x'; 64 * 1024];
    while stream.write(&piece).is_ok_and(|n| n > 0) {}
    Ok(stream)
}

/// How much more memory the guest has than it had after the first thousand.
fn after_churn(test: &Footprint, places: &Places, _plan: Plan) -> Result<Vec<Row>> {
    let server = Server::start(places, Peer::Ours, Mode::Churn)?;
    churn_many(server.address, CHURN / 10)?;
    let before = guest_memory(&server)?;
    churn_many(server.address, CHURN)?;
    let grown = (guest_memory(&server)? - before) / KIB;
    Ok(vec![test.absolute("KiB more", &[grown], Some(Target::AtMost(0.0)))])
}

fn guest_memory(server: &Server) -> Result<f64> {
    let bytes = ask(server.address, "memory\n")?;
    bytes.trim_end().parse().with_context(|| format!("the guest has {bytes:?} bytes"))
}

/// From starting the host with a component that it has compiled before to the first byte that comes back.
fn start(test: &Footprint, places: &Places, plan: Plan) -> Result<Vec<Row>> {
    let figure = |peer: Peer| -> Result<f64> {
        thread::sleep(Duration::from_millis(20)); // the last one is still going away
        let begin = Instant::now();
        let server = Server::start(places, peer, Mode::Echo)?;
        let mut stream = TcpStream::connect(server.address)?;
        stream.write_all(b"x")?;
        ensure!(stream.read(&mut [0])? == 1, "it closed the connection");
        Ok(begin.elapsed().as_secs_f64() * 1e3)
    };
    in_turns(1, figure, Peer::Ours, Peer::Raw)?; // compiled
    let (ours, raw) = in_turns(if plan.quick { 11 } else { 41 }, figure, Peer::Ours, Peer::Raw)?;
    // 6 ms where raw takes 4.7.
    Ok(vec![test.beside("ms", &ours, Peer::Raw, &raw, Some(Target::AtMost(1.28))), test.absolute("ms", &ours, None)])
}

fn in_turns(
    rounds: usize,
    figure: impl Fn(Peer) -> Result<f64>,
    one: Peer,
    other: Peer,
) -> Result<(Vec<f64>, Vec<f64>)> {
    let rounds: Result<Vec<(f64, f64)>> = (0..rounds).map(|_| Ok((figure(one)?, figure(other)?))).collect();
    Ok(rounds?.into_iter().unzip())
}

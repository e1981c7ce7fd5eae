//! Rounds: all servers of a test are up, and take the load in turns, so that whatever else the machine does concerns all of them.

use std::collections::HashMap;
use std::io::{IsTerminal, stderr};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustls::pki_types::CertificateDer;

use crate::load::{self, Cipher, Figure, Span, Tls};
use crate::peers::{Mode, Peer, Places, Server};
use crate::targets::{Load, Pair, Target, Test};

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) quick: bool,
    pub(crate) rounds: usize,
    pub(crate) span: Span,
}

impl Plan {
    pub(crate) fn new(quick: bool) -> Self {
        let (rounds, millis) = if quick { (5, 250) } else { (9, 800) };
        Self { quick, rounds, span: Span::of(Duration::from_millis(millis)) }
    }
}

/// Everything that applies a load.
#[derive(Debug)]
pub(crate) struct Clients {
    chacha20: Tls,
    aes: Tls,
}

impl Clients {
    pub(crate) fn new(authority: &CertificateDer<'static>) -> Result<Self> {
        let tls = |cipher| Tls::new(authority.clone(), cipher);
        Ok(Self { chacha20: tls(Cipher::ChaCha20)?, aes: tls(Cipher::AesGcm)? })
    }

    fn run(&self, load: Load, server: &Server, span: Span) -> Result<Figure> {
        let tls = if server.peer == Peer::OursAes { &self.aes } else { &self.chacha20 };
        match load {
            Load::Ping(count) => load::ping(server, count, span),
            Load::Idle(count) => load::idle(server, count, span),
            Load::Bulk(count) => load::bulk(server, count, span),
            Load::Lines => load::lines(server, span),
            Load::Churn => load::churn(server, span),
            Load::TlsBulk => tls.bulk(server, span),
            Load::Handshakes => tls.handshakes(server, span),
        }
    }
}

/// The figures of one server, one of each round.
#[derive(Debug, Default)]
pub(crate) struct Series {
    pub(crate) rates: Vec<f64>,
    /// Processor seconds for each request, byte, line or connection.
    pub(crate) costs: Vec<f64>,
    pub(crate) latencies: Vec<[Duration; 4]>,
}

impl Series {
    fn add(&mut self, figure: &Figure) {
        self.rates.push(figure.rate());
        self.costs.extend(figure.cpu.map(|cpu| cpu.as_secs_f64() / figure.count as f64));
        self.latencies.extend(figure.latencies);
    }
}

/// The servers of a test with their figures.
pub(crate) type Measured = HashMap<Peer, Series>;

/// Runs a test.
pub(crate) fn measure(test: &Test, places: &Places, clients: &Clients, plan: Plan) -> Result<Measured> {
    let (begin, terminal) = (Instant::now(), stderr().is_terminal());
    let start = |peer: Peer| Server::start(places, peer, test.mode);
    let servers = test.peers().into_iter().map(start).collect::<Result<Vec<_>>>()?;
    let mut measured = Measured::new();
    for round in 1..=plan.rounds {
        if terminal {
            eprint!("\r{:<24}round {round} of {} ", test.name, plan.rounds);
        }
        for server in &servers {
            let figure = clients.run(test.load, server, plan.span);
            let figure = figure.with_context(|| format!("{}: {}", test.name, server.peer.name()))?;
            measured.entry(server.peer).or_default().add(&figure);
            server.settle();
        }
    }
    eprintln!(
        "{}{:<24}{:.0} s              ",
        if terminal { "\r" } else { "" },
        test.name,
        begin.elapsed().as_secs_f64()
    );
    Ok(measured)
}

/// A line of the table.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) test: String,
    pub(crate) peer: String,
    pub(crate) unit: &'static str,
    /// What we reach and what the peer reaches, the medians.
    pub(crate) values: (f64, Option<f64>),
    /// The median of the rounds' ratios; none where the peer does not complete.
    pub(crate) ratio: Option<f64>,
    /// The width of the middle half of the rounds' ratios.
    pub(crate) spread: Option<f64>,
    /// The same ratio by processor time of the server, for the same work.
    pub(crate) by_cpu: Option<f64>,
    pub(crate) target: Option<Target>,
}

impl Row {
    /// Whether the target is met; none where there is no target.
    pub(crate) fn met(&self) -> Option<bool> {
        let target = self.target?;
        Some(self.ratio.map_or(target == Target::Completes, |ratio| target.is_met(ratio)))
    }

    /// Compares two series of rounds.
    pub(crate) fn of(test: &Test, pair: &Pair, measured: &Measured) -> Option<Self> {
        let (ours, peer) = (measured.get(&pair.ours)?, measured.get(&pair.peer)?);
        let ratios = ratios(&ours.rates, &peer.rates);
        let (unit, scale) = test.load.unit();
        let is_ours = matches!(pair.ours, Peer::Ours | Peer::Composed);
        Some(Self {
            test: if is_ours { test.name.into() } else { format!("{}, {}", test.name, pair.ours.name()) },
            peer: pair.peer.name().into(),
            unit,
            values: (median(&ours.rates)? / scale, median(&peer.rates).map(|rate| rate / scale)),
            ratio: median(&ratios),
            spread: spread(&ratios),
            by_cpu: median(&self::ratios(&peer.costs, &ours.costs)),
            target: pair.target,
        })
    }
}

/// What each round gave, one to the other.
pub(crate) fn ratios(ours: &[f64], theirs: &[f64]) -> Vec<f64> {
    ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs).collect()
}

pub(crate) fn median(figures: &[f64]) -> Option<f64> {
    quantile(figures, 0.5)
}

/// The width of the middle half.
pub(crate) fn spread(figures: &[f64]) -> Option<f64> {
    Some(quantile(figures, 0.75)? - quantile(figures, 0.25)?)
}

/// Between two figures where it falls between them.
fn quantile(figures: &[f64], part: f64) -> Option<f64> {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = sorted.len().checked_sub(1)? as f64 * part;
    let (low, high) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    Some(low + (high - low) * place.fract())
}

/// wstd with a thousand connections: tried once, with an end to it, beside ours.
pub(crate) fn attempt_wstd(places: &Places, clients: &Clients, plan: Plan) -> Result<Row> {
    eprintln!("{:<24}wstd, once", "ping 1000");
    let load = Load::Ping(1000);
    let ours = clients.run(load, &Server::start(places, Peer::Ours, Mode::Echo)?, plan.span)?;
    let wstd = clients.run(load, &Server::start(places, Peer::Wstd, Mode::Echo)?, plan.span).ok();
    let (unit, scale) = load.unit();
    Ok(Row {
        test: "ping 1000".into(),
        peer: Peer::Wstd.name().into(),
        unit,
        values: (ours.rate() / scale, wstd.map(|wstd| wstd.rate() / scale)),
        ratio: wstd.map(|wstd| ours.rate() / wstd.rate()),
        spread: None,
        by_cpu: None,
        target: Some(Target::Completes),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spread_is_the_middle_half() {
        let figures = [5.0, 1.0, 2.0, 3.0, 4.0];
        assert_eq!(median(&figures), Some(3.0));
        assert_eq!(spread(&figures), Some(2.0));
        assert_eq!(median(&[1.0, 2.0]), Some(1.5));
        assert_eq!(median(&[]), None);
    }

    #[test]
    fn a_peer_that_hangs_leaves_completing_met_and_ratios_unmet() {
        let mut row = Row {
            test: String::new(),
            peer: String::new(),
            unit: "",
            values: (1.0, None),
            ratio: None,
            spread: None,
            by_cpu: None,
            target: Some(Target::Completes),
        };
        assert_eq!(row.met(), Some(true));
        row.target = Some(Target::AtLeast(1.0));
        assert_eq!(row.met(), Some(false));
        row.target = None;
        assert_eq!(row.met(), None);
    }
}

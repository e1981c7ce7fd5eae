//! Rounds: all servers of a test are up, and take the load in turns, so that whatever else the machine does concerns all of them.

use std::collections::HashMap;
use std::io::{IsTerminal, stderr};
use std::time::{Duration, Instant};

use anyhow::Result;
use rustls::pki_types::CertificateDer;

use crate::load::{self, Cipher, Figure, Span, Tls};
use crate::peers::{Peer, Places, Server};
use crate::row::{Row, median, ratios};
use crate::targets::{Load, Pair, Test};

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

    /// Opening ten thousand connections takes longer than using them.
    pub(crate) fn rounds_of(self, load: Load) -> usize {
        if load.connections() > 1000 { self.rounds.div_ceil(3) } else { self.rounds }
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
    /// Connections that had no answer while it was measured.
    pub(crate) unserved: Vec<f64>,
    /// Why it did not complete.
    pub(crate) failed: Option<String>,
}

impl Series {
    fn add(&mut self, figure: &Figure) {
        self.rates.push(figure.rate());
        self.costs.extend(figure.cpu.map(|cpu| cpu.as_secs_f64() / figure.count as f64));
        self.latencies.extend(figure.latencies);
        self.unserved.push(figure.unserved as f64);
    }

    fn rates(&self) -> Result<&[f64], &str> {
        self.failed.as_deref().map_or(Ok(&self.rates), Err)
    }
}

/// The servers of a test with their figures.
pub(crate) type Measured = HashMap<Peer, Series>;

/// Runs a test. A server that fails is left out of the rounds that follow.
pub(crate) fn measure(test: &Test, places: &Places, clients: &Clients, plan: Plan) -> Measured {
    let (begin, terminal, rounds) = (Instant::now(), stderr().is_terminal(), plan.rounds_of(test.load));
    let mut measured = Measured::new();
    let fail = |measured: &mut Measured, peer: Peer, error: &anyhow::Error| {
        eprintln!("{}{}: {} did not complete: {error:#}", if terminal { "\r" } else { "" }, test.name, peer.name());
        measured.entry(peer).or_default().failed = Some(format!("{error:#}"));
    };
    let mut servers = Vec::new();
    for peer in test.peers() {
        match Server::start(places, peer, test.mode) {
            Ok(server) => servers.push(server),
            Err(error) => fail(&mut measured, peer, &error),
        }
    }
    for round in 1..=rounds {
        if terminal {
            eprint!("\r{:<24}round {round} of {rounds} ", test.name);
        }
        servers.retain(|server| match clients.run(test.load, server, plan.span) {
            Ok(figure) => {
                measured.entry(server.peer).or_default().add(&figure);
                server.settle();
                true
            }
            Err(error) => {
                fail(&mut measured, server.peer, &error);
                false
            }
        });
    }
    let seconds = begin.elapsed().as_secs_f64();
    eprintln!("{}{:<24}{seconds:.0} s              ", if terminal { "\r" } else { "" }, test.name);
    measured
}

/// Compares the series of two servers.
pub(crate) fn row(test: &Test, pair: &Pair, measured: &Measured) -> Row {
    let none = Series { failed: Some("it took no part".into()), ..Series::default() };
    let of = |peer: &Peer| measured.get(peer).unwrap_or(&none);
    let (ours, peer) = (of(&pair.ours), of(&pair.peer));
    let (unit, scale) = test.load.unit();
    let name = pair.ours.name_in(test.mode);
    let is_ours = !matches!(pair.ours, Peer::OursSplice | Peer::OursAes);
    let micros = |series: &Series| median(&series.costs).map(|cost| cost * test.load.one() * 1e6);
    let row = Row {
        test: if is_ours { test.name.into() } else { format!("{}, {name}", test.name) },
        peer: pair.peer.name_in(test.mode).into(),
        unit,
        by_cpu: median(&ratios(&peer.costs, &ours.costs)),
        micros: [micros(ours), micros(peer)],
        target: pair.target,
        note: unserved(test, pair, measured),
        ..Row::default()
    };
    let row = row.compare(ours.rates(), peer.rates());
    Row { values: row.values.map(|value| Some(value? / scale)), ..row }
}

/// Whose rate is that of fewer connections than there are.
fn unserved(test: &Test, pair: &Pair, measured: &Measured) -> Option<String> {
    let told = |peer: Peer| {
        let count = median(&measured.get(&peer)?.unserved).filter(|count| *count >= 1.0)?;
        Some(format!("{} left {count} of {} connections without an answer", peer.name(), test.load.connections()))
    };
    let told: Vec<String> = [pair.ours, pair.peer].into_iter().filter_map(told).collect();
    (!told.is_empty()).then(|| told.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peers::Mode;
    use crate::row::Failed;
    use crate::targets::Target;

    fn test() -> Test {
        Test::new("ping 2", Mode::Echo, Load::Ping(2)).least(Peer::Raw, 0.9).least(Peer::Asyncio, 1.5)
    }

    fn series(rates: &[f64], failed: Option<&str>) -> Series {
        Series { rates: rates.into(), failed: failed.map(str::to_owned), ..Series::default() }
    }

    #[test]
    fn who_fails_in_a_later_round_has_no_ratio_and_the_others_have() {
        let measured = Measured::from([
            (Peer::Ours, series(&[1000.0, 2000.0], None)),
            (Peer::Raw, series(&[1000.0, 2000.0], None)),
            (Peer::Asyncio, series(&[500.0], Some("it closed the connection"))),
        ]);
        let rows: Vec<Row> = test().pairs.iter().map(|pair| row(&test(), pair, &measured)).collect();
        assert_eq!((rows[0].ratio, rows[0].met(), rows[0].values[0]), (Some(1.0), Some(true), Some(1.5)));
        assert_eq!((rows[1].ratio, rows[1].met()), (None, Some(false)));
        assert_eq!(rows[1].failed, Some(Failed::Peer("it closed the connection".into())));
    }

    #[test]
    fn every_pair_has_a_row_even_if_nobody_came() {
        let row = row(&test(), &test().pairs[0], &Measured::new());
        assert_eq!(row.target, Some(Target::AtLeast(0.9)));
        assert!(matches!(row.failed, Some(Failed::Ours(_))));
    }
}

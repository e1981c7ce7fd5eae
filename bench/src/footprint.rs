//! What a server takes beside time: memory, calls of the host, and the time until it is there.

mod calls;
mod memory;
mod start;

use anyhow::Result;

use crate::measure::Plan;
use crate::peers::{Peer, Places};
use crate::row::{Row, Series, slice};
use crate::targets::Target;

/// A test that compares no rates.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Footprint {
    pub(crate) name: &'static str,
    pub(crate) only_full: bool,
    /// Connections that are open at once.
    pub(crate) connections: usize,
    measure: fn(&Footprint, &Places, Plan) -> Vec<Row>,
}

pub(crate) fn footprints() -> [Footprint; 8] {
    let of = |name, connections, measure| Footprint { name, only_full: false, connections, measure };
    [
        of("host memory of an idle connection", memory::IDLE, memory::idle),
        of("memory of 10000 connections", memory::MANY, memory::many),
        of("guest memory of a full connection", memory::FULL, memory::full),
        of("memory after 10000 connections", 8, memory::after_churn),
        of("start to first byte", 1, start::start),
        of("host calls of a request, ping 1", 1, calls::calls),
        of("host calls of a request, ping 100", 100, calls::calls),
        of("host calls of a request, ping 1000", 1000, calls::calls),
    ]
}

impl Footprint {
    pub(crate) fn run(&self, places: &Places, plan: Plan) -> Vec<Row> {
        (self.measure)(self, places, plan)
    }

    /// A figure of ours alone.
    fn absolute(&self, unit: &'static str, ours: &Series, target: Option<Target>) -> Row {
        Row { test: format!("{}, {unit}", self.name), target, ..Row::default() }.absolute(slice(ours))
    }

    fn beside(&self, unit: &'static str, ours: &Series, peer: Peer, theirs: &Series, target: Option<Target>) -> Row {
        let row = Row { test: self.name.into(), peer: peer.name().into(), unit, target, ..Row::default() };
        row.compare(slice(ours), slice(theirs))
    }
}

/// The figures of each peer, taken in turns; who fails is left out of the rounds that follow.
fn in_turns(rounds: usize, peers: &[Peer], figure: impl Fn(Peer) -> Result<f64>) -> Vec<Series> {
    let mut all = vec![Series::Ok(Vec::new()); peers.len()];
    for _ in 0..rounds {
        for (series, peer) in all.iter_mut().zip(peers) {
            let Ok(figures) = series else { continue };
            match figure(*peer) {
                Ok(value) => figures.push(value),
                Err(error) => *series = Err(format!("{error:#}")),
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_fails_once_has_no_figures_and_is_not_asked_again() {
        let asked = std::cell::Cell::new(0);
        let figure = |peer: Peer| match peer {
            Peer::Raw => {
                asked.set(asked.get() + 1);
                anyhow::bail!("it ended")
            }
            _ => Ok(2.0),
        };
        let all = in_turns(3, &[Peer::Ours, Peer::Raw], figure);
        assert_eq!(all, [Ok(vec![2.0; 3]), Err("it ended".to_owned())]);
        assert_eq!(asked.get(), 1);
    }
}

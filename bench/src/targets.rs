//! What is measured: the tests, who takes part, and which ratio is the target.

use crate::peers::{Mode, Peer};

/// What a ratio has to be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Target {
    AtLeast(f64),
    AtMost(f64),
    /// That the test completes at all, where the peer starves most: no fewer answers than the peer gives.
    Completes,
}

impl Target {
    pub(crate) fn is_met(self, ratio: f64) -> bool {
        match self {
            Self::AtMost(most) => ratio <= most,
            Self::AtLeast(_) | Self::Completes => ratio >= self.bound(),
        }
    }

    /// What the ratio is compared with.
    pub(crate) fn bound(self) -> f64 {
        match self {
            Self::AtLeast(bound) | Self::AtMost(bound) => bound,
            Self::Completes => 1.0,
        }
    }
}

/// What clients do.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Load {
    Ping(usize),
    /// One active connection beside so many.
    Idle(usize),
    Bulk(usize),
    Lines,
    Churn,
    TlsBulk,
    Handshakes,
}

impl Load {
    /// What is counted, and how many of it make one of the unit that is printed.
    pub(crate) fn unit(self) -> (&'static str, f64) {
        match self {
            Self::Ping(_) | Self::Idle(_) => ("k requests/s", 1e3),
            Self::Bulk(_) | Self::TlsBulk => ("MB/s", 1e6),
            Self::Lines => ("M lines/s", 1e6),
            Self::Churn => ("k connections/s", 1e3),
            Self::Handshakes => ("handshakes/s", 1.0),
        }
    }

    /// How many of what is counted the processor time is given for.
    pub(crate) fn one(self) -> f64 {
        match self {
            Self::Bulk(_) | Self::TlsBulk => 1e6,
            _ => 1.0,
        }
    }

    /// How many connections are open.
    pub(crate) fn connections(self) -> usize {
        match self {
            Self::Ping(count) | Self::Bulk(count) => count,
            Self::Idle(idle) => idle + 1,
            Self::Lines | Self::TlsBulk => 1,
            Self::Churn | Self::Handshakes => 8,
        }
    }
}

/// One comparison: `ours` to `peer`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pair {
    pub(crate) ours: Peer,
    pub(crate) peer: Peer,
    pub(crate) target: Option<Target>,
}

/// A load, and the servers that take it in turns.
#[derive(Clone, Debug)]
pub(crate) struct Test {
    pub(crate) name: &'static str,
    pub(crate) mode: Mode,
    pub(crate) load: Load,
    pub(crate) pairs: Vec<Pair>,
    /// Left out of a quick run.
    pub(crate) only_full: bool,
}

impl Test {
    pub(crate) fn new(name: &'static str, mode: Mode, load: Load) -> Self {
        Self { name, mode, load, pairs: Vec::new(), only_full: false }
    }

    fn only_full(self) -> Self {
        Self { only_full: true, ..self }
    }

    fn pair(mut self, ours: Peer, peer: Peer, target: Option<Target>) -> Self {
        self.pairs.push(Pair { ours, peer, target });
        self
    }

    /// We are to be so many times as fast as `peer`.
    pub(crate) fn least(self, peer: Peer, ratio: f64) -> Self {
        self.pair(Peer::Ours, peer, Some(Target::AtLeast(ratio)))
    }

    /// Measured to be known.
    fn beside(self, peer: Peer) -> Self {
        self.pair(Peer::Ours, peer, None)
    }

    /// Everybody who takes part, each once, in the order of the pairs.
    pub(crate) fn peers(&self) -> Vec<Peer> {
        let mut peers = Vec::new();
        for peer in self.pairs.iter().flat_map(|pair| [pair.ours, pair.peer]) {
            if !peers.contains(&peer) {
                peers.push(peer);
            }
        }
        peers
    }
}

/// All of it. wstd takes no part where 128 or more connections are ready at once, where most get no answer.
pub(crate) fn tests() -> Vec<Test> {
    use Peer::{Asyncio, Raw, RawOneTier, Std, Tokio, Wstd};
    let ping = |name, count| Test::new(name, Mode::Echo, Load::Ping(count));
    let idle = |name, count| Test::new(name, Mode::Echo, Load::Idle(count));
    vec![
        ping("ping 1", 1).least(Raw, 0.95).least(Wstd, 1.2).least(Asyncio, 1.15).least(Tokio, 0.5).beside(Std),
        ping("ping 10", 10).least(Raw, 0.93).least(Wstd, 1.6).least(Asyncio, 1.3).least(Tokio, 0.48),
        ping("ping 100", 100).least(Raw, 0.9).least(Wstd, 15.0).least(Asyncio, 1.3).least(Tokio, 0.48),
        ping("ping 1000", 1000).least(Raw, 0.9).least(Asyncio, 1.8).least(Tokio, 0.45).beside(RawOneTier),
        ping("ping 10000", 10_000).only_full().beside(Raw).beside(Asyncio).beside(Tokio),
        idle("10 idle + 1", 10).only_full().beside(Raw).beside(RawOneTier).beside(Asyncio).beside(Tokio),
        idle("100 idle + 1", 100).only_full().beside(Raw).beside(RawOneTier).beside(Asyncio).beside(Tokio),
        idle("1000 idle + 1", 1000).least(Raw, 0.9).least(RawOneTier, 8.0).least(Asyncio, 1.0).least(Tokio, 0.55),
        idle("10000 idle + 1", 10_000).beside(Raw).beside(Asyncio).beside(Tokio),
        bulk("bulk 1", 1).beside(Std),
        bulk("bulk 10", 10),
        Test::new("lines, owned", Mode::Lines, Load::Lines)
            .least(Raw, 0.85)
            .least(Wstd, 1.5)
            .least(Asyncio, 22.0)
            .least(Tokio, 0.45)
            .beside(Std),
        Test::new("lines, borrowed", Mode::LinesBorrowed, Load::Lines)
            .least(Raw, 0.85)
            .least(Wstd, 3.0)
            .least(Asyncio, 45.0)
            .least(Tokio, 0.85)
            .beside(Std),
        Test::new("churn", Mode::Churn, Load::Churn)
            .least(Raw, 1.0)
            .least(Wstd, 0.95)
            .least(Asyncio, 1.8)
            .least(Tokio, 0.4)
            .beside(Std),
        Test::new("TLS bulk, ChaCha20", Mode::Tls, Load::TlsBulk)
            .least(Tokio, 0.2)
            .least(Peer::OursAes, 5.0)
            .beside(Asyncio),
        Test::new("TLS handshakes", Mode::Tls, Load::Handshakes).beside(Tokio).beside(Asyncio),
        composed("composed, ping 1", Load::Ping(1), Peer::Composed),
        composed("composed one by one, ping 1", Load::Ping(1), Peer::ComposedOneByOne).only_full(),
        composed("composed, ping 50", Load::Ping(50), Peer::Composed),
        composed("composed by push, ping 50", Load::Ping(50), Peer::ComposedPush).only_full(),
        composed("composed, bulk 1", Load::Bulk(1), Peer::Composed),
        composed("composed, bulk 10", Load::Bulk(10), Peer::Composed).only_full(),
    ]
}

fn bulk(name: &'static str, count: usize) -> Test {
    let splice = |test: Test, peer, target| test.pair(Peer::OursSplice, peer, target);
    let test = Test::new(name, Mode::Echo, Load::Bulk(count))
        .least(Peer::Raw, 0.95)
        .least(Peer::Wstd, 1.05)
        .least(Peer::Asyncio, 2.0)
        .least(Peer::Tokio, 0.65);
    let test = splice(test, Peer::Wstd, Some(Target::AtLeast(1.15)));
    let test = splice(test, Peer::RawSplice, None);
    splice(test, Peer::WstdCopy, None)
}

fn composed(name: &'static str, load: Load, ours: Peer) -> Test {
    Test::new(name, Mode::Echo, load).pair(ours, Peer::Ours, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The ratios of a test that are targets, with the peers they are about.
    fn targets(name: &str) -> Vec<(&'static str, f64)> {
        let test = tests().into_iter().find(|test| test.name == name).unwrap();
        test.pairs.iter().filter_map(|pair| Some((pair.peer.name(), pair.target?.bound()))).collect()
    }

    #[test]
    fn the_names_are_different() {
        let mut names: Vec<_> = tests().iter().map(|test| test.name).collect();
        names.sort_unstable();
        assert!(names.windows(2).all(|two| two[0] != two[1]), "{names:?}");
    }

    #[test]
    fn bounds_count_as_met() {
        assert!(Target::AtLeast(0.9).is_met(0.9) && !Target::AtLeast(0.9).is_met(0.89));
        assert!(Target::AtMost(6.0).is_met(6.0) && !Target::AtMost(6.0).is_met(6.1));
        assert!(Target::Completes.is_met(1.0) && !Target::Completes.is_met(0.5));
    }

    #[test]
    fn wstd_is_never_measured_with_more_connections_than_it_stands() {
        for test in tests().iter().filter(|test| test.peers().contains(&Peer::Wstd)) {
            assert!(test.load.connections() < 128, "{}", test.name);
        }
    }

    #[test]
    fn everything_with_a_target_is_in_a_quick_run_too() {
        for test in tests().iter().filter(|test| test.only_full) {
            assert!(test.pairs.iter().all(|pair| pair.target.is_none()), "{}", test.name);
        }
        assert_eq!(
            targets("ping 10"),
            [("raw", 0.93), ("wstd", 1.6), ("CPython asyncio", 1.3), ("native tokio", 0.48)]
        );
        assert_eq!(targets("TLS bulk, ChaCha20"), [("native tokio", 0.2), ("ours, AES-GCM", 5.0)]);
    }
}

//! A network that misbehaves by script, for tests of components: what stalls, breaks, comes in pieces, late, or not at all.
//!
//! The faults stand between the component and the TCP sockets of wasmtime, in the same layer of the linker as the policy
//! ([`enforce`](crate::enforce)): the peer is a real one, and sees what the component does. A script says what happens to which
//! connection; [`Faults::seeded`] makes one up.
//!
//! ```no_run
//! use std::time::Duration;
//! use wasi_streams_host::faults::{ConnectionFaults, DirectionFaults, Faults};
//!
//! // Every second connection is reset once 10 000 bytes came in, which come in pieces of at most 7.
//! let faults = Faults::on_connections(|number| match number % 2 {
//!     1 => ConnectionFaults::none().read(DirectionFaults::none().pieces(7).reset_after(10_000)),
//!     _ => ConnectionFaults::none(),
//! });
//! let log = faults.clone();
//! # let test = async move {
//! let guest = wasi_streams_host::Guest::new("server.wasm").faults(faults);
//! let outcome = guest.run().await?;
//! println!("{:?}", log.happened());
//! # anyhow::Ok(())
//! # };
//! ```
//!
//! An embedder gives them to its [`Enforcement`](crate::enforce::Enforcement::faults).
//!
//! A connection that is reset is so for the peer too: on Linux from 5.6, unless a filter of system calls forbids `pidfd_getfd`. Elsewhere
//! the peer sees an end, once the component has closed its socket, or what else the system makes of closing (a reset when it had sent
//! something that nobody read).
//!
//! What it cannot do: times are in steps of a millisecond, and a busy machine adds to them. Two runs with one script have the same faults
//! at the same places, and as much the same order as two runs on a real network have. The policy is asked when wasmtime connects: who is
//! held back is denied late, and that is logged late, or never where connecting is never answered.

mod cut;
mod held;
mod in_force;
mod random;
mod script;
mod stream;
mod waits;
mod wire;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use wasmtime_wasi::p2::bindings::sockets::network::ErrorCode;

pub(crate) use cut::Ends;
pub(crate) use in_force::{InForce, Streams};
pub use script::{Answer, ConnectionFaults, DirectionFaults, LookupFaults, Stall};
use stream::{Reading, Writing};

/// A script, and the log of what happened; clones are the same. [`Faults::default`] has none.
#[derive(Clone, Default)]
pub struct Faults {
    connections: Option<Arc<OnConnection>>,
    lookups: Option<Arc<OnLookup>>,
    seed: Option<u64>,
    counts: Arc<Counts>,
    log: Log,
}

type OnConnection = dyn Fn(u64) -> ConnectionFaults + Send + Sync;
type OnLookup = dyn Fn(u64) -> LookupFaults + Send + Sync;

#[derive(Default)]
struct Counts {
    connections: AtomicU64,
    lookups: AtomicU64,
}

/// A fault that has happened.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Happened {
    /// This connection was refused, or gone before it was accepted.
    Refused(u64),
    /// The component has begun to connect, and is answered so late, or never.
    ConnectDelayed(u64, Answer),
    /// Nothing went on for a while, or for ever, in one direction of this connection.
    Stalled(u64, Direction, Stall),
    /// This connection was reset, by what moved in this direction.
    Reset(u64, Direction),
    /// This lookup has begun, and is answered so late, or never.
    LookupDelayed(u64, Answer),
    /// This lookup fails.
    LookupFailed(u64, ErrorCode),
}

/// One way through a connection, as the component sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// What comes in.
    Read,
    /// What goes out.
    Write,
}

impl Faults {
    /// Makes a script up: most connections come in pieces, some with delays, some stall for up to 50 ms, some are reset, some refused, some
    /// connect up to 50 ms late; some lookups fail, some are up to 50 ms late. Nothing is for ever. The same seed gives the same script.
    pub fn seeded(seed: u64) -> Self {
        let mut faults = Self::on_connections(move |number| ConnectionFaults::seeded(seed, number))
            .on_lookups(move |number| LookupFaults::seeded(seed, number));
        faults.seed = Some(seed);
        faults
    }

    /// Asks `script` about each connection: they are numbered from 0 as they are accepted and as connecting begins. So each attempt has a
    /// number, also one that fails or that the component gives up. It is asked more than once for some.
    pub fn on_connections(script: impl Fn(u64) -> ConnectionFaults + Send + Sync + 'static) -> Self {
        Self { connections: Some(Arc::new(script)), ..Self::default() }
    }

    /// Asks `script` about each lookup that the policy allows: they are numbered from 0.
    #[must_use]
    pub fn on_lookups(mut self, script: impl Fn(u64) -> LookupFaults + Send + Sync + 'static) -> Self {
        self.lookups = Some(Arc::new(script));
        self
    }

    /// What has happened so far, the first thousand. What a peer can see of it is told before.
    pub fn happened(&self) -> Vec<Happened> {
        self.log.lock().clone()
    }

    /// How many reads and writes were cut short so far, by [`DirectionFaults::pieces`]: too many to be told one by one.
    pub fn pieces(&self) -> u64 {
        self.log.0.pieces.load(Relaxed)
    }

    /// How many times nothing went on for a while behind a piece so far, by [`DirectionFaults::delay`].
    pub fn delays(&self) -> u64 {
        self.log.0.delays.load(Relaxed)
    }

    /// What the script says about this connection.
    pub fn of_connection(&self, number: u64) -> ConnectionFaults {
        self.connections.as_ref().map_or(ConnectionFaults::none(), |script| script(number))
    }

    /// What the script says about this lookup.
    pub fn of_lookup(&self, number: u64) -> LookupFaults {
        self.lookups.as_ref().map_or(LookupFaults::none(), |script| script(number))
    }

    fn number_connection(&self) -> u64 {
        self.counts.connections.fetch_add(1, Relaxed)
    }

    fn number_lookup(&self) -> u64 {
        self.counts.lookups.fetch_add(1, Relaxed)
    }

    /// The faults of a connection that is there now; none when it is refused.
    fn begin(&self, number: u64, ends: Option<Ends>) -> Option<(Reading, Writing)> {
        let faults = self.of_connection(number);
        if faults.refused {
            self.log.note(Happened::Refused(number));
            return None;
        }
        let (reading, writing) = wire::lanes(number, &faults, self.seed.unwrap_or_default(), ends, &self.log);
        Some((Reading(reading), Writing(writing)))
    }
}

impl fmt::Display for Faults {
    /// Says what the script does to the first connections and lookups, and its seed, if it has one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.seed {
            Some(seed) => write!(f, "seed {seed}")?,
            None => f.write_str("a script")?,
        }
        for number in 0..SHOWN {
            write!(f, "\n  connection {number}: {}", self.of_connection(number))?;
        }
        for number in 0..SHOWN {
            write!(f, "\n  lookup {number}: {}", self.of_lookup(number))?;
        }
        Ok(())
    }
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Faults").field("seed", &self.seed).field("happened", &self.happened()).finish_non_exhaustive()
    }
}

/// What happened.
#[derive(Clone, Default)]
struct Log(Arc<Entries>);

#[derive(Default)]
struct Entries {
    list: Mutex<Vec<Happened>>,
    pieces: AtomicU64,
    delays: AtomicU64,
}

impl Log {
    fn note(&self, what: Happened) {
        let mut log = self.lock();
        // A component that tries for ever must not fill our memory.
        if log.len() < MOST_KEPT {
            log.push(what);
        }
    }

    fn note_piece(&self) {
        self.0.pieces.fetch_add(1, Relaxed);
    }

    fn note_delay(&self) {
        self.0.delays.fetch_add(1, Relaxed);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Happened>> {
        self.0.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const MOST_KEPT: usize = 1000;
/// A script has no end.
const SHOWN: u64 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pieces_of_a_connection_are_those_of_the_seed() {
        let pieces = |seed| {
            let script = |_| ConnectionFaults::none().read(DirectionFaults::none().pieces(1000));
            let faults = Faults { seed: Some(seed), ..Faults::on_connections(script) };
            let (Reading(mut lane), _) = faults.begin(0, None).expect("it is not refused");
            (0..100).map(|_| lane.piece(100_000)).collect::<Vec<_>>()
        };
        assert_eq!(pieces(1), pieces(1));
        assert_ne!(pieces(1), pieces(2));
    }

    #[test]
    fn a_component_that_tries_for_ever_fills_no_memory() {
        let log = Log::default();
        (0..5000).for_each(|number| log.note(Happened::Refused(number)));
        assert_eq!(*log.lock(), (0..1000).map(Happened::Refused).collect::<Vec<_>>());
    }
}

//! Who is polled when. Every entry of a list costs the host time, so above 64 waiting connections only those are polled that had
//! something to do lately, and all of them every few milliseconds.
//!
//! A host whose cooperative budget of 128 is spent says nothing of the rest, and wasmtime asks in an order of its own, the oldest
//! streams first, whatever the order of the list. Where many are ready at once the youngest would starve. So then everybody is asked in
//! chunks that no budget is too small for, one after the other.

use slab::Slab;
use wasi::clocks::monotonic_clock::subscribe_duration;
use wasi::io::poll::{Pollable, poll};

use crate::connection::Connection;

/// Up to so many waiting connections, all are polled every time.
const ONE_TIER: usize = 64;
/// All are polled every 5 ms.
const TICK: u64 = 5_000_000;
/// So many are less than a fresh budget of the host. If as many are ready at once it may have said nothing of others.
const CHUNK: usize = 120;
/// A connection is hot for so many ticks after it was last ready.
const HOT_TICKS: u64 = 2;

pub(crate) struct Poller {
    two_tiers: bool,
    hot: Vec<usize>,
    now: u64,
    tick: Option<Pollable>,
    /// Many were ready at once.
    crowded: bool,
    /// In which everybody is asked once, in chunks.
    sweep: u64,
    /// How many have been ready in this sweep.
    found: usize,
}

impl Poller {
    pub(crate) fn new(two_tiers: bool) -> Self {
        Self { two_tiers, hot: Vec::new(), now: 0, tick: None, crowded: false, sweep: 1, found: 0 }
    }

    /// A connection begins to wait.
    pub(crate) fn wait(&mut self, key: usize, connections: &mut Slab<Connection>) {
        let many = connections.len() > ONE_TIER;
        let connection = &mut connections[key];
        connection.active_at = self.now;
        if self.two_tiers && many && !connection.hot {
            connection.hot = true;
            self.hot.push(key);
        }
    }

    /// Polls until something is ready, or only looks: puts those connections into `ready`, and says whether the listener is.
    pub(crate) fn poll(
        &mut self,
        connections: &mut Slab<Connection>,
        listener: &Pollable,
        only_look: bool,
        ready: &mut Vec<usize>,
    ) -> Polled {
        let waits = |key: &usize| connections.get(*key).is_some_and(|one| one.waits_for().is_some());
        let split = self.two_tiers && connections.len() > ONE_TIER && self.tick.is_some() && self.hot.iter().any(waits);
        let mut keys: Vec<usize> = if split {
            self.hot.iter().copied().filter(waits).collect()
        } else {
            connections.iter().map(|(key, _)| key).filter(waits).collect()
        };
        // Otherwise what is left of it may be too little for what is ready, each time anew.
        if keys.len() > CHUNK {
            renew_budget();
        }
        let chunk = self.crowded.then(|| {
            keys.retain(|key| connections[*key].asked_in != self.sweep);
            let is_last = keys.len() <= CHUNK;
            keys.truncate(CHUNK);
            is_last
        });
        let mut list: Vec<&Pollable> = Vec::with_capacity(keys.len() + 3);
        list.push(listener);
        list.extend(self.tick.as_ref().filter(|_| split));
        let first = list.len();
        list.extend(keys.iter().filter_map(|key| connections[*key].waits_for()));
        let look = (only_look || self.crowded).then(|| subscribe_duration(0));
        list.extend(&look);

        let (mut polled, before) = (Polled { listener: false, everybody: false }, ready.len());
        for index in poll(&list) {
            match (index as usize).checked_sub(first) {
                Some(at) => ready.extend(keys.get(at)),
                None if index == 0 => polled.listener = true,
                None => self.tick = None,
            }
        }
        if chunk.is_some() {
            keys.iter().for_each(|key| connections[*key].asked_in = self.sweep);
        }
        self.found += ready.len() - before;
        if chunk.unwrap_or(true) {
            self.crowded = self.found >= CHUNK;
            self.found = 0;
            self.sweep += 1;
            polled.everybody = !split && (chunk.is_some() || !self.crowded);
        }
        polled
    }

    /// After a poll of everybody: forgets who has been quiet for a while.
    pub(crate) fn cool_down(&mut self, connections: &mut Slab<Connection>) {
        if !self.two_tiers || connections.len() <= ONE_TIER {
            return;
        }
        self.now += 1;
        self.tick = Some(subscribe_duration(TICK));
        let now = self.now;
        self.hot.retain(|key| {
            let Some(connection) = connections.get_mut(*key) else { return false };
            connection.hot = connection.active_at + HOT_TICKS >= now;
            connection.hot
        });
    }
}

/// A host whose budget is spent gives a new one when it has waited: for a timer that is new, too.
pub(crate) fn renew_budget() {
    poll(&[&subscribe_duration(0)]);
}

pub(crate) struct Polled {
    pub(crate) listener: bool,
    pub(crate) everybody: bool,
}

//! Who is polled when. Every entry of a list costs the host time, so above 64 waiting connections only those are polled that had
//! something to do lately, and all of them every few milliseconds.

use slab::Slab;
use wasi::clocks::monotonic_clock::subscribe_duration;
use wasi::io::poll::{Pollable, poll};

use crate::connection::Connection;

/// Up to so many waiting connections, all are polled every time.
const ONE_TIER: usize = 64;
/// All are polled every 5 ms.
const TICK: u64 = 5_000_000;
/// A connection is hot for so many ticks after it was last ready.
const HOT_TICKS: u64 = 2;

pub(crate) struct Poller {
    two_tiers: bool,
    hot: Vec<usize>,
    now: u64,
    tick: Option<Pollable>,
    /// Where the next long list begins: a host whose budget is spent says nothing of the rest.
    start: usize,
}

impl Poller {
    pub(crate) fn new(two_tiers: bool) -> Self {
        Self { two_tiers, hot: Vec::new(), now: 0, tick: None, start: 0 }
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
        connections: &Slab<Connection>,
        listener: &Pollable,
        only_look: bool,
        ready: &mut Vec<usize>,
    ) -> Polled {
        let waits = |key: &usize| connections.get(*key).is_some_and(|connection| connection.waits_for().is_some());
        let split = self.two_tiers && connections.len() > ONE_TIER && self.tick.is_some() && self.hot.iter().any(waits);
        let mut keys: Vec<usize> = if split {
            self.hot.iter().copied().filter(waits).collect()
        } else {
            connections.iter().map(|(key, _)| key).filter(waits).collect()
        };
        if keys.len() > ONE_TIER {
            let start = self.start % keys.len();
            keys.rotate_left(start);
        }
        let mut list: Vec<&Pollable> = Vec::with_capacity(keys.len() + 2);
        list.push(listener);
        list.extend(self.tick.as_ref().filter(|_| split));
        let first = list.len();
        list.extend(keys.iter().filter_map(|key| connections[*key].waits_for()));
        let look = only_look.then(|| subscribe_duration(0));
        list.extend(&look);

        let mut polled = Polled { listener: false, everybody: !split };
        for index in poll(&list) {
            match (index as usize).checked_sub(first) {
                Some(at) if at < keys.len() => {
                    ready.push(keys[at]);
                    self.start += at + 1;
                }
                Some(_) => {}
                None if index == 0 => polled.listener = true,
                None => self.tick = None,
            }
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

pub(crate) struct Polled {
    pub(crate) listener: bool,
    pub(crate) everybody: bool,
}

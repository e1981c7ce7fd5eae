//! One simulated machine and the net around it: clock, event queue, addresses, names, counters.
//!
//! A world belongs to one thread. Its `RefCell` is never borrowed while foreign code runs (wakers, scripts), and no
//! handle of the guest looks at the thread's current world: each carries the one that it came from.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::{Rc, Weak};
use std::task::Waker;
use std::time::Duration;

use crate::sys::types::ErrorCode;

use super::faults::{Faults, Rng};
use super::link::Ends;
use super::network::{Counts, Event};
use super::peer::ListenQueue;
use super::socket::{Backlog, Socket};

/// A world, as everything that lives in it holds it.
pub(super) type Shared = Rc<RefCell<World>>;

/// Where an event stands in the queue: its time, then the order of arrival.
pub(super) type EventKey = (u64, u64);

/// What can happen by itself when its time comes.
pub(super) enum Happening {
    /// A connection attempt comes to its end.
    Connect(Weak<RefCell<Socket>>),
    /// A test's own step.
    Script(Box<dyn FnOnce()>),
}

/// What answers at an address out there.
pub(super) enum Remote {
    /// A listener of the test.
    Listens { queue: Weak<RefCell<ListenQueue>>, after: u64 },
    /// Connecting fails.
    Fails { code: ErrorCode, after: u64 },
    /// Nothing ever comes back.
    Silent,
}

/// What the resolver knows about a name.
#[derive(Clone)]
pub(super) struct Name {
    pub(super) answer: Result<Vec<IpAddr>, ErrorCode>,
    pub(super) delay: u64,
}

pub(super) struct World {
    pub(super) now: u64,
    queue: BTreeMap<EventKey, Happening>,
    sequence: u64,

    pub(super) faults: Faults,
    pub(super) rng: Rng,
    budget_left: u32,
    /// Permits are 0 until the host gets a turn.
    starved: bool,
    /// The host just had a turn: the next permit is honest.
    rested: bool,
    /// The last poll returned nothing but false readiness.
    pub(super) lied: bool,

    pub(super) remotes: BTreeMap<SocketAddr, Remote>,
    pub(super) backlogs: BTreeMap<SocketAddr, Weak<RefCell<Backlog>>>,
    pub(super) bound: BTreeSet<SocketAddr>,
    pub(super) bind_failures: BTreeMap<SocketAddr, ErrorCode>,
    pub(super) accept_failures: VecDeque<ErrorCode>,
    pub(super) abort_vanished: bool,
    pub(super) local_ips: Vec<IpAddr>,
    pub(super) denied: BTreeSet<SocketAddr>,
    pub(super) tcp_denied: bool,
    pub(super) names_denied: bool,
    pub(super) names: BTreeMap<String, Name>,
    pub(super) send_buffer: usize,
    pub(super) receive_buffer: usize,
    next_port: u16,
    /// What is at paths and abstract names.
    #[cfg(feature = "unix")]
    pub(super) files: super::files::Files,
    pub(super) links: Vec<Weak<RefCell<Ends>>>,

    pub(super) stdin: VecDeque<u8>,
    pub(super) stdin_ended: bool,
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: Vec<u8>,

    pub(super) counts: Counts,
    /// Nanoseconds that each poll takes.
    pub(super) poll_cost: u64,
    pub(super) freezes: usize,
    pub(super) events: Vec<(Duration, Event)>,
    /// A future of the test was woken since the last poll began.
    pub(super) woken: bool,
    /// Polls since anything moved, the clock included.
    idle_polls: u64,
    /// Polls since anything but the clock moved.
    quiet_polls: u64,
    pub(super) idle_limit: u64,
}

thread_local! {
    static AT_WORK: Cell<bool> = const { Cell::new(false) };
    static CURRENT: RefCell<Shared> = RefCell::new(World::shared());
}

/// The world of this thread.
pub(super) fn current() -> Shared {
    CURRENT.with(|current| current.borrow().clone())
}

/// Gives this thread a fresh world.
pub(super) fn install() -> Shared {
    let fresh = World::shared();
    let old = CURRENT.with(|current| current.replace(fresh.clone()));
    drop(old); // Outside the borrow: it may run scripts' destructors.
    fresh
}

/// Wakes futures of the test. The world must not be borrowed.
pub(super) fn wake(world: &Shared, wakers: Vec<Waker>) {
    if wakers.is_empty() {
        return;
    }
    {
        let mut world = world.borrow_mut();
        world.woken = true;
        world.progress();
    }
    let _program = Place::program();
    for waker in wakers {
        waker.wake();
    }
}

/// Where this thread is, as long as it lives.
pub(super) struct Place {
    before: bool,
}

impl Place {
    /// Inside of the world.
    pub(super) fn world() -> Self {
        Self { before: AT_WORK.replace(true) }
    }

    /// In the program, which the world has called.
    fn program() -> Self {
        Self { before: AT_WORK.replace(false) }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        AT_WORK.set(self.before);
    }
}

pub(super) fn is_at_work() -> bool {
    AT_WORK.try_with(Cell::get).unwrap_or(false)
}

/// Applies everything that is due; true if a script ran.
pub(super) fn run_due(world: &Shared) -> bool {
    let mut scripted = false;
    loop {
        let due = {
            let mut w = world.borrow_mut();
            let key = w.queue.first_key_value().map(|(key, _)| *key).filter(|key| key.0 <= w.now);
            key.and_then(|key| w.queue.remove(&key))
        };
        match due {
            None => return scripted,
            Some(Happening::Connect(socket)) => {
                if let Some(socket) = socket.upgrade() {
                    super::connect::complete_connect(world, &socket);
                }
            }
            Some(Happening::Script(step)) => {
                step();
                scripted = true;
            }
        }
    }
}

impl World {
    fn shared() -> Shared {
        let localhost = Name { answer: Ok(vec![Ipv4Addr::LOCALHOST.into()]), delay: 0 };
        Rc::new(RefCell::new(Self {
            now: 0,
            queue: BTreeMap::new(),
            sequence: 0,
            faults: Faults::default(),
            rng: Rng::new(0),
            budget_left: u32::MAX,
            starved: false,
            rested: false,
            lied: false,
            remotes: BTreeMap::new(),
            backlogs: BTreeMap::new(),
            bound: BTreeSet::new(),
            bind_failures: BTreeMap::new(),
            accept_failures: VecDeque::new(),
            abort_vanished: false,
            local_ips: vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()],
            denied: BTreeSet::new(),
            tcp_denied: false,
            names_denied: false,
            names: BTreeMap::from([("localhost".to_owned(), localhost)]),
            send_buffer: SOCKET_BUFFER,
            receive_buffer: SOCKET_BUFFER,
            next_port: FIRST_PORT,
            #[cfg(feature = "unix")]
            files: Default::default(),
            links: Vec::new(),
            stdin: VecDeque::new(),
            stdin_ended: false,
            stdout: Vec::new(),
            stderr: Vec::new(),
            counts: Counts::default(),
            poll_cost: 0,
            freezes: 0,
            events: Vec::new(),
            woken: false,
            idle_polls: 0,
            quiet_polls: 0,
            idle_limit: IDLE_LIMIT,
        }))
    }

    pub(super) fn set_faults(&mut self, faults: Faults) {
        self.rng = Rng::new(faults.seed);
        self.faults = faults;
        self.rest();
        self.rested = false;
    }

    pub(super) fn schedule(&mut self, after: u64, what: Happening) -> EventKey {
        self.sequence += 1;
        let key = (self.now.saturating_add(after), self.sequence);
        self.queue.insert(key, what);
        key
    }

    #[must_use = "drop it outside the borrow"]
    pub(super) fn cancel(&mut self, key: EventKey) -> Option<Happening> {
        self.queue.remove(&key)
    }

    pub(super) fn next_event(&self) -> Option<u64> {
        self.queue.first_key_value().map(|(key, _)| key.0).filter(|at| *at != NEVER)
    }

    /// The clock jumps; the host gets its turn.
    pub(super) fn advance(&mut self, to: u64) {
        if to > self.now {
            self.now = to;
            self.idle_polls = 0;
        }
        self.rest();
    }

    pub(super) fn record(&mut self, event: Event) {
        self.events.push((Duration::from_nanos(self.now), event));
    }

    /// Something moved: the program is not merely spinning.
    pub(super) fn progress(&mut self) {
        self.idle_polls = 0;
        self.quiet_polls = 0;
    }

    /// Counts a poll; false if so many came in a row with nothing moving that the program must be spinning.
    pub(super) fn count_poll(&mut self, entries: usize) -> bool {
        self.woken = false;
        self.now = self.now.saturating_add(self.poll_cost);
        self.counts.host_calls += 1;
        self.counts.polls += 1;
        self.counts.polled += entries as u64;
        self.idle_polls += 1;
        self.quiet_polls += 1;
        self.idle_polls <= self.idle_limit && self.quiet_polls <= self.idle_limit.saturating_mul(QUIET_FACTOR)
    }

    /// The host gets a turn: the budget is whole again.
    pub(super) fn rest(&mut self) {
        self.budget_left = self.faults.budget.unwrap_or(u32::MAX);
        self.starved = false;
        self.rested = true;
    }

    /// Takes one from the budget, if there is one.
    pub(super) fn spend(&mut self) -> bool {
        if self.faults.budget.is_none() {
            return true;
        }
        let left = self.budget_left > 0;
        self.budget_left = self.budget_left.saturating_sub(1);
        left
    }

    /// The permit for a writable stream, faults applied.
    pub(super) fn permit(&mut self) -> u64 {
        let rested = std::mem::take(&mut self.rested);
        if !self.starved && !rested {
            self.starved = self.rng.hits(self.faults.zero_permits);
        }
        if self.starved || !self.spend() {
            return 0;
        }
        (self.faults.max_write.unwrap_or(MAX_CHUNK).clamp(1, MAX_CHUNK)) as u64
    }

    /// How many bytes a read of `len` may give.
    pub(super) fn read_size(&self, len: u64) -> usize {
        let cap = self.faults.max_read.unwrap_or(MAX_CHUNK).clamp(1, MAX_CHUNK);
        cap.min(usize::try_from(len).unwrap_or(usize::MAX))
    }

    /// True where a spurious "not yet" is due; `skipped` remembers it, so that it never comes twice in a row.
    pub(super) fn skips(&mut self, skipped: &mut bool) -> bool {
        *skipped = !*skipped && self.rng.hits(self.faults.spurious);
        *skipped
    }

    /// A port that nobody has bound.
    pub(super) fn free_port(&mut self) -> u16 {
        loop {
            let port = self.next_port;
            self.next_port = port.checked_add(1).unwrap_or(FIRST_PORT);
            if !self.bound.iter().any(|taken| taken.port() == port) {
                return port;
            }
        }
    }

    /// Whether a socket of the guest stands in the way of binding `address`.
    pub(super) fn is_taken(&self, address: SocketAddr) -> bool {
        self.bound.iter().any(|taken| {
            taken.port() == address.port()
                && taken.is_ipv4() == address.is_ipv4()
                && (taken.ip() == address.ip() || taken.ip().is_unspecified() || address.ip().is_unspecified())
        })
    }

    /// The guest's listener that a connection to `address` reaches.
    pub(super) fn backlog_for(&self, address: SocketAddr) -> Option<Rc<RefCell<Backlog>>> {
        let any: IpAddr = match address {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let found = |a: &SocketAddr| self.backlogs.get(a).and_then(Weak::upgrade);
        found(&address)
            .or_else(|| self.local_ips.contains(&address.ip()).then(|| found(&(any, address.port()).into())).flatten())
    }
}

/// The time that never comes.
pub(super) const NEVER: u64 = u64::MAX;
/// What the host moves at once: wasmtime's permit and read limit.
pub(super) const MAX_CHUNK: usize = 65536;
const SOCKET_BUFFER: usize = 256 * 1024;
const FIRST_PORT: u16 = 49152;
const IDLE_LIMIT: u64 = 100_000;
/// How many more polls a program may make that only watches the clock.
const QUIET_FACTOR: u64 = 10;

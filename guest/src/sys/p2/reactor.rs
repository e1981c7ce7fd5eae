//! The reactor: who waits for what, and the one place that polls the host.
//!
//! A poll costs the host time for every entry of its list, so above [`ONE_TIER`] waiting sources the list is made
//! of the *hot* ones (ready or newly waiting a short while ago); all of them are polled once in each tick, and whenever
//! nothing is hot. A cold source may therefore be noticed up to one tick late while others are hot. The tick grows with the number of
//! sources, as the cost of polling them all does, up to [`TICK`].

mod lending;
mod list;
mod readiness;

use std::cell::{Cell, RefCell};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use slab::Slab;

use list::{Asked, Crowd, Scratch, emptied};

use super::tcp::Parked;
use super::watched::Graveyard;
use crate::sys::host::{self, Pollable};

pub(super) use lending::{Lent, bury, exhume};
#[cfg(feature = "component")]
pub(crate) use lending::{Loan, after, at, lend, reclaim};
pub(super) use readiness::Readiness;

/// Up to so many waiting sources, all are polled every time.
const ONE_TIER: usize = 64;

/// How late a source may be noticed that was quiet while others are busy: 5 ms with 1000 sources or more.
pub(crate) const TICK: Duration = Duration::from_millis(5);

/// How much of that each waiting source is good for. Hosts take less than a tenth of it to look at one.
const TICK_PER_SOURCE: Duration = Duration::from_micros(5);

/// A source is hot for so long, in whole ticks, after it was last ready or began to wait.
const HOT: Duration = Duration::from_millis(10);

/// How long to wait for the platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Park {
    /// Not at all: only look.
    Look,
    /// Until something is ready, at most until this time.
    Until(u64),
    /// Until something is ready.
    Forever,
}

thread_local! {
    static REACTOR: Reactor = Reactor::default();
}

#[derive(Debug, Default)]
struct Reactor {
    sources: RefCell<Slab<Source>>,
    /// Keys of hot sources; may name sources that are gone or do not wait.
    hot: RefCell<Vec<usize>>,
    waiting: Cell<usize>,
    held: Cell<usize>,
    /// Nanoseconds of all ticks so far: coarse, and without asking the host.
    ticked: Cell<u64>,
    /// The pollable of the next deadline: made once for each deadline.
    timer: RefCell<Option<(u64, Pollable)>>,
    /// Says that it is time to poll everybody.
    tick: RefCell<Option<Pollable>>,
    tick_is_due: Cell<bool>,
    /// Whether everybody is being asked, and not everybody was yet.
    asking_everybody: Cell<bool>,
    crowd: Crowd,
    scratch: RefCell<Scratch>,
    parked: RefCell<Vec<Parked>>,
    /// What is over, and has pollables in other hands.
    graveyard: RefCell<Graveyard>,
    bytes_sent: Cell<u64>,
}

#[derive(Debug)]
struct Source {
    /// None once it was lent.
    pollable: Option<Pollable>,
    /// What was lent of what it belongs to.
    lent: Lent,
    waker: Option<Waker>,
    waiting: bool,
    /// Whoever has the pollable says when to go on, by [`reclaim`](lending::reclaim).
    held: bool,
    /// Readiness to send: it stays, whoever makes use of it meanwhile, so it is never held.
    #[cfg_attr(not(feature = "component"), expect(dead_code, reason = "nobody holds"))]
    outgoing: bool,
    hot: bool,
    active_at: u64,
    /// In which sweep of the [`Crowd`].
    asked_in: Cell<u64>,
}

/// Nanoseconds of the clock that timers go by.
pub(crate) fn now_nanos() -> u64 {
    host::monotonic_now()
}

/// Waits for the platform and wakes whoever waited for what is ready. True where so many are that it is asked about some of them at a time:
/// whoever was woken shall not get another turn before the next ones are asked about.
pub(crate) fn park(how: Park) -> bool {
    // While the thread goes away there is nobody to wake.
    REACTOR.try_with(|reactor| reactor.park(how)).unwrap_or(false)
}

/// Counts bytes that the host has taken: how the end of a program sees that something still moves.
pub(crate) fn bytes_sent() -> u64 {
    REACTOR.try_with(|reactor| reactor.bytes_sent.get()).unwrap_or(0)
}

/// Notes that the host has taken bytes.
pub(super) fn note_sent(n: usize) {
    let _ = REACTOR.try_with(|reactor| reactor.bytes_sent.set(reactor.bytes_sent.get() + n as u64));
}

/// Keeps `parked` until it can be dropped without blocking.
pub(super) fn keep(parked: Parked) {
    let mut parked = Some(parked);
    let _ = REACTOR.try_with(|reactor| reactor.parked.borrow_mut().extend(parked.take()));
    std::mem::forget(parked); // the thread is ending, and dropping could block it
}

/// At the end of the program: drops what can be dropped and forgets the rest, which the host cleans up.
pub(crate) fn forget_busy() {
    let _ = REACTOR.try_with(|reactor| {
        reactor.sweep();
        let busy = std::mem::take(&mut *reactor.parked.borrow_mut());
        busy.into_iter().for_each(Parked::forget);
        reactor.graveyard.borrow_mut().forget();
    });
}

/// Lets the host run its own tasks once and renews its cooperative budget.
///
/// Hosts answer "not yet" to everything once a budget for this turn is spent; only a *fresh* zero-length timer
/// makes them take a breath, and only when polled alone.
pub(super) fn yield_to_host() {
    host::poll(&[&host::subscribe_duration(0)]);
}

/// A pollable registered with the reactor; it is dropped with this, so keep this *before* its parent in a struct.
#[derive(Debug)]
pub(crate) struct Registration(usize);

impl Registration {
    #[cfg(all(target_os = "wasi", target_env = "p2"))]
    pub(crate) fn new(pollable: Pollable) -> Self {
        Self::of(pollable, false, Lent::default())
    }

    /// That of something of which pollables may have been lent before.
    fn of(pollable: Pollable, outgoing: bool, lent: Lent) -> Self {
        let (pollable, waker) = (Some(pollable), None);
        let source = Source {
            pollable,
            lent,
            waker,
            waiting: false,
            held: false,
            outgoing,
            hot: false,
            active_at: 0,
            asked_in: Cell::new(0),
        };
        Self(REACTOR.with(|reactor| reactor.sources.borrow_mut().insert(source)))
    }

    /// Starts to wait: from now on the source is polled, until it is ready.
    pub(crate) fn arm(&self) {
        REACTOR.with(|reactor| reactor.arm(self.0));
    }

    /// Ready when the source was ready since it was armed; readiness may be spurious.
    pub(crate) fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<()> {
        REACTOR.with(|reactor| {
            let mut sources = reactor.sources.borrow_mut();
            match sources.get_mut(self.0) {
                Some(source) if source.waiting || source.held => {
                    match &mut source.waker {
                        Some(waker) => waker.clone_from(cx.waker()),
                        empty => *empty = Some(cx.waker().clone()),
                    }
                    Poll::Pending
                }
                _ => Poll::Ready(()),
            }
        })
    }

    /// What was lent, when the pollable was given away.
    fn lent(&self) -> Option<Lent> {
        let lent = |reactor: &Reactor| {
            let sources = reactor.sources.borrow();
            sources.get(self.0).filter(|source| source.pollable.is_none()).map(|source| source.lent.clone())
        };
        REACTOR.try_with(lent).ok()? // also asked while the thread goes away
    }

    /// Waits until ready.
    #[cfg(all(target_os = "wasi", target_env = "p2"))]
    pub(crate) async fn ready(&self) {
        self.arm();
        std::future::poll_fn(|cx| self.poll_ready(cx)).await;
    }

    /// Gives the pollable back.
    #[cfg(all(target_os = "wasi", target_env = "p2"))]
    pub(crate) fn into_pollable(self) -> Option<Pollable> {
        let source = REACTOR.with(|reactor| reactor.remove(self.0));
        std::mem::forget(self);
        source.and_then(|source| source.pollable)
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        // The sources are gone already when the thread goes away; their pollables went with them.
        let source = REACTOR.try_with(|reactor| reactor.remove(self.0));
        drop(source);
    }
}

impl Reactor {
    fn arm(&self, key: usize) {
        let mut sources = self.sources.borrow_mut();
        let idle = |source: &&mut Source| !source.waiting && source.pollable.is_some();
        let Some(source) = sources.get_mut(key).filter(idle) else { return };
        source.waiting = true;
        source.active_at = self.ticked.get();
        self.waiting.set(self.waiting.get() + 1);
        if !source.hot {
            source.hot = true;
            self.hot.borrow_mut().push(key);
        }
    }

    fn remove(&self, key: usize) -> Option<Source> {
        let source = self.sources.borrow_mut().try_remove(key)?;
        if source.waiting {
            self.waiting.set(self.waiting.get() - 1);
        }
        if source.held {
            self.held.set(self.held.get() - 1);
        }
        Some(source)
    }

    fn park(&self, how: Park) -> bool {
        let everybody = self.asking_everybody.get() || self.everybody_is_due();
        let mut scratch = self.scratch.take();
        let asked = self.poll_host(how, everybody, &mut scratch);
        self.asking_everybody.set(everybody && asked == Asked::Piece);
        {
            let mut sources = self.sources.borrow_mut();
            for key in scratch.ready.drain(..) {
                let Some(source) = sources.get_mut(key).filter(|source| source.waiting) else { continue };
                source.waiting = false;
                source.active_at = self.ticked.get();
                self.waiting.set(self.waiting.get() - 1);
                scratch.wakers.extend(source.waker.take());
            }
        }
        if everybody && asked != Asked::Piece {
            self.cool_down();
        }
        scratch.wakers.drain(..).for_each(Waker::wake);
        self.scratch.replace(scratch);
        if !self.parked.borrow().is_empty() || self.graveyard.borrow().is_restless() {
            self.sweep();
        }
        self.crowd.is_one()
    }

    /// Polls once and gives the keys of the sources that are ready, in `scratch.ready`.
    fn poll_host(&self, how: Park, everybody: bool, scratch: &mut Scratch) -> Asked {
        let sources = self.sources.borrow();
        let keys = &mut scratch.keys;
        keys.clear();
        let part = self.crowd.part(self.waiting.get());
        let is_asked = |source: &Source| source.waiting && part.wants(source.asked_in.get());
        if everybody {
            let asked = sources.iter().filter(|(_, source)| is_asked(source));
            keys.extend(asked.map(|(key, _)| key).take(part.at_most()));
        } else {
            let is_asked = |key: &usize| sources.get(*key).is_some_and(is_asked);
            keys.extend(self.hot.borrow().iter().copied().filter(is_asked).take(part.at_most()));
        }
        let asked = part.begin(keys, |key, sweep| sources[key].asked_in.set(sweep));
        let mut tick = self.tick.borrow_mut();
        let mut list: Vec<&Pollable> = std::mem::take(&mut scratch.list);
        if !everybody {
            list.push(tick.get_or_insert_with(|| host::subscribe_duration(self.tick_length())));
        }
        let first = list.len();
        // What waits has its pollable, so no key is passed over and positions stay those of `keys`.
        list.extend(keys.iter().filter_map(|key| sources[*key].pollable.as_ref()));
        let at_most = self.limit_of(if asked.is_all() { how } else { Park::Look });
        let mut timer = self.timer.borrow_mut();
        list.extend(at_most.as_ref().or(timer.as_ref().map(|(_, pollable)| pollable).filter(|_| how != Park::Forever)));

        let answer = host::poll(&list);
        scratch.list = emptied(list);
        for index in answer {
            match (index as usize).checked_sub(first) {
                None => {
                    *tick = None;
                    self.tick_is_due.set(true);
                }
                Some(index) => match keys.get(index) {
                    Some(key) => scratch.ready.push(*key),
                    None if at_most.is_none() => *timer = None,
                    None => {}
                },
            }
        }
        self.crowd.note(asked, scratch.ready.len(), sources.len());
        asked
    }

    /// Prepares the pollable that bounds this poll: a fresh one, or the cached timer (then `None`).
    fn limit_of(&self, how: Park) -> Option<Pollable> {
        match how {
            Park::Look => Some(host::subscribe_duration(0)),
            Park::Until(deadline) => {
                let mut timer = self.timer.borrow_mut();
                if timer.as_ref().is_none_or(|(at, _)| *at != deadline) {
                    *timer = Some((deadline, host::subscribe_instant(deadline)));
                }
                None
            }
            // A poll of nothing is a trap; whoever waits for nothing waits for ever, as in asyncio.
            Park::Forever if self.waiting.get() == 0 => Some(host::subscribe_duration(u64::MAX / 4)),
            Park::Forever => None,
        }
    }

    /// Whether this poll is for all sources, not only for the hot ones.
    fn everybody_is_due(&self) -> bool {
        if self.waiting.get() <= ONE_TIER || self.tick_is_due.replace(false) {
            return true;
        }
        let sources = self.sources.borrow();
        !self.hot.borrow().iter().any(|key| sources.get(*key).is_some_and(|source| source.waiting))
    }

    /// How long everybody may have to wait for the next poll, in nanoseconds.
    fn tick_length(&self) -> u64 {
        nanos(TICK).min(nanos(TICK_PER_SOURCE) * self.waiting.get() as u64)
    }

    /// After a poll of everybody: forgets who was hot and is not any more.
    fn cool_down(&self) {
        let mut sources = self.sources.borrow_mut();
        let mut hot = self.hot.borrow_mut();
        let two_tiers = self.waiting.get() > ONE_TIER;
        if !two_tiers && hot.len() <= 2 * sources.len() + ONE_TIER {
            return;
        }
        let now = self.ticked.get() + self.tick_length();
        self.ticked.set(now);
        hot.retain(|key| {
            let Some(source) = sources.get_mut(*key).filter(|source| source.hot) else { return false };
            source.hot = false; // so that a key listed twice is kept once
            source.active_at + nanos(HOT) >= now
        });
        for key in hot.iter() {
            sources[*key].hot = true;
        }
    }

    /// Drops the parked streams that can be dropped now, and looks after what is buried.
    fn sweep(&self) {
        self.parked.borrow_mut().retain_mut(|parked| !parked.is_free());
        self.graveyard.borrow_mut().tend();
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

//! The clock and `poll`.
//!
//! Time passes only inside `poll`, and only when nothing in its list is ready: it jumps to the next event.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;

use super::handle::Handle;
use super::link::EndRef;
use super::names::Lookup;
use super::socket::{self, Socket};
use super::world::{self, NEVER, Place, Shared, World};

/// Something that becomes ready.
pub(crate) struct Pollable {
    handle: Handle,
    source: Source,
    /// When it was made, counted in calls of the host.
    age: u64,
}

enum Source {
    /// Ready from this time on; never, if it is the last there is.
    Deadline(u64),
    /// A deadline in the past: the first poll of it gives the host a turn, later ones are ready at once.
    Past {
        yielded: Cell<bool>,
    },
    Input(EndRef),
    Output(EndRef),
    Socket(Rc<RefCell<Socket>>),
    #[cfg(feature = "unix")]
    Unix(Rc<RefCell<super::unix::Socket>>),
    Lookup(Rc<Lookup>),
    Stdin,
    Always,
}

enum Readiness {
    Ready,
    NotYet,
    /// The host needs a turn first.
    NeedsTurn,
}

/// Blocks until one of `list` is ready, and says which are.
pub(crate) fn poll(list: &[&Pollable]) -> Vec<u32> {
    assert!(!list.is_empty(), "trap: poll of an empty list");
    let _world = Place::world();
    let world = &world::current();
    // As wasmtime does: whatever the order of the list, the oldest are asked first, which counts when a budget is spent.
    let mut in_order: Vec<(u32, &Pollable)> = (0..).zip(list.iter().copied()).collect();
    in_order.sort_by_key(|(_, pollable)| pollable.age);
    let alive = world.borrow_mut().count_poll(list.len());
    assert!(alive, "simulated livelock: the program polls again and again, and nothing moves: {list:?}");
    loop {
        let scripted = world::run_due(world);
        let mut ready = Vec::new();
        let mut lies = Vec::new();
        let mut turn = false;
        for &(index, pollable) in &in_order {
            match pollable.readiness(world) {
                Readiness::Ready => ready.push(index),
                Readiness::NeedsTurn => turn = true,
                Readiness::NotYet => {
                    let mut world = world.borrow_mut();
                    let spurious = world.faults.spurious;
                    if pollable.may_lie() && world.rng.hits(spurious) {
                        lies.push(index);
                    }
                }
            }
        }
        let mut w = world.borrow_mut();
        if ready.is_empty() && !lies.is_empty() && !std::mem::replace(&mut w.lied, true) {
            return lies;
        }
        if !ready.is_empty() {
            w.lied = false;
            ready.append(&mut lies);
            ready.sort_unstable();
            return ready;
        }
        if w.woken || scripted {
            return ready;
        }
        if turn {
            w.rest();
            continue;
        }
        let deadline = list.iter().filter_map(|p| p.deadline()).min();
        let Some(next) = deadline.into_iter().chain(w.next_event()).min() else {
            let now = w.now;
            drop(w);
            panic!("simulated deadlock: nothing can ever happen at {now} ns; waiting for {list:?}");
        };
        w.lied = false;
        w.advance(next);
    }
}

/// Nanoseconds of the monotonic clock.
pub(crate) fn monotonic_now() -> u64 {
    let world = world::current();
    let mut world = world.borrow_mut();
    world.counts.host_calls += 1;
    world.now
}

/// A pollable that is ready from `nanos` on.
pub(crate) fn subscribe_instant(nanos: u64) -> Pollable {
    timer(|_| nanos)
}

/// A pollable that is ready `nanos` from now.
pub(crate) fn subscribe_duration(nanos: u64) -> Pollable {
    timer(|now| now.saturating_add(nanos))
}

fn timer(deadline: impl FnOnce(u64) -> u64) -> Pollable {
    let _world = Place::world();
    let handle = Handle::root(&world::current());
    let now = handle.call();
    let deadline = deadline(now);
    let source = match deadline.checked_sub(now) {
        None | Some(0) => Source::Past { yielded: Cell::new(false) },
        Some(wait) => {
            handle.world.borrow_mut().counts.timers += 1;
            Source::Deadline(if wait < AGES { deadline } else { NEVER })
        }
    };
    Pollable::new(handle, source)
}

impl Pollable {
    pub(super) fn input(of: &Handle, end: EndRef) -> Self {
        Self::child(of, Source::Input(end))
    }

    pub(super) fn output(of: &Handle, end: EndRef) -> Self {
        Self::child(of, Source::Output(end))
    }

    pub(super) fn socket(of: &Handle, socket: Rc<RefCell<Socket>>) -> Self {
        Self::child(of, Source::Socket(socket))
    }

    #[cfg(feature = "unix")]
    pub(super) fn unix(of: &Handle, socket: Rc<RefCell<super::unix::Socket>>) -> Self {
        Self::child(of, Source::Unix(socket))
    }

    pub(super) fn lookup(of: &Handle, lookup: Rc<Lookup>) -> Self {
        Self::child(of, Source::Lookup(lookup))
    }

    pub(super) fn stdin(of: &Handle) -> Self {
        Self::child(of, Source::Stdin)
    }

    pub(super) fn always(of: &Handle) -> Self {
        Self::child(of, Source::Always)
    }

    fn child(of: &Handle, source: Source) -> Self {
        let _world = Place::world();
        of.call();
        Self::new(of.child(), source)
    }

    fn new(handle: Handle, source: Source) -> Self {
        let age = {
            let counts = &mut handle.world.borrow_mut().counts;
            counts.pollables += 1;
            counts.host_calls
        };
        Self { handle, source, age }
    }

    fn world(&self) -> &Shared {
        &self.handle.world
    }

    fn readiness(&self, current: &Shared) -> Readiness {
        if !Rc::ptr_eq(current, self.world()) {
            return Readiness::Ready; // Left over from a world that is gone: whoever kept it should look.
        }
        let ready = match &self.source {
            Source::Deadline(at) => self.world().borrow().now >= *at,
            Source::Past { yielded } => {
                return if yielded.replace(true) { Readiness::Ready } else { Readiness::NeedsTurn };
            }
            Source::Always => return Readiness::Ready,
            Source::Input(end) => end.peek(|end, _| end.is_readable()),
            Source::Output(end) => end.peek(|end, _| end.is_writable()),
            Source::Socket(socket) => match socket::is_ready(self.world(), socket) {
                Some(ready) => ready,
                None => return Readiness::Ready,
            },
            #[cfg(feature = "unix")]
            Source::Unix(socket) => match super::unix::is_ready(self.world(), socket) {
                Some(ready) => ready,
                None => return Readiness::Ready,
            },
            Source::Lookup(lookup) => {
                let arrived = lookup.arrived.get() || self.world().borrow().now >= lookup.at;
                lookup.arrived.set(arrived);
                arrived
            }
            Source::Stdin => {
                let World { stdin, stdin_ended, .. } = &*self.world().borrow();
                !stdin.is_empty() || *stdin_ended
            }
        };
        match ready {
            false => Readiness::NotYet,
            true if self.world().borrow_mut().spend() => Readiness::Ready,
            true => Readiness::NeedsTurn,
        }
    }

    /// When it becomes ready by itself.
    fn deadline(&self) -> Option<u64> {
        let at = match &self.source {
            Source::Deadline(at) => *at,
            Source::Lookup(lookup) => lookup.at,
            _ => NEVER,
        };
        (at != NEVER).then_some(at)
    }

    fn may_lie(&self) -> bool {
        !matches!(self.source, Source::Deadline(_))
    }
}

impl Drop for Pollable {
    fn drop(&mut self) {
        self.handle.world.borrow_mut().counts.pollables -= 1;
        self.handle.close("pollable");
    }
}

impl fmt::Debug for Pollable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Source::Deadline(at) => write!(f, "timer at {at} ns"),
            Source::Past { .. } => f.write_str("timer of the past"),
            Source::Input(end) => end.peek(|end, _| write!(f, "input of {} from {}", end.local, end.remote)),
            Source::Output(end) => end.peek(|end, _| write!(f, "output of {} to {}", end.local, end.remote)),
            Source::Socket(socket) => socket.borrow().fmt(f),
            #[cfg(feature = "unix")]
            Source::Unix(socket) => socket.borrow().fmt(f),
            Source::Lookup(lookup) => lookup.fmt(f),
            Source::Stdin => f.write_str("standard input"),
            Source::Always => f.write_str("standard output"),
        }
    }
}

/// A wait of more than a lifetime is one for ever, so that it cannot hide a deadlock.
const AGES: u64 = u64::MAX / 8;

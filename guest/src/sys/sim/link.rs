//! A connection: two ends and the wire between them.
//!
//! Both ends are alike, so that the guest can talk to a test's peer or to itself. Whoever touches an end goes through
//! [`EndRef::with`], which afterwards lets the bytes flow until nothing moves, and only then wakes.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::task::Waker;

use super::end::End;
use super::network::Event;
use super::world::{self, Shared};

pub(super) type Ends = [End; 2];

/// Where ends are that have no IP address, those of Unix sockets.
pub(super) const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// One end of a connection, and the way to it.
#[derive(Clone)]
pub(super) struct EndRef {
    pub(super) world: Shared,
    ends: Rc<RefCell<Ends>>,
    side: usize,
}

impl EndRef {
    /// Connects two ends.
    pub(super) fn pair(world: &Shared, ends: Ends) -> (Self, Self) {
        let ends = Rc::new(RefCell::new(ends));
        {
            let mut world = world.borrow_mut();
            if world.links.len() == world.links.capacity() {
                world.links.retain(|link| link.strong_count() > 0);
            }
            world.links.push(Rc::downgrade(&ends));
        }
        let end = |side| Self { world: world.clone(), ends: ends.clone(), side };
        (end(0), end(1))
    }

    pub(super) fn of(world: &Shared, ends: Rc<RefCell<Ends>>, side: usize) -> Self {
        Self { world: world.clone(), ends, side }
    }

    /// Looks at this end and the other without changing them.
    pub(super) fn peek<R>(&self, look: impl FnOnce(&End, &End) -> R) -> R {
        let ends = self.ends.borrow();
        look(&ends[self.side], &ends[1 - self.side])
    }

    /// Changes this end (or the other), lets the bytes flow, and wakes who waits. The world must not be borrowed.
    pub(super) fn with<R>(&self, change: impl FnOnce(&mut End, &mut End) -> R) -> R {
        let (result, wakers) = {
            let mut ends = self.ends.borrow_mut();
            let [first, second] = &mut *ends;
            let before = (first.state(), second.state());
            let (mine, other) = if self.side == 0 { (&mut *first, &mut *second) } else { (&mut *second, &mut *first) };
            let result = change(mine, other);
            while first.flow(second) | second.flow(first) {}
            let mut wakers = Vec::new();
            if (first.state(), second.state()) != before {
                wakers.append(&mut first.wakers);
                wakers.append(&mut second.wakers);
            }
            (result, wakers)
        };
        world::wake(&self.world, wakers);
        result
    }

    /// Registers for the next change. Nothing flows.
    pub(super) fn listen_to(&self, waker: &Waker) {
        self.ends.borrow_mut()[self.side].listen_to(waker);
    }

    /// A handle of the guest is gone; with the last one, the end is.
    pub(super) fn release(&self) {
        let closed = self.with(|end, other| {
            end.handles -= 1;
            (end.handles == 0).then(|| {
                end.close(other);
                end.remote
            })
        });
        // Ends of Unix sockets are nowhere.
        if let Some(remote) = closed.filter(|remote| *remote != NOWHERE) {
            self.world.borrow_mut().record(Event::Closed(remote));
        }
    }
}

/// Takes at most `count` bytes from the front.
pub(super) fn take(from: &mut VecDeque<u8>, count: usize) -> Vec<u8> {
    if count >= from.len() {
        return std::mem::take(from).into();
    }
    let (head, tail) = from.as_slices();
    let in_head = count.min(head.len());
    let mut taken = Vec::with_capacity(count);
    taken.extend_from_slice(&head[..in_head]);
    taken.extend_from_slice(&tail[..count - in_head]);
    from.drain(..count);
    taken
}

/// Moves at most `limit` bytes; says how many.
pub(super) fn shift(from: &mut VecDeque<u8>, to: &mut VecDeque<u8>, limit: usize) -> usize {
    let count = limit.min(from.len());
    if count == from.len() && to.is_empty() {
        std::mem::swap(from, to);
    } else if count > 0 {
        to.extend(&take(from, count));
    }
    count
}

//! What every resource of the guest has in common: its world, its parent, and the count of its children.

use std::cell::Cell;
use std::rc::Rc;

use super::world::Shared;

/// A resource in the host's table.
pub(super) struct Handle {
    pub(super) world: Shared,
    children: Rc<Cell<usize>>,
    parent: Option<Rc<Cell<usize>>>,
}

impl Handle {
    /// A resource without a parent.
    pub(super) fn root(world: &Shared) -> Self {
        Self { world: world.clone(), children: Rc::default(), parent: None }
    }

    /// A resource that must go before this one.
    pub(super) fn child(&self) -> Self {
        self.children.set(self.children.get() + 1);
        Self { world: self.world.clone(), children: Rc::default(), parent: Some(self.children.clone()) }
    }

    /// Counts a host call; says what time it is.
    pub(super) fn call(&self) -> u64 {
        let mut world = self.world.borrow_mut();
        world.counts.host_calls += 1;
        world.now
    }

    /// Takes the resource out of the table; call it last, for it may trap.
    pub(super) fn close(&self, what: &str) {
        if let Some(parent) = &self.parent {
            parent.set(parent.get() - 1);
        }
        let children = self.children.get();
        if children > 0 && !std::thread::panicking() {
            panic!("trap: resource has children: {what} dropped while {children} of its resources live");
        }
    }
}

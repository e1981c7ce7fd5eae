//! Who still has something to deliver when the program ends.

use std::cell::RefCell;
use std::fmt;
use std::rc::{Rc, Weak};

use slab::Slab;

/// A closed connection that is not finished.
pub(crate) trait Lingerer {
    /// Drops what is undelivered: the time is over.
    fn give_up(&self);
}

thread_local! {
    static LINGERERS: RefCell<Slab<Weak<dyn Lingerer>>> = const { RefCell::new(Slab::new()) };
}

/// Keeps the end of `run` waiting, within its bounds, until it is dropped.
pub(crate) struct Token(usize);

impl Token {
    /// Announces `who`.
    pub(crate) fn new(who: &Rc<impl Lingerer + 'static>) -> Self {
        let who: Rc<dyn Lingerer> = Rc::clone(who) as _;
        Self(LINGERERS.with_borrow_mut(|all| all.insert(Rc::downgrade(&who))))
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        // While the thread goes away nobody asks any more.
        let _ = LINGERERS.try_with(|all| all.borrow_mut().try_remove(self.0));
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

/// How many are left.
pub(crate) fn count() -> usize {
    LINGERERS.with_borrow(Slab::len)
}

/// Ends all of them.
pub(crate) fn give_up() {
    let all: Vec<_> = LINGERERS.with_borrow(|all| all.iter().filter_map(|(_, who)| who.upgrade()).collect());
    all.iter().for_each(|who| who.give_up());
}

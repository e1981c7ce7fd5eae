//! The lists of a poll, and what a host says nothing of.

use std::cell::Cell;
use std::task::Waker;

use super::yield_to_host;
use crate::sys::host::Pollable;

/// So many entries of a poll are less than what a host looks at before its cooperative budget is spent (128 in wasmtime).
const CHUNK: usize = 120;

/// What a poll needs for itself: empty between polls, and kept so that they allocate nothing.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    pub(super) keys: Vec<usize>,
    pub(super) list: Vec<&'static Pollable>,
    pub(super) ready: Vec<usize>,
    pub(super) wakers: Vec<Waker>,
}

/// Whether more are ready at once than one poll tells of.
///
/// A host whose budget is spent says nothing of the rest of a list, and wasmtime asks the oldest first, whatever the order of the
/// list: those behind would starve as long as that many are ready. So then it is asked about pieces that no budget is too small for, one
/// in each poll, and about everybody once in a *sweep* before it is asked about anybody again. Those of one piece are served before the
/// next is asked about, while what belongs to them is in the caches: with 1000 busy connections that is half as fast again as asking
/// about all of them first.
#[derive(Debug)]
pub(super) struct Crowd {
    is_one: Cell<bool>,
    sweep: Cell<u64>,
    /// How many were ready in this sweep.
    found: Cell<usize>,
}

/// What one poll asks about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// All that wait, who are so few that the host tells of all that are ready.
    Few,
    /// All that wait; it may keep silent about some.
    Many,
    /// Some, and others have not been asked about in this sweep.
    Piece,
    /// The last in this sweep.
    LastPiece,
}

impl Asked {
    pub(super) fn is_all(self) -> bool {
        matches!(self, Self::Few | Self::Many)
    }
}

impl Default for Crowd {
    fn default() -> Self {
        Self { is_one: Cell::new(false), sweep: Cell::new(1), found: Cell::new(0) }
    }
}

impl Crowd {
    pub(super) fn is_one(&self) -> bool {
        self.is_one.get()
    }

    /// Leaves those of `keys` that this poll asks about; `asked_in` is where that is noted of one.
    pub(super) fn choose<'a>(&self, keys: &mut Vec<usize>, asked_in: impl Fn(usize) -> &'a Cell<u64>) -> Asked {
        if keys.len() <= CHUNK {
            return Asked::Few;
        }
        yield_to_host(); // what is left of the budget may be too little, each time anew
        if !self.is_one.get() {
            return Asked::Many;
        }
        let sweep = self.sweep.get();
        keys.retain(|key| asked_in(*key).get() != sweep);
        let asked = if keys.len() > CHUNK { Asked::Piece } else { Asked::LastPiece };
        keys.truncate(CHUNK);
        keys.iter().for_each(|key| asked_in(*key).set(sweep));
        asked
    }

    /// Notes how many were ready.
    pub(super) fn note(&self, asked: Asked, ready: usize) {
        let found = self.found.get() + ready;
        match asked {
            Asked::Few => {}
            Asked::Many => self.is_one.set(ready >= CHUNK),
            Asked::Piece => self.found.set(found),
            Asked::LastPiece => {
                self.is_one.set(found >= CHUNK);
                self.found.set(0);
                self.sweep.set(self.sweep.get() + 1);
            }
        }
    }
}

/// The memory of a list, for another one that lives longer: collecting in place keeps it.
pub(super) fn emptied(list: Vec<&Pollable>) -> Vec<&'static Pollable> {
    list.into_iter().map_while(|_| None).collect()
}

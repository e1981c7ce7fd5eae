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

    /// What to ask about when so many wait.
    pub(super) fn part(&self, waiting: usize) -> Part {
        Part(if self.is_one() && waiting > CHUNK { Some(self.sweep.get()) } else { None })
    }

    /// Notes how many were ready, of so many sources, waiting or not.
    pub(super) fn note(&self, asked: Asked, ready: usize, sources: usize) {
        let found = self.found.get() + ready;
        match asked {
            // Others may be served just now; but a few are no crowd any more.
            Asked::Few => self.is_one.set(self.is_one() && sources > CHUNK),
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

/// All, or those who were not asked about in this sweep.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part(Option<u64>);

impl Part {
    /// Whether it has somebody who was asked about in this sweep last.
    pub(super) fn wants(self, asked_in: u64) -> bool {
        self.0.is_none_or(|sweep| sweep != asked_in)
    }

    /// How many to find: one more than a piece says that there are others.
    pub(super) fn at_most(self) -> usize {
        if self.0.is_some() { CHUNK + 1 } else { usize::MAX }
    }

    /// Makes a piece of `keys`, which are found, and has it noted; renews the host's budget if that may be too little.
    pub(super) fn begin(self, keys: &mut Vec<usize>, note: impl Fn(usize, u64)) -> Asked {
        let are_many = keys.len() > CHUNK;
        if are_many || self.0.is_some() {
            yield_to_host();
        }
        let Some(sweep) = self.0 else { return if are_many { Asked::Many } else { Asked::Few } };
        keys.truncate(CHUNK);
        keys.iter().for_each(|key| note(*key, sweep));
        if are_many { Asked::Piece } else { Asked::LastPiece }
    }
}

/// The memory of a list, for another one that lives longer: collecting in place keeps it.
pub(super) fn emptied(list: Vec<&Pollable>) -> Vec<&'static Pollable> {
    list.into_iter().map_while(|_| None).collect()
}

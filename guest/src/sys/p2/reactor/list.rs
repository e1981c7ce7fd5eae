//! The lists of a poll, and what a host says nothing of.

use std::task::Waker;

use crate::sys::host::Pollable;

/// So many entries of a poll are less than what a host looks at before its cooperative budget is spent (128 in wasmtime).
pub(super) const CHUNK: usize = 120;

/// What a poll needs for itself: empty between polls, and kept so that they allocate nothing.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    pub(super) keys: Vec<usize>,
    pub(super) list: Vec<&'static Pollable>,
    pub(super) ready: Vec<usize>,
    pub(super) wakers: Vec<Waker>,
}

/// The memory of a list, for another one that lives longer: collecting in place keeps it.
pub(super) fn emptied(list: Vec<&Pollable>) -> Vec<&'static Pollable> {
    list.into_iter().map_while(|_| None).collect()
}

//! The lists of a poll, and what a host says nothing of.

use std::task::Waker;

use slab::Slab;

use super::{Source, yield_to_host};
use crate::sys::host::{self, Pollable};

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

/// Where a key was whose source is known to be ready.
pub(super) const TOLD: usize = usize::MAX;

/// A host whose budget is spent says nothing of the rest of a list, and wasmtime asks the oldest first, whatever the order of the
/// list: those behind would starve as long as that many are ready. So the rest is asked in pieces that no budget is too small for.
pub(super) fn look_at_the_rest(sources: &Slab<Source>, scratch: &mut Scratch) {
    let Scratch { keys, list, ready, .. } = scratch;
    keys.retain(|key| *key != TOLD);
    for chunk in keys.chunks(CHUNK) {
        yield_to_host();
        let at_once = host::subscribe_duration(0);
        let mut these: Vec<&Pollable> = std::mem::take(list);
        these.extend(chunk.iter().filter_map(|key| sources[*key].pollable.as_ref()));
        these.push(&at_once);
        let answer = host::poll(&these);
        *list = emptied(these);
        ready.extend(answer.into_iter().filter_map(|index| chunk.get(index as usize)));
    }
}

/// The memory of a list, for another one that lives longer: collecting in place keeps it.
pub(super) fn emptied(list: Vec<&Pollable>) -> Vec<&'static Pollable> {
    list.into_iter().map_while(|_| None).collect()
}

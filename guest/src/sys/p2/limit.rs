//! How many sockets may be open at once: a host ends a program that has too many handles, so more are refused before.

use std::cell::Cell;
use std::io::ErrorKind;

use crate::error::{Error, Result};
use crate::sys::host;

/// What hosts grant by default is 100 000 handles (wasmtime since 36.0.18 and 48.0.6). A connection has three, a pollable for each
/// direction it waits in, and one more for each of those while it is polled.
#[cfg(not(feature = "component"))]
pub(crate) const DEFAULT_MAX_SOCKETS: usize = 14_000;

/// Whoever uses it by composition has handles of each connection too, and the host counts all together.
#[cfg(feature = "component")]
pub(crate) const DEFAULT_MAX_SOCKETS: usize = 8_000;

thread_local!(static MAX: Cell<usize> = const { Cell::new(DEFAULT_MAX_SOCKETS) });

/// Sets how many sockets may be open.
pub(crate) fn set_max_sockets(n: usize) {
    let _ = MAX.try_with(|max| max.set(n)); // while the thread goes away nobody opens any
}

/// Whether one more is too many.
fn is_reached() -> bool {
    host::live_sockets() >= MAX.get()
}

/// What a listener does about it: wait, and say so once when a client still waits.
#[derive(Debug, Default)]
pub(super) struct Door {
    /// Somebody waits, whom there is no place for.
    knocked: bool,
}

impl Door {
    /// Whether a client may come in.
    pub(super) fn is_open(&mut self) -> Result<bool> {
        if !is_reached() {
            return Ok(true);
        }
        if std::mem::replace(&mut self.knocked, false) {
            return Err(too_many());
        }
        self.knocked = true; // once it is ready again
        Ok(false)
    }
}

/// The error of one more.
fn too_many() -> Error {
    Error::io(ErrorKind::QuotaExceeded, "too many connections: see set_max_sockets")
}

/// Refuses one more when that would be too many.
pub(super) fn check() -> Result<()> {
    if is_reached() { Err(too_many()) } else { Ok(()) }
}

//! How much of the host a guest may have.

use std::time::Duration;

use wasmtime::ResourceLimiter;

/// How much of the host a guest may have; no limits unless set.
///
/// Whatever the limit, the host goes on: it is the guest that fails, in the way that each field says.
///
/// There is no limit of instructions (wasmtime's fuel): code that counts them is slower, and would have to be compiled by another engine
/// than that of everybody else. The deadline holds in loops without end by epochs, which wasmtime checks for less.
///
/// ```
/// use std::time::Duration;
/// use wasi_streams_host::{Guest, Limits};
///
/// let limits = Limits::default().memory_bytes(64 << 20).sockets(100).resources(1000).deadline(Duration::from_secs(10));
/// let guest = Guest::new("app.wasm").limits(limits);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The size of its linear memories and tables together, in bytes; an element of a table counts as 8. Growing beyond fails in the guest, which most programs do not survive: they
    /// trap. One that begins with more is not started.
    pub memory_bytes: Option<usize>,
    /// TCP and UDP sockets together at once, and as many Unix sockets: listeners and connections. Beyond that connecting fails with "too many open files",
    /// and connections wait to be accepted.
    pub sockets: Option<usize>,
    /// Resources of the host at once: sockets, streams, pollables and all others. Creating more traps.
    pub resources: Option<usize>,
    /// How long it may run, loops without end included.
    pub deadline: Option<Duration>,
}

impl Limits {
    /// Limits the memory, in bytes.
    #[must_use]
    pub fn memory_bytes(mut self, most: usize) -> Self {
        self.memory_bytes = Some(most);
        self
    }

    /// Limits the sockets.
    #[must_use]
    pub fn sockets(mut self, most: usize) -> Self {
        self.sockets = Some(most);
        self
    }

    /// Limits the resources.
    #[must_use]
    pub fn resources(mut self, most: usize) -> Self {
        self.resources = Some(most);
        self
    }

    /// Limits the time.
    #[must_use]
    pub fn deadline(mut self, longest: impl Into<Option<Duration>>) -> Self {
        self.deadline = longest.into();
        self
    }
}

/// The linear memories of a component, counted and limited together with its tables.
#[derive(Debug)]
pub(crate) struct Memory {
    bytes: usize,
    tables: usize,
    most: Option<usize>,
}

impl Memory {
    pub(crate) fn at_most(most: Option<usize>) -> Self {
        Memory { bytes: 0, tables: 0, most }
    }

    fn allows(&self, more: usize) -> bool {
        let all = self.bytes.saturating_add(self.tables).saturating_add(more);
        self.most.is_none_or(|most| all <= most)
    }

    /// The size of the memories together; they never shrink.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

impl ResourceLimiter for Memory {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let more = desired - current;
        let allowed = self.allows(more);
        self.bytes += if allowed { more } else { 0 };
        Ok(allowed)
    }

    fn table_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let more = (desired - current).saturating_mul(ELEMENT);
        let allowed = self.allows(more);
        self.tables += if allowed { more } else { 0 };
        Ok(allowed)
    }
}

/// What an element of a table takes in wasmtime.
const ELEMENT: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memories_and_tables_count_together() {
        let mut memory = Memory::at_most(Some(1000));
        assert!(memory.memory_growing(0, 400, None).unwrap());
        assert!(memory.memory_growing(0, 300, None).unwrap(), "another one");
        assert!(!memory.memory_growing(400, 701, None).unwrap());
        assert!(memory.table_growing(0, 30, None).unwrap());
        assert!(!memory.table_growing(30, 40, None).unwrap());
        assert!(!memory.table_growing(30, usize::MAX, None).unwrap());
        assert!(memory.memory_growing(400, 460, None).unwrap(), "what was refused does not count");
        assert_eq!(memory.bytes(), 760);
    }
}

//! How much of the host a guest may have.

use std::time::Duration;

/// How much of the host a guest may have; no limits unless set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The size of its linear memories together, in bytes. Growing beyond fails in the guest, which most programs do not survive.
    pub memory_bytes: Option<usize>,
    /// TCP sockets at once, and as many Unix sockets: listeners and connections. Beyond that connecting fails with "too many open files",
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

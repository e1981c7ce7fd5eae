//! The logic without I/O: receive buffer, send queue, order of addresses, TLS records.
//!
//! Plain values in, plain values out. Nothing here waits, wakes, or knows a platform, so each rule is tested in
//! microseconds beside the code that keeps it.

pub(crate) mod buffer;
pub(crate) mod interleave;
pub(crate) mod queue;
pub(crate) mod search;
#[cfg(feature = "tls")]
pub(crate) mod tls;

//! The simulated twin of `sys::wasi`: the same functions over a world in memory, in virtual time, in one thread.
//!
//! It exists so that the reactor and all stream logic can be tested natively: exact times, every fault, no waiting.
//! The behaviour is wasmtime's, traps included (they panic here), and below that Linux's. What has no deterministic
//! meaning is left out: throughput, Nagle, lost packets.
//!
//! One thing no real host does: [`poll`] returns an empty list when an event woke a future of the test (or ran a
//! script) and nothing of the guest is ready, so that the test gets its turn in the guest's own loop.

mod connect;
mod end;
mod faults;
#[cfg(feature = "unix")]
mod files;
mod handle;
mod link;
mod names;
mod network;
mod peer;
mod pollable;
mod socket;
mod stream;
mod tcp;
#[cfg(test)]
mod tests;
#[cfg(feature = "unix")]
mod unix;
mod world;

pub(crate) use names::ResolveStream;
pub(crate) use pollable::{Pollable, monotonic_now, poll, subscribe_duration, subscribe_instant};
pub(crate) use stream::{InputStream, OutputStream, stderr, stdin, stdout};
pub(crate) use tcp::{TcpSocket, live_sockets};
#[cfg(feature = "unix")]
pub(crate) use unix::UnixSocket;

pub use faults::Faults;
pub use network::{Counts, Event, Network};
pub use peer::{Listener, Peer};

//! The platform, as the rest of the crate sees it: owned bytes, poll functions and async functions, no readiness.
//!
//! That shape fits WASI 0.2 and the completion-based WASI 0.3 alike. Everything about pollables, permits, traps and
//! streams that must not be dropped lives in [`p2`], which is written against `host`: the real WASI 0.2 (`wasi`) on
//! that target, its simulated twin (`sim`) elsewhere, so that the same code runs in native tests in virtual time.

pub(crate) mod p2;
pub(crate) mod types;

#[cfg(not(target_os = "wasi"))]
pub(crate) mod sim;
#[cfg(all(target_os = "wasi", target_env = "p2"))]
pub(crate) mod wasi;

#[cfg(not(target_os = "wasi"))]
use sim as host;
#[cfg(all(target_os = "wasi", target_env = "p2"))]
use wasi as host;

#[cfg(all(target_os = "wasi", not(target_env = "p2")))]
compile_error!("wasi-streams needs WASI 0.2: build for wasm32-wasip2");

use std::any::Any;
use std::task::{Context, Poll};

use bytes::Bytes;

use crate::error::Result;

#[cfg(feature = "component")]
pub(crate) use host::Pollable;
pub(crate) use p2::connect::connect;
pub(crate) use p2::limit::{DEFAULT_MAX_SOCKETS, set_max_sockets};
pub(crate) use p2::listener::{Accepted, Listener, TcpListener};
#[cfg(all(target_os = "wasi", target_env = "p2"))]
pub(crate) use p2::reactor::Registration;
#[cfg(feature = "component")]
pub(crate) use p2::reactor::{Loan, after, at, lend, reclaim};
pub(crate) use p2::reactor::{Park, bytes_sent, forget_busy, now_nanos, park};
pub(crate) use p2::resolver::resolve;
pub(crate) use p2::stdio;
pub(crate) use p2::tcp::{SpliceFailure, Streams, TcpLink};
#[cfg(feature = "unix")]
pub(crate) use p2::unix::{UnixLink, UnixListener, connect_unix};

/// One connected, full-duplex stream of bytes.
///
/// Dropping it closes it without ever blocking: what cannot be dropped yet is parked until it can.
pub(crate) trait Link: Any {
    /// Gives what arrived; empty bytes are the end of the stream.
    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes>>;

    /// Hands over some of `data`, which is not empty; says how much.
    fn poll_send(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<Result<usize>>;

    /// Completes when nothing is held back in this link itself.
    fn poll_flush(&mut self, _cx: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// How many bytes were taken and are still in this link itself.
    fn held(&self) -> usize {
        0
    }

    /// Whether everything is sent, and a TLS peer's goodbye is all that a close waits for.
    fn is_goodbye_missing(&self) -> bool {
        false
    }

    /// Whether this is TLS: it ends both directions together, and none alone.
    fn is_encrypted(&self) -> bool {
        false
    }

    /// Sends the end of the stream behind everything that was handed over.
    fn shutdown_send(&mut self) -> Result<()>;

    /// Completes when dropping the link would lose nothing that was handed over.
    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>>;

    /// Whether data that arrives around the drop can destroy what was handed over before.
    fn resets_on_drop(&self) -> bool {
        false
    }

    /// The streams of the host, if this is a connection of the host's and nothing else: what can be spliced.
    fn streams(&mut self) -> Option<&mut Streams> {
        None
    }
}

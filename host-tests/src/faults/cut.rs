//! Resetting a connection of wasmtime's, so that the peer is told.
//!
//! wasmtime keeps its sockets to itself. But they are descriptors of this process, and a connection is found among them by its two
//! addresses; connecting a socket to no address makes Linux reset its connection at once.

use std::net::SocketAddr;

/// The addresses of a connection, ours and the peer's.
pub(crate) type Ends = (SocketAddr, SocketAddr);

/// Sends the peer a reset, if the system lets us: Linux from 5.6 does, unless a filter of system calls forbids it.
#[cfg(target_os = "linux")]
pub(super) fn cut(ends: Ends) {
    if let Some(socket) = find(ends) {
        // Where it fails the peer sees what closing makes of it, as where there is no such call.
        let _ = rustix::net::connect_unspec(socket);
    }
}

#[cfg(not(target_os = "linux"))]
pub(super) fn cut(_: Ends) {}

/// Another descriptor of our socket of this connection.
#[cfg(target_os = "linux")]
fn find(ends: Ends) -> Option<rustix::fd::OwnedFd> {
    use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};

    let ourselves = pidfd_open(getpid(), PidfdFlags::empty()).ok()?;
    std::fs::read_dir("/proc/self/fd").ok()?.flatten().find_map(|entry| {
        // Copies of sockets only: a copy of anything else would keep it open for a moment, a lock or a pipe.
        let what = std::fs::read_link(entry.path()).ok()?;
        what.to_str()?.strip_prefix("socket:")?;
        let number = entry.file_name().to_str()?.parse().ok()?;
        let socket = pidfd_getfd(&ourselves, number, PidfdGetfdFlags::empty()).ok()?;
        // The copy is asked, not the number, which may be another's by now.
        (ends_of(&socket) == Some(ends)).then_some(socket)
    })
}

#[cfg(target_os = "linux")]
fn ends_of(socket: &rustix::fd::OwnedFd) -> Option<Ends> {
    let ours = rustix::net::getsockname(socket).ok()?.try_into().ok()?;
    let theirs = rustix::net::getpeername(socket).ok()??.try_into().ok()?;
    Some((ours, theirs))
}

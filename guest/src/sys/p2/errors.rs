//! Error codes of the host as errors of ours: the kind kept, the address named, the remedy for denials said.

use std::io::ErrorKind;
use std::net::SocketAddr;

use crate::error::Error;
use crate::sys::types::{ErrorCode, StreamFailure};

/// What was being done when a socket operation failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doing {
    Create(SocketAddr),
    Bind(SocketAddr),
    Listen(SocketAddr),
    Connect(SocketAddr),
    Accept(SocketAddr),
    Configure,
}

/// The error for a failed socket operation.
pub(super) fn socket_error(code: ErrorCode, doing: Doing) -> Error {
    if code == ErrorCode::AccessDenied {
        return Error::io(ErrorKind::PermissionDenied, denied(doing));
    }
    let (kind, why) = kind_of(code);
    let text = match doing {
        Doing::Create(address) => format!("cannot create a TCP socket for {address}: {why}"),
        Doing::Bind(address) => format!("error while attempting to bind on address {address}: {why}"),
        Doing::Listen(address) => format!("cannot listen on {address}: {why}"),
        Doing::Connect(address) => format!("cannot connect to {address}: {why}"),
        Doing::Accept(address) => format!("cannot accept a connection on {address}: {why}"),
        Doing::Configure => format!("cannot configure the socket: {why}"),
    };
    match kind {
        ErrorKind::InvalidInput => Error::InvalidInput(text.into()),
        ErrorKind::Unsupported => Error::Unsupported(text.into()),
        kind => Error::io(kind, text),
    }
}

fn denied(doing: Doing) -> String {
    let net = "wasmtime: -S tcp,inherit-network; wasi-streams-run";
    match doing {
        Doing::Create(address) | Doing::Accept(address) => {
            format!("cannot use {address}: the host does not permit TCP sockets (to allow them: {net}: --net)")
        }
        Doing::Configure => format!("the host does not permit TCP sockets (to allow them: {net}: --net)"),
        Doing::Bind(address) | Doing::Listen(address) => {
            format!("the host does not permit listening on {address} (to allow it: {net}: --allow-listen {address})")
        }
        Doing::Connect(address) => {
            format!("the host does not permit connecting to {address} (to allow it: {net}: --allow {address})")
        }
    }
}

pub(super) fn kind_of(code: ErrorCode) -> (ErrorKind, &'static str) {
    match code {
        ErrorCode::AccessDenied => (ErrorKind::PermissionDenied, "permission denied"),
        ErrorCode::NotSupported => (ErrorKind::Unsupported, "not supported by the host"),
        ErrorCode::InvalidArgument => (ErrorKind::InvalidInput, "this address cannot be used for that"),
        ErrorCode::OutOfMemory => (ErrorKind::OutOfMemory, "out of memory"),
        ErrorCode::Timeout => (ErrorKind::TimedOut, "timed out"),
        ErrorCode::WouldBlock => (ErrorKind::WouldBlock, "not ready"),
        ErrorCode::NewSocketLimit => (ErrorKind::Other, "too many open files"),
        ErrorCode::AddressNotBindable => (ErrorKind::AddrNotAvailable, "address not available"),
        ErrorCode::AddressInUse => (ErrorKind::AddrInUse, "address already in use"),
        ErrorCode::RemoteUnreachable => (ErrorKind::HostUnreachable, "host unreachable"),
        ErrorCode::ConnectionRefused => (ErrorKind::ConnectionRefused, "connection refused"),
        ErrorCode::ConnectionReset => (ErrorKind::ConnectionReset, "connection reset by peer"),
        ErrorCode::ConnectionAborted => (ErrorKind::ConnectionAborted, "connection aborted"),
        ErrorCode::InvalidState | ErrorCode::ConcurrencyConflict | ErrorCode::NotInProgress => {
            (ErrorKind::Other, "the socket is in the wrong state")
        }
        #[cfg(feature = "unix")]
        ErrorCode::NotFound => (ErrorKind::NotFound, "no such file"),
        #[cfg(feature = "unix")]
        ErrorCode::NotAStreamSocket => (ErrorKind::ConnectionRefused, "not a stream socket"),
        #[cfg(feature = "unix")]
        ErrorCode::NameTooLong => (ErrorKind::InvalidFilename, "the path is too long for a socket"),
        #[cfg(feature = "unix")]
        ErrorCode::Loop => (ErrorKind::InvalidFilename, "too many symbolic links"),
        ErrorCode::DatagramTooLarge => (ErrorKind::Other, "too large"),
        ErrorCode::NameUnresolvable
        | ErrorCode::TemporaryResolverFailure
        | ErrorCode::PermanentResolverFailure
        | ErrorCode::Unknown => (ErrorKind::Other, "unknown error of the host"),
    }
}

/// The error for a failed read.
pub(super) fn read_error(failure: &StreamFailure) -> Error {
    stream_error(failure, ErrorKind::ConnectionReset)
}

/// The error for a failed write; a closed stream is a peer that went away.
pub(super) fn write_error(failure: &StreamFailure) -> Error {
    stream_error(failure, ErrorKind::BrokenPipe)
}

fn stream_error(failure: &StreamFailure, when_closed: ErrorKind) -> Error {
    match failure {
        StreamFailure::Closed if when_closed == ErrorKind::BrokenPipe => Error::io(when_closed, "broken pipe"),
        StreamFailure::Closed => Error::io(when_closed, "connection closed"),
        StreamFailure::Failed(text) => from_text(text),
    }
}

/// WASI 0.2 gives streams no error codes, only a text for people; hosts name the system's error in it.
fn from_text(text: &str) -> Error {
    const WORDS: [(&str, ErrorKind, &str); 12] = [
        ("connection-reset", ErrorKind::ConnectionReset, "connection reset by peer"),
        ("ConnectionReset", ErrorKind::ConnectionReset, "connection reset by peer"),
        ("reset by peer", ErrorKind::ConnectionReset, "connection reset by peer"),
        ("connection-aborted", ErrorKind::ConnectionAborted, "connection aborted"),
        ("ConnectionAborted", ErrorKind::ConnectionAborted, "connection aborted"),
        ("roken pipe", ErrorKind::BrokenPipe, "broken pipe"),
        ("BrokenPipe", ErrorKind::BrokenPipe, "broken pipe"),
        ("timeout", ErrorKind::TimedOut, "connection timed out"),
        ("Timeout", ErrorKind::TimedOut, "connection timed out"),
        ("timed out", ErrorKind::TimedOut, "connection timed out"),
        ("remote-unreachable", ErrorKind::HostUnreachable, "host unreachable"),
        ("RemoteUnreachable", ErrorKind::HostUnreachable, "host unreachable"),
    ];
    let known = WORDS.iter().find(|(word, _, _)| text.contains(word));
    match known {
        Some((_, kind, message)) => Error::io(*kind, *message),
        None => Error::io(ErrorKind::ConnectionReset, format!("connection lost: {text}")),
    }
}

//! Errors and addresses in the interface's words.

use std::io::ErrorKind;
use std::net::SocketAddr;

use super::wit;
use crate::error::{Error, ResolveErrorKind};

impl From<Error> for wit::Error {
    #[inline(never)] // or it would be in every function of the interface
    fn from(error: Error) -> Self {
        let text = error.to_string();
        match error {
            Error::Incomplete { partial, expected } => Self::IncompleteRead(wit::IncompleteRead {
                partial: partial.into(),
                expected: expected.map(|expected| expected as u64),
            }),
            Error::LimitOverrun { consumed, found } => {
                Self::LimitOverrun(wit::LimitOverrun { consumed: consumed as u64, found })
            }
            Error::LineTooLong { found } => Self::LimitOverrun(wit::LimitOverrun { consumed: 0, found }),
            Error::InvalidInput(_) => Self::InvalidArgument(text),
            Error::WriteAfterEof(_) | Error::Busy(_) => Self::InvalidState(text),
            Error::Closed(_) => Self::Closed(text),
            Error::Unsupported(_) => Self::Unsupported(text),
            Error::Resolve { kind, .. } => {
                Self::Resolve(wit::ResolveFailure { kind: resolve_kind(kind), message: text })
            }
            Error::Io { kind, .. } => Self::Io(wit::IoFailure { kind: io_kind(kind), message: text }),
            #[cfg(feature = "tls")]
            Error::Tls { kind, .. } => Self::Tls(wit::TlsFailure { kind: super::tls::kind(kind), message: text }),
            Error::Many(errors) => Self::Many(errors.iter().map(ToString::to_string).collect()),
            Error::Cancelled(_) => Self::Other(text),
        }
    }
}

fn resolve_kind(kind: ResolveErrorKind) -> wit::ResolveKind {
    match kind {
        ResolveErrorKind::UnknownName => wit::ResolveKind::UnknownName,
        ResolveErrorKind::Temporary => wit::ResolveKind::Temporary,
        ResolveErrorKind::Permanent => wit::ResolveKind::Permanent,
        ResolveErrorKind::Denied => wit::ResolveKind::Denied,
    }
}

fn io_kind(kind: ErrorKind) -> wit::IoKind {
    use wit::IoKind as K;
    match kind {
        ErrorKind::ConnectionRefused => K::ConnectionRefused,
        ErrorKind::ConnectionReset => K::ConnectionReset,
        ErrorKind::ConnectionAborted => K::ConnectionAborted,
        ErrorKind::BrokenPipe => K::BrokenPipe,
        ErrorKind::TimedOut => K::TimedOut,
        ErrorKind::PermissionDenied => K::AccessDenied,
        ErrorKind::AddrInUse => K::AddressInUse,
        ErrorKind::AddrNotAvailable => K::AddressNotAvailable,
        ErrorKind::HostUnreachable => K::HostUnreachable,
        ErrorKind::NetworkUnreachable => K::NetworkUnreachable,
        ErrorKind::NotFound => K::NotFound,
        _ => K::Other,
    }
}

/// The host as text: with its zone, without brackets.
pub(super) fn address(address: SocketAddr) -> wit::Address {
    let host = match address {
        SocketAddr::V6(v6) if v6.scope_id() != 0 => format!("{}%{}", v6.ip(), v6.scope_id()),
        other => other.ip().to_string(),
    };
    wit::Address { host, port: address.port() }
}

pub(super) fn millis(milliseconds: u32) -> std::time::Duration {
    std::time::Duration::from_millis(milliseconds.into())
}

/// A number of bytes or pieces; what does not fit is as much as there can be.
pub(super) fn size(n: impl TryInto<usize>) -> usize {
    n.try_into().unwrap_or(usize::MAX)
}

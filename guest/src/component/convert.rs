//! Errors and addresses in the interface's words.

use std::io::ErrorKind;
use std::net::SocketAddr;

use super::wit;
use super::wit::ErrorKind as Kind;
use crate::error::{Error, ResolveErrorKind};

impl From<Error> for wit::Error {
    #[inline(never)] // or it would be in every function of the interface
    fn from(error: Error) -> Self {
        let message = error.to_string();
        let (kind, detail) = match error {
            Error::Incomplete { partial, expected } => {
                let detail = wit::IncompleteRead { partial: partial.into(), expected: expected.map(|n| n as u64) };
                (Kind::IncompleteRead, Some(wit::ErrorDetail::IncompleteRead(detail)))
            }
            Error::LimitOverrun { consumed, found } => limit_overrun(consumed, found),
            Error::LineTooLong { found } => limit_overrun(0, found),
            #[cfg(feature = "tls-ring")]
            Error::Tls { kind, .. } => super::tls::error_kind(kind),
            other => (error_kind(&other), None),
        };
        Self { kind, message, detail }
    }
}

/// An error of this component's own.
pub(super) fn error(kind: Kind, message: &str) -> wit::Error {
    wit::Error { kind, message: message.into(), detail: None }
}

fn limit_overrun(consumed: usize, found: bool) -> (Kind, Option<wit::ErrorDetail>) {
    let detail = wit::LimitOverrun { consumed: consumed as u64, found };
    (Kind::LimitOverrun, Some(wit::ErrorDetail::LimitOverrun(detail)))
}

fn error_kind(error: &Error) -> Kind {
    match error {
        Error::InvalidInput(_) => Kind::InvalidArgument,
        Error::WriteAfterEof(_) | Error::Busy(_) => Kind::InvalidState,
        Error::Closed(_) => Kind::Closed,
        Error::Unsupported(_) => Kind::Unsupported,
        Error::Resolve { kind: ResolveErrorKind::UnknownName, .. } => Kind::NameUnknown,
        Error::Resolve { kind: ResolveErrorKind::Temporary, .. } => Kind::NameTemporaryFailure,
        Error::Resolve { kind: ResolveErrorKind::Permanent, .. } => Kind::NameFailure,
        Error::Resolve { kind: ResolveErrorKind::Denied, .. } => Kind::NameLookupDenied,
        Error::Io { kind, .. } => io_kind(*kind),
        Error::Many(_) => Kind::Many,
        _ => Kind::Other,
    }
}

fn io_kind(kind: ErrorKind) -> Kind {
    match kind {
        ErrorKind::ConnectionRefused => Kind::ConnectionRefused,
        ErrorKind::ConnectionReset => Kind::ConnectionReset,
        ErrorKind::ConnectionAborted => Kind::ConnectionAborted,
        ErrorKind::BrokenPipe => Kind::BrokenPipe,
        ErrorKind::TimedOut => Kind::TimedOut,
        ErrorKind::PermissionDenied => Kind::AccessDenied,
        ErrorKind::AddrInUse => Kind::AddressInUse,
        ErrorKind::AddrNotAvailable => Kind::AddressNotAvailable,
        ErrorKind::HostUnreachable => Kind::HostUnreachable,
        ErrorKind::NetworkUnreachable => Kind::NetworkUnreachable,
        ErrorKind::NotFound => Kind::NotFound,
        _ => Kind::Other,
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

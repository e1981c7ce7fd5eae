//! The one error type: what happened, not who noticed.
//!
//! An error that ends a connection is reported many times (by every later read, by `drain`, by `wait_closed`), so
//! [`Error`] is cheap to clone. Kinds are kept to the end: [`Error::kind`] gives the `std::io::ErrorKind` that code
//! decides by, `Display` is for people.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::sync::Arc;

use bytes::Bytes;

/// The result of everything in this crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong.
///
/// Converts to [`std::io::Error`] with the fitting kind, and is `Send + Sync`, so `?` works in functions that
/// return `anyhow::Error` or `Box<dyn Error + Send + Sync>`.
///
/// # Differences from asyncio
///
/// asyncio raises a dozen exception classes; here they are variants: `IncompleteReadError` is
/// [`Incomplete`](Error::Incomplete), `LimitOverrunError` is [`LimitOverrun`](Error::LimitOverrun), the `ValueError` of
/// `readline` is [`LineTooLong`](Error::LineTooLong), `ValueError` and `TypeError` for arguments are
/// [`InvalidInput`](Error::InvalidInput), `RuntimeError` is [`Busy`](Error::Busy),
/// [`WriteAfterEof`](Error::WriteAfterEof) or [`Closed`](Error::Closed), `NotImplementedError` is
/// [`Unsupported`](Error::Unsupported), `OSError` is [`Io`](Error::Io), `socket.gaierror` is
/// [`Resolve`](Error::Resolve), `ExceptionGroup` is [`Many`](Error::Many), `CancelledError` is
/// [`Cancelled`](Error::Cancelled).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Error {
    /// The stream ended before the read was complete.
    Incomplete {
        /// What did arrive; it is no longer in the buffer.
        partial: Bytes,
        /// How many bytes were asked for; none when that is unknown (`readuntil`).
        expected: Option<usize>,
    },
    /// No separator within the limit. The data stays in the buffer.
    LimitOverrun {
        /// How many bytes can be taken with `readexactly` without cutting a separator in half.
        consumed: usize,
        /// Whether a separator was found (beyond the limit) or not at all.
        found: bool,
    },
    /// A line is longer than the limit. Unlike after [`LimitOverrun`](Error::LimitOverrun) the data is gone: the
    /// line when its end was found, else everything buffered.
    LineTooLong {
        /// Whether the end of the line was already there.
        found: bool,
    },
    /// An argument that can never work; nothing was done.
    InvalidInput(Cow<'static, str>),
    /// The object is already in use by an operation that excludes this one.
    Busy(Cow<'static, str>),
    /// A write after `write_eof`.
    WriteAfterEof(&'static str),
    /// The object is closed.
    Closed(Cow<'static, str>),
    /// The platform has no such thing.
    Unsupported(Cow<'static, str>),
    /// A name could not be resolved.
    Resolve {
        /// Why.
        kind: ResolveErrorKind,
        /// The name.
        host: Arc<str>,
    },
    /// An operating-system level failure, of a kind that `std` has a word for.
    Io {
        /// The kind: what code decides by.
        kind: io::ErrorKind,
        /// The text: names the address and the reason.
        message: Arc<str>,
    },
    /// TLS failed.
    #[cfg(feature = "tls")]
    Tls {
        /// Why: what code decides by.
        kind: crate::tls::TlsErrorKind,
        /// The text.
        message: Arc<str>,
    },
    /// Several attempts failed, each with its error, in the order in which they were started.
    Many(Arc<[Error]>),
    /// A task was aborted, or (natively) ended by a panic, before it had a result.
    Cancelled(Cow<'static, str>),
}

/// Why a name could not be resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ResolveErrorKind {
    /// The name has no address. Hosts often answer this for a resolver that did not answer, too.
    UnknownName,
    /// The resolver failed for now: trying again may help.
    Temporary,
    /// The resolver failed for good.
    Permanent,
    /// The host does not permit name lookup.
    Denied,
}

impl Error {
    /// Makes an error of `kind` with a text.
    pub fn io(kind: io::ErrorKind, message: impl Into<Arc<str>>) -> Self {
        Self::Io { kind, message: message.into() }
    }

    /// Says `asyncio`'s "Connection lost": the error of `drain` on a connection that is gone.
    pub(crate) fn connection_lost() -> Self {
        Self::io(io::ErrorKind::ConnectionReset, "connection lost")
    }

    /// The same error, saying whom we talked to; others than those of TLS name an address already.
    #[cfg(feature = "tls")]
    pub(crate) fn with_peer(self, peer: Option<&str>) -> Self {
        match (self, peer) {
            (Self::Tls { kind, message }, Some(peer)) => {
                Self::Tls { kind, message: format!("{peer}: {message}").into() }
            }
            (other, _) => other,
        }
    }

    /// An argument error with a fixed text.
    pub(crate) const fn invalid(text: &'static str) -> Self {
        Self::InvalidInput(Cow::Borrowed(text))
    }

    /// Returns the `std::io::ErrorKind` that fits.
    ///
    /// [`Many`](Error::Many) has the kind that all of its errors share, else `Other`.
    pub fn kind(&self) -> io::ErrorKind {
        use io::ErrorKind;
        match self {
            Self::Incomplete { .. } => ErrorKind::UnexpectedEof,
            Self::LimitOverrun { .. } | Self::LineTooLong { .. } => ErrorKind::InvalidData,
            Self::InvalidInput(_) => ErrorKind::InvalidInput,
            Self::Busy(_) => ErrorKind::ResourceBusy,
            Self::WriteAfterEof(_) => ErrorKind::BrokenPipe,
            Self::Closed(_) => ErrorKind::NotConnected,
            Self::Unsupported(_) => ErrorKind::Unsupported,
            Self::Resolve { kind, .. } => match kind {
                ResolveErrorKind::UnknownName => ErrorKind::NotFound,
                ResolveErrorKind::Temporary => ErrorKind::TimedOut,
                ResolveErrorKind::Permanent => ErrorKind::Other,
                ResolveErrorKind::Denied => ErrorKind::PermissionDenied,
            },
            Self::Io { kind, .. } => *kind,
            #[cfg(feature = "tls")]
            Self::Tls { .. } => ErrorKind::InvalidData,
            Self::Many(errors) => shared_kind(errors),
            Self::Cancelled(_) => ErrorKind::Interrupted,
        }
    }

    /// Returns what was read before the stream ended, for [`Incomplete`](Error::Incomplete).
    pub fn partial(&self) -> Option<&Bytes> {
        match self {
            Self::Incomplete { partial, .. } => Some(partial),
            _ => None,
        }
    }

    /// Returns the single errors: those of [`Many`](Error::Many), else the error itself.
    pub fn errors(&self) -> &[Error] {
        match self {
            Self::Many(errors) => errors,
            single => std::slice::from_ref(single),
        }
    }

    /// Joins the errors of several attempts as asyncio does: one alone is itself, several that say the same are the
    /// first, else all of them.
    pub(crate) fn join(errors: Vec<Error>) -> Option<Self> {
        let first = errors.first()?;
        let text = first.to_string();
        if errors.iter().all(|error| error.to_string() == text) {
            return Some(first.clone());
        }
        Some(Self::Many(errors.into()))
    }
}

fn shared_kind(errors: &[Error]) -> io::ErrorKind {
    let mut kinds = errors.iter().map(Error::kind);
    match kinds.next() {
        Some(first) if kinds.all(|kind| kind == first) => first,
        _ => io::ErrorKind::Other,
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Incomplete { partial, expected: Some(expected) } => {
                write!(f, "{} bytes read on a total of {expected} expected bytes", partial.len())
            }
            Self::Incomplete { partial, expected: None } => {
                write!(f, "{} bytes read on a total of undefined expected bytes", partial.len())
            }
            Self::LimitOverrun { found, .. } | Self::LineTooLong { found } => f.write_str(if *found {
                "separator is found, but chunk is longer than limit"
            } else {
                "separator is not found, and chunk exceed the limit"
            }),
            Self::InvalidInput(text)
            | Self::Busy(text)
            | Self::Closed(text)
            | Self::Unsupported(text)
            | Self::Cancelled(text) => f.write_str(text),
            Self::WriteAfterEof(what) => write!(f, "cannot call {what}() after write_eof()"),
            Self::Resolve { kind, host } => write_resolve(f, *kind, host),
            Self::Io { message, .. } => f.write_str(message),
            #[cfg(feature = "tls")]
            Self::Tls { message, .. } => f.write_str(message),
            Self::Many(errors) => {
                f.write_str("multiple errors: ")?;
                for (i, error) in errors.iter().enumerate() {
                    if i > 0 {
                        f.write_str("; ")?;
                    }
                    write!(f, "{error}")?;
                }
                Ok(())
            }
        }
    }
}

fn write_resolve(f: &mut fmt::Formatter<'_>, kind: ResolveErrorKind, host: &str) -> fmt::Result {
    write!(f, "cannot resolve {}: ", quoted(host))?;
    f.write_str(match kind {
        ResolveErrorKind::UnknownName => "name unknown, or the resolver did not answer",
        ResolveErrorKind::Temporary => "the resolver failed for now, try again later",
        ResolveErrorKind::Permanent => "the resolver failed",
        ResolveErrorKind::Denied => {
            "the resolver refused; is name lookup allowed? (wasmtime: -S allow-ip-name-lookup, wasi-streams-run: --dns)"
        }
    })
}

/// The text in quotes, for messages. Not `{:?}`: the tables of what can be printed are 5 KB of the component.
pub(crate) fn quoted(text: &str) -> impl fmt::Display {
    fmt::from_fn(move |f| write!(f, "\"{}\"", text.escape_default()))
}

impl std::error::Error for Error {}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        io::Error::new(error.kind(), error)
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        match error.downcast::<Error>() {
            Ok(ours) => ours,
            Err(other) => Self::io(other.kind(), other.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r33_incomplete_says_how_many_of_how_many() {
        let partial = Bytes::from_static(b"abc");
        let known = Error::Incomplete { partial: partial.clone(), expected: Some(5) };
        assert_eq!(known.to_string(), "3 bytes read on a total of 5 expected bytes");
        let unknown = Error::Incomplete { partial, expected: None };
        assert_eq!(unknown.to_string(), "3 bytes read on a total of undefined expected bytes");
    }

    #[test]
    fn o14_one_error_is_itself_equal_ones_are_the_first_others_are_all() {
        let refused = |a: &str| Error::io(io::ErrorKind::ConnectionRefused, a);
        assert!(Error::join(vec![]).is_none());
        assert!(matches!(Error::join(vec![refused("a")]), Some(Error::Io { .. })));
        assert!(matches!(Error::join(vec![refused("a"), refused("a")]), Some(Error::Io { .. })));
        let many = Error::join(vec![refused("a"), refused("b")]).expect("two errors");
        assert_eq!(many.errors().len(), 2);
        assert_eq!(many.kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(many.to_string(), "multiple errors: a; b");
    }

    #[test]
    fn an_error_survives_the_way_through_io_error() {
        let error = Error::LimitOverrun { consumed: 3, found: true };
        let io = io::Error::from(error);
        assert_eq!(io.kind(), io::ErrorKind::InvalidData);
        assert!(matches!(Error::from(io), Error::LimitOverrun { consumed: 3, found: true }));
    }
}

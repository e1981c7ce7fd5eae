//! Telling the program about what has no caller to return to.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::net::SocketAddr;
use std::rc::Rc;

use crate::error::Error;

/// Something that went wrong, or should not be done, where no caller is there to get an error.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Report {
    /// A connection handler returned an error; its connection is closed, the server goes on.
    HandlerFailed {
        /// The client.
        peer: Option<SocketAddr>,
        /// The handler's error as text.
        error: String,
    },
    /// A task panicked (never on WASI, where a panic ends the program).
    TaskPanicked {
        /// The panic's message.
        message: String,
    },
    /// A client's TLS handshake failed; its connection is dropped. Told only to a hook that was set: it is the client's
    /// affair, and on the open network a daily one.
    #[cfg(feature = "tls")]
    HandshakeFailed {
        /// The client.
        peer: Option<SocketAddr>,
        /// Why.
        error: Error,
    },
    /// Accepting failed; it is tried again.
    AcceptFailed {
        /// The listening address.
        local: SocketAddr,
        /// Why.
        error: Error,
    },
    /// Accepting failed on a Unix socket; it is tried again.
    #[cfg(feature = "unix")]
    UnixAcceptFailed {
        /// The listening address.
        local: crate::UnixAddr,
        /// Why.
        error: Error,
    },
    /// A writer was dropped without `close()`. It is closed now, and what it accepted is delivered; told once a program,
    /// and only to a hook that was set.
    WriterDropped {
        /// The peer.
        peer: Option<SocketAddr>,
    },
    /// The program keeps writing to a connection that is lost.
    WritesAfterLoss {
        /// The peer.
        peer: Option<SocketAddr>,
        /// How many writes were discarded by now.
        count: u32,
    },
    /// The program ended before a peer took everything.
    Undelivered {
        /// The peer.
        peer: Option<SocketAddr>,
        /// How many queued bytes were dropped; the host may have held up to 64 KiB more.
        bytes: usize,
    },
}

impl Report {
    /// Whether it is worth telling those who ask, and not a line for everybody: where Rust drops a value is no accident, and
    /// handshakes fail on the open network every day.
    fn is_for_hooks_only(&self) -> bool {
        match self {
            Self::WriterDropped { .. } => true,
            #[cfg(feature = "tls")]
            Self::HandshakeFailed { .. } => true,
            _ => false,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HandlerFailed { peer, error } => {
                write!(f, "unhandled error in the handler of {}: {error}", Peer(*peer))
            }
            Self::TaskPanicked { message } => write!(f, "a task panicked: {message}"),
            #[cfg(feature = "tls")]
            Self::HandshakeFailed { peer, error } => write!(f, "TLS handshake with {} failed: {error}", Peer(*peer)),
            Self::AcceptFailed { local, error } => {
                write!(f, "cannot accept connections on {local} for now, trying again: {error}")
            }
            #[cfg(feature = "unix")]
            Self::UnixAcceptFailed { local, error } => {
                write!(f, "cannot accept connections on {local} for now, trying again: {error}")
            }
            Self::WriterDropped { peer } => {
                write!(f, "the writer to {} was dropped without close(); closing it (told once)", Peer(*peer))
            }
            Self::WritesAfterLoss { peer, count } => {
                write!(f, "{count} writes to {} were discarded: the connection is lost", Peer(*peer))
            }
            Self::Undelivered { peer, bytes } => {
                write!(
                    f,
                    "{} did not take everything before the program ended: {bytes} bytes were dropped, beside what the host held",
                    Peer(*peer)
                )
            }
        }
    }
}

struct Peer(Option<SocketAddr>);

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(address) => address.fmt(f),
            None => f.write_str("a peer without an address"),
        }
    }
}

type Hook = Rc<dyn Fn(&Report)>;

thread_local! {
    static HOOK: RefCell<Option<Hook>> = const { RefCell::new(None) };
}

/// Sets what is done with [`Report`]s on this thread; the default writes a line to standard error, which on most hosts
/// holds up the whole program while nobody reads it.
///
/// A report that the hook itself causes, by writing to a connection that is lost say, goes to standard error.
///
/// asyncio has the loop's exception handler, its logger and `ResourceWarning` for this.
///
/// # Examples
///
/// ```
/// wasi_streams::set_report_hook(|report| eprintln!("net: {report}"));
/// ```
pub fn set_report_hook(hook: impl Fn(&Report) + 'static) {
    HOOK.with_borrow_mut(|slot| *slot = Some(Rc::new(hook)));
}

/// Tells the hook that a writer was dropped unclosed, the first time that happens.
pub(crate) fn writer_dropped(peer: Option<SocketAddr>) {
    thread_local!(static TOLD: Cell<bool> = const { Cell::new(false) });
    if !TOLD.try_with(|told| told.replace(true)).unwrap_or(true) {
        report(&Report::WriterDropped { peer });
    }
}

/// Tells the hook.
pub(crate) fn report(report: &Report) {
    thread_local!(static REPORTING: Cell<bool> = const { Cell::new(false) });
    if REPORTING.try_with(|reporting| reporting.replace(true)).unwrap_or(true) {
        return write_line(report); // the hook itself has caused it
    }
    let hook = HOOK.try_with(|slot| slot.try_borrow().ok().and_then(|hook| hook.clone())).ok().flatten();
    match hook {
        Some(hook) => hook(report),
        None if report.is_for_hooks_only() => {}
        None => write_line(report),
    }
    let _ = REPORTING.try_with(|reporting| reporting.set(false));
}

fn write_line(report: &Report) {
    use std::io::Write;
    // A closed standard error is no reason to fail.
    let _ = writeln!(std::io::stderr(), "wasi-streams: {report}");
}

/// Polls a task so that its panic ends it alone; true when the task is done.
pub(crate) fn guard_task(poll: impl FnMut() -> bool) -> bool {
    guard(poll).unwrap_or_else(|message| {
        report(&Report::TaskPanicked { message });
        true
    })
}

/// Calls `f`; a panic is caught and gives its message.
#[cfg(panic = "unwind")]
pub(crate) fn guard<T>(f: impl FnOnce() -> T) -> Result<T, String> {
    use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

    catch_unwind(AssertUnwindSafe(f)).map_err(|payload| {
        let text = payload.downcast_ref::<String>().cloned();
        let text = text.or_else(|| payload.downcast_ref::<&str>().map(ToString::to_string));
        let message = text.unwrap_or_else(|| "no message".into());
        if message.starts_with("trap:") || message.starts_with("simulated ") {
            resume_unwind(payload); // the simulated host's: on a real one the program is gone
        }
        message
    })
}

/// Without unwinding a panic has already ended the program.
#[cfg(not(panic = "unwind"))]
pub(crate) fn guard<T>(f: impl FnOnce() -> T) -> Result<T, String> {
    Ok(f())
}

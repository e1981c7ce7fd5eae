//! A connection of the host as a [`Link`]: TCP, or whatever else has a socket with two streams.

use std::net::SocketAddr;
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;

use super::errors::{Doing, read_error, socket_error, write_error};
use super::pace::Pace;
use super::reactor::{self, Lent, Readiness};
use super::socket::{Held, StreamSocket};
use super::watched::Buried;
use crate::error::{Error, Result};
use crate::sys::Link;
use crate::sys::host::{InputStream, OutputStream, TcpSocket};
use crate::sys::types::{KeepAliveNanos, Shutdown, StreamFailure};

/// The first read asks for so much; the host zeroes what is asked for, so small messages want small reads.
const MIN_READ: usize = 4 * 1024;

/// The most that hosts give in one read.
const MAX_READ: usize = 64 * 1024;

/// A TCP connection.
pub(crate) type TcpLink = HostLink<TcpSocket>;

/// A connected socket with its streams.
///
/// Children before parents: a host traps when a stream is dropped before its pollable, or a socket before its
/// streams. Struct fields are dropped in the order written here.
#[derive(Debug)]
pub(crate) struct HostLink<S: StreamSocket> {
    streams: Streams,
    socket: Option<S>,
    read_size: usize,
    pace: Pace,
    half_closed: bool,
}

/// The streams of a connection, whatever its socket is.
#[derive(Debug)]
pub(crate) struct Streams {
    readable: Readiness,
    writable: Readiness,
    /// Taken only by the `drop` of the connection.
    ends: Option<(InputStream, OutputStream)>,
    /// The host may still be working on the last write.
    busy: bool,
}

/// Which of two spliced connections failed.
#[derive(Debug)]
pub(crate) enum SpliceFailure {
    Source(Error),
    Target(Error),
}

impl<S: StreamSocket> HostLink<S> {
    pub(crate) fn new(socket: S, input: InputStream, output: OutputStream) -> Self {
        let ends = Some((input, output));
        Self {
            streams: Streams { readable: Readiness::default(), writable: Readiness::outgoing(), ends, busy: false },
            socket: Some(socket),
            read_size: MIN_READ,
            pace: Pace::default(),
            half_closed: false,
        }
    }

    /// Takes over what was lent of the socket while it was connected.
    pub(super) fn with_lent(mut self, lent: Lent) -> Self {
        self.streams.readable.take_over(lent);
        self
    }

    /// The socket.
    #[cfg(feature = "unix")]
    pub(super) fn socket(&self) -> Option<&S> {
        self.socket.as_ref()
    }

    /// Grows the next read when this one was filled, shrinks it when it was small.
    fn adapt(&mut self, got: usize) {
        if got >= self.read_size {
            self.read_size = (self.read_size * 4).min(MAX_READ);
        } else if got < self.read_size / 8 {
            self.read_size = (self.read_size / 4).max(MIN_READ);
        }
    }
}

impl TcpLink {
    /// The address of the peer; fails once it has left.
    pub(crate) fn peer_addr(&self) -> Option<SocketAddr> {
        self.socket.as_ref()?.remote_address().ok()
    }

    /// The local address.
    pub(crate) fn local_addr(&self) -> Option<SocketAddr> {
        self.socket.as_ref()?.local_address().ok()
    }

    /// Turns keep-alive on.
    pub(crate) fn set_keep_alive(&self, settings: KeepAliveNanos) -> Result<()> {
        let Some(socket) = &self.socket else { return Ok(()) };
        socket.set_keep_alive(settings).map_err(|code| socket_error(code, Doing::Configure))
    }

    /// Whether keep-alive probes are on.
    pub(crate) fn keep_alive(&self) -> Option<bool> {
        self.socket.as_ref()?.keep_alive_enabled().ok()
    }
}

impl Streams {
    /// Whether so many more bytes can be handed over at once; 0 is "not yet".
    fn permit(&mut self) -> Result<u64, StreamFailure> {
        let Some((_, output)) = &self.ends else { return Err(StreamFailure::Closed) };
        let mut permit = output.check_write()?;
        if permit == 0 {
            // It may only mean that the host's budget for this turn is spent.
            reactor::yield_to_host();
            permit = output.check_write()?;
        }
        self.busy = permit == 0;
        Ok(permit)
    }

    /// Waits for room; the permit is at least 1 then.
    fn poll_permit(&mut self, cx: &mut Context<'_>) -> Poll<Result<u64, StreamFailure>> {
        loop {
            ready!(self.writable.poll(cx));
            match self.permit() {
                Ok(0) => {
                    let Some((_, output)) = &self.ends else { return Poll::Ready(Err(StreamFailure::Closed)) };
                    self.writable.wait(|| output.subscribe());
                }
                other => return Poll::Ready(other),
            }
        }
    }

    /// Moves bytes from `source` to this connection inside the host; `Some(0)` is the end of `source`.
    pub(crate) fn poll_splice(
        &mut self,
        source: &mut Streams,
        cx: &mut Context<'_>,
    ) -> Poll<Result<usize, SpliceFailure>> {
        loop {
            ready!(source.readable.poll(cx));
            let permit = match ready!(self.poll_permit(cx)) {
                Ok(permit) => permit,
                Err(failure) => return Poll::Ready(Err(SpliceFailure::Target(write_error(&failure)))),
            };
            let (Some((input, _)), Some((_, output))) = (&source.ends, &self.ends) else {
                return Poll::Ready(Ok(0));
            };
            match output.splice(input, permit) {
                Ok(0) => source.readable.wait(|| input.subscribe()),
                Ok(n) => {
                    self.busy = true;
                    reactor::note_sent(n as usize);
                    return Poll::Ready(Ok(n as usize));
                }
                // The permit was good a moment ago: if it is not any more, then the target failed.
                Err(failure) => {
                    return Poll::Ready(match output.check_write() {
                        Err(_) => Err(SpliceFailure::Target(write_error(&failure))),
                        Ok(_) if failure == StreamFailure::Closed => Ok(0),
                        Ok(_) => Err(SpliceFailure::Source(read_error(&failure))),
                    });
                }
            }
        }
    }
}

impl<S: StreamSocket> Link for HostLink<S> {
    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes>> {
        loop {
            ready!(self.streams.readable.poll(cx));
            let Some((input, _)) = &self.streams.ends else { return Poll::Ready(Ok(Bytes::new())) };
            match input.read(self.read_size as u64) {
                // Not the end: readiness can be spurious.
                Ok(bytes) if bytes.is_empty() => {
                    self.pace.found(false);
                    self.streams.readable.wait(|| input.subscribe());
                }
                Ok(bytes) => {
                    self.pace.found(true);
                    if bytes.len() < self.read_size && !self.pace.looks_again() {
                        self.streams.readable.wait(|| input.subscribe());
                    }
                    self.adapt(bytes.len());
                    return Poll::Ready(Ok(bytes.into()));
                }
                Err(StreamFailure::Closed) => return Poll::Ready(Ok(Bytes::new())),
                Err(failure) => return Poll::Ready(Err(read_error(&failure))),
            }
        }
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<Result<usize>> {
        let permit = match ready!(self.streams.poll_permit(cx)) {
            Ok(permit) => permit,
            Err(failure) => return Poll::Ready(Err(write_error(&failure))),
        };
        let n = data.len().min(usize::try_from(permit).unwrap_or(usize::MAX));
        let Some((_, output)) = &self.streams.ends else { return Poll::Ready(Ok(n)) };
        // The one place that writes: more than the permit would trap.
        let result = output.write(&data[..n]);
        self.streams.busy = true;
        reactor::note_sent(n);
        Poll::Ready(result.map(|()| n).map_err(|failure| write_error(&failure)))
    }

    fn shutdown_send(&mut self) -> Result<()> {
        if let Some(socket) = &self.socket {
            // It fails when the peer has gone, and then there is nobody to tell.
            let _ = socket.shutdown(Shutdown::Send);
        }
        self.half_closed = true;
        Ok(())
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        if !self.streams.busy {
            return Poll::Ready(Ok(()));
        }
        // Room for more means that the last write is through. Only behind our own end of stream is "closed" an orderly
        // end; a write that fails there with a broken pipe cannot be told apart from one.
        let result = match ready!(self.streams.poll_permit(cx)) {
            Ok(_) => Ok(()),
            Err(StreamFailure::Closed) if self.half_closed => Ok(()),
            Err(failure) => Err(write_error(&failure)),
        };
        self.streams.busy = false;
        Poll::Ready(result)
    }

    fn resets_on_drop(&self) -> bool {
        S::RESETS_ON_CLOSE
    }

    fn streams(&mut self) -> Option<&mut Streams> {
        Some(&mut self.streams)
    }
}

impl<S: StreamSocket> Drop for HostLink<S> {
    /// Drops the handles, or parks those that the host would make the whole guest wait for.
    fn drop(&mut self) {
        let lent = [self.streams.readable.close(), self.streams.writable.close()];
        let (Some((input, output)), Some(socket)) = (self.streams.ends.take(), self.socket.take()) else { return };
        if !lent.iter().all(Lent::is_nothing) {
            let _ = socket.shutdown(Shutdown::Both); // the peer sees the end now; what the host holds goes first
            return reactor::bury(Box::new(Remains { handles: Some((input, output, socket)), lent }));
        }
        drop(input);
        let busy = self.streams.busy && {
            // No more than what the host holds already; the peer sees the end behind it.
            let _ = socket.shutdown(Shutdown::Both);
            matches!(output.check_write(), Ok(0))
        };
        drop_or_park(busy, output, socket);
    }
}

fn drop_or_park(busy: bool, output: OutputStream, socket: impl StreamSocket) {
    if busy {
        let mut writable = Readiness::outgoing();
        writable.wait(|| output.subscribe());
        return reactor::keep(Parked { writable, output, socket: socket.into() });
    }
    drop(output); // before its socket
    drop(socket);
}

/// A connection that is over, with pollables in other hands.
struct Remains<S: StreamSocket> {
    /// None only in `drop`.
    handles: Option<(InputStream, OutputStream, S)>,
    lent: [Lent; 2],
}

impl<S: StreamSocket> Buried for Remains<S> {
    fn tend(&mut self) -> bool {
        true // the shutdown has said it all
    }

    fn is_settled(&self) -> bool {
        self.lent.iter().all(Lent::is_settled)
    }
}

impl<S: StreamSocket> Drop for Remains<S> {
    fn drop(&mut self) {
        let Some((input, output, socket)) = self.handles.take() else { return };
        drop(input);
        drop_or_park(matches!(output.check_write(), Ok(0)), output, socket);
    }
}

/// A connection that nobody uses any more and that cannot be dropped yet: dropping an output stream with a write in
/// flight blocks the whole guest until the peer reads.
#[derive(Debug)]
pub(super) struct Parked {
    writable: Readiness,
    output: OutputStream,
    #[expect(dead_code, reason = "held: a socket must outlive its streams")]
    socket: Held,
}

impl Parked {
    /// Whether it can be dropped now; else it goes on waiting.
    pub(super) fn is_free(&mut self) -> bool {
        // Nobody is woken: the reactor looks at all of them after each poll.
        if self.writable.poll(&mut Context::from_waker(Waker::noop())).is_pending() {
            return false;
        }
        let free = !matches!(self.output.check_write(), Ok(0));
        if !free {
            self.writable.wait(|| self.output.subscribe());
        }
        free
    }

    /// Leaves it to the host, which cleans up after the program.
    pub(super) fn forget(self) {
        std::mem::forget(self);
    }
}

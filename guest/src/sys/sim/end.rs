//! One end of a connection, with the kernel and the host's stream state on its side.
//!
//! Losses follow Linux, measured: what arrived before a reset can still be read; the error is reported once, to
//! whichever direction asks first, and the other one sees a closed stream; a close with unread bytes is a reset.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::task::Waker;

use crate::sys::types::{Shutdown, StreamFailure};

use super::link::{NOWHERE, shift, take};

/// What the host's writer of a guest's end is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Writer {
    /// Takes a write of at most this many bytes.
    Ready(u64),
    /// A write is in flight.
    Writing,
    /// A write is in flight, the end of stream follows it.
    Closing,
    /// Over, and this is the answer to everything.
    Closed(StreamFailure),
}

/// How far an end is with its own end of stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fin {
    No,
    Queued,
    Sent,
}

/// The error that a socket holds until somebody asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SocketError {
    Reset,
    BrokenPipe,
}

#[derive(Debug)]
pub(super) struct End {
    pub(super) local: SocketAddr,
    pub(super) remote: SocketAddr,
    /// Arrived and not read.
    pub(super) inbox: VecDeque<u8>,
    /// How many bytes `inbox` may have.
    pub(super) window: usize,
    /// Takes nothing from the wire for now.
    pub(super) stalled: bool,
    /// In this end's kernel, on the way out.
    pub(super) outbox: VecDeque<u8>,
    outbox_limit: usize,
    /// The host's write in flight: not yet in the kernel.
    pending: VecDeque<u8>,
    pub(super) writer: Writer,
    reader_open: bool,
    receive_shut: bool,
    fin: Fin,
    pub(super) peer_finished: bool,
    /// The connection is no more: a reset went one way or the other.
    pub(super) dead: bool,
    pub(super) was_reset: bool,
    error: Option<SocketError>,
    /// Nobody holds this end any more.
    pub(super) closed: bool,
    /// Guest handles that keep this end open; none for a test's peer.
    pub(super) handles: u8,
    /// The last read was a spurious "not yet".
    pub(super) skipped: bool,
    /// Bytes that ever arrived.
    pub(super) received: u64,
    pub(super) wakers: Vec<Waker>,
}

impl End {
    pub(super) fn new(local: SocketAddr, remote: SocketAddr, outbox_limit: usize, window: usize) -> Self {
        Self {
            local,
            remote,
            inbox: VecDeque::new(),
            window,
            stalled: false,
            outbox: VecDeque::new(),
            outbox_limit,
            pending: VecDeque::new(),
            writer: Writer::Ready(0),
            reader_open: true,
            receive_shut: false,
            fin: Fin::No,
            peer_finished: false,
            dead: false,
            was_reset: false,
            error: None,
            closed: false,
            handles: 0,
            skipped: false,
            received: 0,
            wakers: Vec::new(),
        }
    }

    pub(super) fn listen_to(&mut self, waker: &Waker) {
        if !self.wakers.iter().any(|known| known.will_wake(waker)) {
            self.wakers.push(waker.clone());
        }
    }

    pub(super) fn is_readable(&self) -> bool {
        !self.reader_open || !self.inbox.is_empty() || self.peer_finished || self.dead
    }

    /// Whether dropping the stream would not block: wasmtime's `ready`.
    pub(super) fn is_writable(&self) -> bool {
        matches!(self.writer, Writer::Ready(_) | Writer::Closed(_))
    }

    /// The host's read of at most `size` bytes.
    pub(super) fn read(&mut self, size: usize) -> Result<Vec<u8>, StreamFailure> {
        if !self.reader_open {
            return Err(StreamFailure::Closed);
        }
        if !self.inbox.is_empty() || size == 0 {
            return Ok(take(&mut self.inbox, size));
        }
        if self.peer_finished || self.dead {
            self.reader_open = false;
            let error = if self.peer_finished { None } else { self.error.take() };
            return Err(match error {
                Some(SocketError::Reset) => StreamFailure::Failed(READ_RESET.to_owned()),
                Some(SocketError::BrokenPipe) | None => StreamFailure::Closed,
            });
        }
        Ok(Vec::new())
    }

    /// The host's write; the caller has checked the permit.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), StreamFailure> {
        if self.dead {
            let failure = self.write_error();
            self.writer = Writer::Closed(failure.clone());
            return Err(failure);
        }
        self.pending.extend(bytes);
        self.writer = Writer::Writing;
        Ok(())
    }

    pub(super) fn shutdown(&mut self, how: Shutdown) {
        if how != Shutdown::Send {
            self.reader_open = false;
            self.receive_shut = true;
        }
        if how != Shutdown::Receive {
            match self.writer {
                Writer::Ready(_) => {
                    self.writer = Writer::Closed(StreamFailure::Closed);
                    self.finish();
                }
                Writer::Writing => self.writer = Writer::Closing,
                Writer::Closing | Writer::Closed(_) => {}
            }
        }
    }

    /// Sends a test's bytes: straight into the kernel, however many.
    pub(super) fn send(&mut self, bytes: &[u8]) {
        if self.fin == Fin::No && !self.dead && !self.closed {
            self.outbox.extend(bytes);
        }
    }

    /// Sends the end of stream after everything else.
    pub(super) fn finish(&mut self) {
        if self.fin == Fin::No {
            self.fin = Fin::Queued;
        }
    }

    /// Lets go of the end, as the kernel does when the last descriptor goes.
    pub(super) fn close(&mut self, other: &mut End) {
        if std::mem::replace(&mut self.closed, true) || self.dead {
            return;
        }
        self.pending.clear();
        if self.inbox.is_empty() { self.finish() } else { self.reset(other) }
    }

    /// Closes a test's end: it took what arrived, so nothing counts as unread.
    pub(super) fn leave(&mut self, _: &mut End) {
        self.closed = true;
        self.finish();
    }

    /// Unix sockets have no such address.
    pub(super) fn is_unix(&self) -> bool {
        self.local == NOWHERE
    }

    /// Nothing more will arrive.
    pub(super) fn is_over(&self) -> bool {
        self.peer_finished || self.dead
    }

    /// Bytes that this end sent and the other has not received.
    pub(super) fn in_flight(&self) -> usize {
        self.outbox.len() + self.pending.len()
    }

    /// Cuts the connection.
    pub(super) fn reset(&mut self, other: &mut End) {
        if !std::mem::replace(&mut self.dead, true) {
            self.outbox.clear();
            other.die();
        }
    }

    /// The address of the peer is gone, as `getpeername` sees it.
    pub(super) fn peer_left(&self, other: &End) -> bool {
        self.dead || other.closed || (self.peer_finished && self.fin == Fin::Sent)
    }

    /// What somebody may be waiting to see change.
    pub(super) fn state(&self) -> impl PartialEq + use<> {
        (
            self.inbox.len(),
            self.outbox.len(),
            self.pending.len(),
            self.received,
            self.peer_finished,
            self.dead,
            self.closed,
        )
    }

    /// A reset arrived.
    fn die(&mut self) {
        if std::mem::replace(&mut self.dead, true) {
            return;
        }
        self.was_reset = true;
        self.error = Some(if self.peer_finished { SocketError::BrokenPipe } else { SocketError::Reset });
        self.outbox.clear();
        self.pending.clear();
        if !self.is_writable() {
            self.writer = Writer::Closed(self.write_error());
        }
    }

    fn write_error(&mut self) -> StreamFailure {
        match self.error.take() {
            Some(SocketError::Reset) => StreamFailure::Failed(WRITE_RESET.to_owned()),
            Some(SocketError::BrokenPipe) | None => StreamFailure::Closed,
        }
    }

    /// Moves what can move from here to `other`; true if anything did.
    pub(super) fn flow(&mut self, other: &mut End) -> bool {
        if self.dead {
            return false;
        }
        let mut moved = false;
        loop {
            let free = self.outbox_limit.saturating_sub(self.outbox.len());
            let filled = shift(&mut self.pending, &mut self.outbox, free);
            if !self.outbox.is_empty() && (other.closed || (other.receive_shut && other.fin == Fin::Sent)) {
                self.settle();
                other.dead = true;
                self.die();
                return true;
            }
            let room = if other.stalled { 0 } else { other.window.saturating_sub(other.inbox.len()) };
            let sent = shift(&mut self.outbox, &mut other.inbox, room);
            other.received += sent as u64;
            if filled + sent == 0 {
                break;
            }
            moved = true;
        }
        self.settle();
        if self.fin == Fin::Queued && self.pending.is_empty() && self.outbox.is_empty() && !other.stalled {
            self.fin = Fin::Sent;
            other.peer_finished = true;
            moved = true;
        }
        moved
    }

    /// The host notices that its write went through.
    fn settle(&mut self) {
        if self.pending.is_empty() {
            match self.writer {
                Writer::Writing => self.writer = Writer::Ready(0),
                Writer::Closing => {
                    self.writer = Writer::Closed(StreamFailure::Closed);
                    self.finish();
                }
                Writer::Ready(_) | Writer::Closed(_) => {}
            }
        }
    }
}

/// The texts of wasmtime 48, which differ by direction.
const READ_RESET: &str = "ConnectionReset";
const WRITE_RESET: &str = "connection-reset (error 15)";

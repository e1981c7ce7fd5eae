//! What the two directions of a connection have in common, and when each may go on.

use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use tokio::sync::Notify;
use wasmtime_wasi_io::streams::StreamError;

use super::cut::{Ends, cut};
use super::random::Random;
use super::waits::Waits;
use super::{ConnectionFaults, Direction, DirectionFaults, Happened, Log, Stall};

/// A connection with faults.
struct Wire {
    number: u64,
    log: Log,
    /// Without them a reset is the component's alone.
    ends: Option<Ends>,
    is_reset: AtomicBool,
    was_reset: Notify,
}

/// The two directions of a connection, reading and writing.
pub(super) fn lanes(number: u64, faults: &ConnectionFaults, seed: u64, ends: Option<Ends>, log: &Log) -> (Lane, Lane) {
    let (is_reset, was_reset) = (AtomicBool::new(false), Notify::new());
    let wire = Arc::new(Wire { number, log: log.clone(), ends, is_reset, was_reset });
    let lane = |direction, faults| {
        let random = Random::new(!seed, 2 * number + u64::from(direction == Direction::Write));
        let wire = Arc::clone(&wire);
        let mut lane = Lane { wire, direction, faults, random, moved: 0, piece: None, waits: Waits::No, told: false };
        lane.look_at_marks();
        lane
    };
    (lane(Direction::Read, faults.read), lane(Direction::Write, faults.write))
}

/// One direction of a connection.
pub(super) struct Lane {
    wire: Arc<Wire>,
    direction: Direction,
    /// What has happened is taken out.
    faults: DirectionFaults,
    random: Random,
    moved: u64,
    /// How much may move next, where that is less than could without pieces.
    piece: Option<usize>,
    waits: Waits,
    /// The reset was told here; from now on it is closed.
    told: bool,
}

impl Lane {
    /// The error of a connection that was reset: once, and then the stream is closed.
    pub(super) fn check(&mut self) -> Result<(), StreamError> {
        if !self.wire.is_reset.load(SeqCst) {
            return Ok(());
        }
        if std::mem::replace(&mut self.told, true) {
            return Err(StreamError::Closed);
        }
        let error = std::io::Error::from(ErrorKind::ConnectionReset);
        Err(StreamError::LastOperationFailed(error.into()))
    }

    /// Whether something may go on.
    pub(super) fn is_due(&mut self) -> bool {
        let is_due = self.waits.is_over();
        if is_due {
            self.waits = Waits::No;
        }
        is_due
    }

    /// How much of `wanted` the next piece is, at least 1 byte of it: it ends where something is to happen.
    pub(super) fn piece(&mut self, wanted: usize) -> usize {
        let marks = [self.faults.reset_after, self.faults.stall.map(|stall| stall.after)];
        let room = marks.into_iter().flatten().map(|mark| mark.saturating_sub(self.moved).max(1)).min();
        let room = room.map_or(usize::MAX, |room| usize::try_from(room).unwrap_or(usize::MAX));
        let whole = wanted.min(room);
        let random = &mut self.random;
        let piece = self.faults.pieces.map(|most| 1 + random.up_to((most as u64).saturating_sub(1)) as usize);
        self.piece = piece.filter(|piece| *piece < whole);
        self.piece.unwrap_or(whole)
    }

    /// Notes that so many bytes have moved.
    pub(super) fn moved(&mut self, bytes: usize) {
        if bytes == 0 {
            return;
        }
        self.moved += bytes as u64;
        if self.piece.take() == Some(bytes) {
            self.wire.log.note_piece();
        }
        self.delay();
        self.look_at_marks();
    }

    /// Waits behind a piece.
    fn delay(&mut self) {
        let most = u64::try_from(self.faults.delay.as_micros()).unwrap_or(u64::MAX);
        if most > 0 {
            let time = Duration::from_micros(1 + self.random.up_to(most - 1));
            self.waits = Waits::time(Some(time));
            self.wire.log.note_delay();
        }
    }

    /// Lets happen what is to happen behind this byte.
    fn look_at_marks(&mut self) {
        if let Some(stall @ Stall { time, .. }) = self.faults.stall.take_if(|stall| stall.after <= self.moved) {
            self.waits = Waits::time(time);
            self.wire.log.note(Happened::Stalled(self.wire.number, self.direction, stall));
        }
        if self.faults.reset_after.take_if(|after| *after <= self.moved).is_some()
            && !self.wire.is_reset.swap(true, SeqCst)
        {
            // First of all: whoever hears of it finds it in the log.
            self.wire.log.note(Happened::Reset(self.wire.number, self.direction));
            self.wire.ends.into_iter().for_each(cut);
            self.wire.was_reset.notify_waiters();
        }
    }

    /// Waits until something may go on and `real` is ready, or the connection is reset.
    pub(super) async fn ready(&mut self, real: impl Future<Output = ()>) {
        let wire = Arc::clone(&self.wire);
        let mut reset = std::pin::pin!(wire.was_reset.notified());
        reset.as_mut().enable(); // before the look, or it could be missed
        if wire.is_reset.load(SeqCst) {
            return;
        }
        let waits = self.waits;
        let due = async {
            waits.over().await;
            real.await;
        };
        tokio::select! {
            () = due => {}
            () = reset => {}
        }
    }
}

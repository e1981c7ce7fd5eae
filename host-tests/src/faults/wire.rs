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

#[cfg(test)]
mod tests {
    use super::*;

    /// The two directions of a connection that come in pieces of at most 1000.
    fn in_pieces(number: u64, seed: u64, log: &Log) -> [Lane; 2] {
        let pieces = DirectionFaults::none().pieces(1000);
        lanes(number, &ConnectionFaults::none().read(pieces).write(pieces), seed, None, log).into()
    }

    /// How large the first pieces of a direction are.
    fn sizes(mut lane: Lane) -> Vec<usize> {
        let mut next = || {
            let piece = lane.piece(100_000);
            lane.moved(piece);
            piece
        };
        (0..200).map(|_| next()).collect()
    }

    #[test]
    fn pieces_follow_from_seed_connection_and_direction_and_are_of_every_size_up_to_the_most() {
        let log = Log::default();
        let sizes = |number, seed| in_pieces(number, seed, &log).map(sizes);
        let [read, write] = sizes(1, 1);
        assert_eq!([read.clone(), write.clone()], sizes(1, 1));
        let [others, of_another_seed] = [sizes(2, 1), sizes(1, 2)];
        assert!(read != write && others[0] != read && of_another_seed[0] != read && of_another_seed[1] != write);
        assert!(read.iter().all(|piece| (1..=1000).contains(piece)), "{read:?}");
        assert!(read.iter().any(|piece| *piece < 200) && read.iter().any(|piece| *piece > 800), "{read:?}");
        assert_eq!(log.0.pieces.load(SeqCst), 8 * 200, "each is counted");
    }

    #[test]
    fn what_is_short_by_itself_is_no_piece() {
        let log = Log::default();
        let [mut lane, _] = in_pieces(0, 0, &log);
        for _ in 0..100 {
            assert_eq!(lane.piece(1), 1);
            lane.moved(1);
            let piece = lane.piece(100_000);
            lane.moved(piece - 1); // the peer had no more
        }
        assert_eq!(log.0.pieces.load(SeqCst), 0);
    }

    #[test]
    fn a_piece_ends_where_a_stall_or_a_reset_is_and_the_log_tells_them_in_order() {
        let log = Log::default();
        let time = Some(Duration::from_millis(1));
        let faults = ConnectionFaults::none().read(DirectionFaults::none().stall(10, time).reset_after(25));
        let (mut read, mut write) = lanes(3, &faults, 0, None, &log);
        assert_eq!((read.piece(100), write.piece(100)), (10, 100));
        read.moved(10);
        assert!(!read.is_due() && write.is_due(), "it is stalled in its direction");
        assert_eq!(read.piece(100), 15);
        read.moved(14);
        assert!(read.check().is_ok() && write.check().is_ok());
        assert_eq!(read.piece(100), 1);
        read.moved(1);
        for lane in [&mut read, &mut write] {
            assert!(matches!(lane.check(), Err(StreamError::LastOperationFailed(_))), "both ways are told");
            assert!(matches!(lane.check(), Err(StreamError::Closed)), "once");
        }
        let stall = Stall { after: 10, time };
        let told = [Happened::Stalled(3, Direction::Read, stall), Happened::Reset(3, Direction::Read)];
        assert_eq!(*log.lock(), told);
    }
}

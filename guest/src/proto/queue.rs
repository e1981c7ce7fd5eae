//! The send queue and its water marks.
//!
//! Many small writes become one piece of memory, so that the host gets them as one (there is no `TCP_NODELAY` in
//! WASI 0.2: two small segments may cost a delayed acknowledgement).

use crate::error::{Error, Result};

/// The default high-water mark of plain connections, in bytes.
pub const DEFAULT_HIGH_WATER: usize = 64 * 1024;

/// The default high-water mark over TLS, in bytes.
#[cfg(feature = "tls")]
pub(crate) const TLS_HIGH_WATER: usize = 512 * 1024;

/// An empty queue keeps at most this much memory: a thousand idle connections should cost next to nothing.
const KEEP_CAPACITY: usize = 4 * 1024;

/// The rest is moved when at least one part in so many of it went out since: each byte that goes out pays for so many.
const WORTH_MOVING: usize = 4;

/// Bytes accepted by `write` and not yet taken by the platform.
#[derive(Debug)]
pub(crate) struct SendQueue {
    data: Vec<u8>,
    /// How much of `data` went out already.
    gone: usize,
    marks: WaterMarks,
    /// Above the high mark, and not yet back at the low one.
    paused: bool,
    /// Whether the high mark itself is too much, as asyncio has it over TLS (D02).
    inclusive: bool,
}

/// When `drain` starts to wait (above `high`) and when it stops (at or below `low`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WaterMarks {
    pub(crate) low: usize,
    pub(crate) high: usize,
}

impl WaterMarks {
    /// D12, D13: asyncio's rules for missing and impossible marks.
    pub(crate) fn new(high: Option<usize>, low: Option<usize>) -> Result<Self> {
        let high = high.unwrap_or_else(|| low.map_or(DEFAULT_HIGH_WATER, |low| low.saturating_mul(4)));
        let low = low.unwrap_or(high / 4);
        if low > high {
            return Err(Error::InvalidInput(format!("high ({high}) must be >= low ({low}) must be >= 0").into()));
        }
        Ok(Self { low, high })
    }
}

impl Default for WaterMarks {
    fn default() -> Self {
        Self { low: DEFAULT_HIGH_WATER / 4, high: DEFAULT_HIGH_WATER }
    }
}

impl SendQueue {
    pub(crate) fn new() -> Self {
        Self { data: Vec::new(), gone: 0, marks: WaterMarks::default(), paused: false, inclusive: false }
    }

    /// Accepts bytes.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.make_room(bytes.len());
        self.data.extend_from_slice(bytes);
        self.pause_if_high();
    }

    /// What goes out next.
    pub(crate) fn front(&self) -> &[u8] {
        &self.data[self.gone..]
    }

    /// Notes that `n` bytes of the front went out; true when that released the waiters of `drain`.
    pub(crate) fn advance(&mut self, n: usize) -> bool {
        self.gone += n.min(self.len());
        if self.is_empty() {
            self.data.clear();
            self.gone = 0;
            if self.data.capacity() > KEEP_CAPACITY {
                self.data = Vec::new();
            }
        }
        self.release_if_low()
    }

    /// Forgets everything; true when that released the waiters of `drain`.
    pub(crate) fn clear(&mut self) -> bool {
        self.data = Vec::new();
        self.gone = 0;
        self.release_if_low()
    }

    pub(crate) fn len(&self) -> usize {
        self.data.len() - self.gone
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether `drain` has to wait.
    pub(crate) fn is_paused(&self) -> bool {
        self.paused
    }

    pub(crate) fn marks(&self) -> WaterMarks {
        self.marks
    }

    /// D14: new marks pause at once; D15: they release nobody until the queue itself falls.
    pub(crate) fn set_marks(&mut self, marks: WaterMarks) {
        self.marks = marks;
        self.pause_if_high();
    }

    /// Takes the marks of TLS, which are higher (D11).
    #[cfg(feature = "tls")]
    pub(crate) fn use_tls_marks(&mut self) {
        self.inclusive = true;
        self.set_marks(WaterMarks { low: TLS_HIGH_WATER / 4, high: TLS_HIGH_WATER });
    }

    /// Moves the rest to the front before more memory is asked for, unless that would copy much for little: the queue holds at
    /// most two and a half times the most that was in it.
    fn make_room(&mut self, more: usize) {
        if self.data.capacity() - self.data.len() < more && self.gone >= self.len() / WORTH_MOVING {
            self.data.copy_within(self.gone.., 0);
            self.data.truncate(self.len());
            self.gone = 0;
        }
    }

    fn pause_if_high(&mut self) {
        let len = self.len();
        // An empty queue cannot fall, so nobody must wait for that.
        if len > self.marks.high || (self.inclusive && len == self.marks.high && len > 0) {
            self.paused = true;
        }
    }

    fn release_if_low(&mut self) -> bool {
        let released = self.paused && self.len() <= self.marks.low;
        if released {
            self.paused = false;
        }
        released
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d12_missing_marks_follow_from_the_given_one() {
        let marks = |high, low| WaterMarks::new(high, low).map(|m| (m.low, m.high)).expect("possible");
        assert_eq!(marks(Some(1000), None), (250, 1000));
        assert_eq!(marks(None, Some(1000)), (1000, 4000));
        assert_eq!(marks(Some(1000), Some(1)), (1, 1000));
        assert_eq!(marks(None, None), (16384, 65536));
        assert_eq!(marks(Some(0), None), (0, 0));
    }

    #[test]
    fn d13_a_low_mark_above_the_high_one_is_refused() {
        assert!(matches!(WaterMarks::new(Some(10), Some(11)), Err(Error::InvalidInput(_))));
        assert!(matches!(WaterMarks::new(Some(0), Some(1)), Err(Error::InvalidInput(_))));
    }

    #[test]
    fn d12_a_high_mark_of_zero_pauses_at_any_byte() {
        let mut queue = SendQueue::new();
        queue.set_marks(WaterMarks { low: 0, high: 0 });
        queue.push(b"x");
        assert!(queue.is_paused());
        assert!(queue.advance(1), "an empty queue releases");
        assert!(!queue.is_paused());
    }

    #[test]
    fn d02_paused_above_high_until_at_low() {
        let mut queue = SendQueue::new();
        queue.set_marks(WaterMarks { low: 2, high: 4 });
        queue.push(b"1234");
        assert!(!queue.is_paused(), "at the high mark is not above it");
        queue.push(b"5");
        assert!(queue.is_paused());
        assert!(!queue.advance(2), "3 bytes left, the low mark is 2");
        assert!(queue.is_paused());
        assert!(queue.advance(1));
        assert!(!queue.is_paused());
    }

    #[test]
    fn what_went_out_makes_room_before_more_memory_is_asked_for() {
        let mut queue = SendQueue::new();
        for _ in 0..8 {
            queue.push(&[1; 1000]);
        }
        let memory = queue.data.capacity();
        for round in 0..100_u8 {
            queue.advance(2500);
            for _ in 0..2 {
                queue.push(&[round; 1250]);
            }
        }
        assert_eq!((queue.len(), queue.data.capacity()), (8000, memory));
        let rest: Vec<u8> = (97..100).flat_map(|round| [round; 2500]).collect();
        assert_eq!(queue.front()[500..], rest);
    }

    #[test]
    fn an_empty_queue_keeps_little() {
        let mut queue = SendQueue::new();
        queue.push(&[0; KEEP_CAPACITY]);
        queue.advance(KEEP_CAPACITY);
        assert!(queue.is_empty());
        assert_eq!(queue.data.capacity(), KEEP_CAPACITY, "it serves the next small write");
        queue.push(&[0; KEEP_CAPACITY + 1]);
        queue.advance(KEEP_CAPACITY + 1);
        assert_eq!(queue.data.capacity(), 0);
    }

    #[test]
    fn d14_d15_new_marks_pause_at_once_but_release_only_when_the_queue_falls() {
        let mut queue = SendQueue::new();
        queue.push(&[0; 100]);
        queue.set_marks(WaterMarks { low: 10, high: 50 });
        assert!(queue.is_paused());
        queue.set_marks(WaterMarks { low: 100, high: 400 });
        assert!(queue.is_paused(), "raised marks alone release nobody");
        assert!(queue.advance(1), "the queue fell");
    }
}

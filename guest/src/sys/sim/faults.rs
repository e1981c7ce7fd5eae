//! What a host may do to a program without breaking its promises: short reads, small permits, readiness that was
//! none, a cooperative budget. A seed makes every run repeatable.

/// Faults that the simulated host injects; the default is none.
///
/// Percentages above 100 count as 100. No setting takes progress away for good: a fault never hits the same call twice
/// in a row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Seeds the generator that the percentages below draw from.
    pub seed: u64,
    /// At most this many bytes per read.
    pub max_read: Option<usize>,
    /// At most this many bytes per write permit.
    pub max_write: Option<usize>,
    /// Percentage of spurious answers: a poll reports a stream or socket that is not ready, a read of something gives
    /// nothing, `accept` and `finish-connect` say would-block although they could answer.
    pub spurious: u8,
    /// Percentage of write permits that are 0 although the stream is writable. All permits stay 0 until the program
    /// gives the host a turn: a poll that really waits, or one of a fresh zero-duration timer alone.
    pub zero_permits: u8,
    /// The cooperative budget of the host (tokio's is 128): every ready entry of a poll and every permit takes one;
    /// when none is left, nothing is ready and permits are 0 until the host gets a turn.
    pub budget: Option<u32>,
}

/// SplitMix64: small, seedable, good enough to pick faults.
#[derive(Debug)]
pub(super) struct Rng(u64);

impl Rng {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// True in `percent` of 100 cases; draws nothing for 0, so that a world without faults stays one sequence.
    pub(super) fn hits(&mut self, percent: u8) -> bool {
        percent > 0 && self.next() % 100 < u64::from(percent)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

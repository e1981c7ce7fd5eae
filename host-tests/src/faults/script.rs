//! What a script says.

use std::fmt;
use std::time::Duration;

use wasmtime_wasi::p2::bindings::sockets::network::ErrorCode;

use super::random::Random;
use super::waits::Waits;

/// What happens to one connection; nothing unless said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionFaults {
    /// Connecting fails with "connection refused"; who is accepted is gone already.
    pub refused: bool,
    /// How late connecting succeeds, or fails; nothing to who is accepted.
    pub answer: Answer,
    /// What comes in.
    pub read: DirectionFaults,
    /// What goes out.
    pub write: DirectionFaults,
}

/// What happens to one lookup of a name; nothing unless said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LookupFaults {
    /// It fails with this.
    pub fails: Option<ErrorCode>,
    /// How late it succeeds, or fails.
    pub answer: Answer,
}

/// When connecting, or a lookup, comes to its end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Answer {
    /// When it does without us.
    #[default]
    AtOnce,
    /// Not before so long has passed.
    After(Duration),
    /// Not at all.
    Never,
}

/// What happens in one direction of a connection; nothing unless said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DirectionFaults {
    /// Bytes come, or may go, in pieces of 1 to so many, at random.
    pub pieces: Option<usize>,
    /// Behind each piece nothing goes on for up to so long, at random.
    pub delay: Duration,
    /// Once.
    pub stall: Option<Stall>,
    /// The connection is reset, both ways, behind so many bytes.
    pub reset_after: Option<u64>,
}

/// Nothing goes on for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stall {
    /// Behind so many bytes.
    pub after: u64,
    /// For so long; none: for ever.
    pub time: Option<Duration>,
}

impl ConnectionFaults {
    /// None at all.
    pub fn none() -> Self {
        Self::default()
    }

    /// There is no connection.
    pub fn refused() -> Self {
        Self { refused: true, ..Self::default() }
    }

    /// Nobody answers who connects, not even with a refusal; nothing to who is accepted.
    pub fn never_answered() -> Self {
        Self { answer: Answer::Never, ..Self::default() }
    }

    /// Connecting takes so long, and then as long as it does without this; nothing to who is accepted. The peer sees nothing of it before.
    #[must_use]
    pub fn answered_after(mut self, time: Duration) -> Self {
        self.answer = Answer::After(time);
        self
    }

    /// Sets what happens to what comes in.
    #[must_use]
    pub fn read(mut self, faults: DirectionFaults) -> Self {
        self.read = faults;
        self
    }

    /// Sets what happens to what goes out.
    #[must_use]
    pub fn write(mut self, faults: DirectionFaults) -> Self {
        self.write = faults;
        self
    }

    /// Whether what is sent arrives, sooner or later: the connection is not refused, is answered, not reset and not stalled for ever.
    pub fn are_survivable(&self) -> bool {
        let lasts = |faults: &DirectionFaults| {
            faults.reset_after.is_none() && faults.stall.is_none_or(|stall| stall.time.is_some())
        };
        !self.refused && self.answer != Answer::Never && lasts(&self.read) && lasts(&self.write)
    }

    /// The faults that a seed has for a connection.
    pub(super) fn seeded(seed: u64, number: u64) -> Self {
        let mut random = Random::new(seed, 2 * number);
        let faults = if random.percent(8) {
            Self::refused()
        } else {
            let (read, write) = (DirectionFaults::random(&mut random), DirectionFaults::random(&mut random));
            Self::none().read(read).write(write)
        };
        Self { answer: Answer::random(&mut random), ..faults }
    }
}

impl LookupFaults {
    /// None at all.
    pub fn none() -> Self {
        Self::default()
    }

    /// The lookup fails with this.
    pub fn failing(code: ErrorCode) -> Self {
        Self { fails: Some(code), ..Self::default() }
    }

    /// The resolver is silent.
    pub fn never_answered() -> Self {
        Self { answer: Answer::Never, ..Self::default() }
    }

    /// The lookup succeeds, or fails, no sooner than after so long.
    #[must_use]
    pub fn answered_after(mut self, time: Duration) -> Self {
        self.answer = Answer::After(time);
        self
    }

    /// Whether there is an answer, sooner or later, and no failure.
    pub fn are_survivable(&self) -> bool {
        self.fails.is_none() && self.answer != Answer::Never
    }

    /// The faults that a seed has for a lookup.
    pub(super) fn seeded(seed: u64, number: u64) -> Self {
        let mut random = Random::new(seed, 2 * number + 1);
        let codes = [
            ErrorCode::NameUnresolvable,
            ErrorCode::TemporaryResolverFailure,
            ErrorCode::PermanentResolverFailure,
            ErrorCode::NameUnresolvable,
            ErrorCode::TemporaryResolverFailure,
        ];
        let fails = random.percent(10).then(|| random.one_of(codes));
        Self { fails, answer: Answer::random(&mut random) }
    }
}

impl Answer {
    /// How long it is to be waited for, if at all.
    pub(super) fn waits(self) -> Option<Waits> {
        match self {
            Answer::AtOnce => None,
            Answer::After(time) => Some(Waits::time(Some(time))),
            Answer::Never => Some(Waits::ForEver),
        }
    }

    fn random(random: &mut Random) -> Self {
        if random.percent(20) { Answer::After(Duration::from_millis(1 + random.up_to(49))) } else { Answer::AtOnce }
    }
}

impl DirectionFaults {
    /// None at all.
    pub fn none() -> Self {
        Self::default()
    }

    /// Bytes come, or may go, in pieces of at most so many; 0 is 1.
    #[must_use]
    pub fn pieces(mut self, most: usize) -> Self {
        self.pieces = Some(most.max(1));
        self
    }

    /// Behind each piece nothing goes on for up to so long.
    #[must_use]
    pub fn delay(mut self, most: Duration) -> Self {
        self.delay = most;
        self
    }

    /// Behind so many bytes nothing goes on for so long; without a time for ever.
    #[must_use]
    pub fn stall(mut self, after: u64, time: impl Into<Option<Duration>>) -> Self {
        self.stall = Some(Stall { after, time: time.into() });
        self
    }

    /// Resets the connection behind so many bytes.
    #[must_use]
    pub fn reset_after(mut self, bytes: u64) -> Self {
        self.reset_after = Some(bytes);
        self
    }

    fn random(random: &mut Random) -> Self {
        let mut faults = Self::none();
        if random.percent(60) {
            faults.pieces = Some(random.one_of([1, 7, 100, 1000, 5000]));
        }
        // Not where there are many: a script is to take less than a second, and no wait is shorter than a millisecond, the tick of tokio's
        // timer.
        if faults.pieces.is_none_or(|most| most >= 1000) && random.percent(30) {
            faults.delay = Duration::from_micros(random.up_to(3000));
        }
        if random.percent(25) {
            let time = Duration::from_millis(1 + random.up_to(49));
            faults.stall = Some(Stall { after: mark(random), time: Some(time) });
        }
        if random.percent(12) {
            faults.reset_after = Some(mark(random));
        }
        faults
    }
}

/// Behind how many bytes a stall or a reset comes: as often near the beginning as far behind it, for most connections are short.
fn mark(random: &mut Random) -> u64 {
    let most = MOST_BEFORE >> random.up_to(15);
    random.up_to(most)
}

const MOST_BEFORE: u64 = 40_000;

impl fmt::Display for ConnectionFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.answer {
            Answer::AtOnce => {}
            Answer::After(_) => write!(f, "{}, ", self.answer)?,
            Answer::Never => return self.answer.fmt(f),
        }
        if self.refused {
            return f.write_str("refused");
        }
        write!(f, "in: {}; out: {}", self.read, self.write)
    }
}

impl fmt::Display for LookupFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.answer, self.fails) {
            (Answer::AtOnce, None) => f.write_str("no faults"),
            (Answer::AtOnce, Some(code)) => write!(f, "fails, {}", code.name()),
            (Answer::After(_), Some(code)) => write!(f, "{}, fails, {}", self.answer, code.name()),
            (answer, _) => answer.fmt(f),
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Answer::AtOnce => f.write_str("answered at once"),
            Answer::After(time) => write!(f, "answered after {time:?}"),
            Answer::Never => f.write_str("never answered"),
        }
    }
}

impl fmt::Display for DirectionFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        if let Some(most) = self.pieces {
            parts.push(format!("pieces of at most {most} bytes"));
        }
        if !self.delay.is_zero() {
            parts.push(format!("up to {:?} behind each piece", self.delay));
        }
        if let Some(Stall { after, time }) = self.stall {
            let time = time.map_or("for ever".into(), |time| format!("for {time:?}"));
            parts.push(format!("stalled {time} behind {after} bytes"));
        }
        if let Some(after) = self.reset_after {
            parts.push(format!("reset behind {after} bytes"));
        }
        f.write_str(if parts.is_empty() { "no faults" } else { "" })?;
        f.write_str(&parts.join(", "))
    }
}

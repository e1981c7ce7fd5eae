//! Whether to read again at once when there was less than asked for, or to wait first: whichever is not in vain.

/// It is tried, and the less often the more often in a row it found nothing.
#[derive(Default)]
pub(crate) struct Pace {
    trying: bool,
    waits: u8,
    next_waits: u8,
}

impl Pace {
    /// Notes whether a read found something.
    pub(crate) fn found(&mut self, data: bool) {
        if std::mem::take(&mut self.trying) {
            self.waits = if data { 0 } else { self.next_waits.max(1) };
            self.next_waits = self.waits.saturating_mul(2).min(64);
        }
    }

    /// Whether to read again at once.
    pub(crate) fn looks_again(&mut self) -> bool {
        self.trying = self.waits == 0;
        self.waits = self.waits.saturating_sub(1);
        self.trying
    }
}

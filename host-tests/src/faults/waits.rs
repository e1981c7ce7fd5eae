//! How long something waits.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// Until when something waits.
#[derive(Debug, Clone, Copy)]
pub(super) enum Waits {
    No,
    Until(Instant),
    ForEver,
}

impl Waits {
    /// So long from now; without a time, or with one that no clock reaches, for ever.
    pub(super) fn time(time: Option<Duration>) -> Self {
        let then = time.and_then(|time| Instant::now().checked_add(time));
        then.map_or(Waits::ForEver, Waits::Until)
    }

    pub(super) fn is_over(self) -> bool {
        match self {
            Waits::No => true,
            Waits::Until(then) => then <= Instant::now(),
            Waits::ForEver => false,
        }
    }

    /// Waits until it is over.
    pub(super) async fn over(self) {
        match self {
            Waits::No => {}
            Waits::Until(then) => sleep_until(then).await,
            Waits::ForEver => std::future::pending().await,
        }
    }
}

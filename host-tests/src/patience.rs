//! Waiting no longer than is reasonable, by the time that this process had.

use std::time::Duration;

use tokio::time::sleep;

/// Gives a future so much time, and nothing when that was not enough. Only time in which this process runs counts: a machine that stands
/// still for half a minute, or a process that was stopped for as long, says nothing about what is waited for.
pub async fn patiently<T>(limit: Duration, future: impl Future<Output = T>) -> Option<T> {
    let over = async {
        // However long a pause is, it is over in one of these steps.
        for _ in 0..limit.as_millis().div_ceil(STEP.as_millis()) {
            sleep(STEP).await;
        }
    };
    tokio::select! {
        biased;
        answer = future => Some(answer),
        () = over => None,
    }
}

const STEP: Duration = Duration::from_millis(100);

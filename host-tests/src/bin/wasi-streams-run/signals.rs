//! Being asked to end, by Ctrl-C or `kill`: the guest is dropped, and with it what it would leave behind, socket files say.

use std::process;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::select;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

/// From its return on, gives the number of the first signal that asks this process to end. From then on it has `time`, if the guest's
/// thread hangs.
pub(crate) fn first(time: Duration) -> oneshot::Receiver<i32> {
    let (tell, told) = oneshot::channel();
    let (ready, listens) = mpsc::channel();
    // A thread of its own, for the guest's may be in a write that nobody reads.
    thread::spawn(move || {
        let Ok(runtime) = Builder::new_current_thread().enable_io().build() else { return };
        let Ok(number) = runtime.block_on(wait(ready)) else { return };
        let _ = tell.send(number);
        thread::sleep(time);
        process::exit(status(number));
    });
    // It says so, or is gone.
    let _ = listens.recv();
    told
}

/// The exit status that shells know for it.
pub(crate) fn status(number: i32) -> i32 {
    128 + number
}

async fn wait(ready: mpsc::Sender<()>) -> std::io::Result<i32> {
    let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
    let [mut interrupt, mut terminate, mut hangup] = [signal(kinds[0])?, signal(kinds[1])?, signal(kinds[2])?];
    let _ = ready.send(());
    let kind = select! {
        _ = interrupt.recv() => kinds[0],
        _ = terminate.recv() => kinds[1],
        _ = hangup.recv() => kinds[2],
    };
    Ok(kind.as_raw_value())
}

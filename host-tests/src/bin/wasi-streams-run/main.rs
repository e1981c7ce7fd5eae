//! `wasi-streams-run`: runs one command component with a network that is closed unless opened.
//!
//! Standard input and output are passed through, and the component's exit status is ours. Whatever keeps the component
//! from running, or its peers from being reached, ends in one line that says what to do about it.

mod options;
mod signals;

use std::env;
use std::io::Write;
use std::path::Path;
use std::process;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::Result;
use wasi_streams_host::{Guest, Outcome, Status, Stdio, load};
use wasmtime::component::Component;

use crate::options::{HELP, Options, Request};

fn main() {
    let status = match options::parse(env::args_os().skip(1)) {
        Ok(Request::Help) => print(HELP),
        Ok(Request::Version) => print(VERSION),
        Ok(Request::Run(options)) => run(*options),
        Err(misuse) => {
            complain(&misuse.to_string());
            UNSTARTED
        }
    };
    // At once: a thread may still wait for standard input.
    process::exit(status);
}

fn run(options: Options) -> i32 {
    let timeout = options.limits.deadline;
    match start(options) {
        Ok(Ended::Itself(outcome)) => report(&outcome, timeout),
        Ok(Ended::BySignal(number)) => signals::status(number),
        Err(error) => {
            // The first line names the cause; a linker's explanations follow in others.
            let text = format!("{error:#}");
            complain(text.lines().next().unwrap_or_default());
            UNSTARTED
        }
    }
}

enum Ended {
    Itself(Box<Outcome>),
    BySignal(i32),
}

fn start(options: Options) -> Result<Ended> {
    let name = options.component.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let component = compile(&options.component, &name)?;
    let mut guest = Guest::compiled(component, &name)
        .args(options.arguments)
        .policy(options.policy)
        .limits(options.limits)
        .stdio(Stdio::Inherited);
    for (name, value) in options.environment {
        guest = guest.env(name, value);
    }
    for (host, name) in options.folders {
        guest = guest.dir(host, name);
    }
    // One thread: a round trip needs no hand-over to another.
    // A busy guest yields every 10 ms, and each time the timers and sockets of this one thread get their turn.
    let runtime = tokio::runtime::Builder::new_current_thread().event_interval(1).enable_all().build()?;
    if let Some(timeout) = options.limits.deadline {
        let name = name.clone();
        thread::spawn(move || enforce(timeout + PATIENCE, &name, timeout));
    }
    let signal = signals::first(PATIENCE);
    let ended = runtime.block_on(async {
        tokio::select! {
            outcome = guest.run() => Ok(Ended::Itself(Box::new(outcome?))),
            Ok(number) = signal => Ok(Ended::BySignal(number)),
        }
    });
    runtime.shutdown_background();
    ended
}

/// Ends the process after `time`, for a host that hangs with its guest: a write to a standard output that nobody reads
/// blocks the one thread, and with it the deadline that the guest has.
fn enforce(time: Duration, name: &str, timeout: Duration) {
    thread::sleep(time);
    complain(&overtime(name, timeout));
    process::exit(TIMED_OUT);
}

fn overtime(name: &str, timeout: Duration) -> String {
    format!("{name} ran longer than {timeout:?}: ended it")
}

/// Loads the component, and says so if that takes longer than people wait without asking.
fn compile(path: &Path, name: &str) -> Result<Component> {
    let (done, waiting) = mpsc::channel::<()>();
    let name = name.to_owned();
    let loaded = load(path, || {
        thread::spawn(move || {
            if waiting.recv_timeout(UNNOTICED) == Err(mpsc::RecvTimeoutError::Timeout) {
                complain(&format!("compiling {name} for this machine (once)..."));
            }
        });
    });
    drop(done);
    Ok(loaded?.component)
}

fn report(outcome: &Outcome, timeout: Option<Duration>) -> i32 {
    let Outcome { name, status, .. } = outcome;
    let status = match status {
        Status::Exited(status) => *status,
        Status::Trapped { cause, report } => {
            complain(&format!("{name} trapped: {cause}"));
            eprintln!("{report}");
            TRAPPED
        }
        Status::DeadlineExceeded | Status::Stopped => {
            complain(&overtime(name, timeout.unwrap_or_default()));
            TIMED_OUT
        }
    };
    for denial in &outcome.denials {
        complain(&denial.to_string());
    }
    status
}

fn print(text: &str) -> i32 {
    // Whoever reads may have seen enough.
    let _ = std::io::stdout().write_all(text.as_bytes());
    0
}

fn complain(line: &str) {
    let _ = writeln!(std::io::stderr(), "wasi-streams-run: {line}");
}

const UNSTARTED: i32 = 2;
const TIMED_OUT: i32 = 124;
const TRAPPED: i32 = 134;
/// How much later than the guest's own deadline the process is ended.
const PATIENCE: Duration = Duration::from_millis(500);
const UNNOTICED: Duration = Duration::from_secs(1);
const VERSION: &str = concat!("wasi-streams-run ", env!("CARGO_PKG_VERSION"), "\n");

//! A guest while it runs, and what is left of it after.

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncWriteExt, DuplexStream};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinHandle};
use tokio::time::timeout;
use wasmtime::Store;
use wasmtime_wasi::I32Exit;
use wasmtime_wasi::p2::bindings::Command;

use crate::capture::Reader;
use crate::denial::{Denial, Denials};
use crate::engine::Ticking;
use crate::patience::patiently;
use crate::state::{Snapshot, State};

/// A guest that has been started; dropping it stops the guest.
#[derive(Debug)]
pub struct Running {
    name: String,
    ends: Ends,
    started: Instant,
    task: JoinHandle<Status>,
}

/// Our ends of what a guest was given.
#[derive(Debug)]
pub(crate) struct Ends {
    pub(crate) stdin: Option<DuplexStream>,
    pub(crate) stdout: Reader,
    pub(crate) stderr: Reader,
    pub(crate) snapshots: watch::Receiver<Snapshot>,
    pub(crate) denials: Denials,
}

/// How a guest ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// It returned or exited; 0 is success.
    Exited(i32),
    /// It trapped.
    Trapped {
        /// What happened, in one line.
        cause: String,
        /// All that wasmtime says, the guest's backtrace included.
        report: String,
    },
    /// It ran into its deadline and was stopped.
    DeadlineExceeded,
    /// [`Running::stop`] stopped it.
    Stopped,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Status::Exited(status) => write!(f, "exited with status {status}"),
            Status::Trapped { cause, report } => write!(f, "trapped: {cause}\n{report}"),
            Status::DeadlineExceeded => f.write_str("ran into its deadline"),
            Status::Stopped => f.write_str("was stopped"),
        }
    }
}

/// What a guest left behind.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Outcome {
    /// The component's file name.
    pub name: String,
    /// How it ended.
    pub status: Status,
    /// What it wrote to standard output.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
    /// Its numbers at the end: what is left in `resources` was never dropped; `memory_bytes` is its peak as well.
    pub last: Snapshot,
    /// What it was refused.
    pub denials: Vec<Denial>,
    /// How long it ran.
    pub elapsed: Duration,
}

impl Outcome {
    /// The outcome of a guest that exited with status 0.
    ///
    /// # Errors
    ///
    /// Any other end, with all that the guest wrote.
    pub fn success(self) -> Result<Self> {
        match self.status {
            Status::Exited(0) => Ok(self),
            _ => bail!("{self}"),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Outcome { name, status, stdout, stderr, denials, .. } = self;
        write!(f, "{name} {status}\n--- stdout:\n{stdout}\n--- stderr:\n{stderr}")?;
        denials.iter().try_for_each(|denial| write!(f, "\n--- {denial}"))
    }
}

impl Running {
    pub(crate) fn spawn(
        name: String,
        store: Store<State>,
        command: Command,
        deadline: Option<Duration>,
        ends: Ends,
    ) -> Self {
        let task = tokio::spawn(drive(store, command, deadline));
        Running { name, ends, started: Instant::now(), task }
    }

    /// The next line of standard output that starts with `prefix`, without its end; lines before it are passed over.
    ///
    /// # Errors
    ///
    /// If the guest ends first, or 30 seconds pass.
    pub async fn wait_line(&mut self, prefix: &str) -> Result<String> {
        let line = patiently(PATIENCE, self.ends.stdout.next_line(prefix)).await;
        self.or_report(line.flatten(), prefix)
    }

    /// The same for standard error.
    ///
    /// # Errors
    ///
    /// If the guest ends first, or 30 seconds pass.
    pub async fn wait_stderr_line(&mut self, prefix: &str) -> Result<String> {
        let line = patiently(PATIENCE, self.ends.stderr.next_line(prefix)).await;
        self.or_report(line.flatten(), prefix)
    }

    /// Waits until the guest's numbers are as wanted; they are looked at whenever the guest polls.
    ///
    /// # Errors
    ///
    /// If the guest ends first, or 30 seconds pass; the error holds the last numbers.
    pub async fn wait_until(&mut self, wanted: impl Fn(&Snapshot) -> bool) -> Result<Snapshot> {
        let waited = patiently(PATIENCE, self.ends.snapshots.wait_for(|snapshot| wanted(snapshot)));
        let how = match waited.await {
            Some(Ok(snapshot)) => return Ok(*snapshot),
            Some(Err(_)) => "ended with",
            None => "stays at",
        };
        bail!("{} {how} {:?}\n{}", self.name, self.snapshot(), self.output())
    }

    /// Writes to standard input.
    ///
    /// # Errors
    ///
    /// If standard input is not [`piped`](crate::Guest::piped_stdin) or closed, or the guest does not read for
    /// 30 seconds.
    pub async fn write_stdin(&mut self, bytes: &[u8]) -> Result<()> {
        let stdin = self.ends.stdin.as_mut().context("standard input is not an open pipe")?;
        patiently(PATIENCE, stdin.write_all(bytes)).await.context("the guest does not read its input")??;
        Ok(())
    }

    /// Ends standard input.
    pub fn close_stdin(&mut self) {
        self.ends.stdin = None;
    }

    /// Waits for the guest's own end, or its deadline; does not close standard input.
    pub async fn finish(mut self) -> Outcome {
        let status = (&mut self.task).await;
        self.outcome(status)
    }

    /// Stops the guest where it is.
    pub async fn stop(mut self) -> Outcome {
        self.task.abort();
        let status = (&mut self.task).await;
        self.outcome(status)
    }

    /// Standard output so far.
    pub fn stdout(&self) -> String {
        text(&self.ends.stdout)
    }

    /// Standard error so far.
    pub fn stderr(&self) -> String {
        text(&self.ends.stderr)
    }

    /// The guest's numbers as it last polled.
    pub fn snapshot(&self) -> Snapshot {
        *self.ends.snapshots.borrow()
    }

    /// What the guest was refused so far.
    pub fn denials(&self) -> Vec<Denial> {
        self.ends.denials.list()
    }

    /// Whether the guest has ended.
    pub fn is_finished(&self) -> bool {
        self.task.is_finished()
    }

    fn outcome(&mut self, joined: Result<Status, JoinError>) -> Outcome {
        let status = match joined {
            Ok(status) => status,
            Err(error) if error.is_cancelled() => Status::Stopped,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        };
        Outcome {
            name: self.name.clone(),
            status,
            stdout: self.stdout(),
            stderr: self.stderr(),
            last: self.snapshot(),
            denials: self.denials(),
            elapsed: self.started.elapsed(),
        }
    }

    fn or_report(&self, line: Option<String>, prefix: &str) -> Result<String> {
        line.with_context(|| {
            let how = if self.is_finished() { "ended" } else { "runs on" };
            format!("{} {how} without a line {prefix:?}\n{}", self.name, self.output())
        })
    }

    fn output(&self) -> String {
        format!("--- stdout:\n{}\n--- stderr:\n{}", self.stdout(), self.stderr())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn drive(mut store: Store<State>, command: Command, deadline: Option<Duration>) -> Status {
    let _ticking = Ticking::start();
    let run = command.wasi_cli_run().call_run(&mut store);
    let ended = match deadline {
        Some(deadline) => timeout(deadline, run).await.ok(),
        None => Some(run.await),
    };
    store.data_mut().publish();
    match ended {
        None => Status::DeadlineExceeded,
        Some(Ok(Ok(()))) => Status::Exited(0),
        Some(Ok(Err(()))) => Status::Exited(1),
        Some(Err(error)) => match error.downcast_ref::<I32Exit>() {
            Some(I32Exit(status)) => Status::Exited(*status),
            None => Status::Trapped { cause: error.root_cause().to_string(), report: format!("{error:?}") },
        },
    }
}

fn text(reader: &Reader) -> String {
    String::from_utf8_lossy(&reader.contents()).into_owned()
}

const PATIENCE: Duration = Duration::from_secs(30);

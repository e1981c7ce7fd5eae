//! The servers that are compared: how each is started, and what it has used.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

/// How long a server may take to start; a large component is compiled the first time.
const STARTING: Duration = Duration::from_secs(60);

/// How often to look whether a server has settled.
const SETTLING: u32 = 100;

/// What guests call the folder of the certificate.
const CERTIFICATES: &str = "certificates";

/// Who answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Peer {
    /// wasi-streams, linked.
    Ours,
    /// wasi-streams with `copy(…).splice(true)`.
    OursSplice,
    /// wasi-streams over TLS, with a client that knows only AES.
    OursAes,
    /// A program of other components that has wasi-streams by composition.
    Composed,
    /// The same by calls that wait, one client after the other.
    ComposedOneByOne,
    /// The same, called by the driver for each connection.
    ComposedPush,
    /// The loop by hand.
    Raw,
    /// The same, where every poll is for everybody.
    RawOneTier,
    RawSplice,
    Wstd,
    /// Its `io::copy`, which splices.
    WstdCopy,
    Std,
    Asyncio,
    Tokio,
}

impl Peer {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::OursSplice => "ours, splice",
            Self::OursAes => "ours, AES-GCM",
            Self::Composed => "composed",
            Self::ComposedOneByOne => "composed, one by one",
            Self::ComposedPush => "composed, push",
            Self::Raw => "raw",
            Self::RawOneTier => "raw, one tier",
            Self::RawSplice => "raw, splice",
            Self::Wstd => "wstd",
            Self::WstdCopy => "wstd, io::copy",
            Self::Std => "std::net",
            Self::Asyncio => "CPython asyncio",
            Self::Tokio => "native tokio",
        }
    }

    /// What it is called where it speaks TLS.
    pub(crate) fn name_in(self, mode: Mode) -> &'static str {
        match (self, mode) {
            (Self::Asyncio, Mode::Tls) => "CPython ssl",
            (Self::Tokio, Mode::Tls) => "native rustls",
            _ => self.name(),
        }
    }
}

/// What the server does with its clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Echo,
    Churn,
    Lines,
    LinesBorrowed,
    Tls,
    /// Ours alone: [`Mode::Echo`] in lines, and it says how much memory it has.
    Memory,
    /// The same in [`Mode::Churn`].
    MemoryChurn,
}

impl Mode {
    fn argument(self) -> &'static str {
        match self {
            Self::Echo | Self::Memory => "echo",
            Self::Churn | Self::MemoryChurn => "churn",
            Self::Lines => "lines",
            Self::LinesBorrowed => "lines-borrowed",
            Self::Tls => "tls-echo",
        }
    }
}

/// Where things are.
#[derive(Debug)]
pub(crate) struct Places {
    pub(crate) root: PathBuf,
    pub(crate) python: String,
    /// The folder of `server.pem` and `server.key`.
    pub(crate) certificates: PathBuf,
}

impl Places {
    fn guest(&self, component: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.root.join("target/release/wasi-streams-run"));
        if arguments.iter().any(|argument| argument.starts_with(CERTIFICATES)) {
            command.arg("--dir").arg(format!("{}::{CERTIFICATES}", self.certificates.display()));
        }
        command.arg("--net").arg(component).args(arguments);
        command
    }

    fn native(&self, mut command: Command, mode: Mode) -> Command {
        command.arg(mode.argument());
        if mode == Mode::Tls {
            command.arg(self.certificates.join("server.pem")).arg(self.certificates.join("server.key"));
        }
        command
    }

    /// Where cargo leaves a component.
    fn built(&self, name: &str) -> PathBuf {
        self.root.join("target/wasm32-wasip2/component").join(name).with_extension("wasm")
    }

    /// How `peer` is started.
    pub(crate) fn command(&self, peer: Peer, mode: Mode) -> Result<Command> {
        let guest = |name: &str, arguments: &[&str]| self.guest(&self.built(name), arguments);
        let composed = |name: &str, arguments: &[&str]| {
            self.guest(&self.root.join("target/components/composed").join(name).with_extension("wasm"), arguments)
        };
        Ok(match peer {
            Peer::Ours | Peer::OursAes if mode == Mode::Tls => {
                guest("bench-ours-tls", &["certificates/server.pem", "certificates/server.key"])
            }
            Peer::Ours if matches!(mode, Mode::Memory | Mode::MemoryChurn) => guest("bench-memory", &[mode.argument()]),
            Peer::Ours | Peer::OursAes => guest("bench-ours", &[mode.argument()]),
            Peer::OursSplice => guest("bench-ours", &["splice"]),
            Peer::Composed => composed("rust-echo-server", &["127.0.0.1", "0"]),
            Peer::ComposedOneByOne => composed("rust-echo-one-by-one", &["127.0.0.1", "0"]),
            Peer::ComposedPush => composed("rust-push", &["--port", "0"]),
            Peer::Raw => guest("bench-raw", &[mode.argument()]),
            Peer::RawOneTier => guest("bench-raw", &[mode.argument(), "--one-tier"]),
            Peer::RawSplice => guest("bench-raw", &["splice"]),
            Peer::Wstd => guest("bench-wstd", &[mode.argument()]),
            Peer::WstdCopy => guest("bench-wstd", &["splice"]),
            Peer::Std => guest("bench-std", &[mode.argument()]),
            Peer::Asyncio => {
                let mode = if mode == Mode::LinesBorrowed { Mode::Lines } else { mode }; // it has one kind of line
                let mut command = Command::new(&self.python);
                command.arg(self.root.join("bench/peers/asyncio_peer.py"));
                self.native(command, mode)
            }
            Peer::Tokio => {
                let mut command = Command::new(std::env::current_exe()?);
                command.arg("serve");
                self.native(command, mode)
            }
        })
    }
}

/// A server that runs; it is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) peer: Peer,
    pub(crate) address: SocketAddr,
    child: Child,
    /// Open as long as it runs: it may have more to say.
    output: BufReader<ChildStdout>,
}

impl Server {
    pub(crate) fn start(places: &Places, peer: Peer, mode: Mode) -> Result<Self> {
        let mut command = places.command(peer, mode)?;
        command.stdin(Stdio::null());
        Self::spawn(command, peer)
    }

    /// One that counts what it calls of its host.
    pub(crate) fn start_counted(places: &Places, peer: Peer, component: &str) -> Result<Self> {
        let mut command = Command::new(places.root.join("target/release/wasi-streams-count"));
        command.arg(places.built(component)).arg(Mode::Echo.argument()).stdin(Stdio::piped());
        Self::spawn(command, peer)
    }

    fn spawn(mut command: Command, peer: Peer) -> Result<Self> {
        let child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let mut child = child.with_context(|| format!("starting {command:?}"))?;
        match read_port(&mut child) {
            Ok((port, output)) => Ok(Self { peer, address: ([127, 0, 0, 1], port).into(), child, output }),
            Err(error) => {
                end(&mut child);
                Err(error.context(format!("waiting for {command:?}")))
            }
        }
    }

    /// What it has called of its host so far, and how often: one that counts.
    pub(crate) fn calls(&mut self) -> Result<BTreeMap<String, u64>> {
        self.child.stdin.as_mut().context("it does not count")?.write_all(b"\n")?;
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        let call = |pair: &str| {
            let (name, count) = pair.split_once('=')?;
            Some((name.to_owned(), count.parse().ok()?))
        };
        line.split_whitespace().map(|pair| call(pair).with_context(|| format!("it says {pair:?}"))).collect()
    }

    /// The time that all of its threads have run; none where the system does not say.
    pub(crate) fn cpu(&self) -> Option<Duration> {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.child.id())).ok()?;
        let of_task = |task: std::io::Result<fs::DirEntry>| -> Option<u64> {
            let text = fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
            text.split_whitespace().next()?.parse().ok()
        };
        Some(Duration::from_nanos(tasks.filter_map(of_task).sum()))
    }

    /// Waits until it has done what is left of the last load, which would slow the next server down.
    pub(crate) fn settle(&self) {
        let mut before = self.cpu();
        for _ in 0..SETTLING {
            thread::sleep(Duration::from_millis(5));
            let now = self.cpu();
            if now.zip(before).is_none_or(|(now, before)| now.saturating_sub(before) < Duration::from_micros(500)) {
                return;
            }
            before = now;
        }
    }

    /// How many bytes of memory it has on the machine.
    pub(crate) fn resident(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        Some(line.trim().trim_end_matches(" kB").parse::<u64>().ok()? * 1024)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

fn end(child: &mut Child) {
    // It may have ended by itself.
    let _ = child.kill();
    let _ = child.wait();
}

/// The first line ends with the port.
fn read_port(child: &mut Child) -> Result<(u16, BufReader<ChildStdout>)> {
    let mut output = BufReader::new(child.stdout.take().context("it has no output")?);
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut line = String::new();
        let read = output.read_line(&mut line).map(|_| (line, output));
        sender.send(read) // nobody waits for it any more if it took too long
    });
    let read = receiver.recv_timeout(STARTING).with_context(|| format!("it said nothing for {STARTING:?}"))?;
    let (line, output) = read?;
    let digits = line.trim_end().rsplit(|c: char| !c.is_ascii_digit()).next();
    let port = digits.and_then(|digits| digits.parse().ok());
    Ok((port.with_context(|| format!("it ended, or began with {line:?} instead of its port"))?, output))
}

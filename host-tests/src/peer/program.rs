//! A native program as a peer.

use std::ffi::OsStr;
use std::fmt;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use super::{DEADLINE, within};
use crate::patience::patiently;

/// A running program; dropping it kills it.
#[derive(Debug)]
pub struct Program {
    name: String,
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Lines<BufReader<ChildStdout>>,
    stderr: Lines<BufReader<ChildStderr>>,
}

/// How a program ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProgramStatus {
    /// The program.
    pub name: String,
    /// Its exit status; none if a signal ended it.
    pub code: Option<i32>,
    /// What it wrote to standard output and nobody waited for.
    pub stdout: String,
    /// What it wrote to standard error and nobody waited for.
    pub stderr: String,
}

impl ProgramStatus {
    /// The status of a program that exited with 0.
    ///
    /// # Errors
    ///
    /// Any other end, with what the program wrote.
    pub fn success(self) -> Result<Self> {
        match self.code {
            Some(0) => Ok(self),
            _ => bail!("{self}"),
        }
    }
}

impl fmt::Display for ProgramStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} exited with {:?}\n{}\n{}", self.name, self.code, self.stdout, self.stderr)
    }
}

impl Program {
    /// Runs a program, with a pipe for its standard input.
    ///
    /// # Errors
    ///
    /// If there is no such program.
    pub fn run(name: &str, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Result<Self> {
        Program::run_over(name, arguments, Stdio::piped())
    }

    /// Runs a program with this as its standard input.
    ///
    /// # Errors
    ///
    /// If there is no such program.
    pub fn run_over(
        name: &str,
        arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
        stdin: impl Into<Stdio>,
    ) -> Result<Self> {
        let mut child = Command::new(name)
            .args(arguments)
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot run {name}: make setup says how to install it"))?;
        let stdout = child.stdout.take().context("standard output is piped")?;
        let stderr = child.stderr.take().context("standard error is piped")?;
        Ok(Program {
            name: name.into(),
            stdin: child.stdin.take(),
            child,
            stdout: BufReader::new(stdout).lines(),
            stderr: BufReader::new(stderr).lines(),
        })
    }

    /// The next line of standard output that starts with `prefix`; lines before it are passed over.
    ///
    /// # Errors
    ///
    /// If the program ends first, or none comes within 30 seconds; the error holds what it wrote instead.
    pub async fn wait_line(&mut self, prefix: &str) -> Result<String> {
        match next_line(&mut self.stdout, prefix).await {
            Ok(line) => Ok(line),
            Err(passed) => {
                let errors = timeout(A_MOMENT, rest(&mut self.stderr)).await.unwrap_or_default();
                bail!("no line {prefix:?} from {}\n{passed}\n{errors}", self.name)
            }
        }
    }

    /// The same for standard error.
    ///
    /// # Errors
    ///
    /// If the program ends first, or none comes within 30 seconds.
    pub async fn wait_stderr_line(&mut self, prefix: &str) -> Result<String> {
        let line = next_line(&mut self.stderr, prefix).await;
        line.map_err(|passed| anyhow!("no line {prefix:?} among the errors of {}\n{passed}", self.name))
    }

    /// Writes to standard input.
    ///
    /// # Errors
    ///
    /// If it is closed, or the program does not read.
    pub async fn write_stdin(&mut self, bytes: &[u8]) -> Result<()> {
        let stdin = self.stdin.as_mut().context("standard input is closed")?;
        within("the program to read", stdin.write_all(bytes)).await
    }

    /// Ends standard input.
    pub fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// Ends the program, wherever it is: the system closes its connections.
    ///
    /// # Errors
    ///
    /// If the system refuses.
    pub async fn kill(mut self) -> Result<()> {
        within("the program to be gone", self.child.kill()).await
    }

    /// Ends standard input and waits for the program's end.
    ///
    /// # Errors
    ///
    /// If it does not end within 30 seconds.
    pub async fn finish(mut self) -> Result<ProgramStatus> {
        self.close_stdin();
        // Both at once, or a program that writes much to one waits for us while we wait for the other.
        let output = async { tokio::join!(rest(&mut self.stdout), rest(&mut self.stderr), self.child.wait()) };
        let ended = patiently(DEADLINE, output).await;
        let (stdout, stderr, status) = ended.with_context(|| format!("{} runs on after {DEADLINE:?}", self.name))?;
        Ok(ProgramStatus { name: self.name, code: status?.code(), stdout, stderr })
    }
}

/// The next line that starts so, else those that were passed over.
async fn next_line(lines: &mut Lines<BufReader<impl AsyncRead + Unpin>>, prefix: &str) -> Result<String, String> {
    let mut passed = String::new();
    while let Some(Ok(Some(line))) = patiently(DEADLINE, lines.next_line()).await {
        if line.starts_with(prefix) {
            return Ok(line);
        }
        passed.push_str(&line);
        passed.push('\n');
    }
    Err(passed)
}

/// All lines to the end, or to one that is no text.
async fn rest(lines: &mut Lines<BufReader<impl AsyncRead + Unpin>>) -> String {
    let mut text = String::new();
    while let Ok(Some(line)) = lines.next_line().await {
        text.push_str(&line);
        text.push('\n');
    }
    text
}

/// How long a program that runs on may take to say what is wrong.
const A_MOMENT: Duration = Duration::from_secs(1);

//! Python as a peer: the implementation whose behaviour is the measure.

use std::ffi::OsStr;
use std::fmt;
use std::process::Stdio;
use std::sync::OnceLock;

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use super::{DEADLINE, within};

/// A running script; dropping it kills it.
#[derive(Debug)]
pub struct Python {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Lines<BufReader<ChildStdout>>,
}

/// How a script ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PythonStatus {
    /// Its exit status; none if a signal ended it.
    pub code: Option<i32>,
    /// What it wrote to standard output and nobody waited for.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
}

impl fmt::Display for PythonStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "python exited with {:?}\n{}\n{}", self.code, self.stdout, self.stderr)
    }
}

impl Python {
    /// Runs this text, with the newest of python3.13, python3.12 and python3 that works.
    ///
    /// # Errors
    ///
    /// If there is no Python.
    pub fn run(script: &str, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Result<Self> {
        let interpreter = interpreter().context("none of python3.13, python3.12 and python3 runs: install one")?;
        let mut child = Command::new(interpreter)
            .args(["-u", "-X", "utf8", "-c", script])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot run {interpreter}"))?;
        let stdout = child.stdout.take().context("standard output is piped")?;
        Ok(Python { stdin: child.stdin.take(), child, lines: BufReader::new(stdout).lines() })
    }

    /// The next line of standard output that starts with `prefix`; lines before it are passed over.
    ///
    /// # Errors
    ///
    /// If the script ends first, or none comes within 30 seconds; the error holds its standard error.
    pub async fn wait_line(&mut self, prefix: &str) -> Result<String> {
        while let Some(line) = within("a line of the script", self.lines.next_line()).await? {
            if line.starts_with(prefix) {
                return Ok(line);
            }
        }
        bail!("no line {prefix:?}\n{}", self.errors().await)
    }

    /// Writes to standard input.
    ///
    /// # Errors
    ///
    /// If it is closed, or the script does not read.
    pub async fn write_stdin(&mut self, bytes: &[u8]) -> Result<()> {
        let stdin = self.stdin.as_mut().context("standard input is closed")?;
        within("the script to read", stdin.write_all(bytes)).await
    }

    /// Ends standard input.
    pub fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// Ends standard input and waits for the script's end.
    ///
    /// # Errors
    ///
    /// If it does not end within 30 seconds.
    pub async fn finish(mut self) -> Result<PythonStatus> {
        self.close_stdin();
        let mut stderr = self.child.stderr.take();
        let errors = async {
            let mut text = String::new();
            if let Some(stderr) = &mut stderr {
                let _ = stderr.read_to_string(&mut text).await;
            }
            text
        };
        let lines = &mut self.lines;
        let output = async {
            let mut text = String::new();
            while let Ok(Some(line)) = lines.next_line().await {
                text.push_str(&line);
                text.push('\n');
            }
            text
        };
        // Both at once, or a script that writes much to one waits for us while we wait for the other.
        let ended = timeout(DEADLINE, async { tokio::join!(output, errors, self.child.wait()) });
        let (stdout, stderr, status) = ended.await.with_context(|| format!("the script runs on after {DEADLINE:?}"))?;
        Ok(PythonStatus { code: status?.code(), stdout, stderr })
    }

    async fn errors(&mut self) -> String {
        let mut text = String::new();
        if let Some(stderr) = &mut self.child.stderr {
            let _ = timeout(DEADLINE, stderr.read_to_string(&mut text)).await;
        }
        text
    }
}

fn interpreter() -> Option<&'static str> {
    static FOUND: OnceLock<Option<&str>> = OnceLock::new();
    *FOUND.get_or_init(|| {
        // A version manager's stand-in exists for versions that it does not have: only running it tells.
        let runs = |name: &&str| {
            let mut command = std::process::Command::new(name);
            command.args(["-c", ""]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            command.status().is_ok_and(|status| status.success())
        };
        ["python3.13", "python3.12", "python3"].into_iter().find(runs)
    })
}

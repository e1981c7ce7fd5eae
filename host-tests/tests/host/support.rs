//! What several topics need: the bytes that fixtures send, who may run beside whom, many descriptors, folders, and a guest
//! in a process of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use wasi_streams_host::peer::Peer;
use wasi_streams_host::{components_dir, patiently};

/// How long anything may take.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// The longest pause of a guest's ticker that is no freeze, in milliseconds.
pub(crate) const LONGEST_PAUSE: u64 = 500;

static WEIGHT: RwLock<()> = RwLock::new(());

/// Held by a test that takes both processors for seconds: it runs alone among those that say either.
pub(crate) fn heavy() -> RwLockWriteGuard<'static, ()> {
    WEIGHT.write().unwrap_or_else(PoisonError::into_inner)
}

/// Held by a test that looks at pauses: no heavy one runs beside it.
pub(crate) fn timely() -> RwLockReadGuard<'static, ()> {
    WEIGHT.read().unwrap_or_else(PoisonError::into_inner)
}

/// The bytes that fixtures send: of no two stretches alike.
pub(crate) fn pattern(length: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(length + 8);
    let mut word = 0_u64;
    while bytes.len() < length {
        bytes.extend(word.to_le_bytes());
        word = word.wrapping_add(0x9E37_79B9_7F4A_7C15);
    }
    bytes.truncate(length);
    bytes
}

/// Fails with the first position at which the bytes differ, not with megabytes.
pub(crate) fn assert_same(actual: &[u8], expected: &[u8]) {
    let differing = actual.iter().zip(expected).position(|(a, b)| a != b);
    assert_eq!(differing, None, "first difference");
    assert_eq!(actual.len(), expected.len(), "number of bytes");
}

/// Lets this process have so many descriptors.
///
/// # Errors
///
/// If the system does not allow as many.
pub(crate) fn need_descriptors(count: u64) -> Result<()> {
    let allowed = raise_descriptors(count)?;
    ensure!(
        allowed >= count,
        "this test needs {count} file descriptors, and the hard limit is {allowed}: raise it (ulimit -Hn)"
    );
    Ok(())
}

/// Lets this process have so many descriptors, or as many as the hard limit allows; says how many it may have.
///
/// # Errors
///
/// If the system does not keep to its own limit.
pub(crate) fn raise_descriptors(count: u64) -> Result<u64> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let allowed = current.unwrap_or(u64::MAX);
    let wanted = count.min(maximum.unwrap_or(u64::MAX));
    if allowed < wanted {
        setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum })?;
    }
    Ok(allowed.max(wanted))
}

/// One read of up to 64 KiB: what has come in, or nothing at the end.
///
/// # Errors
///
/// If the connection is lost, or nothing comes.
pub(crate) async fn read_piece(peer: &mut Peer) -> Result<Vec<u8>> {
    let mut piece = vec![0; 64 * 1024];
    let length = patiently(DEADLINE, peer.stream().read(&mut piece)).await.context("waited for data")??;
    piece.truncate(length);
    Ok(piece)
}

/// The number after `prefix`, in a line that a guest wrote.
pub(crate) fn number(line: &str, prefix: &str) -> Result<u64> {
    let number = line.strip_prefix(prefix).with_context(|| format!("{line:?} does not start with {prefix:?}"))?;
    Ok(number.trim().parse()?)
}

/// A folder of one test, deleted at its end.
#[derive(Debug)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("wasi-streams-test-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).expect("a folder");
        Folder(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file into it.
    pub(crate) fn write(&self, name: &str, contents: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, contents).expect("a file");
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A guest in a process of its own, run by the runner: for what belongs to a process, descriptors above all.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Lines<BufReader<ChildStdout>>,
    stderr: Lines<BufReader<ChildStderr>>,
}

impl Process {
    /// Runs a component of `target/components` with at most so many descriptors, if that is said.
    pub(crate) fn start(component: &str, arguments: &[&str], descriptors: Option<u32>) -> Result<Self> {
        let path: PathBuf = components_dir().join(format!("{component}.wasm"));
        ensure!(path.exists(), "{}: run make components", path.display());
        let limit = descriptors.map_or(String::new(), |count| format!("ulimit -n {count} && "));
        let mut child = Command::new("sh")
            .arg("-c")
            .arg(format!("{limit}exec \"$0\" \"$@\""))
            .arg(env!("CARGO_BIN_EXE_wasi-streams-run"))
            .arg(path)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let stdout = child.stdout.take().context("standard output is piped")?;
        let stderr = child.stderr.take().context("standard error is piped")?;
        Ok(Process {
            stdin: child.stdin.take(),
            child,
            stdout: BufReader::new(stdout).lines(),
            stderr: BufReader::new(stderr).lines(),
        })
    }

    /// The next line of standard output that starts with `prefix`.
    pub(crate) async fn wait_line(&mut self, prefix: &str) -> Result<String> {
        wait_line(&mut self.stdout, prefix).await
    }

    /// The next line of standard error that starts with `prefix`.
    pub(crate) async fn wait_stderr_line(&mut self, prefix: &str) -> Result<String> {
        wait_line(&mut self.stderr, prefix).await
    }

    /// Writes to standard input.
    pub(crate) async fn write_stdin(&mut self, text: &str) -> Result<()> {
        let stdin = self.stdin.as_mut().context("standard input is open")?;
        Ok(patiently(DEADLINE, stdin.write_all(text.as_bytes())).await.context("it takes too long")??)
    }

    /// How many descriptors it has open.
    pub(crate) fn descriptors(&self) -> Result<usize> {
        let id = self.child.id().context("the runner has ended")?;
        Ok(fs::read_dir(format!("/proc/{id}/fd"))?.count())
    }

    /// Waits until it has so many descriptors open.
    pub(crate) async fn wait_descriptors(&self, wanted: usize) -> Result<()> {
        let waited = patiently(DEADLINE, async {
            while self.descriptors()? != wanted {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            anyhow::Ok(())
        });
        match waited.await {
            Some(result) => result,
            None => bail!("{} descriptors stay open, not {wanted}", self.descriptors()?),
        }
    }

    /// Closes standard input and waits for the end.
    pub(crate) async fn finish(mut self) -> Result<ExitStatus> {
        self.stdin = None;
        Ok(patiently(DEADLINE, self.child.wait()).await.context("the runner does not end")??)
    }
}

async fn wait_line(lines: &mut Lines<BufReader<impl AsyncRead + Unpin>>, prefix: &str) -> Result<String> {
    let waited = patiently(DEADLINE, async {
        while let Some(line) = lines.next_line().await? {
            if line.starts_with(prefix) {
                return Ok(line);
            }
        }
        bail!("ended without a line {prefix:?}")
    });
    waited.await.with_context(|| format!("no line {prefix:?}"))?
}

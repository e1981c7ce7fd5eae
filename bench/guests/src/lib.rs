//! What the guests of the benchmark have in common.

use std::io::{Write, stdout};

/// How much a server reads at once, at most.
pub const CHUNK: usize = 64 * 1024;

/// Which server to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Sends back everything.
    Echo,
    /// The same, where the host moves the bytes.
    Splice,
    /// Answers one line and closes; see [`Question`].
    Churn,
    /// Counts lines until the end and answers with the number, each line a value of its own.
    Lines,
    /// The same with lines that are only looked at.
    LinesBorrowed,
}

impl Mode {
    /// Reads the program's first argument.
    ///
    /// # Errors
    ///
    /// No argument, or one that is no mode.
    pub fn from_args() -> anyhow::Result<Self> {
        match std::env::args().nth(1).as_deref() {
            Some("echo") => Ok(Self::Echo),
            Some("splice") => Ok(Self::Splice),
            Some("churn") => Ok(Self::Churn),
            Some("lines") => Ok(Self::Lines),
            Some("lines-borrowed") => Ok(Self::LinesBorrowed),
            _ => anyhow::bail!("usage: echo | splice | churn | lines | lines-borrowed"),
        }
    }
}

/// What a client asks a server in [`Mode::Churn`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// Any other line: send it back.
    Echo,
    /// How many bytes the memory of the guest has.
    Memory,
    /// Keep the connection and read nothing from it any more.
    Hold,
}

impl Question {
    /// What a line asks.
    pub fn of(line: &[u8]) -> Self {
        match line {
            b"memory\n" => Self::Memory,
            b"hold\n" => Self::Hold,
            _ => Self::Echo,
        }
    }
}

/// Bytes that the guest's memory has; it never shrinks.
pub fn memory() -> usize {
    #[cfg(target_family = "wasm")]
    return std::arch::wasm32::memory_size::<0>() * 64 * 1024;
    #[cfg(not(target_family = "wasm"))]
    return 0;
}

/// Says where the server is, as the benchmark expects it.
///
/// # Errors
///
/// Those of standard output.
pub fn announce(port: u16) -> std::io::Result<()> {
    writeln!(stdout(), "port {port}")
}

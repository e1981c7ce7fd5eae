//! What the guests of the benchmark have in common.

use std::io::{Write, stdout};

use wasi_streams::{Result as StreamResult, StreamReader, StreamWriter};

/// How much a server reads at once, at most.
pub const CHUNK: usize = 64 * 1024;

/// Which server to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Sends back everything.
    Echo,
    /// The same, where the host moves the bytes.
    Splice,
    /// Answers one line and closes.
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

/// Says where the server is, as the benchmark expects it.
///
/// # Errors
///
/// Those of standard output.
pub fn announce(port: u16) -> std::io::Result<()> {
    writeln!(stdout(), "port {port}")
}

/// The echo server on wasi-streams, as one would write it.
///
/// # Errors
///
/// Those of the connection.
pub async fn echo(mut reader: StreamReader, writer: StreamWriter) -> StreamResult<()> {
    loop {
        let data = reader.read(CHUNK).await?;
        if data.is_empty() {
            writer.close();
            return writer.wait_closed().await;
        }
        writer.write(data)?;
        writer.drain().await?;
    }
}

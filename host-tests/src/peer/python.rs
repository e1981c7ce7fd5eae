//! Python as a peer: the implementation whose behaviour is the measure.

use std::ffi::{OsStr, OsString};
use std::process::Stdio;
use std::sync::OnceLock;

use anyhow::{Context, Result};

use super::Program;

/// CPython.
#[derive(Debug)]
pub struct Python;

impl Python {
    /// Runs this text, with the newest of python3.13, python3.12 and python3 that works.
    ///
    /// # Errors
    ///
    /// If there is no Python.
    pub fn run(script: &str, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Result<Program> {
        let interpreter = interpreter().context("none of python3.13, python3.12 and python3 runs: install one")?;
        let mut all: Vec<OsString> = ["-u", "-X", "utf8", "-c", script].map(OsString::from).into();
        all.extend(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
        Program::run(interpreter, all)
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

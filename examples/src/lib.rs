//! What the example programs share: options, errors, the end of a server; nothing about streams.
//!
//! Built for anything but WASI the programs see the simulated network of the library, which is for their tests only.

mod repr;

use std::fmt::Display;
use std::io::{self, Write};
use std::process::{ExitCode, Termination};
use std::time::Duration;

use futures_lite::io::{copy, sink};
use lexopt::Parser;
use wasi_streams::{Report, Server, set_report_hook, stdin};

pub use repr::repr;

/// The exit status for arguments that make no sense. A component can only say that it failed, which is status 1.
const BAD_USAGE: u8 = 2;

/// Runs a program: `parse` makes options of the arguments, `program` does the rest.
///
/// An error becomes one line on standard error and exit status 1, or 2 for bad arguments; `--help` prints `usage`.
pub fn main<O, T: Termination>(
    name: &'static str,
    usage: &str,
    parse: impl FnOnce(Parser) -> Result<O, lexopt::Error>,
    program: impl FnOnce(O) -> anyhow::Result<T>,
) -> ExitCode {
    if help_wanted(std::env::args_os()) {
        // Whoever closed standard output does not want to know.
        let _ = writeln!(io::stdout(), "{}", usage.trim());
        return ExitCode::SUCCESS;
    }
    let options = match parse(Parser::from_env()) {
        Ok(options) => options,
        Err(error) => {
            complain(name, format_args!("{error} (--help shows the options)"));
            return BAD_USAGE.into();
        }
    };
    // Where the library has no caller to give an error to, a handler that failed for example, a line is written.
    set_report_hook(move |report| {
        if !matches!(report, Report::WriterDropped { .. }) {
            complain(name, report);
        }
    });
    match program(options) {
        Ok(outcome) => outcome.report(),
        Err(error) => {
            complain(name, format_args!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Writes one line to standard error. Unlike `eprintln!` it does not panic when that is closed.
pub fn complain(name: &str, what: impl Display) {
    let _ = writeln!(io::stderr(), "{name}: {what}");
}

fn help_wanted<T: Into<std::ffi::OsString>>(arguments: impl IntoIterator<Item = T>) -> bool {
    let mut options = arguments.into_iter().map(Into::into).take_while(|argument| argument != "--");
    options.any(|argument| argument == "--help" || argument == "-h")
}

/// Reads a time in seconds, as the value of an option.
///
/// # Errors
///
/// When it is not a positive number.
pub fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.filter(|duration| !duration.is_zero()).ok_or_else(|| "a positive number of seconds is needed".into())
}

/// Returns the addresses of a server, separated by commas.
pub fn addresses(server: &Server) -> String {
    let addresses: Vec<String> = server.sockets().iter().map(ToString::to_string).collect();
    addresses.join(", ")
}

/// Serves for ever; or until standard input ends, and then until the last connection is gone.
///
/// # Errors
///
/// When the server or standard input fails.
pub async fn serve(server: Server, until_stdin_closes: bool) -> anyhow::Result<()> {
    if !until_stdin_closes {
        return Ok(server.serve_forever().await?);
    }
    copy(stdin(), sink()).await?;
    server.close();
    server.wait_closed().await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_is_asked_for_by_an_option_only() {
        assert!(help_wanted(["echo", "--help"]));
        assert!(help_wanted(["echo", "hello", "-h"]));
        assert!(!help_wanted(["echo", "help"]));
        assert!(!help_wanted(["echo", "--", "--help"]));
    }

    #[test]
    fn seconds_are_positive_numbers() {
        assert_eq!(seconds("30"), Ok(Duration::from_secs(30)));
        assert_eq!(seconds("0.25"), Ok(Duration::from_millis(250)));
        for text in ["0", "-1", "nan", "inf", "soon", ""] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }
}

//! The push driver: accepts connections, and hands each to the application that it is composed with.
//!
//! It only connects what others do. Streams and TLS are in `wasi-streams.wasm`, what is done with a connection is in the application
//! (`connection-handler` in `wit/handler.wit`); here is who waits for what, and whose turn it is.

mod bindings;
mod door;
mod options;
mod sessions;
mod waiting;

use std::fmt::Display;
use std::io::{Write, stderr, stdout};
use std::process::ExitCode;

use anyhow::{Context, Result};

use bindings::connections::{Address, Server};
use door::Door;
use options::Options;
use sessions::Sessions;
use waiting::Waiting;

/// Writes one line to standard error. Unlike `eprintln!` it does not panic when that is closed.
fn complain(what: impl Display) {
    let _ = writeln!(stderr(), "wasi-streams-driver: {what}");
}

/// `127.0.0.1:80`, `[::1]:80`.
fn text(address: &Address) -> String {
    let Address { host, port } = address;
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

fn announce(server: &Server) -> Result<()> {
    let addresses: Vec<String> = server.local_addresses().iter().map(text).collect();
    writeln!(stdout(), "Serving on {}", addresses.join(", ")).context("standard output is closed")
}

/// Accepts, and lets sessions go on, until the server fails.
fn serve(server: &Server, most: usize) -> Result<()> {
    let mut door = Door::new(server);
    let mut sessions = Sessions::default();
    let mut waiting = Waiting::new();
    loop {
        door.let_in(&mut sessions, most)?;
        sessions.go_on();
        let at_once = sessions.any_ready() || door.is_ready() && sessions.len() < most;
        waiting.wait(&mut door, &mut sessions, at_once);
    }
}

fn run(options: &Options) -> Result<()> {
    let server = options.listen()?;
    announce(&server)?;
    serve(&server, options.max_connections)
}

fn main() -> ExitCode {
    let result = match options::parse(lexopt::Parser::from_env()) {
        Ok(Some(options)) => run(&options).map_err(|error| format!("{error:#}")),
        Ok(None) => {
            // Whoever closed standard output does not want to know.
            let _ = writeln!(stdout(), "{}", options::USAGE.trim());
            return ExitCode::SUCCESS;
        }
        Err(error) => Err(format!("{error} (--help shows the options)")),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(error);
            ExitCode::FAILURE
        }
    }
}

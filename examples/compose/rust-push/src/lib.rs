//! Answers every line with the same in capitals: a session for each connection, which somebody else accepts.
//!
//! ```text
//! cargo build --target wasm32-wasip2 --release
//! wac plug wasi-streams-driver.wasm --plug target/wasm32-wasip2/release/rust_push.wasm -o served.wasm
//! wac plug served.wasm --plug wasi-streams.wasm -o capitals.wasm
//! wasmtime run -S tcp,inherit-network,allow-ip-name-lookup capitals.wasm --port 8888
//! ```
//!
//! The driver speaks TLS as well: `--tls-cert` and `--tls-key`; `--help` shows its options.

mod bindings;

use std::cell::Cell;

use bindings::connection_handler::{Guest, GuestSession, Pollable};
use bindings::connections::{Error, Reader, Writer};

/// So often a session may go from state to state in one step: then the others get their turn.
const AT_ONCE: usize = 100;

/// What the component exports.
struct Application;

impl Guest for Application {
    type Session = Capitals;
}

/// One connection. While the client does not take its answers nothing more is read from it.
struct Capitals {
    reader: Reader,
    writer: Writer,
    state: Cell<State>,
}

#[derive(Clone, Copy)]
enum State {
    Reading,
    Draining,
    Closing,
    Over,
}

impl Capitals {
    /// Goes from one state to the next; false for "not yet".
    fn advance(&self) -> Result<bool, Error> {
        let next = match self.state.get() {
            State::Reading => match self.reader.try_read_line()? {
                None => return Ok(false),
                Some(line) if line.is_empty() => {
                    self.writer.close();
                    State::Closing
                }
                Some(line) => {
                    self.writer.write(&line.to_ascii_uppercase())?;
                    State::Draining
                }
            },
            State::Draining if self.writer.try_drain()? => State::Reading,
            // Only now everything is sent.
            State::Closing if self.writer.try_wait_closed()? => State::Over,
            State::Draining | State::Closing | State::Over => return Ok(false),
        };
        self.state.set(next);
        Ok(true)
    }

    fn go_on(&self) -> Result<(), Error> {
        for _ in 0..AT_ONCE {
            if !self.advance()? {
                break;
            }
        }
        Ok(())
    }
}

impl GuestSession for Capitals {
    fn new(reader: Reader, writer: Writer) -> Self {
        Self { reader, writer, state: Cell::new(State::Reading) }
    }

    fn step(&self) -> Option<Result<(), String>> {
        match self.go_on() {
            Err(error) => Some(Err(error.message)),
            Ok(()) => matches!(self.state.get(), State::Over).then_some(Ok(())),
        }
    }

    fn subscribe(&self) -> Vec<Pollable> {
        match self.state.get() {
            State::Reading => self.reader.subscribe(),
            State::Draining | State::Closing | State::Over => self.writer.subscribe(),
        }
    }
}

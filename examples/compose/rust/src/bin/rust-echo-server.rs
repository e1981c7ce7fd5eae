//! Echoes what every client sends, many clients at once: the `try-` forms and `wait`.
//!
//! ```text
//! cargo build --target wasm32-wasip2 --release
//! wac plug target/wasm32-wasip2/release/rust-echo-server.wasm --plug wasi-streams.wasm -o echo-server.wasm
//! wasmtime run -S tcp,inherit-network,allow-ip-name-lookup echo-server.wasm 127.0.0.1 8888
//! ```
//!
//! A third and a fourth argument are the certificate and the key of a TLS server, PEM files.

use anyhow::{Context, Result};
use compose_rust::connections::{self, Interest, ListenOptions, Reader, Server, TlsServerConfig, Writer, listen, wait};
use compose_rust::shown;

/// How much is read at once.
const CHUNK: u32 = 64 * 1024;

/// One client: its data goes back; nothing more is read while it does not take that.
struct Client {
    reader: Reader,
    writer: Writer,
    state: State,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Reading,
    Draining,
    Closing,
}

impl Client {
    /// Goes as far as is possible without waiting; false when the connection is over.
    fn step(&mut self) -> Result<bool, connections::Error> {
        loop {
            match self.state {
                State::Reading => match self.reader.try_read(CHUNK)? {
                    None => return Ok(true),
                    Some(data) if data.is_empty() => {
                        self.writer.close();
                        self.state = State::Closing;
                    }
                    Some(data) => {
                        self.writer.write(&data)?;
                        self.state = State::Draining;
                    }
                },
                State::Draining if self.writer.try_drain()? => self.state = State::Reading,
                State::Closing if self.writer.try_wait_closed()? => return Ok(false),
                State::Draining | State::Closing => return Ok(true),
            }
        }
    }

    /// Steps; false when the client has left, or its connection has failed.
    fn go_on(&mut self) -> bool {
        self.step().unwrap_or_else(|error| {
            eprintln!("{}", error.message);
            false
        })
    }

    /// What the next step waits for.
    fn interest(&self) -> Interest<'_> {
        match self.state {
            State::Reading => Interest::Readable(&self.reader),
            State::Draining => Interest::Drained(&self.writer),
            State::Closing => Interest::Closed(&self.writer),
        }
    }
}

/// Waits for the server and all clients; those that may go on get their turn, and no others.
fn serve(server: &Server) -> Result<()> {
    let mut clients: Vec<Client> = Vec::new();
    loop {
        let mut on = vec![Interest::Acceptable(server)];
        on.extend(clients.iter().map(Client::interest));
        let ready = wait(&on, None)?;
        drop(on);
        // From the end: the one that takes the place of a client that has left has had its turn.
        for index in ready.into_iter().rev() {
            match (index as usize).checked_sub(1) {
                Some(client) if !clients[client].go_on() => drop(clients.swap_remove(client)),
                Some(_) => {}
                None => {
                    while let Some((reader, writer)) = server.try_accept()? {
                        clients.push(Client { reader, writer, state: State::Reading });
                    }
                }
            }
        }
    }
}

fn tls(certificate: &str, key: &str) -> Result<TlsServerConfig> {
    let read = |file: &str| std::fs::read_to_string(file).with_context(|| format!("cannot read {file}"));
    let config = TlsServerConfig::new();
    config.add_identity_pem(&read(certificate)?, &read(key)?);
    Ok(config)
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let options = ListenOptions::new();
    let (host, port) = match &arguments[..] {
        [host, port] => (host, port),
        [host, port, certificate, key] => {
            options.set_tls(&tls(certificate, key)?);
            (host, port)
        }
        _ => anyhow::bail!("usage: rust-echo-server HOST PORT [CERTIFICATE KEY]"),
    };
    let server = listen(std::slice::from_ref(host), port.parse()?, Some(&options))?;
    for address in server.local_addresses() {
        println!("Serving on {}", shown(&address));
    }
    serve(&server)
}

//! Echoes what clients send, one client after the other: the blocking forms, and the shortest server there is.
//!
//! ```text
//! cargo build --target wasm32-wasip2 --release
//! wac plug target/wasm32-wasip2/release/rust-echo-one-by-one.wasm --plug wasi-streams.wasm -o echo-one-by-one.wasm
//! wasmtime run -S tcp,inherit-network,allow-ip-name-lookup echo-one-by-one.wasm 127.0.0.1 8888
//! ```

use compose_rust::connections::{Error, Reader, Writer, listen};
use compose_rust::{arguments, shown};

/// How much is read at once.
const CHUNK: u32 = 64 * 1024;

fn echo(reader: &Reader, writer: &Writer) -> Result<(), Error> {
    loop {
        let data = reader.read(CHUNK)?;
        if data.is_empty() {
            writer.close();
            return writer.wait_closed();
        }
        writer.write(&data)?;
        writer.drain()?;
    }
}

fn main() -> anyhow::Result<()> {
    let [host, port] = arguments("rust-echo-one-by-one HOST PORT")?;
    let server = listen(&[host], port.parse()?, None)?;
    for address in server.local_addresses() {
        println!("Serving on {}", shown(&address));
    }
    loop {
        let (reader, writer) = server.accept()?;
        // A client that fails is no reason not to serve the next one.
        if let Err(error) = echo(&reader, &writer) {
            eprintln!("{}", error.message);
        }
    }
}

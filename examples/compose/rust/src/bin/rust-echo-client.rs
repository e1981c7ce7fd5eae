//! Sends a message and shows the answer: the blocking forms.
//!
//! ```text
//! cargo build --target wasm32-wasip2 --release
//! wac plug target/wasm32-wasip2/release/rust-echo-client.wasm --plug wasi-streams.wasm -o echo-client.wasm
//! wasmtime run -S tcp,inherit-network,allow-ip-name-lookup echo-client.wasm 127.0.0.1 8888 'Hello World!'
//! ```

use compose_rust::{arguments, connections::connect};

fn main() -> anyhow::Result<()> {
    let [host, port, message] = arguments("rust-echo-client HOST PORT MESSAGE")?;
    let (reader, writer) = connect(&host, port.parse()?, None)?;

    println!("Send: {message:?}");
    writer.write(message.as_bytes())?;
    writer.drain()?;

    let answer = reader.read(100)?;
    println!("Received: {:?}", String::from_utf8_lossy(&answer));

    println!("Close the connection");
    writer.close();
    writer.wait_closed()?; // nothing moves between calls: without this the goodbye may never be sent
    Ok(())
}

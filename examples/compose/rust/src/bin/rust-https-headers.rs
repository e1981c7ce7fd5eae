//! Shows the headers of a web page over TLS: lines, and a configuration of TLS.
//!
//! ```text
//! cargo build --target wasm32-wasip2 --release
//! wac plug target/wasm32-wasip2/release/rust-https-headers.wasm --plug wasi-streams.wasm -o https-headers.wasm
//! wasmtime run -S tcp,inherit-network,allow-ip-name-lookup https-headers.wasm example.org 443 /
//! ```
//!
//! The authorities are those of the web, or those in the file that the environment variable `SSL_CERT_FILE` names.

use compose_rust::arguments;
use compose_rust::connections::{ConnectOptions, TlsClientConfig, connect};

fn main() -> anyhow::Result<()> {
    let [host, port, path] = arguments("rust-https-headers HOST PORT PATH")?;
    let options = ConnectOptions::new();
    options.set_tls(&TlsClientConfig::new(), None);
    options.set_timeout(30_000);
    let (reader, writer) = connect(&host, port.parse()?, Some(&options))?;

    writer.write(format!("HEAD {path} HTTP/1.0\r\nHost: {host}\r\n\r\n").as_bytes())?;
    loop {
        let line = reader.read_line()?;
        let line = String::from_utf8_lossy(&line);
        if line.trim_end().is_empty() {
            break;
        }
        println!("HTTP header> {}", line.trim_end());
    }
    writer.close();
    writer.wait_closed()?;
    Ok(())
}

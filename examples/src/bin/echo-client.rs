//! Sends a message to a server and shows the answer: connecting, writing, reading, closing.
//!
//! ```text
//! cargo run -p wasi-streams-examples --bin echo-client --target wasm32-wasip2 -- --port 8888 'Hello World!'
//! wasmtime run -S tcp,inherit-network,allow-ip-name-lookup target/components/echo-client.wasm --port 8888 'Hello World!'
//! ```

use std::io::{Write, stdout};
use std::process::ExitCode;

use anyhow::Context;
use examples::repr;
use lexopt::prelude::*;
use wasi_streams::{open_connection, run};

const USAGE: &str = "
Sends MESSAGE ('Hello World!') to an echo server and shows what comes back, up to 100 bytes.

Usage: echo-client [OPTIONS] [MESSAGE]

  --host HOST  the server's name or address (127.0.0.1)
  --port PORT  the server's port (8888)
  --help       show this
";

struct Options {
    host: String,
    port: u16,
    message: String,
}

fn parse(mut parser: lexopt::Parser) -> Result<Options, lexopt::Error> {
    let (mut host, mut port, mut message) = ("127.0.0.1".into(), 8888, None);
    while let Some(argument) = parser.next()? {
        match argument {
            Long("host") => host = parser.value()?.string()?,
            Long("port") => port = parser.value()?.parse()?,
            Value(text) if message.is_none() => message = Some(text.string()?),
            other => return Err(other.unexpected()),
        }
    }
    Ok(Options { host, port, message: message.unwrap_or("Hello World!".into()) })
}

async fn echo_client(options: Options) -> anyhow::Result<()> {
    let (mut reader, writer) = open_connection(options.host, options.port).await?;

    writeln!(stdout(), "Send: {}", repr(&options.message))?;
    writer.write(&options.message)?;
    writer.drain().await?;

    let data = reader.read(100).await?;
    let answer = str::from_utf8(&data).context("the answer is not UTF-8")?;
    writeln!(stdout(), "Received: {}", repr(answer))?;

    writeln!(stdout(), "Close the connection")?;
    writer.close();
    writer.wait_closed().await?;
    Ok(())
}

fn main() -> ExitCode {
    examples::main("echo-client", USAGE, parse, |options| run(echo_client(options)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasi_streams::{sim::Network, spawn};

    #[test]
    fn the_message_arrives_and_the_connection_is_closed() {
        let net = Network::new();
        let server = net.listen("127.0.0.1:7".parse().unwrap());
        let peer = spawn(async move {
            let peer = server.accept().await;
            let received = peer.recv(5).await;
            peer.send(b"answer");
            peer.ended().await;
            received
        });
        let options = parse(lexopt::Parser::from_args(["--port=7", "it's!"])).unwrap();
        run(async {
            echo_client(options).await.unwrap();
            assert_eq!(peer.await.unwrap(), b"it's!");
        });
    }

    #[test]
    fn a_second_message_is_one_too_many() {
        assert!(parse(lexopt::Parser::from_args(["Hello", "World!"])).is_err());
    }
}

//! Answers every client with what it sent: a server, one task for each connection.
//!
//! ```text
//! cargo run -p wasi-streams-examples --bin echo-server --target wasm32-wasip2 -- --port 8888
//! wasmtime run -S tcp,inherit-network,allow-ip-name-lookup target/components/echo-server.wasm --port 8888
//! ```

use std::io::{Write, stdout};
use std::process::ExitCode;

use anyhow::Context;
use examples::repr;
use lexopt::prelude::*;
use wasi_streams::{DEFAULT_BACKLOG, DEFAULT_LIMIT, StreamReader, StreamWriter, run, start_server};

const USAGE: &str = "
Reads once from each client, up to 100 bytes, sends them back and closes the connection.

Usage: echo-server [OPTIONS]

  --host HOST           a name or address to listen on (127.0.0.1), '' for every interface; repeatable
  --port PORT           the port (8888), 0 for any that is free
  --stream              send back everything until the client ends, print nothing
  --limit BYTES         the limit of a connection's read buffer (65536)
  --backlog N           how many connections may wait to be accepted (100)
  --until-stdin-closes  at the end of standard input accept no more, let the connections finish, end
  --help                show this
";

/// How much `--stream` reads at once, at most.
const CHUNK: usize = 64 * 1024;

struct Options {
    hosts: Vec<String>,
    port: u16,
    stream: bool,
    limit: usize,
    backlog: u32,
    until_stdin_closes: bool,
}

fn parse(mut parser: lexopt::Parser) -> Result<Options, lexopt::Error> {
    let mut options = Options {
        hosts: Vec::new(),
        port: 8888,
        stream: false,
        limit: DEFAULT_LIMIT,
        backlog: DEFAULT_BACKLOG,
        until_stdin_closes: false,
    };
    while let Some(argument) = parser.next()? {
        match argument {
            Long("host") => options.hosts.push(parser.value()?.string()?),
            Long("port") => options.port = parser.value()?.parse()?,
            Long("stream") => options.stream = true,
            Long("limit") => options.limit = parser.value()?.parse()?,
            Long("backlog") => options.backlog = parser.value()?.parse()?,
            Long("until-stdin-closes") => options.until_stdin_closes = true,
            other => return Err(other.unexpected()),
        }
    }
    if options.hosts.is_empty() {
        options.hosts.push("127.0.0.1".into());
    }
    Ok(options)
}

/// Echoes what one read gives.
async fn echo_once(mut reader: StreamReader, writer: StreamWriter) -> anyhow::Result<()> {
    let data = reader.read(100).await?;
    let message = repr(str::from_utf8(&data).context("the message is not UTF-8")?);
    let peer = writer.get_extra_info("peername").context("the client has no address")?;
    writeln!(stdout(), "Received {message} from {peer}")?;

    writeln!(stdout(), "Send: {message}")?;
    writer.write(data)?;
    writer.drain().await?;

    writeln!(stdout(), "Close the connection")?;
    writer.close();
    writer.wait_closed().await?;
    Ok(())
}

/// Echoes until the client has sent everything. While it does not take what comes back, nothing more is read from it.
async fn echo_stream(mut reader: StreamReader, writer: StreamWriter) -> anyhow::Result<()> {
    loop {
        let data = reader.read(CHUNK).await?;
        if data.is_empty() {
            break;
        }
        writer.write(data)?;
        writer.drain().await?;
    }
    writer.write_eof()?;
    writer.close();
    writer.wait_closed().await?;
    Ok(())
}

async fn echo_server(options: Options) -> anyhow::Result<()> {
    let echo = move |reader, writer| async move {
        if options.stream { echo_stream(reader, writer).await } else { echo_once(reader, writer).await }
    };
    let server = start_server(echo, options.hosts, options.port).limit(options.limit).backlog(options.backlog).await?;
    writeln!(stdout(), "Serving on {}", examples::addresses(&server))?;
    examples::serve(server, options.until_stdin_closes).await
}

fn main() -> ExitCode {
    examples::main("echo-server", USAGE, parse, |options| run(echo_server(options)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use wasi_streams::{sim::Network, sleep};

    fn options(arguments: &[&str]) -> Options {
        parse(lexopt::Parser::from_args(arguments)).unwrap()
    }

    /// Runs the server, which ends with standard input, beside `clients`.
    fn serve(net: &Network, arguments: &[&str], clients: impl AsyncFnOnce()) {
        let server = echo_server(options(&[arguments, &["--until-stdin-closes"]].concat()));
        run(async {
            let clients = async {
                sleep(Duration::from_millis(1)).await;
                clients().await;
                net.stdin_end();
                anyhow::Ok(())
            };
            futures_lite::future::try_zip(server, clients).await.unwrap();
        });
    }

    #[test]
    fn one_read_is_echoed_and_the_connection_closed() {
        let net = Network::new();
        serve(&net, &["--port=9"], async || {
            let client = net.connect("127.0.0.1:9".parse().unwrap()).unwrap();
            client.send(&[b'x'; 150]);
            assert_eq!(client.recv_to_end().await, [b'x'; 100]);
        });
    }

    #[test]
    fn a_stream_is_echoed_to_its_end_and_the_server_waits_for_that() {
        let net = Network::new();
        serve(&net, &["--port=9", "--stream"], async || {
            let client = net.connect("127.0.0.1:9".parse().unwrap()).unwrap();
            let half = vec![b'y'; 500_000];
            client.send(&half);
            sleep(Duration::from_millis(1)).await;
            net.stdin_end();
            sleep(Duration::from_millis(1)).await;
            client.send(&half);
            client.finish();
            assert_eq!(client.recv_to_end().await.len(), 1_000_000);
        });
    }

    #[test]
    fn a_client_that_takes_nothing_is_not_read_from() {
        let net = Network::new();
        serve(&net, &["--port=9", "--stream"], async || {
            let client = net.connect("127.0.0.1:9".parse().unwrap()).unwrap();
            client.stall();
            client.send(&vec![b'z'; 10_000_000]);
            sleep(Duration::from_secs(60)).await;
            assert!(client.unsent() > 8_000_000);
            client.reset();
        });
    }

    #[test]
    fn hosts_add_up_and_replace_the_default() {
        assert_eq!(options(&[]).hosts, ["127.0.0.1"]);
        assert_eq!(options(&["--host", "::1", "--host="]).hosts, ["::1", ""]);
    }
}

//! Forwards TCP connections: two streams copied into each other, each ended when the other ends.
//!
//! ```text
//! cargo run -p wasi-streams-examples --bin proxy --target wasm32-wasip2 -- --listen 127.0.0.1:8080 --to 127.0.0.1:8000
//! wasmtime run -S tcp,inherit-network,allow-ip-name-lookup target/components/proxy.wasm --listen :8080 --to example.com:80
//! ```

use std::io::{Write, stdout};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use futures_lite::future::try_zip;
use lexopt::prelude::*;
use wasi_streams::{Server, StreamReader, StreamWriter, copy, open_connection, run, start_server, timeout};

const USAGE: &str = "
Accepts connections and forwards each to another address, both ways, until both sides have ended.

Usage: proxy [OPTIONS] --listen HOST:PORT --to HOST:PORT

  --listen HOST:PORT    where to accept; without HOST on every interface, with port 0 on any that is free
  --to HOST:PORT        where to connect to
  --no-splice           pass the bytes through the proxy: for hosts that cannot splice (jco's shim traps)
  --until-stdin-closes  at the end of standard input accept no more, let the connections finish, end
  --help                show this
";

/// How long connecting may take.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Clone, Debug, PartialEq)]
struct HostPort {
    host: String,
    port: u16,
}

/// Splits `HOST:PORT`; an IPv6 address has brackets.
fn host_port(text: &str) -> Result<HostPort, &'static str> {
    let (host, port) = text.rsplit_once(':').ok_or("HOST:PORT is needed")?;
    let host = match host.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']').ok_or("a bracket is missing")?,
        None if host.contains(':') => return Err("an IPv6 address needs brackets"),
        None => host,
    };
    let port = port.parse().map_err(|_| "the port is not a number from 0 to 65535")?;
    Ok(HostPort { host: host.into(), port })
}

#[derive(Debug)]
struct Options {
    listen: HostPort,
    to: HostPort,
    splice: bool,
    until_stdin_closes: bool,
}

fn parse(mut parser: lexopt::Parser) -> Result<Options, lexopt::Error> {
    let (mut listen, mut to, mut splice, mut until_stdin_closes) = (None, None, true, false);
    while let Some(argument) = parser.next()? {
        match argument {
            Long("listen") => listen = Some(parser.value()?.parse_with(host_port)?),
            Long("to") => to = Some(parser.value()?.parse_with(host_port)?),
            Long("no-splice") => splice = false,
            Long("until-stdin-closes") => until_stdin_closes = true,
            other => return Err(other.unexpected()),
        }
    }
    let listen = listen.ok_or("--listen HOST:PORT is needed")?;
    let to = to.ok_or("--to HOST:PORT is needed")?;
    Ok(Options { listen, to, splice, until_stdin_closes })
}

/// Copies one direction to its end, and passes the end on. Spliced bytes are moved by the host.
async fn pipe(reader: &mut StreamReader, writer: &StreamWriter, splice: bool) -> wasi_streams::Result<()> {
    copy(reader, writer).splice(splice).await?;
    writer.write_eof()
}

/// Forwards one connection. An error ends both sides of it, what was read by then is still delivered.
async fn forward(mut reader: StreamReader, writer: StreamWriter, to: HostPort, splice: bool) -> anyhow::Result<()> {
    let connecting = open_connection(&to.host, to.port).into_future();
    let (mut far_reader, far_writer) = timeout(PATIENCE, connecting)
        .await
        .with_context(|| format!("cannot connect to {}, port {}", to.host, to.port))??;

    let piped = try_zip(pipe(&mut reader, &far_writer, splice), pipe(&mut far_reader, &writer, splice)).await;

    writer.close();
    far_writer.close();
    piped?;
    try_zip(writer.wait_closed(), far_writer.wait_closed()).await?;
    Ok(())
}

async fn proxy(options: &Options) -> wasi_streams::Result<Server> {
    let (to, splice) = (options.to.clone(), options.splice);
    let handler = move |reader, writer| forward(reader, writer, to.clone(), splice);
    start_server(handler, &options.listen.host, options.listen.port).await
}

fn main() -> ExitCode {
    examples::main("proxy", USAGE, parse, |options| {
        run(async {
            let server = proxy(&options).await?;
            writeln!(stdout(), "Serving on {}", examples::addresses(&server))?;
            examples::serve(server, options.until_stdin_closes).await
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasi_streams::sim::{Network, Peer};
    use wasi_streams::sleep;

    const TO: &str = "10.0.0.1:80";

    /// Runs `test` with both sides of a forwarded connection, with and without splicing.
    fn with_connection(test: impl AsyncFn(Peer, Peer)) {
        for arguments in
            [&["--listen=127.0.0.1:0", "--to", TO][..], &["--listen=127.0.0.1:0", "--to", TO, "--no-splice"]]
        {
            let net = Network::new();
            let far_side = net.listen(TO.parse().unwrap());
            let options = parse(lexopt::Parser::from_args(arguments)).unwrap();
            run(async {
                let server = proxy(&options).await.unwrap();
                let client = net.connect(server.sockets()[0]).unwrap();
                test(client, far_side.accept().await).await;
                server.close();
                server.wait_closed().await;
            });
            assert_eq!(net.freezes(), 0);
        }
    }

    #[test]
    fn the_end_of_one_direction_leaves_the_other_open() {
        with_connection(async |client, far| {
            client.send(b"question");
            client.finish();
            assert_eq!(far.recv_to_end().await, b"question");
            sleep(Duration::from_secs(60)).await;
            assert!(!client.saw_eof());
            far.send(b"answer");
            far.finish();
            assert_eq!(client.recv_to_end().await, b"answer");
        });
    }

    #[test]
    fn the_far_side_may_end_first() {
        with_connection(async |client, far| {
            far.send(b"welcome");
            far.finish();
            assert_eq!(client.recv_to_end().await, b"welcome");
            sleep(Duration::from_secs(60)).await;
            assert!(!far.saw_eof());
            client.send(b"thanks");
            client.finish();
            assert_eq!(far.recv_to_end().await, b"thanks");
        });
    }

    #[test]
    fn a_reset_ends_both_sides() {
        with_connection(async |client, far| {
            far.send(b"something");
            sleep(Duration::from_millis(1)).await;
            far.reset();
            assert_eq!(client.recv_to_end().await, b"something");
            client.close();
        });
    }

    #[test]
    fn a_refused_connection_ends_its_client_and_not_the_proxy() {
        let net = Network::new();
        let options = parse(lexopt::Parser::from_args(["--listen=127.0.0.1:0", "--to", TO])).unwrap();
        run(async {
            let server = proxy(&options).await.unwrap();
            let client = net.connect(server.sockets()[0]).unwrap();
            assert_eq!(client.recv_to_end().await, b"");
            let far_side = net.listen(TO.parse().unwrap());
            let client = net.connect(server.sockets()[0]).unwrap();
            client.send(b"again");
            assert_eq!(far_side.accept().await.recv(5).await, b"again");
        });
    }

    #[test]
    fn addresses_have_a_host_and_a_port() {
        let parsed = |host: &str, port| Ok(HostPort { host: host.into(), port });
        assert_eq!(host_port("127.0.0.1:80"), parsed("127.0.0.1", 80));
        assert_eq!(host_port("localhost:0"), parsed("localhost", 0));
        assert_eq!(host_port("[::1]:80"), parsed("::1", 80));
        assert_eq!(host_port(":80"), parsed("", 80));
        for text in ["", "80", "localhost", "localhost:", "localhost:http", "::1:80", "[::1:80", "a:70000"] {
            assert!(host_port(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_host_moves_the_bytes_unless_told_otherwise() {
        let parsed = |more: &[&str]| parse(lexopt::Parser::from_args([&["--listen=:80", "--to=a:80"], more].concat()));
        assert!(parsed(&[]).unwrap().splice);
        assert!(!parsed(&["--no-splice"]).unwrap().splice);
    }

    #[test]
    fn both_addresses_are_needed() {
        assert!(parse(lexopt::Parser::from_args(["--listen", ":80"])).is_err());
        assert!(parse(lexopt::Parser::from_args(["--to", "localhost:80"])).is_err());
    }
}

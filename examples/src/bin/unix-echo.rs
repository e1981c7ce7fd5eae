//! Echo over Unix sockets: a server that sends back everything, and a client that sends a message.
//!
//! The host must have the interface `wasi-streams:unix/sockets`, as `wasi-streams-run` has:
//!
//! ```text
//! wasi-streams-run --unix /run=/tmp/sockets target/components/unix-echo.wasm server /run/echo.sock
//! wasi-streams-run --unix /run=/tmp/sockets target/components/unix-echo.wasm client /run/echo.sock 'Hello World!'
//! ```

use std::io::{Write, stdout};
use std::process::ExitCode;

use anyhow::Context;
use examples::repr;
use lexopt::prelude::*;
use wasi_streams::{StreamReader, StreamWriter, copy, open_unix_connection, run, start_unix_server};

const USAGE: &str = "
Sends back everything that its clients send, or sends a message to such a server and shows the answer.

Usage: unix-echo server [OPTIONS] PATH
       unix-echo client PATH MESSAGE

  --keep-socket         leave the socket file where it is when the server ends
  --until-stdin-closes  at the end of standard input accept no more, let the connections finish, end
  --help                show this

The host must open the folder of PATH to the component: wasi-streams-run --unix GUEST_DIR=HOST_DIR.
";

#[derive(Debug)]
enum Options {
    Server { path: String, keep_socket: bool, until_stdin_closes: bool },
    Client { path: String, message: String },
}

fn parse(mut parser: lexopt::Parser) -> Result<Options, lexopt::Error> {
    let (mut values, mut keep_socket, mut until_stdin_closes) = (Vec::new(), false, false);
    while let Some(argument) = parser.next()? {
        match argument {
            Long("keep-socket") => keep_socket = true,
            Long("until-stdin-closes") => until_stdin_closes = true,
            Value(text) => values.push(text.string()?),
            other => return Err(other.unexpected()),
        }
    }
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    match *values {
        ["server", path] => Ok(Options::Server { path: path.into(), keep_socket, until_stdin_closes }),
        ["client", _, _] if keep_socket || until_stdin_closes => Err("a client has no options".into()),
        ["client", path, message] => Ok(Options::Client { path: path.into(), message: message.into() }),
        _ => Err("give server PATH, or client PATH MESSAGE".into()),
    }
}

/// Echoes until the client has sent everything. While it does not take what comes back, nothing more is read from it.
async fn echo(mut reader: StreamReader, writer: StreamWriter) -> wasi_streams::Result<()> {
    copy(&mut reader, &writer).await?;
    writer.close();
    writer.wait_closed().await
}

async fn server(path: &str, keep_socket: bool, until_stdin_closes: bool) -> anyhow::Result<()> {
    let server = start_unix_server(echo, path).cleanup_socket(!keep_socket).await?;
    for address in server.unix_sockets() {
        writeln!(stdout(), "Serving on {address}")?;
    }
    examples::serve(server, until_stdin_closes).await
}

async fn client(path: &str, message: &str) -> anyhow::Result<()> {
    let (mut reader, writer) = open_unix_connection(path).await?;
    writeln!(stdout(), "Send: {}", repr(message))?;
    writer.write(message)?;
    writer.write_eof()?;
    let data = reader.read_to_end().await?;
    let answer = str::from_utf8(&data).context("the answer is not UTF-8")?;
    writeln!(stdout(), "Received: {}", repr(answer))?;
    writer.close();
    writer.wait_closed().await?;
    Ok(())
}

async fn unix_echo(options: Options) -> anyhow::Result<()> {
    match options {
        Options::Server { path, keep_socket, until_stdin_closes } => {
            server(&path, keep_socket, until_stdin_closes).await
        }
        Options::Client { path, message } => client(&path, &message).await,
    }
}

fn main() -> ExitCode {
    examples::main("unix-echo", USAGE, parse, |options| run(unix_echo(options)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use wasi_streams::{sim::Network, sleep};

    fn options(arguments: &[&str]) -> Result<Options, lexopt::Error> {
        parse(lexopt::Parser::from_args(arguments))
    }

    #[test]
    fn server_and_client_understand_each_other_and_the_file_goes_or_stays() {
        for keep in [false, true] {
            let net = Network::new();
            let arguments = ["server", "/run/a", "--until-stdin-closes", if keep { "--keep-socket" } else { "--" }];
            let server = unix_echo(options(&arguments).unwrap());
            run(async {
                let clients = async {
                    sleep(Duration::from_millis(1)).await;
                    unix_echo(options(&["client", "/run/a", "hello"]).unwrap()).await?;
                    let peer = net.connect_unix("/run/a").unwrap();
                    peer.send(&[b'x'; 300_000]);
                    peer.finish();
                    assert_eq!(peer.recv_to_end().await.len(), 300_000);
                    net.stdin_end();
                    anyhow::Ok(())
                };
                futures_lite::future::try_zip(server, clients).await.unwrap();
            });
            assert_eq!(net.has_file("/run/a"), keep);
        }
    }

    #[test]
    fn it_is_a_server_or_a_client() {
        for arguments in
            [&["server"][..], &["client", "a"], &["client", "a", "b", "c"], &["client", "a", "b", "--keep-socket"], &[]]
        {
            assert!(options(arguments).is_err(), "{arguments:?}");
        }
    }
}

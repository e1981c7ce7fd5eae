//! Answers every client with what it sent: a server, one task for each connection.
//!
//! ```text
//! cargo run -p wasi-streams-examples --bin echo-server --target wasm32-wasip2 -- --port 8888
//! wasmtime run -S tcp,inherit-network,allow-ip-name-lookup target/components/echo-server.wasm --port 8888
//! wasmtime run -S tcp,inherit-network --dir certs target/components/echo-server.wasm \
//!     --tls-cert certs/server.pem --tls-key certs/server.key
//! ```

use std::io::{Write, stdout};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use examples::repr;
use lexopt::prelude::*;
use wasi_streams::{DEFAULT_BACKLOG, DEFAULT_LIMIT, Pem, StreamReader, StreamWriter, TlsAcceptor, run, start_server};

const USAGE: &str = "
Reads once from each client, up to 100 bytes, sends them back and closes the connection.

Usage: echo-server [OPTIONS]

  --host HOST           a name or address to listen on (127.0.0.1), '' for every interface; repeatable
  --port PORT           the port (8888), 0 for any that is free
  --stream              send back everything until the client ends, print nothing
  --tls-cert FILE       speak TLS, with this certificate and its chain (PEM); repeatable, the client's name for us chooses
  --tls-key FILE        the private key of the --tls-cert at the same place in the order
  --client-ca FILE      take only clients with a certificate of one of these authorities (PEM)
  --limit BYTES         the limit of a connection's read buffer (65536)
  --backlog N           how many connections may wait to be accepted (100)
  --until-stdin-closes  at the end of standard input accept no more, let the connections finish, end
  --help                show this

The host must open the folders of the files to the component: --dir FOLDER of wasmtime run and wasi-streams-run.
";

/// How much `--stream` reads at once, at most.
const CHUNK: usize = 64 * 1024;

struct Options {
    hosts: Vec<String>,
    port: u16,
    stream: bool,
    tls_certs: Vec<PathBuf>,
    tls_keys: Vec<PathBuf>,
    client_ca: Option<PathBuf>,
    limit: usize,
    backlog: u32,
    until_stdin_closes: bool,
}

fn parse(mut parser: lexopt::Parser) -> Result<Options, lexopt::Error> {
    let mut options = Options {
        hosts: Vec::new(),
        port: 8888,
        stream: false,
        tls_certs: Vec::new(),
        tls_keys: Vec::new(),
        client_ca: None,
        limit: DEFAULT_LIMIT,
        backlog: DEFAULT_BACKLOG,
        until_stdin_closes: false,
    };
    while let Some(argument) = parser.next()? {
        match argument {
            Long("host") => options.hosts.push(parser.value()?.string()?),
            Long("port") => options.port = parser.value()?.parse()?,
            Long("stream") => options.stream = true,
            Long("tls-cert") => options.tls_certs.push(parser.value()?.into()),
            Long("tls-key") => options.tls_keys.push(parser.value()?.into()),
            Long("client-ca") => options.client_ca = Some(parser.value()?.into()),
            Long("limit") => options.limit = parser.value()?.parse()?,
            Long("backlog") => options.backlog = parser.value()?.parse()?,
            Long("until-stdin-closes") => options.until_stdin_closes = true,
            other => return Err(other.unexpected()),
        }
    }
    if options.hosts.is_empty() {
        options.hosts.push("127.0.0.1".into());
    }
    if options.tls_certs.len() != options.tls_keys.len() {
        return Err("every --tls-cert needs a --tls-key, and every --tls-key a --tls-cert".into());
    }
    if options.client_ca.is_some() && options.tls_certs.is_empty() {
        return Err("--client-ca needs --tls-cert and --tls-key".into());
    }
    Ok(options)
}

/// How to speak TLS, if that is wanted.
fn acceptor(options: &Options) -> wasi_streams::Result<Option<TlsAcceptor>> {
    if options.tls_certs.is_empty() {
        return Ok(None);
    }
    let mut builder = TlsAcceptor::builder();
    for (cert, key) in options.tls_certs.iter().zip(&options.tls_keys) {
        builder = builder.identity_pem(Pem::file(cert), Pem::file(key));
    }
    if let Some(authorities) = &options.client_ca {
        builder = builder.require_client_certificates(Pem::file(authorities));
    }
    builder.build().map(Some)
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
    // TLS has no end of one direction alone: closing is the end.
    if writer.can_write_eof() {
        writer.write_eof()?;
    }
    writer.close();
    writer.wait_closed().await?;
    Ok(())
}

async fn echo_server(options: Options) -> anyhow::Result<()> {
    let acceptor = acceptor(&options)?;
    let echo = move |reader, writer| async move {
        if options.stream { echo_stream(reader, writer).await } else { echo_once(reader, writer).await }
    };
    let mut starting = start_server(echo, options.hosts, options.port).limit(options.limit).backlog(options.backlog);
    if let Some(acceptor) = acceptor {
        starting = starting.tls(acceptor);
    }
    let server = starting.await?;
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
    use wasi_streams::{TlsConnector, open_connection, sim::Network, sleep};

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
    fn over_tls_it_is_the_same_and_clients_may_have_to_show_who_they_are() {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".into()]).unwrap();
        let file = std::env::temp_dir().join(format!("echo-server-test-{}.pem", std::process::id()));
        std::fs::write(&file, made.cert.pem() + &made.signing_key.serialize_pem()).unwrap();
        let name = file.to_str().unwrap();
        let tls = ["--port=9", "--tls-cert", name, "--tls-key", name];
        for (more, known, served) in [
            (&[][..], false, true),
            (&["--stream"], false, true),
            (&["--client-ca", name], true, true),
            (&["--client-ca", name], false, false),
        ] {
            let net = Network::new();
            serve(&net, &[&tls, more].concat(), async || {
                let mut builder = TlsConnector::builder().roots_pem(Pem::file(&file));
                if known {
                    builder = builder.identity_pem(Pem::file(&file), Pem::file(&file));
                }
                let connecting = open_connection("127.0.0.1", 9).tls(builder.build().unwrap());
                let (mut reader, writer) = connecting.await.unwrap();
                writer.write("hello").unwrap();
                assert_eq!(reader.readexactly(5).await.is_ok(), served, "{more:?}");
                writer.close();
                assert_eq!(writer.wait_closed().await.is_ok(), served, "{more:?}");
            });
        }
        std::fs::remove_file(&file).unwrap();
    }

    #[test]
    fn certificates_and_keys_come_in_pairs_which_keep_their_order() {
        let both = options(&["--tls-cert=a", "--tls-cert=b", "--tls-key=c", "--tls-key=d"]);
        assert_eq!((both.tls_certs, both.tls_keys), (vec!["a".into(), "b".into()], vec!["c".into(), "d".into()]));
        for arguments in [&["--tls-cert=a"][..], &["--tls-key=a"], &["--client-ca=a"]] {
            assert!(parse(lexopt::Parser::from_args(arguments)).is_err(), "{arguments:?}");
        }
    }

    #[test]
    fn hosts_add_up_and_replace_the_default() {
        assert_eq!(options(&[]).hosts, ["127.0.0.1"]);
        assert_eq!(options(&["--host", "::1", "--host="]).hosts, ["::1", ""]);
    }
}

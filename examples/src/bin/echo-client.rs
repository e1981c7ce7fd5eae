//! Sends a message to a server and shows the answer: connecting, writing, reading, closing.
//!
//! ```text
//! cargo run -p wasi-streams-examples --bin echo-client --target wasm32-wasip2 -- --port 8888 'Hello World!'
//! wasmtime run -S tcp,inherit-network,allow-ip-name-lookup target/components/echo-client.wasm --port 8888 'Hello World!'
//! wasmtime run -S tcp,inherit-network --dir certs target/components/echo-client.wasm --tls --ca certs/ca.pem
//! ```

use std::io::{Write, stdout};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use examples::repr;
use lexopt::prelude::*;
use wasi_streams::{Pem, TlsConnector, open_connection, run};

const USAGE: &str = "
Sends MESSAGE ('Hello World!') to an echo server and shows what comes back, up to 100 bytes.

Usage: echo-client [OPTIONS] [MESSAGE]

  --host HOST         the server's name or address (127.0.0.1)
  --port PORT         the server's port (8888)
  --tls               speak TLS; trusted are the authorities of the web, or those that SSL_CERT_FILE and SSL_CERT_DIR name
  --ca FILE           trust the authorities in this file instead (PEM)
  --server-name NAME  the name that the server's certificate must have (HOST)
  --cert FILE         our certificate and its chain (PEM), for a server that asks for one
  --key FILE          its private key (PEM)
  --help              show this

The host must open the folders of the files to the component: --dir FOLDER of wasmtime run and wasi-streams-run.
";

struct Options {
    host: String,
    port: u16,
    tls: Option<Tls>,
    message: String,
}

struct Tls {
    ca: Option<PathBuf>,
    server_name: String,
    identity: Option<(PathBuf, PathBuf)>,
}

fn parse(mut parser: lexopt::Parser) -> Result<Options, lexopt::Error> {
    let (mut host, mut port, mut message) = (String::from("127.0.0.1"), 8888, None);
    let (mut tls, mut ca, mut server_name, mut cert, mut key) = (false, None, None, None, None);
    while let Some(argument) = parser.next()? {
        match argument {
            Long("host") => host = parser.value()?.string()?,
            Long("port") => port = parser.value()?.parse()?,
            Long("tls") => tls = true,
            Long("ca") => ca = Some(parser.value()?.into()),
            Long("server-name") => server_name = Some(parser.value()?.string()?),
            Long("cert") => cert = Some(parser.value()?.into()),
            Long("key") => key = Some(parser.value()?.into()),
            Value(text) if message.is_none() => message = Some(text.string()?),
            other => return Err(other.unexpected()),
        }
    }
    if !tls && (ca.is_some() || server_name.is_some() || cert.is_some() || key.is_some()) {
        return Err("--ca, --server-name, --cert and --key need --tls".into());
    }
    if cert.is_some() != key.is_some() {
        return Err("--cert and --key need each other".into());
    }
    let server_name = server_name.unwrap_or_else(|| host.clone());
    let tls = tls.then(|| Tls { ca, server_name, identity: cert.zip(key) });
    Ok(Options { host, port, tls, message: message.unwrap_or("Hello World!".into()) })
}

/// Whom to trust, and who we are.
fn connector(tls: &Tls) -> wasi_streams::Result<TlsConnector> {
    let mut builder = TlsConnector::builder();
    if let Some(ca) = &tls.ca {
        builder = builder.roots_pem(Pem::file(ca));
    }
    if let Some((cert, key)) = &tls.identity {
        builder = builder.identity_pem(Pem::file(cert), Pem::file(key));
    }
    builder.build()
}

async fn echo_client(options: Options) -> anyhow::Result<()> {
    let mut connecting = open_connection(options.host, options.port);
    if let Some(tls) = options.tls {
        connecting = connecting.tls(connector(&tls)?).server_name(tls.server_name);
    }
    let (mut reader, writer) = connecting.await?;

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
    use wasi_streams::{StreamReader, StreamWriter, TlsAcceptor, sim::Network, spawn, start_server};

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
    fn over_tls_each_side_knows_who_the_other_is() {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".into(), "echo.test".into()]).unwrap();
        let file = std::env::temp_dir().join(format!("echo-client-test-{}.pem", std::process::id()));
        std::fs::write(&file, made.cert.pem() + &made.signing_key.serialize_pem()).unwrap();
        let name = file.to_str().unwrap();
        let pem = || Pem::file(&file);
        let acceptor = TlsAcceptor::builder().identity_pem(pem(), pem()).require_client_certificates(pem());
        let acceptor = acceptor.build().unwrap();
        let tls = ["--port=7", "--tls", "--ca", name];
        let ours = ["--cert", name, "--key", name];
        for (arguments, refused_because) in [
            ([&tls[..], &ours].concat(), None),
            ([&tls[..], &ours, &["--server-name=echo.test"]].concat(), None),
            ([&tls[..], &ours, &["--server-name=other.test"]].concat(), Some("other.test")),
            (tls.to_vec(), Some("CertificateRequired")),
        ] {
            let _net = Network::new();
            let options = parse(lexopt::Parser::from_args(arguments)).unwrap();
            let outcome = run(async {
                let answer = |mut reader: StreamReader, writer: StreamWriter| async move {
                    let data = reader.read(100).await?;
                    writer.write(data)?;
                    writer.close();
                    writer.wait_closed().await
                };
                let server = start_server(answer, "127.0.0.1", 7).tls(acceptor.clone()).await.unwrap();
                let outcome = echo_client(options).await;
                server.close();
                outcome
            });
            match refused_because {
                None => outcome.unwrap(),
                Some(part) => assert!(outcome.unwrap_err().to_string().contains(part)),
            }
        }
        std::fs::remove_file(&file).unwrap();
    }

    #[test]
    fn the_options_of_tls_need_it_and_each_other() {
        for arguments in [
            &["--ca=a"][..],
            &["--server-name=a"],
            &["--cert=a", "--key=b"],
            &["--tls", "--cert=a"],
            &["--tls", "--key=a"],
        ] {
            assert!(parse(lexopt::Parser::from_args(arguments)).is_err(), "{arguments:?}");
        }
        let tls = parse(lexopt::Parser::from_args(["--tls", "--host=a.test"])).unwrap().tls.unwrap();
        assert_eq!(tls.server_name, "a.test");
    }

    #[test]
    fn a_second_message_is_one_too_many() {
        assert!(parse(lexopt::Parser::from_args(["Hello", "World!"])).is_err());
    }
}

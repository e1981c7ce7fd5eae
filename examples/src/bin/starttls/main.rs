//! SMTP with STARTTLS, as the client or as the server: a conversation that goes on over TLS in the middle.
//!
//! ```text
//! cargo run -p wasi-streams-examples --bin starttls --target wasm32-wasip2 -- client mail.example.com 587
//! wasmtime run -S tcp,inherit-network,allow-ip-name-lookup target/components/starttls.wasm client mail.example.com 587
//! wasmtime run -S tcp,inherit-network --dir certs target/components/starttls.wasm server \
//!     --tls-cert certs/server.pem --tls-key certs/server.key --port 2525
//! ```

mod client;
mod server;

use std::io::{Write, stdout};
use std::process::ExitCode;

use lexopt::prelude::*;
use wasi_streams::{Bytes, Error, StreamReader, run};

const USAGE: &str = "
The client greets a mail server, starts TLS, greets again, sends a mail or NOOP, and shows the conversation. The server
takes mail over TLS only and prints it.

Usage: starttls client [OPTIONS] HOST PORT
       starttls server [OPTIONS] --tls-cert FILE --tls-key FILE

Client:
  --mail FROM TO        send standard input as a mail
  --ca FILE             trust the certificate authorities in this file (PEM), not those of the web or of SSL_CERT_FILE and
                        SSL_CERT_DIR
  --server-name NAME    the name that the server's certificate must have (HOST)
  --timeout SECONDS     how long connecting may take, and then the conversation (60)

Server:
  --tls-cert FILE       the certificate and its chain (PEM)
  --tls-key FILE        its private key (PEM)
  --host HOST           a name or address to listen on (127.0.0.1), '' for every interface; repeatable
  --port PORT           the port (2525), 0 for any that is free
  --until-stdin-closes  at the end of standard input accept no more, let the connections finish, end

  --help                show this

The host must open the folders of the files to the component: --dir FOLDER of wasmtime run and wasi-streams-run.
";

/// The longest line in either direction, in bytes; a real one has at most 1000 (RFC 5321, section 4.5.3.1).
const LONGEST_LINE: usize = 4096;

enum Options {
    Client(client::Options),
    Server(server::Options),
}

fn parse(mut parser: lexopt::Parser) -> Result<Options, lexopt::Error> {
    match parser.next()? {
        Some(Value(role)) if role == "client" => client::parse(parser).map(Options::Client),
        Some(Value(role)) if role == "server" => server::parse(parser).map(Options::Server),
        _ => Err("the first argument must be client or server".into()),
    }
}

/// Reads a line without its end; none at the end of the stream.
///
/// Only CRLF ends it: whoever takes a bare LF for an end of line as well lets mails be smuggled in by those who do not.
async fn read_line(reader: &mut StreamReader) -> wasi_streams::Result<Option<Bytes>> {
    match reader.readuntil("\r\n").await {
        Ok(line) => Ok(Some(line.slice(..line.len() - 2))),
        Err(Error::Incomplete { partial, .. }) if partial.is_empty() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether an address can stand between `<` and `>` in a command, without ending it. Quoted ones are not known here.
fn is_address(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'<' && byte != b'>')
}

async fn starttls(options: Options) -> anyhow::Result<()> {
    match options {
        Options::Client(options) => client::run(options).await,
        Options::Server(options) => {
            let server = server::start(&options).await?;
            writeln!(stdout(), "Serving on {}", examples::addresses(&server))?;
            examples::serve(server, options.until_stdin_closes).await
        }
    }
}

fn main() -> ExitCode {
    examples::main("starttls", USAGE, parse, |options| run(starttls(options)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasi_streams::StreamReader;
    use wasi_streams::sim::Network;

    fn options(arguments: &[&str]) -> Result<Options, lexopt::Error> {
        parse(lexopt::Parser::from_args(arguments))
    }

    #[test]
    fn both_roles_understand_each_other() {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".into()]).unwrap();
        let file = std::env::temp_dir().join(format!("starttls-test-{}.pem", std::process::id()));
        std::fs::write(&file, made.cert.pem() + &made.signing_key.serialize_pem()).unwrap();
        let name = file.to_str().unwrap();
        let server = ["server", "--tls-cert", name, "--tls-key", name, "--until-stdin-closes"];
        let client = ["client", "127.0.0.1", "2525", "--ca", name];
        for (more, outcome) in [
            (&[][..], Ok(())),
            (&["--mail", "me@a.test", "you@b.test"], Ok(())),
            (&["--server-name", "other.test"], Err("other.test")),
        ] {
            let net = Network::new();
            net.stdin(b"Subject: test\n\n.\nend");
            net.stdin_end();
            let Ok(Options::Server(server)) = options(&server) else { panic!("a server") };
            let talked = run(async {
                let server = server::start(&server).await.unwrap();
                let talked = starttls(options(&[&client, more].concat()).unwrap()).await;
                server.close();
                server.wait_closed().await;
                talked
            });
            match (talked, outcome) {
                (Ok(()), Ok(())) => {}
                (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{error:#}"),
                (talked, _) => panic!("{more:?}: {talked:?}"),
            }
        }
        std::fs::remove_file(&file).unwrap();
    }

    #[test]
    fn only_both_characters_end_a_line() {
        let mut reader = StreamReader::new(LONGEST_LINE).unwrap();
        reader.feed_data(b"one\n.\ntwo\r\r\n\r\nrest").unwrap();
        reader.feed_eof();
        run(async {
            assert_eq!(read_line(&mut reader).await.unwrap().unwrap(), "one\n.\ntwo\r");
            assert_eq!(read_line(&mut reader).await.unwrap().unwrap(), "");
            assert!(read_line(&mut reader).await.is_err(), "the rest has no end");
            assert!(read_line(&mut reader).await.unwrap().is_none());
        });
    }

    #[test]
    fn what_is_missing_is_said() {
        for (arguments, part) in [
            (&[][..], "client or server"),
            (&["--port=1"], "client or server"),
            (&["client"], "HOST"),
            (&["client", "a.test"], "PORT"),
            (&["client", "a.test", "smtp"], "smtp"),
            (&["client", "a.test", "25", "26"], "26"),
            (&["client", "--mail", "me@a.test"], "--mail"),
            (&["client", "--mail", "me@a.test", "you>\r\nDATA"], "address"),
            (&["server", "--tls-key=a"], "--tls-cert"),
            (&["server", "--tls-cert=a"], "--tls-key"),
            (&["server", "--ca=a"], "--ca"),
        ] {
            let error = options(arguments).err().expect("refused").to_string();
            assert!(error.contains(part), "{arguments:?}: {error}");
        }
    }
}

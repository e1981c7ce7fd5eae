//! Shows the headers that web servers answer with: reading a protocol line by line.
//!
//! ```text
//! cargo run -p wasi-streams-examples --bin http-headers --target wasm32-wasip2 -- http://127.0.0.1:8000/page.html
//! wasmtime run -S tcp,inherit-network,allow-ip-name-lookup target/components/http-headers.wasm http://example.com/
//! ```

use std::io::{Write, stdout};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use fluent_uri::Uri;
use lexopt::prelude::*;
use wasi_streams::{Instant, StreamReader, StreamWriter, open_connection, run, timeout};

const NAME: &str = "http-headers";
const USAGE: &str = "
Asks for each URL with HEAD, HTTP/1.0, and shows the status line and the headers. Redirects are not followed.

Usage: http-headers [OPTIONS] URL...

  --timeout SECONDS  how long each URL may take, from the lookup of its host to the last header (30)
  --help             show this
";

struct Options {
    urls: Vec<String>,
    timeout: Duration,
}

fn parse(mut parser: lexopt::Parser) -> Result<Options, lexopt::Error> {
    let mut options = Options { urls: Vec::new(), timeout: Duration::from_secs(30) };
    while let Some(argument) = parser.next()? {
        match argument {
            Long("timeout") => options.timeout = parser.value()?.parse_with(examples::seconds)?,
            Value(url) => options.urls.push(url.string()?),
            other => return Err(other.unexpected()),
        }
    }
    if options.urls.is_empty() {
        return Err("a URL is needed".into());
    }
    Ok(options)
}

/// Where to connect to, and what to send there.
#[derive(Debug, PartialEq)]
struct Request {
    host: String,
    port: u16,
    text: String,
}

impl Request {
    fn head(url: &str) -> anyhow::Result<Self> {
        let url = Uri::parse(url).context("not a URL")?;
        match url.scheme().as_str().to_ascii_lowercase().as_str() {
            "http" => {}
            "https" => bail!("https needs TLS, the cargo feature `tls-ring` of wasi-streams, which is not built yet"),
            other => bail!("the scheme {other:?} is not known here, only http is"),
        }
        let authority = url.authority().filter(|authority| !authority.host().is_empty()).context("it names no host")?;
        let port = authority.port_to_u16().context("the port is not a number from 0 to 65535")?.unwrap_or(80);

        let target = match (url.path().as_str(), url.query()) {
            ("", None) => "/".into(),
            (path, None) => path.to_owned(),
            ("", Some(query)) => format!("/?{query}"),
            (path, Some(query)) => format!("{path}?{query}"),
        };
        // An IPv6 address has brackets here, but not where it is connected to.
        let host = authority.host();
        let host_header = if port == 80 { host.to_owned() } else { format!("{host}:{port}") };
        Ok(Self {
            host: host.trim_matches(['[', ']']).to_owned(),
            port,
            text: format!("HEAD {target} HTTP/1.0\r\nHost: {host_header}\r\n\r\n"),
        })
    }
}

async fn print_http_headers(url: &str, patience: Duration) -> anyhow::Result<()> {
    let Request { host, port, text } = Request::head(url)?;
    let start = Instant::now();
    let connecting = open_connection(&host, port).into_future();
    let (reader, writer) =
        timeout(patience, connecting).await.with_context(|| format!("cannot connect to {host}, port {port}"))??;

    let left = patience.saturating_sub(start.elapsed());
    match timeout(left, ask(reader, &writer, text)).await {
        Ok(result) => result,
        Err(_) => {
            writer.transport().abort();
            bail!("no complete answer from {host}, port {port}: timed out after {patience:?}")
        }
    }
}

/// Sends a request, and prints the answer up to the end of its headers.
async fn ask(mut reader: StreamReader, writer: &StreamWriter, text: String) -> anyhow::Result<()> {
    writer.write(text)?;
    let mut answered = false;
    loop {
        let line = reader.readline().await?;
        // Latin-1: each byte is the character of that number.
        let line: String = line.iter().copied().map(char::from).collect();
        let line = line.trim_end();
        if line.is_empty() {
            break; // the end of the headers, or of the stream
        }
        writeln!(stdout(), "HTTP header> {line}")?;
        answered = true;
    }
    // Ignore the body, close the socket.
    writer.close();
    writer.wait_closed().await?;
    ensure!(answered, "the server closed the connection without an answer");
    Ok(())
}

async fn http_headers(options: Options) -> anyhow::Result<ExitCode> {
    let mut status = ExitCode::SUCCESS;
    for url in &options.urls {
        if let Err(error) = print_http_headers(url, options.timeout).await {
            examples::complain(NAME, format_args!("{url}: {error:#}"));
            status = ExitCode::FAILURE;
        }
    }
    Ok(status)
}

fn main() -> ExitCode {
    examples::main(NAME, USAGE, parse, |options| run(http_headers(options)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{IpAddr, SocketAddr};
    use wasi_streams::sim::{Network, Peer};
    use wasi_streams::spawn;

    #[track_caller]
    fn check(url: &str, host: &str, port: u16, target: &str, host_header: &str) {
        let text = format!("HEAD {target} HTTP/1.0\r\nHost: {host_header}\r\n\r\n");
        assert_eq!(Request::head(url).unwrap(), Request { host: host.into(), port, text });
    }

    #[track_caller]
    fn check_error(url: &str, part: &str) {
        let error = format!("{:#}", Request::head(url).unwrap_err());
        assert!(error.contains(part), "{error}");
    }

    #[test]
    fn the_path_is_asked_for_with_its_query_and_without_the_fragment() {
        check("http://example.com", "example.com", 80, "/", "example.com");
        check("http://example.com/path/page.html", "example.com", 80, "/path/page.html", "example.com");
        check("HTTP://example.com/a%20b?q=1&r=/#top", "example.com", 80, "/a%20b?q=1&r=/", "example.com");
        check("http://example.com?q", "example.com", 80, "/?q", "example.com");
        check("http://example.com/#top", "example.com", 80, "/", "example.com");
    }

    #[test]
    fn the_host_header_has_the_port_unless_it_is_the_default() {
        check("http://example.com:8080/", "example.com", 8080, "/", "example.com:8080");
        check("http://example.com:80/", "example.com", 80, "/", "example.com");
        check("http://example.com:/", "example.com", 80, "/", "example.com");
        check("http://[::1]:8080/x", "::1", 8080, "/x", "[::1]:8080");
        check("http://[2001:db8::1]/", "2001:db8::1", 80, "/", "[2001:db8::1]");
    }

    #[test]
    fn user_and_password_are_not_sent() {
        check("http://me:secret@example.com/", "example.com", 80, "/", "example.com");
        check("http://me@[::1]:8080/", "::1", 8080, "/", "[::1]:8080");
    }

    #[test]
    fn what_cannot_be_asked_for_has_a_reason() {
        check_error("https://example.com/", "tls-ring");
        check_error("ftp://example.com/", "\"ftp\"");
        check_error("localhost:8080", "\"localhost\"");
        check_error("example.com/page.html", "not a URL");
        check_error("http:///page.html", "no host");
        check_error("http:page.html", "no host");
        check_error("http://example.com:99999/", "65535");
        check_error("http://example.com/a b", "not a URL");
        check_error("http://example.com/\r\nEvil: yes", "not a URL");
        check_error("http://[::1/", "not a URL");
    }

    /// What becomes of a URL on `server`, a second away, after the five seconds of its timeout.
    #[track_caller]
    fn check_timed_out(server: impl FnOnce(&Peer)) {
        let net = Network::new();
        let there = ([10, 0, 0, 1], 8080).into();
        let listener = net.connect_after(there, Duration::from_secs(1));
        run(async {
            let accepting = spawn(async move { listener.accept().await });
            let asking = spawn(print_http_headers("http://10.0.0.1:8080/", Duration::from_secs(5)));
            let peer = accepting.await.unwrap();
            server(&peer);
            let error = asking.await.unwrap().unwrap_err();
            assert_eq!(error.to_string(), "no complete answer from 10.0.0.1, port 8080: timed out after 5s");
            peer.resume();
            peer.ended().await;
        });
        assert_eq!(net.now(), Duration::from_secs(5), "nothing lingers");
    }

    #[test]
    fn the_timeout_is_for_the_answer_too() {
        check_timed_out(|_| ());
        check_timed_out(Peer::stall);
        check_timed_out(|peer| peer.send(b"HTTP/1.0 200 OK\r\nServer: slow\r\n"));
    }

    #[test]
    fn a_server_that_does_not_answer_costs_the_timeout_and_not_the_other_urls() {
        let net = Network::new();
        let (silent, there): (IpAddr, SocketAddr) = ([10, 0, 0, 1].into(), ([10, 0, 0, 2], 80).into());
        net.name("silent.example", &[silent]);
        net.black_hole((silent, 80).into());
        let listener = net.listen(there);
        let server = spawn(async move {
            let peer = listener.accept().await;
            let request = peer.recv_until(b"\r\n\r\n").await;
            peer.send(b"HTTP/1.0 200 OK\r\nX-Name: J\xf6rg\r\n\r\nbody");
            peer.ended().await;
            request
        });
        let urls = ["--timeout=5", "http://silent.example/", "nonsense", "http://10.0.0.2/page"];
        let options = parse(lexopt::Parser::from_args(urls)).unwrap();
        run(async {
            assert_eq!(http_headers(options).await.unwrap(), ExitCode::FAILURE);
            assert_eq!(server.await.unwrap(), b"HEAD /page HTTP/1.0\r\nHost: 10.0.0.2\r\n\r\n");
        });
        assert_eq!(net.now(), Duration::from_secs(5));
    }
}

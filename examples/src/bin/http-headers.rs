//! Shows the headers that web servers answer with: reading a protocol line by line.
//!
//! ```text
//! cargo run -p wasi-streams-examples --bin http-headers --target wasm32-wasip2 -- http://127.0.0.1:8000/page.html
//! wasmtime run -S tcp,inherit-network,allow-ip-name-lookup target/components/http-headers.wasm https://example.com/
//! ```

use std::io::{Write, stdout};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use fluent_uri::Uri;
use lexopt::prelude::*;
use wasi_streams::{Instant, Pem, StreamReader, StreamWriter, TlsConnector, open_connection, run, timeout};

const NAME: &str = "http-headers";
const USAGE: &str = "
Asks for each URL with HEAD, HTTP/1.0, and shows the status line and the headers. Redirects are not followed.

Usage: http-headers [OPTIONS] URL...

  --timeout SECONDS  how long each URL may take, from the lookup of its host to the last header (30)
  --ca FILE          for https, trust the certificate authorities in this file (PEM) and no others
  --insecure         accept any certificate: whoever is on the way can read and change everything
  --help             show this

Without --ca the authorities of the web are trusted, or those in the file and the folder that the environment variables
SSL_CERT_FILE and SSL_CERT_DIR name. A host passes variables by --env NAME=VALUE and opens folders by --dir FOLDER
(wasmtime run and wasi-streams-run):

  wasi-streams-run --net --dns --dir /etc/ssl/certs --env SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt \\
      http-headers.wasm https://example.com/
";

/// How long a server may take to answer the goodbye of TLS; some never do.
const GOODBYE: Duration = Duration::from_secs(1);

struct Options {
    urls: Vec<String>,
    timeout: Duration,
    ca: Option<PathBuf>,
    insecure: bool,
}

fn parse(mut parser: lexopt::Parser) -> Result<Options, lexopt::Error> {
    let mut options = Options { urls: Vec::new(), timeout: Duration::from_secs(30), ca: None, insecure: false };
    while let Some(argument) = parser.next()? {
        match argument {
            Long("timeout") => options.timeout = parser.value()?.parse_with(examples::seconds)?,
            Long("ca") => options.ca = Some(parser.value()?.into()),
            Long("insecure") => options.insecure = true,
            Value(url) => options.urls.push(url.string()?),
            other => return Err(other.unexpected()),
        }
    }
    if options.urls.is_empty() {
        return Err("a URL is needed".into());
    }
    if options.insecure && options.ca.is_some() {
        return Err("--insecure trusts everybody and --ca few: drop one".into());
    }
    Ok(options)
}

/// Where to connect to, and what to send there.
#[derive(Debug, PartialEq)]
struct Request {
    tls: bool,
    host: String,
    port: u16,
    text: String,
}

impl Request {
    fn head(url: &str) -> anyhow::Result<Self> {
        let url = Uri::parse(url).context("not a URL")?;
        let (tls, default_port) = match url.scheme().as_str().to_ascii_lowercase().as_str() {
            "http" => (false, 80),
            "https" => (true, 443),
            other => bail!("the scheme {other:?} is not known here, only http and https are"),
        };
        let authority = url.authority().filter(|authority| !authority.host().is_empty()).context("it names no host")?;
        let port = authority.port_to_u16().context("the port is not a number from 0 to 65535")?;
        let port = port.unwrap_or(default_port);

        let target = match (url.path().as_str(), url.query()) {
            ("", None) => "/".into(),
            (path, None) => path.to_owned(),
            ("", Some(query)) => format!("/?{query}"),
            (path, Some(query)) => format!("{path}?{query}"),
        };
        // An IPv6 address has brackets here, but not where it is connected to.
        let host = authority.host();
        let host_header = if port == default_port { host.to_owned() } else { format!("{host}:{port}") };
        Ok(Self {
            tls,
            host: host.trim_matches(['[', ']']).to_owned(),
            port,
            text: format!("HEAD {target} HTTP/1.0\r\nHost: {host_header}\r\n\r\n"),
        })
    }
}

/// Whom to trust.
fn connector(options: &Options) -> wasi_streams::Result<TlsConnector> {
    let mut builder = TlsConnector::builder();
    if let Some(ca) = &options.ca {
        builder = builder.roots_pem(Pem::file(ca));
    }
    if options.insecure {
        builder = builder.dangerous_without_verification();
    }
    builder.build()
}

async fn print_http_headers(url: &str, connector: &TlsConnector, patience: Duration) -> anyhow::Result<()> {
    let Request { tls, host, port, text } = Request::head(url)?;
    let start = Instant::now();
    let mut connecting = open_connection(&host, port);
    if tls {
        connecting = connecting.tls(connector.clone()).tls_shutdown_timeout(GOODBYE);
    }
    let (reader, writer) = timeout(patience, connecting.into_future())
        .await
        .with_context(|| format!("cannot connect to {host}, port {port}"))??;

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
    let _ = writer.wait_closed().await; // whatever goes wrong now, the answer is here
    ensure!(answered, "the server closed the connection without an answer");
    Ok(())
}

async fn http_headers(options: Options) -> anyhow::Result<ExitCode> {
    // One for all: it reads the files once, and a second connection to a server resumes the session of the first.
    let connector = connector(&options)?;
    let mut status = ExitCode::SUCCESS;
    for url in &options.urls {
        if let Err(error) = print_http_headers(url, &connector, options.timeout).await {
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
    use std::cell::RefCell;
    use std::net::{IpAddr, SocketAddr};
    use std::rc::Rc;
    use wasi_streams::sim::{Network, Peer};
    use wasi_streams::{TlsAcceptor, spawn, start_server};

    #[track_caller]
    fn check(url: &str, host: &str, port: u16, target: &str, host_header: &str) {
        let text = format!("HEAD {target} HTTP/1.0\r\nHost: {host_header}\r\n\r\n");
        let tls = url.starts_with("https:");
        assert_eq!(Request::head(url).unwrap(), Request { tls, host: host.into(), port, text });
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
        check("https://example.com/", "example.com", 443, "/", "example.com");
        check("https://example.com:443/", "example.com", 443, "/", "example.com");
        check("https://example.com:80/", "example.com", 80, "/", "example.com:80");
        check("http://example.com:443/", "example.com", 443, "/", "example.com:443");
    }

    #[test]
    fn user_and_password_are_not_sent() {
        check("http://me:secret@example.com/", "example.com", 80, "/", "example.com");
        check("http://me@[::1]:8080/", "::1", 8080, "/", "[::1]:8080");
    }

    #[test]
    fn what_cannot_be_asked_for_has_a_reason() {
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
            let connector = TlsConnector::builder().build().unwrap();
            let patience = Duration::from_secs(5);
            let asking = spawn(async move { print_http_headers("http://10.0.0.1:8080/", &connector, patience).await });
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

    /// What a server with a certificate for 127.0.0.1 hears, and whether over a resumed session, while URLs are asked for. It says
    /// goodbye when its client does, or never.
    fn ask_over_tls(options: &[&str], pem: &str, key: &str, polite: bool) -> (ExitCode, Vec<(String, bool)>) {
        let _net = Network::new();
        let heard = Rc::new(RefCell::new(Vec::new()));
        let hears = Rc::clone(&heard);
        let answer = move |mut reader: StreamReader, writer: StreamWriter| {
            let hears = Rc::clone(&hears);
            async move {
                let request = reader.readuntil("\r\n\r\n").await?;
                let resumed = writer.tls().is_some_and(|tls| tls.resumed());
                hears.borrow_mut().push((String::from_utf8_lossy(&request).into_owned(), resumed));
                if !polite {
                    writer.transport().pause_reading();
                }
                writer.write("HTTP/1.0 200 OK\r\n\r\n")?;
                writer.wait_closed().await
            }
        };
        let options = parse(lexopt::Parser::from_args(options)).unwrap();
        let acceptor = TlsAcceptor::builder().identity_pem(pem, key).build().unwrap();
        let status = run(async {
            let _server = start_server(answer, "127.0.0.1", 443).tls(acceptor).await.unwrap();
            http_headers(options).await.unwrap()
        });
        (status, heard.take())
    }

    #[test]
    fn https_goes_to_its_port_and_a_second_url_resumes_the_session() {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".into()]).unwrap();
        let (pem, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        let file = std::env::temp_dir().join(format!("http-headers-test-{}.pem", std::process::id()));
        std::fs::write(&file, &pem).unwrap();
        let ca = file.to_str().unwrap();
        let urls = ["https://127.0.0.1/one", "https://127.0.0.1:443/two"];
        let request = |path, resumed| (format!("HEAD /{path} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n"), resumed);
        for trust in [&["--ca", ca][..], &["--insecure"]] {
            let expected = (ExitCode::SUCCESS, vec![request("one", false), request("two", true)]);
            assert_eq!(ask_over_tls(&[trust, &urls].concat(), &pem, &key, true), expected, "{trust:?}");
        }
        assert_eq!(ask_over_tls(&urls, &pem, &key, true), (ExitCode::FAILURE, vec![]));
        // A server that never says goodbye costs a second, and not the answer.
        let expected = (ExitCode::SUCCESS, vec![request("one", false)]);
        assert_eq!(ask_over_tls(&["--ca", ca, "--timeout=3", urls[0]], &pem, &key, false), expected);
        std::fs::remove_file(&file).unwrap();
    }

    #[test]
    fn whom_to_trust_is_said_once() {
        assert!(parse(lexopt::Parser::from_args(["--insecure", "--ca=a", "https://a.test/"])).is_err());
    }
}

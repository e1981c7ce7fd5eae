//! The examples over TLS: against each other, against Python's HTTP server, and what they say when files or peers are not as
//! they should be.

use std::net::SocketAddr;

use anyhow::Result;
use wasi_streams_host::peer::{Listener, Peer, Program, Python};
use wasi_streams_host::{Guest, Running, block_on};

use crate::certificates::{Authority, Folder, Identity, KeyKind};
use crate::examples::{complaint, ended};

/// Where the components see the folder of a test.
const CERTS: &str = "/certs";
const LOCAL: &[&str] = &["127.0.0.1"];

#[test]
fn echo_over_tls_prints_what_it_prints_without() -> Result<()> {
    block_on(async {
        let (ca, files) = authority();
        for kind in [KeyKind::Ecdsa, KeyKind::Ed25519, KeyKind::Rsa] {
            put(&files, "server", &ca.issue(LOCAL, kind, |_| {}));
            for stream in [&[][..], &["--stream"]] {
                let (server, address) = serving(echo_server(&files, stream)).await?;
                let outcome = echo_client(&files, address, &["--ca", "/certs/ca.pem"]).run().await?.success()?;
                let expected = "Send: 'Hello World!'\nReceived: 'Hello World!'\nClose the connection\n";
                assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), (expected, ""), "{kind:?}");
                let outcome = ended(server).await?;
                assert_eq!(outcome.stderr, "", "{kind:?}");
                let lines: Vec<&str> = outcome.stdout.lines().skip(1).collect();
                if stream.is_empty() {
                    assert!(lines[0].starts_with("Received 'Hello World!' from ('127.0.0.1', "), "{outcome}");
                    assert_eq!(lines[1..], ["Send: 'Hello World!'", "Close the connection"]);
                } else {
                    assert!(lines.is_empty(), "{outcome}");
                }
            }
        }
        Ok(())
    })
}

#[test]
fn the_echo_server_shows_the_certificate_that_its_client_asks_for() -> Result<()> {
    block_on(async {
        let (ca, files) = authority();
        put(&files, "server", &ca.issue(&["one.test"], KeyKind::Ecdsa, |_| {}));
        put(&files, "two", &ca.issue(&["two.test"], KeyKind::Rsa, |_| {}));
        let two = ["--stream", "--tls-cert", "/certs/two.pem", "--tls-key", "/certs/two.key"];
        let (server, address) = serving(echo_server(&files, &two)).await?;
        for name in ["one.test", "two.test"] {
            let options = ["--ca", "/certs/ca.pem", "--server-name", name];
            echo_client(&files, address, &options).run().await?.success()?;
        }
        // Who asks for another name gets the first.
        let outcome = echo_client(&files, address, &["--ca", "/certs/ca.pem", "--server-name=a.test"]).run().await?;
        let line = complaint(&outcome);
        assert!(line.contains("not for a.test, but for") && line.contains("one.test"), "{line}");
        let outcome = ended(server).await?;
        assert!(outcome.stderr.contains("TLS handshake with 127.0.0.1:"), "{outcome}");
        Ok(())
    })
}

#[test]
fn the_echo_server_takes_only_clients_with_a_certificate_if_told_so() -> Result<()> {
    block_on(async {
        let (ca, files) = authority();
        put(&files, "server", &ca.issue(LOCAL, KeyKind::Ecdsa, |_| {}));
        put(&files, "client", &ca.issue(&["client.test"], KeyKind::Ed25519, |_| {}));
        let other = Authority::new("another authority");
        put(&files, "stranger", &other.issue(&["client.test"], KeyKind::Ecdsa, |_| {}));
        let (mut server, address) = serving(echo_server(&files, &["--client-ca", "/certs/ca.pem"])).await?;
        for (identity, refusal) in [
            (Some("client"), None),
            (None, Some("CertificateRequired")),
            (Some("stranger"), Some("UnknownCA")),
            (Some("client"), None),
        ] {
            let mut options = vec!["--ca".to_owned(), "/certs/ca.pem".to_owned()];
            if let Some(name) = identity {
                options.extend([
                    "--cert".into(),
                    format!("/certs/{name}.pem"),
                    "--key".into(),
                    format!("/certs/{name}.key"),
                ]);
            }
            let options: Vec<&str> = options.iter().map(String::as_str).collect();
            let outcome = echo_client(&files, address, &options).run().await?;
            match refusal {
                None => {
                    outcome.success()?;
                    server.wait_line("Close the connection").await?;
                }
                Some(alert) => {
                    assert!(complaint(&outcome).contains(alert), "{outcome}");
                    server.wait_stderr_line("echo-server: TLS handshake with 127.0.0.1:").await?;
                }
            }
        }
        ended(server).await?;
        Ok(())
    })
}

#[test]
fn http_headers_shows_over_tls_what_it_shows_without() -> Result<()> {
    block_on(async {
        let (ca, files) = authority();
        put(&files, "server", &ca.issue(LOCAL, KeyKind::Ecdsa, |_| {}));
        let mut plain = Python::run(HTTP_SERVER, ["127.0.0.1"])?;
        let plain_url = format!("http://{}/page.html", address(&plain.wait_line("Serving on ").await?)?);
        let expected = Guest::named("http-headers").arg(plain_url).run().await?.success()?;
        let (mut server, url) = https_server(&files).await?;
        // The folder of authorities has nothing else in it.
        let authorities = Folder::new();
        authorities.write("ca.pem", ca.pem());
        let guest = || Guest::named("http-headers").dir(files.path(), CERTS).dir(authorities.path(), "/trusted");
        for guest in [
            guest().args(["--ca", "/certs/ca.pem"]),
            guest().env("SSL_CERT_FILE", "/certs/ca.pem"),
            guest().env("SSL_CERT_DIR", "/trusted"),
            // What the option says counts, not the environment.
            guest().args(["--ca", "/certs/ca.pem"]).env("SSL_CERT_FILE", "/certs/none.pem"),
            Guest::named("http-headers").arg("--insecure"),
        ] {
            let outcome = guest.arg(&url).run().await?.success()?;
            assert_eq!(without_date(&outcome.stdout), without_date(&expected.stdout));
            assert_eq!(outcome.stderr, "");
            server.wait_line("HEAD /page.html HTTP/1.0 200 ").await?;
        }
        // A second URL of the same server resumes the session of the first.
        guest().args(["--ca", "/certs/ca.pem", &url, &url]).run().await?.success()?;
        assert!(!server.wait_line("HEAD ").await?.ends_with(" resumed"));
        assert!(server.wait_line("HEAD ").await?.ends_with(" resumed"));
        server.finish().await?;
        plain.finish().await?;
        Ok(())
    })
}

#[test]
fn http_headers_says_why_it_does_not_trust_a_server() -> Result<()> {
    block_on(async {
        let (ca, files) = authority();
        files.write("other.pem", Authority::new("another authority").pem());
        let past = rcgen::date_time_ymd(2001, 2, 3);
        for (identity, options, expected) in [
            (ca.issue(LOCAL, KeyKind::Ecdsa, |_| {}), &["--ca", "/certs/other.pem"][..], "no trusted authority"),
            (ca.issue(LOCAL, KeyKind::Ecdsa, |_| {}), &[], "no trusted authority"),
            (ca.issue(&["a.test"], KeyKind::Ecdsa, |_| {}), &["--ca", "/certs/ca.pem"], "not for 127.0.0.1, but for"),
            (
                ca.issue(LOCAL, KeyKind::Ecdsa, |to| to.not_after = past),
                &["--ca", "/certs/ca.pem"],
                "expired at 2001-02-03",
            ),
        ] {
            put(&files, "server", &identity);
            let (server, url) = https_server(&files).await?;
            let guest = Guest::named("http-headers").dir(files.path(), CERTS).args(options.iter().copied());
            let outcome = guest.arg(&url).run().await?;
            let line = complaint(&outcome);
            assert!(line.starts_with(&format!("http-headers: {url}: ")) && line.contains(expected), "{line}");
            assert_eq!(outcome.stdout, "");
            server.finish().await?;
        }
        Ok(())
    })
}

#[test]
fn http_headers_tells_a_plain_port_from_tls_and_the_other_way_round() -> Result<()> {
    block_on(async {
        let (ca, files) = authority();
        put(&files, "server", &ca.issue(LOCAL, KeyKind::Ecdsa, |_| {}));
        let plain = Listener::v4()?;
        let url = format!("https://{}/", plain.addr());
        let guest = Guest::named("http-headers").args(["--insecure", &url]).run();
        let peer = async {
            let mut peer = plain.accept().await?;
            peer.write_all(b"HTTP/1.0 400 Bad request syntax\r\n\r\n").await?;
            peer.read_to_end().await
        };
        let (outcome, peer) = tokio::join!(guest, peer);
        peer?;
        let outcome = outcome?;
        assert!(
            complaint(&outcome).contains(&format!("{url}: 127.0.0.1: the peer spoke something that is not TLS")),
            "{outcome}"
        );

        let (server, url) = https_server(&files).await?;
        let url = url.replacen("https:", "http:", 1);
        let outcome = Guest::named("http-headers").arg(&url).run().await?;
        assert!(complaint(&outcome).starts_with(&format!("http-headers: {url}: ")), "{outcome}");
        server.finish().await?;
        Ok(())
    })
}

#[test]
fn a_file_that_is_of_no_use_is_named_with_the_reason() -> Result<()> {
    block_on(async {
        let (ca, files) = authority();
        put(&files, "server", &ca.issue(LOCAL, KeyKind::Ecdsa, |_| {}));
        put(&files, "other", &ca.issue(LOCAL, KeyKind::Ecdsa, |_| {}));
        files.write("empty.pem", "");
        let (pem, key) = ("/certs/server.pem", "/certs/server.key");
        let url = "https://127.0.0.1/";
        for (program, arguments, file, reason) in [
            ("echo-server", &["--tls-cert", "/certs/none.pem", "--tls-key", key][..], "/certs/none.pem", "cannot read"),
            ("echo-server", &["--tls-cert", "/other/a.pem", "--tls-key", key], "/other/a.pem", "folder open"),
            ("echo-server", &["--tls-cert", CERTS, "--tls-key", key], CERTS, "cannot read"),
            ("echo-server", &["--tls-cert", key, "--tls-key", key], key, "but: PRIVATE KEY"),
            ("echo-server", &["--tls-cert", pem, "--tls-key", pem], pem, "but: CERTIFICATE"),
            ("echo-server", &["--tls-cert", pem, "--tls-key", "/certs/other.key"], "/certs/other.key", "belong"),
            (
                "echo-server",
                &["--tls-cert", pem, "--tls-key", key, "--client-ca", "/certs/empty.pem"],
                "/certs/empty.pem",
                "empty",
            ),
            ("echo-client", &["--tls", "--ca", "/certs/none.pem"], "/certs/none.pem", "cannot read"),
            ("echo-client", &["--tls", "--cert", pem, "--key", "/certs/other.key"], "/certs/other.key", "belong"),
            ("http-headers", &["--ca", "/certs/empty.pem", url], "/certs/empty.pem", "empty"),
            ("http-headers", &["--ca", key, url], key, "but: PRIVATE KEY"),
            ("starttls", &["client", "127.0.0.1", "25", "--ca", "/certs/none.pem"], "/certs/none.pem", "cannot read"),
            ("starttls", &["server", "--tls-cert", pem, "--tls-key", "/certs/other.key"], "/certs/other.key", "belong"),
        ] {
            let guest = Guest::named(program).dir(files.path(), CERTS).args(arguments.iter().copied());
            let outcome = guest.run().await?;
            let line = complaint(&outcome);
            assert!(line.contains(file) && line.contains(reason), "{arguments:?}: {line}");
            assert_eq!(outcome.stdout, "");
        }
        let guest = Guest::named("http-headers").env("SSL_CERT_FILE", "/etc/none.pem").arg(url);
        assert!(complaint(&guest.run().await?).contains("/etc/none.pem"));
        Ok(())
    })
}

#[test]
fn starttls_talks_to_itself_and_hands_over_a_mail() -> Result<()> {
    block_on(async {
        let (ca, files) = authority();
        put(&files, "server", &ca.issue(&["127.0.0.1", "mail.test"], KeyKind::Ecdsa, |_| {}));
        let (server, address) = serving(starttls_server(&files)).await?;
        let outcome = starttls_client(&files, address, &["--server-name", "mail.test"]).run().await?.success()?;
        let expected = "S: 220 wasi-streams SMTP
C: EHLO [127.0.0.1]
S: 250-wasi-streams
S: 250 STARTTLS
C: STARTTLS
S: 220 Go ahead
TLS: TLSv1.3, TLS_CHACHA20_POLY1305_SHA256
C: EHLO [127.0.0.1]
S: 250 wasi-streams
C: NOOP
S: 250 Nothing done
C: QUIT
S: 221 Goodbye
";
        assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), (expected, ""));
        let mail = "Subject: dots\n\n.\n..\nthe end";
        let guest = starttls_client(&files, address, &["--mail", "me@a.test", "you@b.test"]).stdin(mail);
        let outcome = guest.run().await?.success()?;
        assert!(outcome.stdout.contains("\nC: (27 bytes of mail)\nS: 250 Taken\nC: QUIT\n"), "{outcome}");
        let outcome = ended(server).await?;
        let printed = format!("Serving on {address}\nMail from <me@a.test> to <you@b.test>:\n{mail}\nEnd of mail\n");
        assert_eq!((outcome.stdout, outcome.stderr), (printed, String::new()));
        assert_eq!(outcome.last.resources.tcp_sockets, 0);
        Ok(())
    })
}

#[test]
fn the_starttls_client_goes_no_further_without_tls() -> Result<()> {
    block_on(async {
        let (ca, files) = authority();
        files.write("ca.pem", Authority::new("another authority").pem());
        put(&files, "server", &ca.issue(LOCAL, KeyKind::Ecdsa, |_| {}));
        let (server, address) = serving(starttls_server(&files)).await?;
        let outcome = starttls_client(&files, address, &[]).run().await?;
        assert!(complaint(&outcome).contains("no trusted authority"), "{outcome}");
        assert!(outcome.stdout.ends_with("S: 220 Go ahead\n"), "{outcome}");
        ended(server).await?;

        for (offer, answer, expected) in [
            ("250 a.test\r\n", "", "does not offer STARTTLS"),
            ("250-a.test\r\n250 STARTTLS\r\n", "454 not now\r\n", "454 not now"),
            ("250-a.test\r\n250 STARTTLS\r\n", "220 go\r\n250 and this is injected\r\n", "injected"),
        ] {
            let listener = Listener::v4()?;
            let guest =
                starttls_client(&files, listener.addr(), &["--mail", "me@a.test", "you@b.test"]).stdin("secret");
            let peer = async {
                let mut peer = listener.accept().await?;
                peer.write_all(b"220 a.test\r\n").await?;
                peer.read_line().await?;
                peer.write_all(offer.as_bytes()).await?;
                if !answer.is_empty() {
                    peer.read_line().await?;
                    peer.write_all(answer.as_bytes()).await?;
                }
                peer.read_to_end().await
            };
            let (outcome, rest) = tokio::join!(guest.run(), peer);
            assert!(complaint(&outcome?).contains(expected), "{expected}");
            assert_eq!(rest?, b"", "nothing more is said");
        }
        Ok(())
    })
}

#[test]
fn the_starttls_server_obeys_nothing_that_was_injected_in_the_clear() -> Result<()> {
    block_on(async {
        let (ca, files) = authority();
        put(&files, "server", &ca.issue(LOCAL, KeyKind::Ecdsa, |_| {}));
        let (mut server, address) = serving(starttls_server(&files)).await?;
        let mut client = Peer::connect(address).await?;
        client
            .write_all(b"EHLO me\r\nMAIL FROM:<me@a.test>\r\nSTARTTLS\r\nRSET\r\nMAIL FROM:<evil@a.test>\r\n")
            .await?;
        let heard = client.read_to_end().await?;
        let heard = String::from_utf8_lossy(&heard);
        assert!(heard.ends_with("\r\n530 Must issue a STARTTLS command first\r\n220 Go ahead\r\n"), "{heard}");
        let line = server.wait_stderr_line("starttls: ").await?;
        assert!(line.contains("not TLS") && line.contains("RSET"), "{line}");
        // Others are served on.
        starttls_client(&files, address, &[]).run().await?.success()?;
        ended(server).await?;
        Ok(())
    })
}

/// An authority, and a folder with its certificate in `ca.pem`.
fn authority() -> (Authority, Folder) {
    let (ca, files) = (Authority::new("test authority"), Folder::new());
    files.write("ca.pem", ca.pem());
    (ca, files)
}

/// Writes `NAME.pem` and `NAME.key`.
fn put(files: &Folder, name: &str, identity: &Identity) {
    files.write(&format!("{name}.pem"), &identity.chain);
    files.write(&format!("{name}.key"), &identity.key);
}

fn echo_server(files: &Folder, options: &[&str]) -> Guest {
    tls_server("echo-server", files).args(options.iter().copied())
}

fn starttls_server(files: &Folder) -> Guest {
    tls_server("starttls", files)
}

/// A server with the certificate `server.pem`.
fn tls_server(program: &str, files: &Folder) -> Guest {
    let role: &[&str] = if program == "starttls" { &["server"] } else { &[] };
    let tls = ["--port=0", "--until-stdin-closes", "--tls-cert", "/certs/server.pem", "--tls-key", "/certs/server.key"];
    Guest::named(program).dir(files.path(), CERTS).args(role.iter().copied()).args(tls).piped_stdin()
}

async fn serving(server: Guest) -> Result<(Running, SocketAddr)> {
    let mut server = server.start().await?;
    let address = address(&server.wait_line("Serving on ").await?)?;
    Ok((server, address))
}

fn address(line: &str) -> Result<SocketAddr> {
    Ok(line.trim_start_matches("Serving on ").parse()?)
}

fn echo_client(files: &Folder, server: SocketAddr, options: &[&str]) -> Guest {
    let port = server.port().to_string();
    Guest::named("echo-client").dir(files.path(), CERTS).args(["--port", &port, "--tls"]).args(options.iter().copied())
}

fn starttls_client(files: &Folder, server: SocketAddr, options: &[&str]) -> Guest {
    let (ip, port) = (server.ip().to_string(), server.port().to_string());
    let guest = Guest::named("starttls").dir(files.path(), CERTS);
    guest.args(["client", &ip, &port, "--ca", "/certs/ca.pem"]).args(options.iter().copied())
}

/// Python's HTTP server with the certificate `server.pem`, and the URL of its page.
async fn https_server(files: &Folder) -> Result<(Program, String)> {
    let file = |name| files.path().join(name).display().to_string();
    let mut server = Python::run(HTTP_SERVER, ["127.0.0.1".to_owned(), file("server.pem"), file("server.key")])?;
    let address = address(&server.wait_line("Serving on ").await?)?;
    Ok((server, format!("https://{address}/page.html")))
}

/// The clock may move on between two requests.
fn without_date(text: &str) -> Vec<&str> {
    text.lines().filter(|line| !line.starts_with("HTTP header> Date: ") && !line.contains("Last-Modified: ")).collect()
}

const HTTP_SERVER: &str = include_str!("../../peers/http_server.py");

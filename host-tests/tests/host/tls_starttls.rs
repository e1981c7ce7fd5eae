//! Our SMTP client and server, which start TLS in the middle, against Python's smtplib and aiosmtpd, OpenSSL and curl.

use std::path::Path;

use anyhow::{Context, Result};
use tokio::io::copy_bidirectional;
use wasi_streams_host::peer::{Listener, Peer, Program};
use wasi_streams_host::{Guest, Running, block_on};

use crate::certificates::Authority;
use crate::tls_support::{NAME, Pki, read_record, serving};

const MAIL: &str = "Subject: test\r\n\r\n.a line with a dot in front\r\nthe end\r\n";

#[test]
fn u01_u03_u04_our_client_sends_a_mail_to_aiosmtpd() -> Result<()> {
    block_on(async {
        let pki = Pki::new();
        for version in ["1.2", "1.3"] {
            let (mut server, port) = aiosmtpd(&pki, version).await?;
            let sent =
                client(&pki, &port, &["--mail", "me@a.test", "you@b.test"]).stdin(MAIL).run().await?.success()?;
            assert!(sent.stdout.contains(&format!("TLS: TLSv{version}, TLS_")), "{sent}");
            assert_eq!(
                server.wait_line("mail ").await?,
                format!("mail from me@a.test to ['you@b.test'] over TLSv{version}")
            );
            assert_eq!(server.wait_line("content ").await?, format!("content {}", MAIL.escape_debug()));
            // A long one, which takes many records.
            let long = format!("Subject: long\r\n\r\n{}", "0123456789abcdef\r\n".repeat(50_000));
            client(&pki, &port, &["--mail", "me@a.test", "you@b.test"]).stdin(&*long).run().await?.success()?;
            let expected = format!("content of {} characters, different lines: 3", long.len());
            assert_eq!(server.wait_line("content of ").await?, expected);
            server.finish().await?.success()?;
        }
        Ok(())
    })
}

#[test]
fn u06_our_client_goes_no_further_when_it_cannot_trust_the_server() -> Result<()> {
    block_on(async {
        let pki = Pki::new();
        let (server, port) = aiosmtpd(&pki, "1.3").await?;
        let refused = client(&pki, &port, &["--mail", "me@a.test", "you@b.test"]);
        let refused = refused.args(["--server-name", "other.test"]).stdin(MAIL).run().await?;
        assert!(refused.clone().success().is_err() && refused.stderr.contains("is not for other.test"), "{refused}");
        pki.write("ca.pem", Authority::new("another").pem());
        let refused = client(&pki, &port, &["--mail", "me@a.test", "you@b.test"]).stdin(MAIL).run().await?;
        let reason = "no trusted authority has issued the peer's certificate";
        assert!(refused.clone().success().is_err() && refused.stderr.contains(reason), "{refused}");
        let status = server.finish().await?.success()?;
        assert!(!status.stdout.contains("mail "), "{status}");
        Ok(())
    })
}

#[test]
fn u01_u03_smtplib_sends_a_mail_to_our_server() -> Result<()> {
    block_on(async {
        let pki = Pki::new();
        let (mut server, port) = our_server(&pki).await?;
        for version in ["1.2", "1.3"] {
            let sent = pki.python(SMTPLIB, &[&port, version, MAIL])?.finish().await?.success()?;
            assert_eq!((sent.stdout, sent.stderr), (format!("TLSv{version}\n"), String::new()));
            server.wait_line("Mail from <me@a.test> to <you@b.test>:").await?;
            for line in MAIL.lines() {
                assert_eq!(server.wait_line("").await?, line);
            }
            assert_eq!(server.wait_line("").await?, "End of mail");
        }
        // One that does not trust us leaves in the handshake; others are served.
        let good = std::fs::read(pki.folder().join("ca.pem"))?;
        pki.write("ca.pem", Authority::new("another").pem());
        let refused = pki.python(SMTPLIB, &[&port, "1.3", MAIL])?.finish().await?;
        assert!(refused.code == Some(1) && refused.stderr.contains("CERTIFICATE_VERIFY_FAILED"), "{refused}");
        pki.write("ca.pem", good);
        pki.python(SMTPLIB, &[&port, "1.3", MAIL])?.finish().await?.success()?;
        server.close_stdin();
        server.finish().await.success()?;
        Ok(())
    })
}

#[test]
fn u01_u03_openssl_and_curl_start_tls_with_our_server() -> Result<()> {
    block_on(async {
        let pki = Pki::new();
        let (mut server, port) = our_server(&pki).await?;
        let address = format!("127.0.0.1:{port}").parse()?;
        for version in ["-tls1_2", "-tls1_3"] {
            let mut client = pki.s_client(address, &["-starttls", "smtp", "-crlf", version])?;
            client.wait_line("Verification: OK").await?;
            client.write_stdin(b"ehlo here\n").await?;
            client.wait_line("250 wasi-streams").await?;
            client.write_stdin(b"noop\n").await?;
            client.wait_line("250 Nothing done").await?;
            client.write_stdin(b"quit\n").await?;
            client.wait_line("221 Goodbye").await?;
            client.finish().await?;
        }
        pki.write("mail", MAIL);
        let (ca, mail, url) = (pki.path("ca.pem"), pki.path("mail"), format!("smtp://{NAME}:{port}"));
        let to = format!("::127.0.0.1:{port}");
        let always = ["--silent", "--show-error", "--max-time", "30", "--noproxy", "*", "--connect-to", &to];
        let secure = ["--ssl-reqd", "--cacert", &ca];
        let send = ["--mail-from", "me@a.test", "--mail-rcpt", "you@b.test", "--upload-file", &mail, &url];
        Program::run("curl", [&always[..], &secure, &send].concat())?.finish().await?.success()?;
        server.wait_line("Mail from <me@a.test> to <you@b.test>:").await?;
        for line in MAIL.lines() {
            assert_eq!(server.wait_line("").await?, line);
        }
        server.close_stdin();
        server.finish().await.success()?;
        Ok(())
    })
}

#[test]
fn u08_a_client_hello_in_one_segment_with_what_comes_before_it_goes_to_the_engine() -> Result<()> {
    block_on(async {
        let pki = Pki::new();
        let (mut server, port) = our_server(&pki).await?;
        let between = Listener::v4()?;
        let mut s_client = pki.s_client(between.addr(), &["-crlf"])?;
        let mut client = between.accept().await?;
        let hello = read_record(&mut client).await?;
        let mut peer = Peer::connect(format!("127.0.0.1:{port}").parse()?).await?;
        peer.write_all(&[b"EHLO here\r\nSTARTTLS\r\n", &hello[..]].concat()).await?;
        while peer.read_line().await? != b"220 Go ahead\r\n" {}
        // What is left is TLS in both directions, as if they had begun with it.
        client.write_all(&peer.read_some(64 * 1024).await?).await?;
        let passing = tokio::spawn(async move { copy_bidirectional(client.stream(), peer.stream()).await });
        s_client.wait_line("Verification: OK").await?;
        s_client.write_stdin(b"noop\n").await?;
        s_client.wait_line("250 Nothing done").await?;
        s_client.write_stdin(b"quit\n").await?;
        s_client.wait_line("221 Goodbye").await?;
        s_client.finish().await?;
        passing.abort();
        server.close_stdin();
        server.finish().await.success()?;
        Ok(())
    })
}

#[test]
fn u09_what_a_server_says_in_the_clear_behind_its_consent_is_refused() -> Result<()> {
    block_on(async {
        let pki = Pki::new();
        let listener = Listener::v4()?;
        let guest = client(&pki, &listener.port().to_string(), &[]).start().await?;
        let mut peer = listener.accept().await?;
        peer.write_all(b"220 mail.test\r\n").await?;
        peer.read_line().await?;
        peer.write_all(b"250-mail.test\r\n250 STARTTLS\r\n").await?;
        assert_eq!(peer.read_line().await?, b"STARTTLS\r\n");
        peer.write_all(b"220 Go ahead\r\n250 injected\r\n").await?;
        // Not one byte of a handshake.
        assert_eq!(peer.read_to_end().await?, b"");
        let outcome = guest.finish().await;
        assert!(outcome.stderr.contains("somebody may have injected it"), "{outcome}");
        assert!(!outcome.stdout.contains("injected"), "{outcome}");
        Ok(())
    })
}

/// Our client, for the server on this port.
fn client(pki: &Pki, port: &str, options: &[&str]) -> Guest {
    let guest = Guest::named("starttls").dir(pki.folder(), "/pki").args(["client", "--ca", "/pki/ca.pem"]);
    guest.args(["--server-name", NAME]).args(options.iter().copied()).args(["127.0.0.1", port])
}

/// Our server, and its port.
async fn our_server(pki: &Pki) -> Result<(Running, String)> {
    let guest = Guest::named("starttls").dir(pki.folder(), "/pki").arg("server").piped_stdin();
    let files = ["--tls-cert", "/pki/server.pem", "--tls-key", "/pki/server.key"];
    let mut guest = guest.args(files).args(["--port", "0", "--until-stdin-closes"]).start().await?;
    let address = serving(&guest.wait_line("Serving on ").await?)?;
    Ok((guest, address.port().to_string()))
}

/// aiosmtpd, and its port.
async fn aiosmtpd(pki: &Pki, version: &str) -> Result<(Program, String)> {
    let modules = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tools/python");
    let mut server = pki.python(AIOSMTPD, &[&modules.display().to_string(), version])?;
    let line = server.wait_line("Serving on ").await.context("is aiosmtpd there? run make setup")?;
    Ok((server, serving(&line)?.port().to_string()))
}

const AIOSMTPD: &str = include_str!("../../peers/smtp_server.py");
const SMTPLIB: &str = include_str!("../../peers/smtp_client.py");

//! Sessions that are resumed and protocols that are agreed on, against OpenSSL.

use anyhow::Result;
use wasi_streams_host::{Guest, block_on};

use crate::certificates::KeyKind;
use crate::tls_support::{NAME, Pki, echo_by_s_client, line, value};

#[test]
fn our_client_resumes_its_sessions_with_s_server() -> Result<()> {
    block_on(async {
        let pki = Pki::new();
        for version in ["-tls1_2", "-tls1_3"] {
            let (_server, address) = pki.s_server(&[version]).await?;
            let seen = pki.talk(address, &["--name", NAME, "--times", "3", "--line", "hello"]).await?;
            assert_eq!(resumed(&seen, "connected "), ["false", "true", "true"], "{version}: {seen}");
            assert_eq!(seen.matches(r#"answer "olleh\n""#).count(), 3, "{seen}");
            // Of a resumed session the certificate of the first is known.
            assert_eq!(seen.matches("verified=true peer=CN=server.test DNS:server.test").count(), 3, "{seen}");
        }
        // A server that forgets what it has promised costs nothing but a whole handshake.
        let (_server, address) = pki.s_server(&["-tls1_2", "-no_ticket", "-no_cache"]).await?;
        let seen = pki.talk(address, &["--name", NAME, "--times", "2", "--line", "hello"]).await?;
        assert_eq!(resumed(&seen, "connected "), ["false", "false"], "{seen}");
        Ok(())
    })
}

#[test]
fn s_client_resumes_its_sessions_with_our_server() -> Result<()> {
    block_on(async {
        let pki = Pki::new();
        pki.issue("client", &["client.test"], KeyKind::Ecdsa, |_| {});
        let server = pki.serve(&["--require", "/pki/ca.pem"]).await?;
        let (chain, key) = (pki.path("client.pem"), pki.path("client.key"));
        for version in ["-tls1_2", "-tls1_3"] {
            let session = pki.path(&format!("session{version}"));
            // A session of TLS 1.3 is good for one more: each connection leaves the next.
            let (first, later) = (["-sess_out", &session], ["-sess_in", &session, "-sess_out", &session]);
            for (sessions, kind) in [(&first[..], "New"), (&later, "Reused"), (&later, "Reused")] {
                let certificate = ["-cert", &chain, "-key", &key];
                let mut client = pki.s_client(server.address, &[&[version], sessions, &certificate].concat())?;
                client.wait_line(&format!("{kind}, TLSv1.")).await?;
                echo_by_s_client(client).await?;
            }
        }
        let seen = server.finish().await?;
        assert_eq!(resumed(&seen, "accepted "), ["false", "true", "true", "false", "true", "true"], "{seen}");
        assert_eq!(seen.matches("verified=true peer=CN=client.test DNS:client.test").count(), 6, "{seen}");
        Ok(())
    })
}

#[test]
fn t18_application_protocols_are_agreed_on_in_both_roles() -> Result<()> {
    block_on(async {
        let pki = Pki::new();
        // What s_server has, what we offer, and what comes of it.
        for (theirs, ours, agreed) in [
            (&["-alpn", "h2,http/1.1"][..], &["http/1.1", "h2"][..], "h2"),
            (&["-alpn", "http/1.1"], &["h2", "http/1.1"], "http/1.1"),
            (&[], &["h2"], "-"),
            (&["-alpn", "h2"], &[], "-"),
        ] {
            let (_server, address) = pki.s_server(theirs).await?;
            let ours: Vec<&str> = ours.iter().flat_map(|&name| ["--alpn", name]).collect();
            let seen = pki.talk(address, &[&["--name", NAME, "--line", "hello"], &ours[..]].concat()).await?;
            assert_eq!(value(line(&seen, "connected "), "alpn"), agreed, "{theirs:?} {ours:?}");
            assert_eq!(line(&seen, "answer "), r#"answer "olleh\n""#);
        }
        let mut server = pki.serve(&["--alpn", "h2", "--alpn", "http/1.1"]).await?;
        for (theirs, agreed, printed) in [
            ("http/1.1,h2", "h2", "ALPN protocol: h2"),
            ("spdy/1,http/1.1", "http/1.1", "ALPN protocol: http/1.1"),
            ("", "-", "No ALPN negotiated"),
        ] {
            let alpn: &[&str] = if theirs.is_empty() { &[] } else { &["-alpn", theirs] };
            let mut client = pki.s_client(server.address, alpn)?;
            client.wait_line(printed).await?;
            echo_by_s_client(client).await?;
            assert_eq!(value(&server.guest.wait_line("accepted ").await?, "alpn"), agreed);
        }
        // Nothing in common: both are told.
        let client = pki.s_client(server.address, &["-alpn", "spdy/1"])?.finish().await?;
        assert!(client.code == Some(1) && client.stderr.contains("alert no application protocol"), "{client}");
        let failed = server.guest.wait_line("handshake failed ").await?;
        assert!(failed.starts_with("handshake failed NothingInCommon: "), "{failed}");
        server.finish().await?;
        Ok(())
    })
}

/// Which connections were resumed.
fn resumed<'a>(seen: &'a str, prefix: &str) -> Vec<&'a str> {
    seen.lines().filter(|line| line.starts_with(prefix)).map(|line| value(line, "resumed")).collect()
}

#[test]
fn the_figures_of_what_tls_costs_are_of_what_they_say() -> Result<()> {
    block_on(async {
        let pki = Pki::new();
        pki.issue("localhost", &["localhost"], KeyKind::Ecdsa, |_| {});
        let files = ["/pki/ca.pem", "/pki/localhost.pem", "/pki/localhost.key"];
        let guest = Guest::named("tls-cost").dir(pki.folder(), "/pki").args(files).arg("10");
        let outcome = guest.run().await?.success()?; // it fails where a session or a cipher is not the one that was meant
        let names: Vec<_> = outcome.stdout.lines().filter_map(|line| Some(line.rsplit_once(' ')?.0)).collect();
        let meant = ["full handshakes", "resumed handshakes", "ChaCha20-Poly1305 MB", "AES-256-GCM MB"];
        assert_eq!(names, meant, "{outcome}");
        Ok(())
    })
}

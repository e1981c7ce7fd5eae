//! Whom we believe, against OpenSSL's client and server: certificates that are no good, on either side, and those that are.

use anyhow::Result;
use rcgen::date_time_ymd;
use wasi_streams_host::block_on;
use wasi_streams_host::peer::ProgramStatus;

use crate::certificates::{Authority, KeyKind, self_signed};
use crate::tls_support::{NAME, Pki, echo_by_s_client, line, value};

#[test]
fn t02_our_client_refuses_every_unusable_certificate_for_its_own_reason() -> Result<()> {
    block_on(async {
        let pki = Pki::new();
        let issue = |file, names: &[&str], change: fn(&mut rcgen::CertificateParams)| {
            pki.issue(file, names, KeyKind::Ecdsa, change);
        };
        issue("expired", &[NAME], |params| params.not_after = date_time_ymd(2001, 2, 3));
        issue("early", &[NAME], |params| params.not_before = date_time_ymd(3000, 2, 3));
        issue("misnamed", &["other.test", "third.test"], |_| {});
        issue("nameless", &[], |_| {});
        issue("revoked", &[NAME], |params| params.serial_number = Some(7.into()));
        pki.write("crl.pem", pki.authority.revoke(&[7]));
        pki.issue_by(&Authority::new("another"), "unknown", &[NAME], KeyKind::Ecdsa, |_| {});
        let own = self_signed(&[NAME]);
        pki.write("own.pem", own.chain);
        pki.write("own.key", own.key);
        for (file, kind, reason, alert) in [
            ("unknown", "UnknownIssuer", "no trusted authority has issued the peer's certificate", "unknown ca"),
            ("expired", "Expired", "or one of its chain, expired at 2001-02-03T00:00:00Z", "certificate expired"),
            ("early", "NotYetValid", "is not valid before 3000-02-03T00:00:00Z", "certificate expired"),
            ("misnamed", "WrongName", "is not for server.test, but for other.test, third.test", "bad certificate"),
            ("nameless", "WrongName", "is not for server.test: it has no subjectAltName", "bad certificate"),
            ("own", "SelfSigned", "the peer's certificate is self-signed and not trusted", "certificate unknown"),
            ("revoked", "Revoked", "the peer's certificate was revoked", "certificate revoked"),
        ] {
            let (server, address) = pki.s_server_as(file, &["-rev", "-naccept", "1"]).await?;
            let revoked: &[&str] = if file == "revoked" { &["--crl", "/pki/crl.pem"] } else { &[] };
            let seen = pki.talk(address, &[&["--name", NAME, "--line", "secret"], revoked].concat()).await?;
            let failed = line(&seen, "failed ");
            assert!(
                failed.starts_with(&format!("failed {kind}: 127.0.0.1: TLS: ")) && failed.contains(reason),
                "{file}: {seen}"
            );
            assert!(!seen.contains("connected"), "{file}: {seen}");
            // OpenSSL is told why.
            let server = server.finish().await?;
            assert!(server.stderr.contains(&format!("alert {alert}")), "{file}: {server}");
            assert!(!server.stdout.contains("terces"), "{file}: {server}");
        }
        // The same list leaves the others alone.
        let (_server, address) = pki.s_server(&[]).await?;
        let seen = pki.talk(address, &["--name", NAME, "--line", "hello", "--crl", "/pki/crl.pem"]).await?;
        assert_eq!(line(&seen, "answer "), r#"answer "olleh\n""#);
        Ok(())
    })
}

#[test]
fn t18_our_server_refuses_every_unusable_client_certificate_for_its_own_reason() -> Result<()> {
    block_on(async {
        let pki = Pki::new();
        pki.issue("good", &["client.test"], KeyKind::Ecdsa, |_| {});
        pki.issue("expired", &["client.test"], KeyKind::Ecdsa, |params| params.not_after = date_time_ymd(2001, 2, 3));
        pki.issue("revoked", &["client.test"], KeyKind::Ecdsa, |params| params.serial_number = Some(7.into()));
        pki.issue_by(&Authority::new("another"), "unknown", &["client.test"], KeyKind::Ecdsa, |_| {});
        pki.write("crl.pem", pki.authority.revoke(&[7]));
        let mut server = pki.serve(&["--require", "/pki/ca.pem", "--crl", "/pki/crl.pem"]).await?;
        for version in ["-tls1_2", "-tls1_3"] {
            for (file, kind, alert) in [
                ("unknown", "UnknownIssuer: ", "unknown ca"),
                ("expired", "Expired: ", "certificate expired"),
                ("revoked", "Revoked: ", "certificate revoked"),
                ("", "NoCertificate: TLS: the peer sent no certificate although one is required", "alert"),
            ] {
                let (chain, key) = (pki.path(&format!("{file}.pem")), pki.path(&format!("{file}.key")));
                let certificate: &[&str] = if file.is_empty() { &[] } else { &["-cert", &chain, "-key", &key] };
                let client = pki.s_client(server.address, &[&[version, "-ign_eof"], certificate].concat())?;
                let client = client.finish().await?;
                assert!(client.code == Some(1) && client.stderr.contains(alert), "{file}: {client}");
                let failed = server.guest.wait_line("handshake failed ").await?;
                assert!(failed.starts_with(&format!("handshake failed {kind}")), "{file}: {failed}");
            }
            let client = pki
                .s_client(server.address, &[version, "-cert", &pki.path("good.pem"), "-key", &pki.path("good.key")])?;
            echo_by_s_client(client).await?;
            let accepted = server.guest.wait_line("accepted ").await?;
            assert_eq!(value(&accepted, "peer"), "CN=client.test DNS:client.test");
            assert_eq!(value(&accepted, "verified"), "true");
        }
        let seen = server.finish().await?;
        assert_eq!(seen.matches("accepted ").count(), 2, "{seen}");
        Ok(())
    })
}

#[test]
fn t18_client_certificates_are_shown_where_they_are_asked_for() -> Result<()> {
    block_on(async {
        let pki = Pki::new();
        pki.issue("client", &["client.test"], KeyKind::Ed25519, |_| {});
        let ca = pki.path("ca.pem");
        for version in ["-tls1_2", "-tls1_3"] {
            let verified = ["-Verify", "1", "-verify_return_error", "-CAfile", &ca, "-naccept", "1", version];
            let (server, address) = pki.s_server(&verified).await?;
            let identity = ["--identity", "/pki/client.pem", "/pki/client.key"];
            let seen = pki.talk(address, &[&["--name", NAME, "--line", "hello"], &identity[..]].concat()).await?;
            assert_eq!(line(&seen, "answer "), r#"answer "olleh\n""#);
            let server = server.finish().await?;
            assert!(server.stderr.contains("Peer certificate: CN = client.test"), "{server}");
            // Without one we learn of the refusal: in the handshake, or under TLS 1.3 by the first read.
            let (_server, address) = pki.s_server(&verified).await?;
            let seen = pki.talk(address, &["--name", NAME, "--line", "hello"]).await?;
            let failed = line(&seen, "failed ");
            assert!(
                failed.starts_with("failed NothingInCommon: ") || failed.starts_with("failed Alert(116): "),
                "{seen}"
            );
            assert_eq!(seen.contains("connected "), version == "-tls1_3", "{seen}");
        }
        // A server that only asks serves both.
        let mut server = pki.serve(&["--request", "/pki/ca.pem"]).await?;
        echo_by_s_client(pki.s_client(server.address, &[])?).await?;
        assert_eq!(value(&server.guest.wait_line("accepted ").await?, "peer"), "-");
        let (chain, key) = (pki.path("client.pem"), pki.path("client.key"));
        echo_by_s_client(pki.s_client(server.address, &["-cert", &chain, "-key", &key])?).await?;
        let accepted = server.guest.wait_line("accepted ").await?;
        assert_eq!(value(&accepted, "peer"), "CN=client.test DNS:client.test");
        server.finish().await?;
        Ok(())
    })
}

#[test]
fn t18_of_two_certificates_the_one_that_was_asked_for_is_shown() -> Result<()> {
    block_on(async {
        let pki = Pki::new();
        pki.issue("other", &["other.test", "*.wild.test"], KeyKind::Ecdsa, |_| {});
        let both =
            ["--identity", "/pki/server.pem", "/pki/server.key", "--identity", "/pki/other.pem", "/pki/other.key"];
        let mut server = pki.serve_as(&both).await?;
        for (asked, shown) in [
            (NAME, NAME),
            ("other.test", "other.test"),
            ("a.wild.test", "other.test"),
            ("unknown.test", NAME),
            ("", NAME), // none asked for
        ] {
            let sni: &[&str] = if asked.is_empty() { &["-noservername"] } else { &["-servername", asked] };
            let mut client = pki.s_client_to(server.address, sni)?;
            client.wait_line(&format!("subject=CN = {shown}")).await?;
            echo_by_s_client(client).await?;
            let accepted = server.guest.wait_line("accepted ").await?;
            assert_eq!(value(&accepted, "sni"), if asked.is_empty() { "-" } else { asked });
        }
        server.finish().await?;
        // The other way round: OpenSSL's server has two.
        let (chain, key) = (pki.path("other.pem"), pki.path("other.key"));
        let second = ["-servername", "other.test", "-cert2", &chain, "-key2", &key];
        for name in [NAME, "other.test"] {
            let (_server, address) = pki.s_server(&second).await?;
            let seen = pki.talk(address, &["--name", name, "--line", "hello"]).await?;
            assert!(value(line(&seen, "connected "), "peer").starts_with(&format!("CN={name} ")), "{seen}");
        }
        Ok(())
    })
}

#[test]
fn o06_certificates_for_ip_addresses_are_verified_in_both_roles() -> Result<()> {
    block_on(async {
        let pki = Pki::new();
        pki.issue("address", &["127.0.0.1", "::1"], KeyKind::Ecdsa, |_| {});
        for (host, accept) in [("127.0.0.1", "127.0.0.1:0"), ("::1", "[::1]:0")] {
            let (_server, address) = pki.s_server_as("address", &["-rev", "-accept", accept]).await?;
            assert_eq!(address.ip().to_string(), host);
            let seen = pki.talk(address, &["--line", "hello"]).await?;
            assert_eq!(line(&seen, "answer "), r#"answer "olleh\n""#);
            let mut server =
                pki.serve_as(&["--host", host, "--identity", "/pki/address.pem", "/pki/address.key"]).await?;
            let client = pki.s_client_to(server.address, &["-verify_ip", host, "-noservername"])?;
            echo_by_s_client(client).await?;
            assert_eq!(value(&server.guest.wait_line("accepted ").await?, "sni"), "-");
            server.finish().await?;
        }
        // One for a name is not one for an address, nor the other way round.
        let (_server, address) = pki.s_server(&[]).await?;
        let seen = pki.talk(address, &["--line", "secret"]).await?;
        assert!(line(&seen, "failed ").starts_with("failed WrongName: "), "{seen}");
        let (_server, address) = pki.s_server_as("address", &["-rev"]).await?;
        let seen = pki.talk(address, &["--line", "secret", "--name", NAME]).await?;
        assert!(line(&seen, "failed ").starts_with("failed WrongName: "), "{seen}");
        Ok(())
    })
}

#[test]
fn t01_whom_to_trust_comes_from_the_environment_unless_the_program_says() -> Result<()> {
    block_on(async {
        let pki = Pki::new();
        pki.issue_by(&Authority::new("another"), "unknown", &[NAME], KeyKind::Ecdsa, |_| {});
        std::fs::create_dir(pki.folder().join("authorities"))?;
        std::fs::copy(pki.folder().join("ca.pem"), pki.folder().join("authorities/one.pem"))?;
        let (_server, address) = pki.s_server(&[]).await?;
        let port = address.port().to_string();
        let client = || pki.guest("talk", &["--port", &port, "--name", NAME, "--line", "hello"]);
        for (variable, place) in [("SSL_CERT_FILE", "/pki/ca.pem"), ("SSL_CERT_DIR", "/pki/authorities")] {
            let seen = client().env(variable, place).run().await?.success()?.stdout;
            assert_eq!(line(&seen, "answer "), r#"answer "olleh\n""#);
        }
        // Without either those of the web count, which do not know ours.
        let seen = client().run().await?.success()?.stdout;
        assert!(line(&seen, "failed ").starts_with("failed UnknownIssuer: "), "{seen}");
        // What is named is used, or nothing is.
        let seen = client().env("SSL_CERT_FILE", "/pki/nothing.pem").run().await?.success()?.stdout;
        assert!(
            line(&seen, "refused ").starts_with("refused NotFound: ") && seen.contains("/pki/nothing.pem"),
            "{seen}"
        );
        let seen = client().env("SSL_CERT_FILE", "/pki/unknown.pem").run().await?.success()?.stdout;
        assert!(line(&seen, "failed ").starts_with("failed UnknownIssuer: "), "{seen}");
        // What the program says comes first.
        let seen = client().args(["--ca", "/pki/ca.pem"]).env("SSL_CERT_FILE", "/pki/nothing.pem").run().await?;
        assert_eq!(line(&seen.success()?.stdout, "answer "), r#"answer "olleh\n""#);
        Ok(())
    })
}

#[test]
fn verification_that_is_turned_off_is_off_as_far_as_it_says() -> Result<()> {
    block_on(async {
        let pki = Pki::new();
        pki.issue_by(&Authority::new("another"), "unknown", &["other.test"], KeyKind::Ecdsa, |_| {});
        for (file, option, success) in [
            ("server", "--without-name-check", true),
            ("unknown", "--without-name-check", false),
            ("unknown", "--without-verification", true),
        ] {
            let (server, address) = pki.s_server_as(file, &["-rev", "-naccept", "1"]).await?;
            let seen = pki.talk(address, &["--name", "third.test", "--line", "hello", option]).await?;
            assert_eq!(seen.contains(r#"answer "olleh\n""#), success, "{option}: {seen}");
            if success {
                let verified = value(line(&seen, "connected "), "verified");
                assert_eq!(verified, (option == "--without-name-check").to_string());
            } else {
                assert!(line(&seen, "failed ").starts_with("failed UnknownIssuer: "), "{seen}");
            }
            let _: ProgramStatus = server.finish().await?;
        }
        Ok(())
    })
}

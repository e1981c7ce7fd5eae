//! TLS against OpenSSL's own client and server.

use anyhow::Result;
use wasi_streams_host::block_on;

use crate::certificates::KeyKind;
use crate::tls_support::{NAME, Pki, echo_by_s_client, line, value};

/// What `openssl` calls a version, what the fixture calls it, and what Python and OpenSSL print.
const VERSIONS: [(&str, &str, &str); 2] = [("-tls1_2", "1.2", "TLSv1.2"), ("-tls1_3", "1.3", "TLSv1.3")];
const KINDS: [KeyKind; 3] = [KeyKind::Ecdsa, KeyKind::Ed25519, KeyKind::Rsa];

#[test]
fn t01_our_client_talks_to_s_server_in_both_versions_with_every_kind_of_key() -> Result<()> {
    block_on(async {
        for kind in KINDS {
            let pki = Pki::of(kind);
            for (option, _, version) in VERSIONS {
                let (_server, address) = pki.s_server(&[option]).await?;
                let seen = pki.talk(address, &["--name", NAME, "--line", "hello"]).await?;
                let connected = line(&seen, "connected ");
                assert_eq!(value(connected, "version"), version, "{kind:?}");
                assert_eq!(value(connected, "peer"), "CN=server.test DNS:server.test", "{kind:?}");
                assert_eq!(value(connected, "verified"), "true");
                assert_eq!(line(&seen, "answer "), r#"answer "olleh\n""#, "{kind:?} {version}");
                assert_eq!(line(&seen, "closed "), "closed truncated=false", "{kind:?} {version}");
            }
        }
        Ok(())
    })
}

#[test]
fn t01_s_client_talks_to_our_server_in_both_versions_with_every_kind_of_key() -> Result<()> {
    block_on(async {
        // One server with all three, which chooses by what the client can verify.
        let pki = Pki::new();
        let mut identities = Vec::new();
        for kind in KINDS {
            pki.issue(&format!("{kind:?}"), &[NAME], kind, |_| {});
            identities.extend(["--identity".to_owned(), format!("/pki/{kind:?}.pem"), format!("/pki/{kind:?}.key")]);
        }
        let identities: Vec<&str> = identities.iter().map(String::as_str).collect();
        let mut server = pki.serve_as(&identities).await?;
        for (algorithms, key) in
            [("ECDSA+SHA256", "id-ecPublicKey"), ("ed25519", "ED25519"), ("RSA-PSS+SHA256", "rsaEncryption")]
        {
            for (option, _, version) in VERSIONS {
                let mut client = pki.s_client(server.address, &[option, "-sigalgs", algorithms])?;
                client.wait_line(&format!("   a:PKEY: {key}, ")).await?;
                client.wait_line("Verification: OK").await?;
                client.wait_line(&format!("New, {version}, Cipher is ")).await?;
                echo_by_s_client(client).await?;
                let accepted = server.guest.wait_line("accepted ").await?;
                assert_eq!((value(&accepted, "version"), value(&accepted, "sni")), (version, NAME));
                assert_eq!(server.guest.wait_line("ended ").await?, "ended truncated=false");
            }
        }
        server.finish().await?;
        Ok(())
    })
}

#[test]
fn x06_every_cipher_suite_works_in_both_roles_and_is_known_by_name() -> Result<()> {
    block_on(async {
        let pki = Pki::new();
        let server = pki.serve(&["--provider-s-order"]).await?;
        for (option, theirs, ours, bits) in [
            ("-ciphersuites", "TLS_AES_128_GCM_SHA256", "TLS_AES_128_GCM_SHA256", "128"),
            ("-ciphersuites", "TLS_AES_256_GCM_SHA384", "TLS_AES_256_GCM_SHA384", "256"),
            ("-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256", "TLS_CHACHA20_POLY1305_SHA256", "256"),
            ("-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "128"),
            ("-cipher", "ECDHE-ECDSA-AES256-GCM-SHA384", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "256"),
            ("-cipher", "ECDHE-ECDSA-CHACHA20-POLY1305", "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", "256"),
        ] {
            let (versions, _, _) = VERSIONS[usize::from(option == "-ciphersuites")];
            let (_server, address) = pki.s_server(&[versions, option, theirs]).await?;
            let seen = pki.talk(address, &["--name", NAME, "--line", "hello"]).await?;
            let connected = line(&seen, "connected ");
            assert_eq!((value(connected, "cipher"), value(connected, "bits")), (ours, bits));
            assert_eq!(line(&seen, "answer "), r#"answer "olleh\n""#);
            let mut client = pki.s_client(server.address, &[versions, option, theirs])?;
            client.wait_line("New, TLSv1.").await?;
            echo_by_s_client(client).await?;
        }
        let seen = server.finish().await?;
        let bits: Vec<&str> =
            seen.lines().filter(|line| line.starts_with("accepted ")).map(|line| value(line, "bits")).collect();
        assert_eq!(bits, ["128", "256", "256", "128", "256", "256"]);
        Ok(())
    })
}

#[test]
fn t18_versions_are_those_of_the_configuration_on_both_sides() -> Result<()> {
    block_on(async {
        let pki = Pki::new();
        for (option, ours, version) in VERSIONS {
            let (_server, address) = pki.s_server(&[]).await?;
            let seen = pki.talk(address, &["--name", NAME, "--version", ours]).await?;
            assert_eq!(value(line(&seen, "connected "), "version"), version);
            let server = pki.serve(&["--version", ours]).await?;
            let mut client = pki.s_client(server.address, &[])?;
            client.wait_line(&format!("New, {version}, ")).await?;
            echo_by_s_client(client).await?;
            // The other version alone is not enough.
            let (other, _, _) = VERSIONS[usize::from(option == "-tls1_2")];
            let client = pki.s_client(server.address, &[other])?.finish().await?;
            assert!(client.code == Some(1) && client.stderr.contains("alert protocol version"), "{client}");
            let seen = server.finish().await?;
            assert!(line(&seen, "handshake failed ").starts_with("handshake failed NothingInCommon: "), "{seen}");
            let (_server, address) = pki.s_server(&[other]).await?;
            let seen = pki.talk(address, &["--name", NAME, "--version", ours]).await?;
            assert!(line(&seen, "failed ").starts_with("failed NothingInCommon: "), "{seen}");
        }
        Ok(())
    })
}

//! TLS against CPython's asyncio, in both directions.

use anyhow::Result;
use wasi_streams_host::block_on;

use crate::certificates::KeyKind;
use crate::tls_support::{NAME, Pki, line, serving, value};

const VERSIONS: [&str; 2] = ["1.2", "1.3"];

#[test]
fn t01_t18_our_client_and_asyncio_s_server_agree_and_echo() -> Result<()> {
    block_on(async {
        let pki = Pki::new();
        pki.issue("client", &["client.test"], KeyKind::Rsa, |_| {});
        for version in VERSIONS {
            let mut server = pki.python(ASYNCIO, &["serve", version, "require"])?;
            let address = serving(&server.wait_line("Serving on ").await?)?;
            let identity = ["--identity", "/pki/client.pem", "/pki/client.key"];
            let seen = pki
                .talk(address, &[&["--name", NAME, "--alpn", "second", "--line", "hello"], &identity[..]].concat())
                .await?;
            let connected = line(&seen, "connected ");
            assert_eq!(value(connected, "version"), format!("TLSv{version}"));
            assert_eq!((value(connected, "alpn"), value(connected, "verified")), ("second", "true"));
            assert_eq!(line(&seen, "answer "), r#"answer "hello\n""#);
            assert_eq!(line(&seen, "closed "), "closed truncated=false");
            assert_eq!(server.wait_line("asked for ").await?, "asked for server.test");
            let accepted = server.wait_line("accepted ").await?;
            assert!(accepted.starts_with(&format!("accepted TLSv{version} ")), "{accepted}");
            assert!(accepted.ends_with(" 256 alpn=second peer=DNS:client.test"), "{accepted}");
            server.wait_line("ended").await?;
            let status = server.finish().await?.success()?;
            assert_eq!(status.stderr, "");
        }
        Ok(())
    })
}

#[test]
fn t01_t18_asyncio_s_client_and_our_server_agree_and_echo() -> Result<()> {
    block_on(async {
        let pki = Pki::new();
        pki.issue("client", &["client.test"], KeyKind::Ecdsa, |_| {});
        let mut server = pki.serve(&["--require", "/pki/ca.pem", "--alpn", "second"]).await?;
        let address = server.address.to_string();
        for version in VERSIONS {
            let client = pki.python(ASYNCIO, &["connect", &address, version, "identity"])?;
            let client = client.finish().await?.success()?;
            let expected = format!("connected TLSv{version} ");
            assert!(client.stdout.starts_with(&expected), "{client}");
            assert!(client.stdout.contains(" 256 alpn=second peer=DNS:server.test\n"), "{client}");
            assert!(client.stdout.ends_with("echoed True\n") && client.stderr.is_empty(), "{client}");
            let accepted = server.guest.wait_line("accepted ").await?;
            assert_eq!((value(&accepted, "sni"), value(&accepted, "alpn")), (NAME, "second"));
            assert_eq!(value(&accepted, "peer"), "CN=client.test DNS:client.test");
            assert_eq!(server.guest.wait_line("ended ").await?, "ended truncated=false");
        }
        // Without a certificate asyncio learns it as we do: under TLS 1.3 when it reads.
        let client = pki.python(ASYNCIO, &["connect", &address, "1.3"])?.finish().await?;
        assert!(client.code == Some(1) && client.stderr.contains("CERTIFICATE_REQUIRED"), "{client}");
        server.finish().await?;
        Ok(())
    })
}

#[test]
fn o07_a_client_that_asks_for_no_name_sends_none() -> Result<()> {
    block_on(async {
        let pki = Pki::new();
        let mut server = pki.python(ASYNCIO, &["serve", "1.3"])?;
        let address = serving(&server.wait_line("Serving on ").await?)?;
        let seen = pki.talk(address, &["--name", "", "--without-name-check", "--line", "hello"]).await?;
        assert_eq!(line(&seen, "answer "), r#"answer "hello\n""#);
        assert_eq!(server.wait_line("asked for ").await?, "asked for None");
        // The chain is verified all the same.
        pki.write("ca.pem", crate::certificates::Authority::new("another").pem());
        let seen = pki.talk(address, &["--name", "", "--without-name-check", "--line", "hello"]).await?;
        assert!(line(&seen, "failed ").starts_with("failed UnknownIssuer: "), "{seen}");
        // Without a name nothing could be checked, so a connector that checks refuses.
        let seen = pki.talk(address, &["--name", "", "--line", "hello"]).await?;
        assert!(line(&seen, "failed ").starts_with("failed InvalidInput: "), "{seen}");
        Ok(())
    })
}

const ASYNCIO: &str = include_str!("../../peers/tls_asyncio.py");

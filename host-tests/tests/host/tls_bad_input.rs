//! What is no TLS, or no more of it, arrives at either side: the one connection ends with the fitting error, the rest goes on.

use anyhow::Result;
use wasi_streams_host::block_on;
use wasi_streams_host::peer::{Listener, Peer};

use crate::tls_relay::Relay;
use crate::tls_support::{NAME, Pki, client_hello, echo_by_s_client, line};

#[test]
fn t07_what_is_no_tls_is_told_from_it_and_the_server_goes_on() -> Result<()> {
    block_on(async {
        let pki = Pki::new();
        let mut server = pki.serve(&[]).await?;
        let mut established = pki.s_client(server.address, &[])?;
        let oversized = [&[0x16, 3, 1, 0xFF, 0xFF][..], &[1; 4000]].concat();
        let damaged = [&[0x16, 3, 1, 0, 100, 1, 0, 0, 96][..], &[0xA5; 96]].concat();
        for (sent, kind, reason) in [
            (
                &b"GET / HTTP/1.0\r\n\r\n"[..],
                "NotTls",
                r#"something that is not TLS ("GET / HTTP/1.0\r\n\r\n"): is this port plain?"#,
            ),
            (b"\n", "NotTls", r#"("\n")"#),
            (&[0; 1000], "NotTls", r"\x00"),
            (&oversized, "Protocol", ""),
            (&damaged, "Protocol", ""),
            (&[0x17, 3, 3, 0, 5, 1, 2, 3, 4, 5], "Protocol", ""), // data before any handshake
            (&[0x16, 3, 3, 0, 0], "Protocol", ""),                // a handshake without contents
            (&[0x15, 3, 3, 0, 2, 2, 40], "NothingInCommon", "HandshakeFailure"), // an alert, to be believed
        ] {
            let mut peer = Peer::connect(server.address).await?;
            peer.write_all(sent).await?;
            let failed = server.guest.wait_line("handshake failed ").await?;
            let expected = format!("handshake failed {kind}: ");
            assert!(
                failed.starts_with(&expected) && failed.contains(reason),
                "{:?}: {failed}",
                sent.escape_ascii().to_string()
            );
            // An alert at most, and the end; or a reset, where we did not read everything.
            let answer = peer.read_to_end().await.unwrap_or_default();
            assert!(answer.is_empty() || answer[0] == 0x15 && answer.len() == 7, "{answer:?}");
            established.write_stdin(b"still here\n").await?;
            established.wait_line("still here").await?;
        }
        echo_by_s_client(established).await?;
        assert!(server.finish().await?.ends_with("closed after 8 failed handshakes\n"));
        Ok(())
    })
}

#[test]
fn t04_a_client_that_leaves_in_the_middle_of_a_handshake_is_a_failed_handshake() -> Result<()> {
    block_on(async {
        let pki = Pki::new();
        let mut server = pki.serve(&[]).await?;
        let hello = client_hello(&pki).await?;
        // Nothing; a part of a header; a part of a record; all but its last byte; all of it.
        for sent in [&hello[..0], &hello[..3], &hello[..100], &hello[..hello.len() - 1], &hello[..]] {
            let mut peer = Peer::connect(server.address).await?;
            peer.write_all(sent).await?;
            peer.half_close().await?;
            let failed = server.guest.wait_line("handshake failed ").await?;
            assert_eq!(
                failed,
                "handshake failed ConnectionReset: the peer left during the TLS handshake",
                "{} bytes",
                sent.len()
            );
            peer.read_to_end().await?;
        }
        echo_by_s_client(pki.s_client(server.address, &[])?).await?;
        server.finish().await?;
        Ok(())
    })
}

#[test]
fn t05_a_reset_during_the_handshake_is_its_error_in_both_roles() -> Result<()> {
    block_on(async {
        let pki = Pki::new();
        let mut server = pki.serve(&[]).await?;
        let hello = client_hello(&pki).await?;
        for sent in [&hello[..100], &hello] {
            let mut peer = Peer::connect(server.address).await?;
            peer.write_all(sent).await?;
            if sent.len() == hello.len() {
                peer.read_exact(5).await?;
            }
            peer.reset()?;
            let failed = server.guest.wait_line("handshake failed ").await?;
            assert!(failed.starts_with("handshake failed ConnectionReset: "), "{failed}");
            assert!(!failed.contains("the peer left"), "{failed}");
        }
        echo_by_s_client(pki.s_client(server.address, &[])?).await?;
        server.finish().await?;
        let listener = Listener::v4()?;
        let guest = pki.client("talk", listener.addr(), &["--name", NAME]).start().await?;
        let mut peer = listener.accept().await?;
        peer.read_exact(100).await?;
        peer.reset()?;
        let seen = guest.finish().await.success()?.stdout;
        assert!(line(&seen, "failed ").starts_with("failed ConnectionReset: "), "{seen}");
        assert!(!seen.contains("the peer left"), "{seen}");
        Ok(())
    })
}

#[test]
fn t03_t08_handshakes_that_stop_are_given_up_and_others_served_meanwhile() -> Result<()> {
    block_on(async {
        let pki = Pki::new();
        let mut server = pki.serve(&["--handshake-timeout", "1500"]).await?;
        let hello = client_hello(&pki).await?;
        let mut stalled = Vec::new();
        for length in [0, 1, hello.len() / 2, hello.len()] {
            let mut peer = Peer::connect(server.address).await?;
            peer.write_all(&hello[..length]).await?;
            stalled.push(peer);
        }
        echo_by_s_client(pki.s_client(server.address, &[])?).await?;
        server.guest.write_stdin(b"\n").await?;
        let counted = server.guest.wait_line("connections=").await?;
        assert!(counted.starts_with("connections=4 "), "{counted}");
        for mut peer in stalled {
            let failed = server.guest.wait_line("handshake failed ").await?;
            let expected =
                "ConnectionAborted: TLS handshake is taking longer than 1.5 seconds: aborting the connection";
            assert_eq!(failed, format!("handshake failed {expected}"));
            peer.read_to_end().await?;
        }
        echo_by_s_client(pki.s_client(server.address, &[])?).await?;
        server.finish().await?;
        Ok(())
    })
}

#[test]
fn a_handshake_that_comes_byte_by_byte_is_done_in_both_roles() -> Result<()> {
    block_on(async {
        let pki = Pki::new();
        for version in ["-tls1_2", "-tls1_3"] {
            let mut server = pki.serve(&[]).await?;
            let relay = Relay::byte_by_byte(server.address).await?;
            echo_by_s_client(pki.s_client(relay.address, &[version])?).await?;
            assert_eq!(server.guest.wait_line("ended ").await?, "ended truncated=false");
            server.finish().await?;
            let (_server, address) = pki.s_server(&[version]).await?;
            let relay = Relay::byte_by_byte(address).await?;
            let seen = pki.talk(relay.address, &["--name", NAME, "--line", "hello"]).await?;
            assert_eq!(line(&seen, "answer "), r#"answer "olleh\n""#);
        }
        Ok(())
    })
}

#[test]
fn t16_a_damaged_record_ends_the_connection_with_the_error_of_tls() -> Result<()> {
    block_on(async {
        let pki = Pki::new();
        for version in ["-tls1_2", "-tls1_3"] {
            let (mut s_server, address) = pki.sending_s_server(&[version]).await?;
            let relay = Relay::to(address).await?;
            let mut guest = pki.client("wait", relay.address, &["--name", NAME]).start().await?;
            s_server.write_stdin(b"whole\n").await?;
            guest.wait_line(r#"line "whole\n""#).await?;
            relay.damage();
            s_server.write_stdin(b"damaged\n").await?;
            let seen = guest.finish().await.success()?.stdout;
            for what in ["readline", "read", "drain", "wait_closed"] {
                assert!(line(&seen, &format!("{what} fails")).contains("fails, Protocol: TLS: "), "{seen}");
            }
            assert!(seen.contains("is_closing true\n"), "{seen}");
        }
        // The same to a server, which goes on; its other clients served.
        let mut server = pki.serve(&[]).await?;
        let relay = Relay::to(server.address).await?;
        let mut client = pki.s_client(relay.address, &[])?;
        client.write_stdin(b"whole\n").await?;
        client.wait_line("whole").await?;
        relay.damage();
        client.write_stdin(b"damaged\n").await?;
        let failed = server.guest.wait_line("failed ").await?;
        assert!(failed.starts_with("failed Protocol: TLS: "), "{failed}");
        echo_by_s_client(pki.s_client(server.address, &[])?).await?;
        server.finish().await?;
        Ok(())
    })
}

#[test]
fn renegotiation_is_refused_and_the_server_goes_on() -> Result<()> {
    block_on(async {
        let pki = Pki::new();
        let mut server = pki.serve(&[]).await?;
        let mut client = pki.s_client(server.address, &["-tls1_2"])?;
        client.write_stdin(b"before\n").await?;
        client.wait_line("before").await?;
        client.write_stdin(b"R\n").await?;
        client.wait_stderr_line("RENEGOTIATING").await?;
        let client = client.finish().await?;
        assert!(client.code == Some(1) && client.stderr.contains("no renegotiation"), "{client}");
        // OpenSSL gives up, and says so.
        assert!(server.guest.wait_line("failed ").await?.contains("the peer refuses: alert HandshakeFailure (40)"));
        echo_by_s_client(pki.s_client(server.address, &["-tls1_2"])?).await?;
        server.finish().await?;
        Ok(())
    })
}

#[test]
fn our_client_tells_what_is_no_tls_from_a_server_that_leaves_or_says_nothing() -> Result<()> {
    block_on(async {
        let pki = Pki::new();
        for (sent, kind, reason) in [
            (&b"220 mail.test ESMTP\r\n"[..], "NotTls", r#"("220 mail.test ESMTP\"#),
            (b"HTTP/1.1 400 Bad Request\r\n\r\n", "NotTls", r#"("HTTP/1.1 400 Bad Req")"#),
            (&[0x16, 3, 3, 0xFF, 0xFF, 2], "Protocol", ""),
            (&[0x15, 3, 3, 0, 2, 2, 80], "Alert(80)", "InternalError"),
            (b"", "ConnectionReset", "the peer left during the TLS handshake"),
        ] {
            let listener = Listener::v4()?;
            let guest = pki.client("talk", listener.addr(), &["--name", NAME]).start().await?;
            let mut peer = listener.accept().await?;
            assert_eq!(peer.read_exact(1).await?, [0x16]);
            peer.write_all(sent).await?;
            peer.half_close().await?;
            let seen = guest.finish().await.success()?.stdout;
            let failed = line(&seen, "failed ");
            assert!(failed.starts_with(&format!("failed {kind}: ")) && failed.contains(reason), "{kind}: {seen}");
        }
        let listener = Listener::v4()?;
        let guest =
            pki.client("talk", listener.addr(), &["--name", NAME, "--handshake-timeout", "300"]).start().await?;
        let mut peer = listener.accept().await?;
        let seen = guest.finish().await.success()?.stdout;
        assert!(line(&seen, "failed ").starts_with("failed ConnectionAborted: "), "{seen}");
        peer.read_to_end().await?;
        Ok(())
    })
}

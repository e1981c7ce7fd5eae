//! How TLS connections end: by a goodbye, without one, by a reset, by nobody answering.

use anyhow::Result;
use wasi_streams_host::block_on;
use wasi_streams_host::peer::Program;

use crate::tls_support::{NAME, Pki, line, serving};

#[test]
fn t13_a_server_that_is_killed_is_an_end_that_is_known_to_be_cut() -> Result<()> {
    block_on(async {
        let pki = Pki::new();
        for (options, last) in [(&[][..], r#"readline gives """#), (&["--strict-end"], "readline fails, Truncated: ")] {
            let (mut s_server, address) = pki.sending_s_server(&[]).await?;
            let mut guest = pki.client("wait", address, &[&["--name", NAME], options].concat()).start().await?;
            s_server.write_stdin(b"whole\n").await?;
            guest.wait_line(r#"line "whole\n""#).await?;
            s_server.kill().await?;
            let seen = guest.finish().await.success()?.stdout;
            assert!(line(&seen, "readline ").starts_with(last), "{seen}");
            assert!(seen.contains("is_closing true\n") && seen.ends_with("truncated true\n"), "{seen}");
            let closed = line(&seen, "wait_closed ");
            assert_eq!(closed == "wait_closed gives ()", options.is_empty(), "{seen}");
        }
        Ok(())
    })
}

#[test]
fn t11_t13_clients_of_our_server_end_by_a_goodbye_or_without() -> Result<()> {
    block_on(async {
        let pki = Pki::new();
        for (options, cut) in [(&[][..], "ended truncated=true"), (&["--strict-end"], "failed Truncated: ")] {
            let mut server = pki.serve(options).await?;
            for killed in [false, true] {
                let mut client = pki.s_client(server.address, &[])?;
                client.write_stdin(b"hello\n").await?;
                client.wait_line("hello").await?;
                if killed {
                    client.kill().await?;
                    server.guest.wait_line(cut).await?;
                } else {
                    client.write_stdin(b"Q\n").await?;
                    client.finish().await?.success()?;
                    server.guest.wait_line("ended truncated=false").await?;
                }
            }
            server.finish().await?;
        }
        Ok(())
    })
}

#[test]
fn t14_a_reset_is_the_error_of_everything() -> Result<()> {
    block_on(async {
        let pki = Pki::new();
        let (mut peer, address) = python(&pki, "reset").await?;
        let mut guest = pki.client("wait", address, &["--name", NAME]).start().await?;
        guest.wait_line(r#"line "whole\n""#).await?;
        peer.write_stdin(b"\n").await?;
        let seen = guest.finish().await.success()?.stdout;
        for what in ["readline", "read", "drain", "wait_closed"] {
            assert!(line(&seen, &format!("{what} fails")).contains("fails, ConnectionReset: "), "{seen}");
        }
        peer.finish().await?.success()?;
        Ok(())
    })
}

#[test]
fn t09_t15_what_is_written_before_a_close_arrives_while_the_peer_goes_on_sending() -> Result<()> {
    block_on(async {
        let pki = Pki::new();
        let (mut peer, address) = python(&pki, "talkative").await?;
        let guest = pki.client("leave", address, &["--name", NAME, "--bytes", "4194304"]);
        let seen = guest.run().await?.success()?.stdout;
        assert_eq!(seen.matches("wait_closed gives ()\n").count(), 2, "{seen}");
        assert_eq!(peer.wait_line("received ").await?, "received 4194304, then a goodbye");
        peer.finish().await?.success()?;
        Ok(())
    })
}

#[test]
fn t12_what_is_queued_when_the_peer_says_goodbye_is_sent_before_ours() -> Result<()> {
    block_on(async {
        let pki = Pki::new();
        let (mut peer, address) = python(&pki, "goodbye").await?;
        let mut guest = pki.client("queue", address, &["--name", NAME, "--bytes", "16777216"]).start().await?;
        guest.wait_line("is_closing true with data queued: true").await?;
        peer.write_stdin(b"\n").await?;
        assert_eq!(peer.wait_line("received ").await?, "received 16777216, then a goodbye");
        let seen = guest.finish().await.success()?.stdout;
        assert!(seen.contains("wait_closed gives ()\n") && seen.ends_with("truncated false\n"), "{seen}");
        peer.finish().await?.success()?;
        Ok(())
    })
}

#[test]
fn t10_a_peer_that_never_answers_our_goodbye_costs_the_shutdown_timeout() -> Result<()> {
    block_on(async {
        let pki = Pki::new();
        let (peer, address) = python(&pki, "silent").await?;
        let guest = pki.client("leave", address, &["--name", NAME, "--bytes", "5", "--shutdown-timeout", "300"]);
        let seen = guest.run().await?.success()?.stdout;
        assert_eq!(seen.matches("wait_closed fails, TimedOut: TLS shutdown timed out\n").count(), 2, "{seen}");
        peer.finish().await?.success()?;
        Ok(())
    })
}

/// Python with its own hands on the socket.
async fn python(pki: &Pki, what: &str) -> Result<(Program, std::net::SocketAddr)> {
    let mut peer = pki.python(ENDINGS, &[what])?;
    let address = serving(&peer.wait_line("Serving on ").await?)?;
    Ok((peer, address))
}

const ENDINGS: &str = include_str!("../../peers/tls_endings.py");

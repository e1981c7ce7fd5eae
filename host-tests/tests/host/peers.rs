//! The scripted peers against each other: a peer that does not do what it says would prove nothing about a guest.

use std::io::ErrorKind;
use std::net::TcpStream;
use std::time::Duration;

use anyhow::Result;
use wasi_streams_host::block_on;
use wasi_streams_host::peer::{BlackHole, Listener, Peer, Python, refusing_address};

#[test]
fn data_and_half_closes_pass_in_both_directions() -> Result<()> {
    block_on(async {
        for listener in [Listener::v4()?, Listener::v6()?] {
            let mut client = Peer::connect(listener.addr()).await?;
            let mut server = listener.accept().await?;
            client.write_all(b"one\ntwo\nrest").await?;
            client.half_close().await?;
            assert_eq!(server.read_line().await?, b"one\n");
            assert_eq!(server.read_exact(2).await?, b"tw");
            assert_eq!(server.read_to_end().await?, b"o\nrest");
            server.write_all(b"answer").await?;
            drop(server);
            assert_eq!(client.read_slowly(2, Duration::from_millis(1)).await?, 6);
        }
        Ok(())
    })
}

#[test]
fn a_reset_is_seen_as_a_reset() -> Result<()> {
    block_on(async {
        let listener = Listener::v4()?;
        let mut client = Peer::connect(listener.addr()).await?;
        listener.accept().await?.reset()?;
        assert_eq!(client.expect_loss().await?, ErrorKind::ConnectionReset);
        Ok(())
    })
}

#[test]
fn a_stalling_peer_stalls_its_sender_after_little() -> Result<()> {
    block_on(async {
        let listener = Listener::stalling(4096)?;
        let mut client = Peer::connect(listener.addr()).await?;
        let mut server = listener.accept().await?;
        let data = vec![7; 32 << 20];
        let (written, read) = tokio::join!(
            async {
                let written = client.write_all(&data).await;
                drop(client);
                written
            },
            async {
                // The kernel's own send buffer takes a few megabytes; the rest waits for us.
                server.stream().readable().await?;
                server.read_to_end().await
            }
        );
        written?;
        assert_eq!(read?.len(), data.len());
        Ok(())
    })
}

#[test]
fn a_black_hole_does_not_answer() -> Result<()> {
    block_on(async {
        let hole = BlackHole::v4().await?;
        let address = hole.addr();
        let attempt =
            tokio::task::spawn_blocking(move || TcpStream::connect_timeout(&address, Duration::from_millis(300)));
        assert_eq!(attempt.await?.unwrap_err().kind(), ErrorKind::TimedOut);
        Ok(())
    })
}

#[test]
fn a_refusing_address_refuses() -> Result<()> {
    let (address, _guard) = refusing_address()?;
    assert_eq!(TcpStream::connect(address).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    Ok(())
}

#[test]
fn python_serves_as_a_peer() -> Result<()> {
    block_on(async {
        let script =
            "import sys; print('ready', sys.argv[1]); print(input()); print('left', file=sys.stderr); sys.exit(3)";
        let mut python = Python::run(script, ["argument"])?;
        assert_eq!(python.wait_line("ready").await?, "ready argument");
        python.write_stdin(b"line\n").await?;
        assert_eq!(python.wait_line("").await?, "line");
        let status = python.finish().await?;
        assert_eq!((status.code, status.stderr.as_str()), (Some(3), "left\n"));
        let error = Python::run("raise SystemExit('no luck')", [""; 0])?.wait_line("ready").await.unwrap_err();
        assert!(error.to_string().contains("no luck"), "{error}");
        Ok(())
    })
}

//! A guest between a Unix socket and TCP, with the bytes moved inside the host.

use anyhow::{Context, Result};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::UnixListener;
use wasi_streams_host::peer::Listener;
use wasi_streams_host::unix::UnixPerms;
use wasi_streams_host::{Guest, Policy, block_on, patiently};

use crate::support::{DEADLINE, Folder, assert_same, pattern};

#[test]
fn the_host_moves_bytes_between_a_unix_socket_and_tcp() -> Result<()> {
    block_on(async {
        let folder = Folder::new();
        let (near, far) = (UnixListener::bind(folder.path().join("sock"))?, Listener::v4()?);
        let policy = Policy::loopback().allow_unix("/run", folder.path(), UnixPerms::ALL);
        let arguments = ["relay", "/run/sock", "127.0.0.1", &far.port().to_string()];
        let guest = Guest::named("unix").policy(policy).args(arguments).start().await?;
        let (near, _) = patiently(DEADLINE, near.accept()).await.context("it takes too long")??;
        let mut far = far.accept().await?;
        let (from_near, to_near) = near.into_split();
        let (from_far, to_far) = far.stream().split();
        let (there, back) = (pattern(3 << 20), pattern(2_000_003));
        let moved = async {
            tokio::try_join!(send(to_near, &there), send(to_far, &back), receive(from_far), receive(from_near))
        };
        let ((), (), got_there, got_back) = patiently(DEADLINE, moved).await.context("the bytes do not arrive")??;
        assert_same(&got_there, &there);
        assert_same(&got_back, &back);
        let outcome = guest.finish().await.success()?;
        assert_eq!(outcome.stdout, format!("{} there, {} back\n", there.len(), back.len()));
        Ok(())
    })
}

async fn send(mut to: impl AsyncWrite + Unpin, bytes: &[u8]) -> std::io::Result<()> {
    to.write_all(bytes).await?;
    to.shutdown().await
}

async fn receive(mut from: impl AsyncRead + Unpin) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.read_to_end(&mut bytes).await?;
    Ok(bytes)
}

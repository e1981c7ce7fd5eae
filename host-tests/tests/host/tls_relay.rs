//! A relay between two programs that changes how their bytes arrive.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Result;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Passes one connection on.
pub(crate) struct Relay {
    pub(crate) address: SocketAddr,
    damage: Arc<AtomicBool>,
    task: JoinHandle<Result<()>>,
}

impl Relay {
    /// Passes everything on as it comes.
    pub(crate) async fn to(target: SocketAddr) -> Result<Self> {
        Relay::start(target, usize::MAX).await
    }

    /// Passes every byte on by itself.
    pub(crate) async fn byte_by_byte(target: SocketAddr) -> Result<Self> {
        Relay::start(target, 1).await
    }

    /// From now on a bit of whatever passes is wrong.
    pub(crate) fn damage(&self) {
        self.damage.store(true, Ordering::Relaxed);
    }

    async fn start(target: SocketAddr, piece: usize) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let damage = Arc::new(AtomicBool::new(false));
        let address = listener.local_addr()?;
        let damaging = Arc::clone(&damage);
        let task = tokio::spawn(async move {
            let client = listener.accept().await?.0;
            let server = TcpStream::connect(target).await?;
            client.set_nodelay(true)?;
            server.set_nodelay(true)?;
            let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
            let there = pass(from_client, to_server, piece, &damaging);
            let back = pass(from_server, to_client, piece, &damaging);
            tokio::try_join!(there, back)?;
            Ok(())
        });
        Ok(Relay { address, damage, task })
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Passes one direction on to its end.
async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, piece: usize, damage: &AtomicBool) -> Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let length = from.read(&mut buffer).await?;
        if length == 0 {
            return Ok(to.shutdown().await?);
        }
        if damage.load(Ordering::Relaxed) {
            buffer[length - 1] ^= 1;
        }
        for piece in buffer[..length].chunks(piece) {
            to.write_all(piece).await?;
            if piece.len() < length {
                // Or the system would join what it was given apart.
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    }
}

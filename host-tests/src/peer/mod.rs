//! Native peers that behave and misbehave by script.
//!
//! They run on tokio next to the guest. Every wait has a deadline of 30 seconds, so a guest that hangs fails its test
//! with a line that says what was waited for. Nothing here sleeps to let the guest catch up.

mod black_hole;
mod listener;
mod program;
mod python;

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use socket2::{Domain, SockRef, Socket, Type};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{MissedTickBehavior, interval};

use crate::patience::patiently;

pub use black_hole::BlackHole;
pub use listener::Listener;
pub use program::{Program, ProgramStatus};
pub use python::Python;

/// One connection, seen from outside the guest.
#[derive(Debug)]
pub struct Peer {
    stream: TcpStream,
    /// Read from the socket, but not asked for yet.
    pending: Vec<u8>,
}

impl Peer {
    /// Connects.
    ///
    /// # Errors
    ///
    /// If the guest refuses.
    pub async fn connect(address: SocketAddr) -> Result<Self> {
        let stream = within("a connection", TcpStream::connect(address)).await?;
        Ok(Peer::over(stream))
    }

    /// Connects with a small receive buffer: a peer that does not read stalls its sender after little.
    ///
    /// # Errors
    ///
    /// If the guest refuses.
    pub async fn connect_with_receive_buffer(address: SocketAddr, bytes: u32) -> Result<Self> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.set_recv_buffer_size(bytes)?;
        let stream = within("a connection", socket.connect(address)).await?;
        Ok(Peer::over(stream))
    }

    /// Takes over a connection.
    pub fn over(stream: TcpStream) -> Self {
        Peer { stream, pending: Vec::new() }
    }

    /// Writes all of it.
    ///
    /// # Errors
    ///
    /// If the connection is lost, or the guest does not read.
    pub async fn write_all(&mut self, bytes: &[u8]) -> Result<()> {
        within("the guest to read", self.stream.write_all(bytes)).await
    }

    /// Reads what is there, at most `most` bytes; waits for one, and gives none at the end.
    ///
    /// # Errors
    ///
    /// If the connection is lost, or nothing comes.
    pub async fn read_some(&mut self, most: usize) -> Result<Vec<u8>> {
        if self.pending.is_empty() {
            self.fill(most).await?;
        }
        let length = self.pending.len().min(most);
        Ok(self.pending.drain(..length).collect())
    }

    /// Reads exactly so many bytes.
    ///
    /// # Errors
    ///
    /// If the connection ends or is lost first, or they do not come.
    pub async fn read_exact(&mut self, length: usize) -> Result<Vec<u8>> {
        while self.pending.len() < length {
            if self.fill(length - self.pending.len()).await? == 0 {
                bail!("the connection ended after {} of {length} bytes", self.pending.len());
            }
        }
        Ok(self.pending.drain(..length).collect())
    }

    /// Reads a line with its end; what is left if the connection ends first.
    ///
    /// # Errors
    ///
    /// If the connection is lost, or no line comes.
    pub async fn read_line(&mut self) -> Result<Vec<u8>> {
        let mut searched = 0;
        loop {
            if let Some(position) = self.pending[searched..].iter().position(|&byte| byte == b'\n') {
                return Ok(self.pending.drain(..=searched + position).collect());
            }
            searched = self.pending.len();
            if self.fill(CHUNK).await? == 0 {
                return Ok(std::mem::take(&mut self.pending));
            }
        }
    }

    /// Reads to the end of the connection.
    ///
    /// # Errors
    ///
    /// If the connection is lost, or its end does not come; each piece of data has 30 seconds.
    pub async fn read_to_end(&mut self) -> Result<Vec<u8>> {
        while self.fill(CHUNK).await? > 0 {}
        Ok(std::mem::take(&mut self.pending))
    }

    /// Reads `length` bytes at most, every so often, to the end of the connection; gives the number of bytes.
    ///
    /// # Errors
    ///
    /// As [`read_to_end`](Peer::read_to_end).
    pub async fn read_slowly(&mut self, length: usize, every: Duration) -> Result<u64> {
        let mut interval = interval(every);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut total = 0;
        loop {
            interval.tick().await;
            match self.read_some(length).await?.len() {
                0 => return Ok(total),
                length => total += length as u64,
            }
        }
    }

    /// Waits for the connection to be lost, by a reset or a refusal to go on.
    ///
    /// # Errors
    ///
    /// If it ends in order, or lives on.
    pub async fn expect_loss(&mut self) -> Result<std::io::ErrorKind> {
        let mut buffer = vec![0; CHUNK];
        loop {
            match patiently(DEADLINE, self.stream.read(&mut buffer)).await {
                Some(Ok(0)) => bail!("the connection ended in order"),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Ok(error.kind()),
                None => bail!("the connection is not lost within {DEADLINE:?}"),
            }
        }
    }

    /// Sends the end of data, and goes on reading.
    ///
    /// # Errors
    ///
    /// If the connection is lost.
    pub async fn half_close(&mut self) -> Result<()> {
        within("a half close", self.stream.shutdown()).await
    }

    /// Cuts the connection: the guest is sent a reset, whatever is still in flight.
    ///
    /// # Errors
    ///
    /// If the system refuses.
    pub fn reset(self) -> Result<()> {
        SockRef::from(&self.stream).set_linger(Some(Duration::ZERO))?;
        Ok(())
    }

    /// Our address.
    ///
    /// # Errors
    ///
    /// If the system does not know any more.
    pub fn local_addr(&self) -> Result<SocketAddr> {
        Ok(self.stream.local_addr()?)
    }

    /// The guest's address.
    ///
    /// # Errors
    ///
    /// If the system does not know any more.
    pub fn peer_addr(&self) -> Result<SocketAddr> {
        Ok(self.stream.peer_addr()?)
    }

    /// The connection itself, for what is not scripted here.
    pub fn stream(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    async fn fill(&mut self, most: usize) -> Result<usize> {
        self.pending.reserve(most); // or it would come in pieces of 64 bytes
        let mut limited = (&mut self.stream).take(most as u64);
        within("data", limited.read_buf(&mut self.pending)).await
    }
}

/// An address of loopback at which nobody listens: connecting is refused.
///
/// # Errors
///
/// If the system has no free port.
pub fn refusing_address() -> Result<(SocketAddr, impl Sized + use<>)> {
    // Bound, so that nobody else gets it, but not listening: keep it for as long as the address is used.
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())?;
    let address = socket.local_addr()?.as_socket().context("an IPv4 socket has an IPv4 address")?;
    Ok((address, socket))
}

async fn within<T>(what: &str, future: impl Future<Output = std::io::Result<T>>) -> Result<T> {
    let result = patiently(DEADLINE, future).await;
    result.with_context(|| format!("waited {DEADLINE:?} for {what}"))?.with_context(|| format!("waiting for {what}"))
}

const DEADLINE: Duration = Duration::from_secs(30);
const CHUNK: usize = 64 * 1024;

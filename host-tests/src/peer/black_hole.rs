//! A peer that never answers: connecting to it neither succeeds nor fails.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use socket2::{Domain, Socket, Type};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A listener whose queue is full: the system drops whatever else arrives, for as long as this lives.
#[derive(Debug)]
pub struct BlackHole {
    address: SocketAddr,
    _listener: Socket,
    _queued: Vec<TcpStream>,
}

impl BlackHole {
    /// Makes one on 127.0.0.1.
    ///
    /// # Errors
    ///
    /// If the system answers no matter what.
    pub async fn v4() -> Result<Self> {
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        listener.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
        listener.listen(0)?;
        let address = listener.local_addr()?.as_socket().context("an IPv4 socket has an IPv4 address")?;
        let mut queued = Vec::new();
        while queued.len() < LONGEST_QUEUE {
            // On loopback an answer takes microseconds, or there is none.
            match timeout(ANSWER, TcpStream::connect(address)).await {
                Ok(stream) => queued.push(stream?),
                Err(_) => return Ok(BlackHole { address, _listener: listener, _queued: queued }),
            }
        }
        bail!("a listener without a queue accepted {LONGEST_QUEUE} connections")
    }

    /// The address that does not answer.
    pub fn addr(&self) -> SocketAddr {
        self.address
    }
}

const LONGEST_QUEUE: usize = 64;
const ANSWER: Duration = Duration::from_millis(300);

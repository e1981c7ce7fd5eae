//! A native server for guests to connect to.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use anyhow::Result;
use tokio::net::{TcpListener, TcpSocket};

use super::{Peer, within};

/// A listener on a port of loopback that the system chose.
#[derive(Debug)]
pub struct Listener {
    listener: TcpListener,
    address: SocketAddr,
}

impl Listener {
    /// Listens on 127.0.0.1.
    ///
    /// # Errors
    ///
    /// If the system refuses.
    pub fn v4() -> Result<Self> {
        Listener::bind((Ipv4Addr::LOCALHOST, 0).into(), None)
    }

    /// Listens on ::1.
    ///
    /// # Errors
    ///
    /// If the system refuses, or has no IPv6.
    pub fn v6() -> Result<Self> {
        Listener::bind((Ipv6Addr::LOCALHOST, 0).into(), None)
    }

    /// Listens on 127.0.0.1 for connections with a small receive buffer: unless the peer reads, its sender stalls
    /// after little.
    ///
    /// # Errors
    ///
    /// If the system refuses.
    pub fn stalling(receive_buffer: u32) -> Result<Self> {
        Listener::bind((Ipv4Addr::LOCALHOST, 0).into(), Some(receive_buffer))
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The guest's next connection.
    ///
    /// # Errors
    ///
    /// If the guest does not connect.
    pub async fn accept(&self) -> Result<Peer> {
        let (stream, _) = within("the guest to connect", self.listener.accept()).await?;
        Ok(Peer::over(stream))
    }

    fn bind(address: SocketAddr, receive_buffer: Option<u32>) -> Result<Self> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        if let Some(bytes) = receive_buffer {
            // Before listening, or the window is negotiated without it.
            socket.set_recv_buffer_size(bytes)?;
        }
        socket.bind(address)?;
        let listener = socket.listen(1024)?;
        let address = listener.local_addr()?;
        Ok(Listener { listener, address })
    }
}

//! What `make bench-micro` measures: the parts of the library that do no I/O, with nothing around them. Not part of the interface.

use std::sync::Arc;

use bytes::Bytes;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ServerConfig};

use crate::error::Result;
use crate::proto::buffer::ReceiveBuffer;
use crate::proto::queue::SendQueue;
use crate::proto::search::Search;
use crate::proto::tls::{Received, Session};

/// A receive buffer.
#[derive(Debug)]
pub struct Receiving(ReceiveBuffer);

impl Receiving {
    /// An empty one.
    pub fn new(limit: usize) -> Self {
        Self(ReceiveBuffer::new(limit))
    }

    /// Appends what arrived.
    pub fn feed(&mut self, bytes: Bytes) {
        self.0.feed(bytes);
    }

    /// The next line, if there is one.
    pub fn line(&mut self) -> Result<Option<Bytes>> {
        self.0.take_line(&mut Search::new(&[b"\n"])?)
    }

    /// At most `n` bytes.
    pub fn some(&mut self, n: usize) -> Result<Option<Bytes>> {
        self.0.take_some(n)
    }

    /// Exactly `n` bytes.
    pub fn exactly(&mut self, n: usize) -> Result<Option<Bytes>> {
        self.0.take_exactly(n)
    }
}

/// How many lines there are in `data`, found as reads find them.
pub fn count_lines(mut data: &[u8], limit: usize) -> Result<usize> {
    let mut count = 0;
    while let Some(found) = Search::new(&[b"\n"])?.advance(data, &[b"\n"], limit)? {
        data = &data[found.end..];
        count += 1;
    }
    Ok(count)
}

/// A send queue.
#[derive(Debug)]
pub struct Sending(SendQueue);

impl Sending {
    /// An empty one.
    #[expect(clippy::new_without_default, reason = "not an interface")]
    pub fn new() -> Self {
        Self(SendQueue::new())
    }

    /// Accepts bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.0.push(bytes);
    }

    /// Lets all go out, `piece` bytes at a time; how often that was.
    pub fn drain(&mut self, piece: usize) -> usize {
        let mut count = 0;
        while !self.0.is_empty() {
            self.0.advance(piece.min(self.0.len()));
            count += 1;
        }
        count
    }
}

/// Both ends of a TLS connection.
#[expect(missing_debug_implementations, reason = "not an interface")]
pub struct Tunnel {
    client: Session,
    server: Session,
}

impl Tunnel {
    /// Shakes hands.
    pub fn new(client: Arc<ClientConfig>, name: ServerName<'static>, server: Arc<ServerConfig>) -> Result<Self> {
        let mut tunnel = Self { client: Session::client(client, name)?, server: Session::server(server)? };
        while tunnel.client.is_handshaking() || tunnel.server.is_handshaking() {
            pass(&mut tunnel.client, &mut tunnel.server)?;
            pass(&mut tunnel.server, &mut tunnel.client)?;
        }
        Ok(tunnel)
    }

    /// Encrypts `plaintext` and decrypts it again; how long it is then.
    pub fn carry(&mut self, plaintext: &[u8]) -> Result<usize> {
        let mut sent = 0;
        let mut received = 0;
        while sent < plaintext.len() {
            sent += self.client.send(&plaintext[sent..])?;
            received += pass(&mut self.client, &mut self.server)?;
        }
        Ok(received)
    }
}

/// What one side has to send reaches the other; how many bytes of it are plaintext.
fn pass(from: &mut Session, to: &mut Session) -> Result<usize> {
    let ciphertext = Bytes::copy_from_slice(from.ciphertext());
    from.sent(ciphertext.len());
    to.feed(ciphertext);
    let mut count = 0;
    loop {
        match to.receive()? {
            Received::Data(data) => count += data.len(),
            Received::Busy => {}
            Received::NeedsMore | Received::End => return Ok(count),
        }
    }
}

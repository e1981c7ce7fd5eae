//! TLS as bytes in, bytes out: a rustls connection without any I/O.
//!
//! The only file that drives rustls; its interface is what rustls 0.24 will offer anyway, so that change costs one file.
//! The session never holds more plaintext than one piece of ciphertext gave, and never more ciphertext than one [`PIECE`] of
//! plaintext makes: whoever feeds it waits for room on either side.

use std::io::{self, Read, Write};
use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, Connection, ProtocolVersion, ServerConfig, ServerConnection};

use crate::error::{Error, Result};
use crate::tls::{TlsErrorKind, tls_error};

/// The types of records that exist.
const RECORD_TYPES: std::ops::RangeInclusive<u8> = 20..=24;

/// So much plaintext is encrypted at once, in bytes: four records, so that a long write leaves the loop to others.
const PIECE: usize = 64 * 1024;

/// So many steps, each of 4 KiB of ciphertext, may give no plaintext before others get their turn: a record is five, and a peer
/// may send records without any for ever.
const STEPS: usize = 8;

/// One side of a TLS connection.
pub(crate) struct Session {
    tls: Connection,
    /// Ciphertext that arrived and was not looked at yet.
    incoming: Bytes,
    /// Something that can be TLS has arrived.
    begun: bool,
    /// Ciphertext to be sent.
    outgoing: BytesMut,
    /// The peer has said `close_notify`.
    closed_by_peer: bool,
    /// The stream ended without that: somebody may have cut it.
    truncated: bool,
}

/// What can be taken from a session.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Received {
    /// Plaintext.
    Data(Bytes),
    /// The end of the stream.
    End,
    /// Nothing without more ciphertext.
    NeedsMore,
    /// Nothing so far, and there is more to look at: others first.
    Busy,
}

impl Session {
    pub(crate) fn client(config: Arc<ClientConfig>, name: ServerName<'static>) -> Result<Self> {
        ClientConnection::new(config, name).map(|tls| Self::new(tls.into())).map_err(Error::from)
    }

    pub(crate) fn server(config: Arc<ServerConfig>) -> Result<Self> {
        ServerConnection::new(config).map(|tls| Self::new(tls.into())).map_err(Error::from)
    }

    fn new(mut tls: Connection) -> Self {
        tls.set_buffer_limit(None); // bounded by who feeds it
        let mut session = Self {
            tls,
            incoming: Bytes::new(),
            begun: false,
            outgoing: BytesMut::new(),
            closed_by_peer: false,
            truncated: false,
        };
        session.collect(); // the client speaks first
        session
    }

    /// The connection behind it, for what it knows.
    pub(crate) fn connection(&self) -> &Connection {
        &self.tls
    }

    pub(crate) fn is_handshaking(&self) -> bool {
        self.tls.is_handshaking()
    }

    /// Whether the stream ended without `close_notify`.
    pub(crate) fn is_truncated(&self) -> bool {
        self.truncated
    }

    /// How much of the ciphertext is tickets, asked at the end of the handshake: behind the client's last message a server of TLS 1.3
    /// sends nothing else.
    pub(crate) fn tickets(&self) -> usize {
        let is_newest = self.tls.protocol_version() == Some(ProtocolVersion::TLSv1_3);
        let is_server = matches!(self.tls, Connection::Server(_));
        if is_newest && is_server && !self.is_handshaking() { self.outgoing.len() } else { 0 }
    }

    /// Whether there is ciphertext that was not looked at yet.
    pub(crate) fn has_input(&self) -> bool {
        !self.incoming.is_empty()
    }

    /// Takes the next step of the handshake that the ciphertext here allows.
    pub(crate) fn step(&mut self) -> Result<()> {
        if self.has_input() { self.process() } else { Ok(()) }
    }

    // ------------------------------------------------------------------ receiving

    /// Takes ciphertext; call [`receive`](Self::receive) until it needs more before the next.
    pub(crate) fn feed(&mut self, ciphertext: Bytes) {
        self.incoming = ciphertext;
    }

    /// Takes the end of the ciphertext.
    pub(crate) fn feed_eof(&mut self) {
        self.truncated = !self.closed_by_peer;
    }

    /// Decrypts up to the next plaintext.
    pub(crate) fn receive(&mut self) -> Result<Received> {
        for _ in 0..STEPS {
            if let Some(data) = self.take_plaintext()? {
                return Ok(Received::Data(data));
            }
            if self.closed_by_peer || self.truncated {
                return Ok(Received::End);
            }
            if self.incoming.is_empty() {
                return Ok(Received::NeedsMore);
            }
            self.process()?;
        }
        Ok(Received::Busy)
    }

    /// Feeds the engine what it takes, and collects what it answers (an alert too, before its error is told).
    fn process(&mut self) -> Result<()> {
        self.check_beginning()?;
        let mut input = (&mut self.incoming).reader();
        let read = self.tls.read_tls(&mut input);
        let state = self.tls.process_new_packets();
        self.collect();
        let state = state?;
        read.map_err(Error::from)?;
        self.closed_by_peer |= state.peer_has_closed();
        Ok(())
    }

    /// Tells something else from TLS by its first byte, which is a type of record (RFC 8446, section 5.1).
    fn check_beginning(&mut self) -> Result<()> {
        match self.incoming.first() {
            Some(first) if !self.begun && !RECORD_TYPES.contains(first) => {
                let beginning = self.incoming.slice(..self.incoming.len().min(20));
                let beginning = beginning.escape_ascii();
                let text = format!("the peer spoke something that is not TLS (\"{beginning}\"): is this port plain?");
                Err(tls_error(TlsErrorKind::NotTls, text))
            }
            _ => {
                self.begun = true;
                Ok(())
            }
        }
    }

    fn take_plaintext(&mut self) -> Result<Option<Bytes>> {
        let mut plaintext = Vec::new();
        match self.tls.reader().read_to_end(&mut plaintext) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
        Ok((!plaintext.is_empty()).then(|| plaintext.into()))
    }

    // ------------------------------------------------------------------ sending

    /// Encrypts some of `plaintext` and says how much; call it when the ciphertext before is sent.
    pub(crate) fn send(&mut self, plaintext: &[u8]) -> Result<usize> {
        let piece = &plaintext[..plaintext.len().min(PIECE)];
        let before = self.outgoing.len();
        let n = self.tls.writer().write(piece)?;
        self.collect();
        if self.outgoing.len() - before < n {
            // rustls takes the rest and drops it when the keys have encrypted as much as they may.
            let text = "TLS: the keys have encrypted as much as is safe, and TLS 1.2 cannot renew them: connect again";
            return Err(tls_error(TlsErrorKind::Protocol, text));
        }
        Ok(n)
    }

    /// Says `close_notify`; repeating it has no effect.
    pub(crate) fn close(&mut self) {
        self.tls.send_close_notify();
        self.collect();
    }

    /// The ciphertext to be sent.
    pub(crate) fn ciphertext(&self) -> &[u8] {
        &self.outgoing
    }

    /// Notes that `n` bytes of it are sent.
    pub(crate) fn sent(&mut self, n: usize) {
        self.outgoing.advance(n);
        if self.outgoing.is_empty() {
            self.outgoing = BytesMut::new();
        }
    }

    fn collect(&mut self) {
        let mut output = (&mut self.outgoing).writer();
        while self.tls.wants_write() {
            // Writing to memory does not fail; what is wrong with the connection is told by the next read.
            if self.tls.write_tls(&mut output).is_err() {
                return;
            }
        }
    }
}

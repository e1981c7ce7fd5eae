//! A TLS peer under the test's control: rustls on a simulated connection, record by record.

use std::io::{Read, Write};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ClientConnection, Connection, RootCertStore, ServerConfig, ServerConnection};
use wasi_streams::sim::Peer;

use super::tls::Authority;

/// One side of TLS: bytes in, bytes out.
pub(crate) struct Engine {
    tls: Connection,
    /// Decrypted and not taken yet.
    plain: Vec<u8>,
    saw_goodbye: bool,
}

impl Engine {
    /// The server of `name`.
    pub(crate) fn server(ca: &Authority, name: &str) -> Self {
        let (chain, key) = ca.identity(name, |_| {});
        let chain = CertificateDer::pem_slice_iter(chain.as_bytes()).collect::<Result<_, _>>().unwrap();
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        Self::new(ServerConnection::new(Arc::new(config)).unwrap().into())
    }

    /// A client that asks for `name`.
    pub(crate) fn client(ca: &Authority, name: &str) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(ca.pem().as_bytes()).unwrap()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = name.to_owned().try_into().unwrap();
        Self::new(ClientConnection::new(Arc::new(config), name).unwrap().into())
    }

    fn new(mut tls: Connection) -> Self {
        tls.set_buffer_limit(None);
        Self { tls, plain: Vec::new(), saw_goodbye: false }
    }

    pub(crate) fn is_handshaking(&self) -> bool {
        self.tls.is_handshaking()
    }

    /// Encrypts; gives this and whatever else is to be sent.
    pub(crate) fn encrypt(&mut self, data: &[u8]) -> Vec<u8> {
        self.tls.writer().write_all(data).unwrap();
        self.ciphertext()
    }

    /// What is to be sent.
    pub(crate) fn ciphertext(&mut self) -> Vec<u8> {
        let mut ciphertext = Vec::new();
        while self.tls.wants_write() {
            self.tls.write_tls(&mut ciphertext).unwrap();
        }
        ciphertext
    }

    /// Takes what the guest has sent, nothing being its end.
    pub(crate) fn feed(&mut self, mut bytes: &[u8]) {
        loop {
            self.tls.read_tls(&mut bytes).unwrap();
            let state = self.tls.process_new_packets().expect("the guest speaks TLS");
            self.saw_goodbye |= state.peer_has_closed();
            // It says so by an error when there is no more for now.
            let _ = self.tls.reader().read_to_end(&mut self.plain);
            if bytes.is_empty() {
                return;
            }
        }
    }

    /// What was decrypted since the last time.
    pub(crate) fn plaintext(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.plain)
    }

    pub(crate) fn say_goodbye(&mut self) -> Vec<u8> {
        self.tls.send_close_notify();
        self.ciphertext()
    }

    pub(crate) fn saw_goodbye(&self) -> bool {
        self.saw_goodbye
    }

    /// How many tickets a client has.
    fn tickets(&self) -> u32 {
        match &self.tls {
            Connection::Client(client) => client.tls13_tickets_received(),
            Connection::Server(_) => 0,
        }
    }
}

/// An [`Engine`] on a simulated connection of the guest's.
pub(crate) struct TlsPeer {
    pub(crate) peer: Peer,
    engine: Engine,
}

impl TlsPeer {
    pub(crate) fn server(peer: Peer, ca: &Authority, name: &str) -> Self {
        Self { peer, engine: Engine::server(ca, name) }
    }

    pub(crate) fn client(peer: Peer, ca: &Authority, name: &str) -> Self {
        Self { peer, engine: Engine::client(ca, name) }
    }

    /// Shakes hands to the end.
    pub(crate) async fn shake_hands(&mut self) {
        while self.engine.is_handshaking() {
            self.flush();
            if self.engine.is_handshaking() {
                assert!(self.take_some().await, "the guest left");
            }
        }
        self.flush();
    }

    /// Encrypts and sends; says how much that is.
    pub(crate) fn send(&mut self, data: &[u8]) -> usize {
        let ciphertext = self.encrypt(data);
        self.peer.send(&ciphertext);
        ciphertext.len()
    }

    /// Encrypts without sending.
    pub(crate) fn encrypt(&mut self, data: &[u8]) -> Vec<u8> {
        self.engine.encrypt(data)
    }

    /// Exactly so many decrypted bytes, fewer at the end.
    pub(crate) async fn recv(&mut self, n: usize) -> Vec<u8> {
        while self.engine.plain.len() < n && self.take_some().await {}
        let rest = self.engine.plain.split_off(self.engine.plain.len().min(n));
        std::mem::replace(&mut self.engine.plain, rest)
    }

    /// Everything up to the guest's goodbye.
    pub(crate) async fn recv_to_goodbye(&mut self) -> Vec<u8> {
        while !self.engine.saw_goodbye {
            assert!(self.take_some().await, "an end without goodbye after {} bytes", self.engine.plain.len());
        }
        self.engine.plaintext()
    }

    /// How many tickets a client has.
    pub(crate) fn tickets(&self) -> u32 {
        self.engine.tickets()
    }

    /// Says goodbye.
    pub(crate) fn goodbye(&mut self) {
        let goodbye = self.engine.say_goodbye();
        self.peer.send(&goodbye);
    }

    fn flush(&mut self) {
        let ciphertext = self.engine.ciphertext();
        if !ciphertext.is_empty() {
            self.peer.send(&ciphertext);
        }
    }

    /// Takes what the guest sends next; false at its end.
    async fn take_some(&mut self) -> bool {
        let mut bytes = self.peer.recv(1).await;
        bytes.extend(self.peer.take_received());
        self.engine.feed(&bytes);
        self.flush();
        !bytes.is_empty()
    }
}

//! A TLS peer under the test's control: rustls on a simulated connection, record by record.

use std::io::{Read, Write};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ClientConnection, Connection, RootCertStore, ServerConfig, ServerConnection};
use wasi_streams::sim::Peer;

use super::tls::Authority;

/// One side of a TLS connection, the other of which is the guest's.
pub(crate) struct TlsPeer {
    pub(crate) peer: Peer,
    tls: Connection,
    /// Decrypted and not asked for yet.
    plain: Vec<u8>,
    saw_goodbye: bool,
}

impl TlsPeer {
    /// The server of `name`.
    pub(crate) fn server(peer: Peer, ca: &Authority, name: &str) -> Self {
        let (chain, key) = ca.identity(name, |_| {});
        let chain = CertificateDer::pem_slice_iter(chain.as_bytes()).collect::<Result<_, _>>().unwrap();
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        Self::new(peer, ServerConnection::new(Arc::new(config)).unwrap().into())
    }

    /// A client that asks for `name`.
    pub(crate) fn client(peer: Peer, ca: &Authority, name: &str) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(ca.pem().as_bytes()).unwrap()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = name.to_owned().try_into().unwrap();
        Self::new(peer, ClientConnection::new(Arc::new(config), name).unwrap().into())
    }

    fn new(peer: Peer, tls: Connection) -> Self {
        Self { peer, tls, plain: Vec::new(), saw_goodbye: false }
    }

    /// Shakes hands to the end.
    pub(crate) async fn shake_hands(&mut self) {
        while self.tls.is_handshaking() {
            self.flush();
            if self.tls.is_handshaking() {
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
        self.tls.set_buffer_limit(None);
        self.tls.writer().write_all(data).unwrap();
        self.ciphertext()
    }

    /// Exactly so many decrypted bytes, fewer at the end.
    pub(crate) async fn recv(&mut self, n: usize) -> Vec<u8> {
        while self.plain.len() < n && self.take_some().await {}
        let rest = self.plain.split_off(self.plain.len().min(n));
        std::mem::replace(&mut self.plain, rest)
    }

    /// Everything up to the guest's goodbye.
    pub(crate) async fn recv_to_goodbye(&mut self) -> Vec<u8> {
        while !self.saw_goodbye {
            assert!(self.take_some().await, "an end without goodbye after {} bytes", self.plain.len());
        }
        std::mem::take(&mut self.plain)
    }

    /// Says goodbye.
    pub(crate) fn goodbye(&mut self) {
        self.tls.send_close_notify();
        self.flush();
    }

    fn flush(&mut self) {
        let ciphertext = self.ciphertext();
        if !ciphertext.is_empty() {
            self.peer.send(&ciphertext);
        }
    }

    fn ciphertext(&mut self) -> Vec<u8> {
        let mut ciphertext = Vec::new();
        while self.tls.wants_write() {
            self.tls.write_tls(&mut ciphertext).unwrap();
        }
        ciphertext
    }

    /// Takes what the guest sends next; false at its end.
    async fn take_some(&mut self) -> bool {
        let mut bytes = self.peer.recv(1).await;
        bytes.extend(self.peer.take_received());
        let ended = bytes.is_empty();
        let mut rest = &bytes[..];
        loop {
            self.tls.read_tls(&mut rest).unwrap();
            let state = self.tls.process_new_packets().expect("the guest speaks TLS");
            self.saw_goodbye |= state.peer_has_closed();
            // It says so by an error when there is no more for now.
            let _ = self.tls.reader().read_to_end(&mut self.plain);
            if rest.is_empty() {
                break;
            }
        }
        self.flush();
        !ended
    }
}

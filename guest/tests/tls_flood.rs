//! A peer that floods us with records in which there is no data: it is taken in turns, so that others get theirs.
//!
//! No TLS library writes such records, so they are encrypted here, by the secret that the handshake has logged.
#![cfg(feature = "tls-ring")]

mod common;

use std::sync::{Arc, Mutex};

use common::place::{client_of, start};
use common::tls::Authority;
use common::{settle, simulate, take_reports};
use rustls::crypto::cipher::{AeadKey, Iv, MessageEncrypter, OutboundChunks, OutboundPlainMessage};
use rustls::crypto::tls13::{HkdfExpander, OkmBlock};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, ClientConnection, ContentType, KeyLog, ProtocolVersion, RootCertStore};
use wasi_streams::sim::Peer;
use wasi_streams::{StreamReader, StreamWriter, yield_now};

const NAME: &str = "server.test";
/// A host gives this much in one read, at most.
const PIECE: usize = 64 * 1024;

#[test]
fn t17_a_flood_of_records_without_data_is_taken_in_turns() {
    simulate(async |net| {
        let ca = Authority::new();
        let hold = |reader: StreamReader, writer: StreamWriter| async move {
            let _kept = reader;
            writer.wait_closed().await
        };
        let server = start(hold).tls(ca.acceptor(NAME)).await.unwrap();
        let peer = client_of(&net, &server);
        let mut flooder = Flooder::shake_hands(peer, &ca).await;
        settle().await;
        let mut flood = Vec::new();
        while flood.len() < 20 * PIECE {
            // rustls ends a connection for too many of either kind in a row, not for both in turns.
            flood.extend(flooder.encrypt(ContentType::ApplicationData, &[]));
            for _ in 0..32 {
                flood.extend(flooder.update_keys());
            }
        }
        flooder.peer.send(&flood);
        let mut turns = 0;
        while flooder.peer.unsent() > 0 {
            assert!(!flooder.peer.saw_eof() && !flooder.peer.saw_reset(), "all of it is proper TLS");
            yield_now().await;
            turns += 1;
        }
        assert!(turns >= flood.len() / PIECE, "{} bytes were taken in {turns} turns", flood.len());
        flooder.peer.close();
        settle().await;
        take_reports();
    });
}

/// A TLS 1.3 client that writes its records itself once it has shaken hands.
struct Flooder {
    peer: Peer,
    suite: &'static rustls::Tls13CipherSuite,
    secret: Vec<u8>,
    sequence: u64,
    encrypter: Box<dyn MessageEncrypter>,
}

impl Flooder {
    async fn shake_hands(peer: Peer, ca: &Authority) -> Self {
        let log = Arc::new(Secrets::default());
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(ca.pem().as_bytes()).unwrap()).unwrap();
        let mut config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.key_log = log.clone();
        let mut tls = ClientConnection::new(Arc::new(config), NAME.try_into().unwrap()).unwrap();
        loop {
            let mut out = Vec::new();
            while tls.wants_write() {
                tls.write_tls(&mut out).unwrap();
            }
            peer.send(&out);
            if !tls.is_handshaking() {
                break;
            }
            let mut bytes = peer.recv(1).await;
            bytes.extend(peer.take_received());
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                tls.read_tls(&mut rest).unwrap();
                tls.process_new_packets().unwrap();
            }
        }
        let suite = tls.negotiated_cipher_suite().unwrap().tls13().unwrap();
        let secret = log.0.lock().unwrap().clone();
        Self { peer, suite, encrypter: encrypter(suite, &secret), secret, sequence: 0 }
    }

    fn encrypt(&mut self, typ: ContentType, data: &[u8]) -> Vec<u8> {
        let payload = OutboundChunks::Single(data);
        let message = OutboundPlainMessage { typ, version: ProtocolVersion::TLSv1_2, payload };
        self.sequence += 1;
        self.encrypter.encrypt(message, self.sequence - 1).unwrap().encode()
    }

    /// RFC 8446, sections 4.6.3 and 7.2.
    fn update_keys(&mut self) -> Vec<u8> {
        let update = self.encrypt(ContentType::Handshake, &[24, 0, 0, 1, 0]);
        let mut next = vec![0; self.secret.len()];
        expand(&*expander(self.suite, &self.secret), "traffic upd", &mut next);
        self.encrypter = encrypter(self.suite, &next);
        (self.secret, self.sequence) = (next, 0);
        update
    }
}

fn expander(suite: &rustls::Tls13CipherSuite, secret: &[u8]) -> Box<dyn HkdfExpander> {
    suite.hkdf_provider.expander_for_okm(&OkmBlock::new(secret))
}

fn encrypter(suite: &rustls::Tls13CipherSuite, secret: &[u8]) -> Box<dyn MessageEncrypter> {
    let expander = expander(suite, secret);
    let (mut key, mut iv) = ([0; 32], [0; 12]);
    expand(&*expander, "key", &mut key);
    expand(&*expander, "iv", &mut iv);
    suite.aead_alg.encrypter(AeadKey::from(key), Iv::new(iv))
}

/// HKDF-Expand-Label with an empty context (RFC 8446, section 7.1).
fn expand(expander: &dyn HkdfExpander, label: &str, out: &mut [u8]) {
    let label = format!("tls13 {label}");
    let length = (out.len() as u16).to_be_bytes();
    expander.expand_slice(&[&length, &[label.len() as u8], label.as_bytes(), &[0]], out).unwrap();
}

/// The secret of what the client sends.
#[derive(Debug, Default)]
struct Secrets(Mutex<Vec<u8>>);

impl KeyLog for Secrets {
    fn log(&self, label: &str, _client_random: &[u8], secret: &[u8]) {
        if label == "CLIENT_TRAFFIC_SECRET_0" {
            *self.0.lock().unwrap() = secret.to_vec();
        }
    }
}

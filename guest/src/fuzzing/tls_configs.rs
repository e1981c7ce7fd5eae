//! Configurations of rustls for fuzzing: everything real but chance, time and the key exchange, so that an input does the same
//! whenever it runs, and runs quickly.
//!
//! The certificate is of Ed25519, whose signatures hold no randomness and are always equally long.

use std::cell::Cell;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rustls::client::{ClientSessionMemoryCache, Resumption};
use rustls::crypto::{
    ActiveKeyExchange, CryptoProvider, GetRandomFailed, SecureRandom, SharedSecret, SupportedKxGroup, ring,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::{ServerSessionMemoryCache, WebPkiClientVerifier};
use rustls::time_provider::TimeProvider;
use rustls::version::{TLS12, TLS13};
use rustls::{
    CipherSuiteCommon, ClientConfig, Error, NamedGroup, PeerMisbehaved, RootCertStore, ServerConfig,
    SupportedCipherSuite, Tls13CipherSuite,
};

const IDENTITY: &[u8] = include_bytes!("identity.pem");
/// The keys are renewed after so many records, under TLS 1.3; without this it would take more than any input writes.
const RECORDS_FOR_A_KEY: u64 = 40;

/// What a connection is like.
#[derive(Clone, Copy)]
pub(super) struct Choices {
    pub(super) only_tls12: bool,
    /// The server asks for the client's certificate.
    pub(super) mutual: bool,
    /// In bytes.
    pub(super) largest_record: Option<usize>,
}

/// Starts chance again, and gives the configurations of a client and a server that have not met yet.
pub(super) fn configs(choices: Choices) -> (Arc<ClientConfig>, Arc<ServerConfig>) {
    static ALL: OnceLock<Result<Templates, Error>> = OnceLock::new();
    RANDOM.set(0);
    let all = ALL.get_or_init(Templates::new).as_ref().expect("the configurations are sound");
    let mut client = all.clients[usize::from(choices.only_tls12)].clone();
    client.max_fragment_size = choices.largest_record;
    client.resumption = Resumption::store(Arc::new(ClientSessionMemoryCache::new(8)));
    let mut server = all.servers[usize::from(choices.mutual)].clone();
    server.max_fragment_size = choices.largest_record;
    server.session_storage = ServerSessionMemoryCache::new(8);
    (Arc::new(client), Arc::new(server))
}

struct Templates {
    /// For both versions, and for TLS 1.2 alone.
    clients: [ClientConfig; 2],
    /// Without and with a request for the client's certificate.
    servers: [ServerConfig; 2],
}

impl Templates {
    fn new() -> Result<Self, Error> {
        let provider = Arc::new(provider());
        let certificate = CertificateDer::from_pem_slice(IDENTITY).expect("a certificate in identity.pem");
        let key = || PrivateKeyDer::from_pem_slice(IDENTITY).expect("a key in identity.pem");
        let mut roots = RootCertStore::empty();
        roots.add(certificate.clone())?;
        let roots = Arc::new(roots);

        let client = |versions| {
            ClientConfig::builder_with_details(Arc::clone(&provider), Arc::new(Always))
                .with_protocol_versions(versions)?
                .with_root_certificates(Arc::clone(&roots))
                .with_client_auth_cert(vec![certificate.clone()], key())
        };
        let server = || {
            ServerConfig::builder_with_details(Arc::clone(&provider), Arc::new(Always))
                .with_protocol_versions(&[&TLS13, &TLS12])
        };
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider));
        let verifier = verifier.build().map_err(|error| Error::General(error.to_string()))?;
        Ok(Self {
            clients: [client(&[&TLS13, &TLS12])?, client(&[&TLS12])?],
            servers: [
                server()?.with_no_client_auth().with_single_cert(vec![certificate.clone()], key())?,
                server()?.with_client_cert_verifier(verifier).with_single_cert(vec![certificate.clone()], key())?,
            ],
        })
    }
}

fn provider() -> CryptoProvider {
    let suites = [
        ring::cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
        ring::cipher_suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    ];
    CryptoProvider {
        cipher_suites: suites.map(with_short_lived_keys).into(),
        kx_groups: vec![&OpenSecret],
        secure_random: &Repeatable,
        ..ring::default_provider()
    }
}

/// TLS 1.2 cannot renew its keys.
fn with_short_lived_keys(suite: SupportedCipherSuite) -> SupportedCipherSuite {
    let SupportedCipherSuite::Tls13(suite) = suite else { return suite };
    let common = CipherSuiteCommon { confidentiality_limit: RECORDS_FOR_A_KEY, ..suite.common };
    let suite =
        Tls13CipherSuite { common, hkdf_provider: suite.hkdf_provider, aead_alg: suite.aead_alg, quic: suite.quic };
    SupportedCipherSuite::Tls13(Box::leak(Box::new(suite))) // rustls wants it to live for ever; it is made once
}

// ---------------------------------------------------------------------- what would not be the same twice

thread_local! {
    static RANDOM: Cell<u64> = const { Cell::new(0) };
}

/// SplitMix64, from the same seed for each input.
#[derive(Debug)]
struct Repeatable;

impl SecureRandom for Repeatable {
    fn fill(&self, out: &mut [u8]) -> Result<(), GetRandomFailed> {
        for chunk in out.chunks_mut(8) {
            let state = RANDOM.get().wrapping_add(0x9E37_79B9_7F4A_7C15);
            RANDOM.set(state);
            let z = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            chunk.copy_from_slice(&(z ^ (z >> 31)).to_le_bytes()[..chunk.len()]);
        }
        Ok(())
    }
}

/// It is always 2030: the certificate is valid from 2026 to 2126.
#[derive(Debug)]
struct Always;

impl TimeProvider for Always {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_secs(1_893_456_000)))
    }
}

/// A key exchange that whoever listens can follow: the secret is what both sent, XORed. It costs nothing and repeats; for all
/// that is tested here it is as good as X25519, by whose name it goes.
#[derive(Debug)]
struct OpenSecret;

struct Share([u8; 32]);

impl SupportedKxGroup for OpenSecret {
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, Error> {
        let mut share = [0; 32];
        Repeatable.fill(&mut share)?;
        Ok(Box::new(Share(share)))
    }

    fn name(&self) -> NamedGroup {
        NamedGroup::X25519
    }
}

impl ActiveKeyExchange for Share {
    fn complete(self: Box<Self>, theirs: &[u8]) -> Result<SharedSecret, Error> {
        if theirs.len() != self.0.len() {
            return Err(PeerMisbehaved::InvalidKeyShare.into());
        }
        let both: Vec<u8> = self.0.iter().zip(theirs).map(|(ours, theirs)| ours ^ theirs).collect();
        Ok(SharedSecret::from(both.as_slice()))
    }

    fn pub_key(&self) -> &[u8] {
        &self.0
    }

    fn group(&self) -> NamedGroup {
        NamedGroup::X25519
    }
}

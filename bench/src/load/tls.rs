//! TLS: the same by rustls, whose side of it is a small part of what a guest does.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use rustls::client::Resumption;
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::{Clock, Figure, PATIENCE, Span};
use crate::peers::Server;

const PIECE: usize = 64 * 1024;
/// So much is under way in bulk: enough for both sides to work at once, and it fits into the sockets' buffers.
const PIECES_UNDER_WAY: usize = 4;
/// Handshakes at once, so that the server is never without one.
const SHAKING: usize = 3;

/// What the client proposes, and nothing else.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cipher {
    ChaCha20,
    AesGcm,
}

/// How to speak TLS 1.3 to the servers.
#[derive(Clone, Debug)]
pub(crate) struct Tls(Arc<ClientConfig>);

type Stream = StreamOwned<ClientConnection, TcpStream>;

impl Tls {
    pub(crate) fn new(authority: CertificateDer<'static>, cipher: Cipher) -> Result<Self> {
        let suite = match cipher {
            Cipher::ChaCha20 => ring::cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
            Cipher::AesGcm => ring::cipher_suite::TLS13_AES_256_GCM_SHA384,
        };
        let provider = rustls::crypto::CryptoProvider { cipher_suites: vec![suite], ..ring::default_provider() };
        let mut roots = RootCertStore::empty();
        roots.add(authority)?;
        let builder =
            ClientConfig::builder_with_provider(provider.into()).with_protocol_versions(&[&rustls::version::TLS13])?;
        let mut config = builder.with_root_certificates(roots).with_no_client_auth();
        config.resumption = Resumption::disabled(); // every handshake is a full one
        Ok(Self(config.into()))
    }

    fn connect(&self, address: SocketAddr) -> Result<Stream> {
        let tcp = TcpStream::connect(address)?;
        tcp.set_nodelay(true)?;
        tcp.set_read_timeout(Some(PATIENCE))?;
        tcp.set_write_timeout(Some(PATIENCE))?;
        let name = ServerName::try_from("localhost")?;
        let mut stream = StreamOwned::new(ClientConnection::new(Arc::clone(&self.0), name)?, tcp);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock).context("the handshake")?;
        }
        Ok(stream)
    }

    /// Bytes that came back on one connection.
    pub(crate) fn bulk(&self, server: &Server, span: Span) -> Result<Figure> {
        let mut stream = self.connect(server.address)?;
        let mut piece = vec![b'x'; PIECE];
        for _ in 0..PIECES_UNDER_WAY {
            stream.write_all(&piece)?;
        }
        let mut clock = Clock::start(server, span);
        let mut count = 0;
        while !clock.is_over() {
            stream.read_exact(&mut piece)?;
            stream.write_all(&piece)?;
            clock.tick()?;
            count += if clock.counts() { PIECE as u64 } else { 0 };
        }
        for _ in 0..PIECES_UNDER_WAY {
            stream.read_exact(&mut piece)?;
        }
        stream.conn.send_close_notify();
        stream.flush()?;
        Ok(clock.figure(count))
    }

    /// Full handshakes, each on a connection of its own, up to the server's goodbye.
    pub(crate) fn handshakes(&self, server: &Server, span: Span) -> Result<Figure> {
        let mut clock = Clock::start(server, span);
        let (done, over) = (AtomicU64::new(0), AtomicBool::new(false));
        let client = || -> Result<()> {
            while !over.load(Ordering::Relaxed) {
                self.shake(server.address)?;
                done.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        };
        thread::scope(|scope| {
            let clients: Vec<_> = (0..SHAKING).map(|_| scope.spawn(client)).collect();
            let mut count = || -> Result<u64> {
                let mut now = |after: Duration| -> Result<u64> {
                    thread::sleep(after);
                    clock.tick()?;
                    Ok(done.load(Ordering::Relaxed))
                };
                let before = now(span.warm_up)?;
                Ok(now(span.measure)? - before)
            };
            let count = count();
            over.store(true, Ordering::Relaxed);
            for client in clients {
                client.join().map_err(|_| anyhow!("a client panicked"))??;
            }
            Ok(clock.figure(count?))
        })
    }

    fn shake(&self, address: SocketAddr) -> Result<()> {
        let mut stream = self.connect(address)?;
        stream.conn.send_close_notify();
        stream.flush()?;
        ensure!(stream.read(&mut [0])? == 0, "an answer without a question");
        Ok(())
    }
}

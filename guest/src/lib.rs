//! asyncio's streams for WebAssembly components: connect, serve, read, write and close over WASI 0.2 sockets.
//!
//! ```no_run
//! use wasi_streams::{Result, StreamReader, StreamWriter, run, start_server};
//!
//! async fn echo(mut reader: StreamReader, writer: StreamWriter) -> Result<()> {
//!     loop {
//!         let line = reader.readline().await?;
//!         if line.is_empty() {
//!             writer.close();
//!             return writer.wait_closed().await;
//!         }
//!         writer.write(line)?;
//!         writer.drain().await?;
//!     }
//! }
//!
//! fn main() -> Result<()> {
//!     run(async {
//!         let server = start_server(echo, "127.0.0.1", 8888).await?;
//!         println!("Serving on {}", server.sockets()[0]);
//!         server.serve_forever().await
//!     })
//! }
//! ```
//!
//! # How it works
//!
//! [`run`] drives tasks, timers and the host's pollables on one thread. Each connection has a pump, a task that reads
//! ahead into the reader's buffer and hands over what the writer queued, whether or not the program waits for either. So
//! the end of a stream, a reset, and room for more bytes are noticed while the program does something else.
//!
//! A host stream that cannot be dropped without blocking the whole program is parked until it can: a peer that
//! stops reading costs its connection, never the others.
//!
//! # Limits of what is held
//!
//! A reader holds at most twice its limit and one receive chunk (64 KiB). A writer holds what was written; waiting in
//! [`drain`](StreamWriter::drain) keeps that at its high-water mark (64 KiB, over TLS 512 KiB) and one write.
//!
//! # TLS
//!
//! The feature `tls-ring` adds `.tls(…)` to [`open_connection()`] and [`start_server()`], and `start_tls` to [`StreamWriter`], which
//! upgrades a connection in place. TLS 1.2 and 1.3 run inside the guest, by rustls with ring, which needs a C compiler (for components
//! a clang that knows wasm). The feature `tls` alone leaves the cryptography provider to the program. Without them the crate needs
//! no C compiler and has no TLS names.
//!
//! - **Trust.** A client verifies chain and name, always, unless a method called `dangerous_…` says otherwise. It trusts the files
//!   that `SSL_CERT_FILE` and `SSL_CERT_DIR` name, else Mozilla's authorities as bundled at build time; a file that is named and cannot be
//!   used is an error, never a silent fallback. Certificates are checked against the host's wall clock. There is no revocation check
//!   but by lists that the program gives.
//! - **Costs.** A guest has no instructions for AES, so ChaCha20-Poly1305 is preferred on both sides. Handshakes are arithmetic: one
//!   step of one handshake is done in each turn of the loop, so a storm of them slows itself down and leaves established
//!   connections their turns. Sessions are resumed by default: keep one connector. The README has figures.
//! - **Memory.** Beside what every connection holds, a TLS connection holds one piece of received ciphertext (64 KiB at most), the
//!   records of one piece of 64 KiB that is being sent, and the state of the protocol. While the reader is full nothing is decrypted and
//!   nothing taken from the host.
//! - **Side channels.** Neither LLVM's WebAssembly back end nor the compilers of hosts promise that constant-time code stays so. Keys
//!   whose loss would be grave belong where nobody can measure beside them; prefer ECDSA and Ed25519 to RSA.
//!
//! # Unix sockets
//!
//! WASI 0.2 has none. The feature `unix` adds `open_unix_connection` and `start_unix_server`, and lets the component import
//! `wasi-streams:unix/sockets` for them, which the host must have: `wasi-streams-run --unix GUEST_DIR=HOST_DIR` does, and so can every
//! program that embeds wasmtime with the library `wasi-streams-host`. On others the component does not start; they name the interface
//! then. Without the feature nothing is imported.
//!
//! # Panics
//!
//! Nothing that a peer, a host or an argument does makes the library panic. On `wasm32-wasip2` a panic of the program, in any
//! task, ends it; natively a panic in a task is reported and ends that task.
//!
//! One of rustls is left, in builds with debug assertions alone: a peer that sends garbage behind our TLS goodbye meets an assertion
//! of it (rustls issue 959). `[profile.dev.package.rustls]` with `debug-assertions = false` in the program's `Cargo.toml` takes it out.
//!
//! # Testing
//!
//! On every target but WASI the platform is a simulated network with virtual time (the `sim` module), so programs on this crate can be
//! tested natively, deterministically, in milliseconds:
//!
//! ```
//! # #[cfg(not(target_os = "wasi"))] {
//! use wasi_streams::{open_connection, run, sim::Network};
//!
//! let net = Network::new();
//! let listener = net.listen("192.0.2.1:80".parse().unwrap());
//! run(async {
//!     let (mut reader, writer) = open_connection("192.0.2.1", 80).await?;
//!     let peer = listener.accept().await;
//!     peer.send(b"hello\n");
//!     assert_eq!(reader.readline().await?, "hello\n");
//!     writer.close();
//!     writer.wait_closed().await
//! })?;
//! # }
//! # Ok::<(), wasi_streams::Error>(())
//! ```
//!
//! # Differences from asyncio
//!
//! Each item says how it differs; the choices that go across:
//!
//! - Keyword arguments are builder methods, `None` is `()`, exceptions are [`Error`], cancelling is dropping.
//! - A reader is borrowed exclusively while it reads, so two reads at once do not compile (R15, R16).
//! - A limit of 0 is refused by [`start_server()`], not noticed at the first client (R03).
//! - A cancelled [`read_to_end`](StreamReader::read_to_end) keeps what it had collected (R18).
//! - Separators are decided by types ([`Separators`]): arrays and slices for several, `&[u8]` and `&str` for one (R60).
//! - What is written after [`close`](StreamWriter::close) is discarded (W08).
//! - [`wait_closed`](StreamWriter::wait_closed) is cancel safe (C09).
//! - `abort` sends no reset, for WASI 0.2 cannot (C11); the view of the socket has the options that WASI 0.2 has (X04).
//! - TLS: an end without the peer's goodbye reads as an end, as in asyncio, and `TlsInfo::truncated` knows; or is an error with
//!   `suppress_ragged_eofs(false)` (T13). `start_tls` on a client verifies the host of `open_connection` (U04), refuses what arrived in
//!   the clear before (U09), and a second time (U12). What arrives after `close` is discarded (T15). Everything known of a connection
//!   stays known when it is gone (X10). Cipher suites have their registered names (X06).
//! - Happy eyeballs is on by default, with 250 ms (H01).
//! - Ports are numbers or numeric text (O24); there is no `TCP_NODELAY` (O25), `SO_REUSEADDR` is always on and
//!   `SO_REUSEPORT` does not exist (S14, S15).
//! - [`start_serving`](Server::start_serving) on a closed server is the same error as `serve_forever` on it (S21).
//! - Dropping a [`Server`] closes it (S42), dropping a writer closes it (C12); asyncio warns about the latter, here a
//!   [report hook](set_report_hook) is told once.
#![deny(unsafe_code)]
#![cfg_attr(
    all(feature = "component", not(target_os = "wasi")),
    allow(dead_code, reason = "who exports the library does so on WASI; what that stands on is tested natively")
)]

#[cfg(all(feature = "component", target_os = "wasi", target_env = "p2"))]
#[doc(hidden)]
pub mod component;
mod connect;
mod connection;
mod copy;
mod duplex;
mod error;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
mod info;
#[cfg(feature = "micro")]
#[doc(hidden)]
pub mod micro;
mod options;
pub mod os;
mod proto;
mod reader;
mod report;
mod resolve;
mod rt;
mod server;
mod socket;
mod stdio;
mod sys;
#[cfg(feature = "tls")]
mod tls;
#[cfg(feature = "unix")]
mod unix;
mod writer;

pub use bytes::Bytes;

pub use connect::{OpenConnection, open_connection};
#[cfg(feature = "unix")]
pub use connect::{OpenUnixConnection, open_unix_connection};
pub use copy::{Copying, copy};
pub use duplex::Duplex;
pub use error::{Error, ResolveErrorKind, Result};
pub use info::{ExtraInfo, SocketInfo};
pub use options::{
    AddressFamily, DEFAULT_BACKLOG, DEFAULT_HAPPY_EYEBALLS_DELAY, DEFAULT_MAX_SOCKETS, IntoHost, IntoHosts,
    IntoLocalAddr, IntoPort, KeepAlive, set_max_sockets,
};
pub use proto::buffer::DEFAULT_LIMIT;
pub use proto::queue::DEFAULT_HIGH_WATER;
pub use proto::search::Separators;
pub use reader::{Feeder, Lines, StreamReader};
pub use report::{Report, set_report_hook};
pub use resolve::resolve;
pub use rt::time::{Instant, Sleep, sleep, sleep_until, timeout};
pub use rt::{EXIT_STALL, EXIT_TOTAL, JoinHandle, run, spawn, try_run, yield_now};
pub use server::{Handler, HandlerOutcome, Server, StartServer, start_server};
#[cfg(feature = "unix")]
pub use server::{StartUnixServer, start_unix_server};
pub use socket::{ListeningSocket, Socket, stream_pair};
pub use stdio::{Stdin, Stdout, stderr, stdin, stdout};
#[cfg(feature = "tls")]
pub use tls::{
    AcceptorBuilder, Certificate, ConnectorBuilder, DEFAULT_HANDSHAKE_TIMEOUT, DEFAULT_SHUTDOWN_TIMEOUT, Pem, StartTls,
    SubjectAltName, TlsAcceptor, TlsCipher, TlsConnector, TlsErrorKind, TlsInfo, TlsRole, TlsVersion,
};
#[cfg(feature = "unix")]
pub use unix::{IntoUnixAddr, UnixAddr};
pub use writer::{StreamWriter, Transport};

/// The simulated network: the platform on every target but WASI, in virtual time, for tests.
#[cfg(not(target_os = "wasi"))]
pub mod sim {
    pub use crate::sys::sim::{Counts, Event, Faults, Listener, Network, Peer};
    pub use crate::sys::types::ErrorCode;
}

/// The README's programs compile.
#[cfg(all(doctest, feature = "tls-ring"))]
#[doc = include_str!("../../README.md")]
mod readme {}

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
//! [`drain`](StreamWriter::drain) keeps that at its high-water mark (64 KiB) and one write.
//!
//! # TLS
//!
//! The feature `tls-ring` adds `.tls(…)` to [`open_connection()`] and [`start_server()`], by rustls with ring, which needs a C
//! compiler (for components a clang that knows wasm); `tls` alone leaves the cryptography provider to the program. Without
//! them the crate needs no C compiler and has no TLS names. `StreamWriter::start_tls` upgrades a connection in place.
//! It is new: tested natively with both ends ours, not yet against other implementations.
//!
//! # Panics
//!
//! Nothing that a peer, a host or an argument does makes the library panic. On `wasm32-wasip2` a panic of the program, in any
//! task, ends it; natively a panic in a task is reported and ends that task.
//!
//! One of rustls is left, in debug builds alone: a peer that sends garbage behind our TLS goodbye meets an assertion of it
//! (rustls issue 959). `[profile.dev.package.rustls]` with `debug-assertions = false` in the program's `Cargo.toml` takes it out.
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
//! - Happy eyeballs is on by default, with 250 ms (H01).
//! - Ports are numbers or numeric text (O24); there is no `TCP_NODELAY` (O25), `SO_REUSEADDR` is always on and
//!   `SO_REUSEPORT` does not exist (S14, S15).
//! - [`start_serving`](Server::start_serving) on a closed server is the same error as `serve_forever` on it (S21).
//! - Dropping a [`Server`] closes it (S42), dropping a writer closes it (C12); asyncio warns about the latter, here a
//!   [report hook](set_report_hook) is told once.
#![deny(unsafe_code)]

mod connect;
mod connection;
mod copy;
mod duplex;
mod error;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
mod info;
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
mod writer;

pub use bytes::Bytes;

pub use connect::{OpenConnection, open_connection};
pub use copy::{Copying, copy};
pub use duplex::Duplex;
pub use error::{Error, ResolveErrorKind, Result};
pub use info::{ExtraInfo, SocketInfo};
pub use options::{
    AddressFamily, DEFAULT_BACKLOG, DEFAULT_HAPPY_EYEBALLS_DELAY, IntoHost, IntoHosts, IntoLocalAddr, IntoPort,
    KeepAlive,
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
pub use socket::{ListeningSocket, Socket, stream_pair};
pub use stdio::{Stdin, Stdout, stderr, stdin, stdout};
#[cfg(feature = "tls")]
pub use tls::{
    AcceptorBuilder, ConnectorBuilder, DEFAULT_HANDSHAKE_TIMEOUT, DEFAULT_SHUTDOWN_TIMEOUT, StartTls, TlsAcceptor,
    TlsConnector, TlsErrorKind, TlsInfo, TlsRole,
};
pub use writer::{StreamWriter, Transport};

/// The simulated network: the platform on every target but WASI, in virtual time, for tests.
#[cfg(not(target_os = "wasi"))]
pub mod sim {
    pub use crate::sys::sim::{Counts, Event, Faults, Listener, Network, Peer};
    pub use crate::sys::types::ErrorCode;
}

/// The README's programs compile.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
mod readme {}

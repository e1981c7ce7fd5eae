//! asyncio's streams for WebAssembly components: connect, serve, read, write and close over WASI 0.2 sockets.
//!
//! TODO-DOCS
#![deny(unsafe_code)]

mod connect;
mod connection;
mod copy;
mod duplex;
mod error;
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
mod writer;

pub use bytes::Bytes;

pub use connect::{OpenConnection, open_connection};
pub use copy::{Copy, copy};
pub use duplex::Duplex;
pub use error::{Error, ResolveErrorKind, Result};
pub use info::{ExtraInfo, SocketInfo};
pub use options::{
    AddressFamily, DEFAULT_BACKLOG, DEFAULT_HAPPY_EYEBALLS_DELAY, IntoHost, IntoHosts, IntoLocalAddr, IntoPort, KeepAlive,
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
pub use writer::{StreamWriter, Transport};

/// The simulated network: the platform on every target but WASI, in virtual time, for tests.
#[cfg(not(target_os = "wasi"))]
pub mod sim {
    pub use crate::sys::sim::{Counts, Event, Faults, Listener, Network, Peer};
    pub use crate::sys::types::ErrorCode;
}

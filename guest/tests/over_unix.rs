//! The tests of streams and servers once more, over Unix sockets: each file is a module here, in which `common::place` makes Unix sockets
//! where it makes TCP otherwise. That none of them uses TCP after all is `common::simulate`'s to see.
#![cfg(feature = "unix")]
#![allow(clippy::duplicate_mod, reason = "each file has its own `mod common`, as it needs it as a program")]

#[path = "close.rs"]
mod close;
#[path = "cold.rs"]
mod cold;
#[path = "copying.rs"]
mod copying;
#[path = "drain.rs"]
mod drain;
#[path = "ending.rs"]
mod ending;
#[path = "fair_share.rs"]
mod fair_share;
#[path = "fairness.rs"]
mod fairness;
#[path = "faults.rs"]
mod faults;
#[path = "freeze.rs"]
mod freeze;
#[path = "losses.rs"]
mod losses;
#[path = "read_flow.rs"]
mod read_flow;
#[path = "reading.rs"]
mod reading;
#[path = "server.rs"]
mod server;
#[path = "server_close.rs"]
mod server_close;
#[path = "server_handlers.rs"]
mod server_handlers;
#[cfg(feature = "tls-ring")]
#[path = "start_tls.rs"]
mod start_tls;
#[cfg(feature = "tls-ring")]
#[path = "tls_bad_input.rs"]
mod tls_bad_input;
#[cfg(feature = "tls-ring")]
#[path = "tls_closing.rs"]
mod tls_closing;
#[cfg(feature = "tls-ring")]
#[path = "tls_flood.rs"]
mod tls_flood;
#[cfg(feature = "tls-ring")]
#[path = "tls_info.rs"]
mod tls_info;
#[path = "writer.rs"]
mod writer;

//! WASI 0.2's readiness model turned into the shape that `sys` offers: reactor, sockets, resolver, standard streams.
//!
//! All rules about hosts are kept here, each beside the code that needs it: never poll an empty list, never drop a
//! parent before its pollable, never write beyond the permit, never drop a busy output stream, never trust a single
//! permit of zero.

pub(crate) mod connect;
mod errors;
pub(crate) mod limit;
pub(crate) mod listener;
mod pace;
pub(crate) mod reactor;
pub(crate) mod resolver;
mod socket;
pub(crate) mod stdio;
pub(crate) mod tcp;
#[cfg(feature = "unix")]
pub(crate) mod unix;
mod watched;

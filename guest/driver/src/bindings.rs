//! What `wit-bindgen` makes of the package in `wit/`.
#![allow(missing_docs, missing_debug_implementations, unreachable_pub, unsafe_code, clippy::all, reason = "generated")]

wit_bindgen::generate!({
    path: "../../wit",
    world: "push-driver",
    with: { "wasi:io/poll@0.2.0": wasi::io::poll },
});

pub(crate) use wasi::io::poll::{Pollable, poll};
pub(crate) use wasi_streams::net::{connection_handler, connections};

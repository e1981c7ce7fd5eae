//! What `wit-bindgen` makes of the package in `wit/`.
#![allow(missing_docs, missing_debug_implementations, unreachable_pub, unsafe_code, clippy::all, reason = "generated")]

pub use wasi::io::poll::Pollable;

wit_bindgen::generate!({
    path: "../wit",
    world: "provider",
    pub_export_macro: true,
    default_bindings_module: "wasi_streams::component::bindings",
    with: { "wasi:io/poll@0.2.0": wasi::io::poll },
});

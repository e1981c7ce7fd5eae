//! Exports `wasi-streams:net/connections`; everything behind it is in the library.
#![cfg(all(target_os = "wasi", target_env = "p2"))]
#![allow(missing_docs, unsafe_code, reason = "what the macro exports")]

wasi_streams::component::bindings::export!(Component with_types_in wasi_streams::component::bindings);

use wasi_streams::component::Component;

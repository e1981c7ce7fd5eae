//! What `wit-bindgen` makes of the WIT files: the imports, and the export of the application.
#![allow(missing_docs, missing_debug_implementations, unreachable_pub, unsafe_code, clippy::all, reason = "generated")]

use crate::Application;

wit_bindgen::generate!({ path: "../wit", world: "wasi-streams:net/push-application", generate_all });

pub use exports::wasi_streams::net::connection_handler;
pub use wasi_streams::net::connections;

export!(Application);

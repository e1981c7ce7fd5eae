//! What the programs here share: the imports of `wasi-streams:net`, and errors that `?` turns into `anyhow`'s.
#![allow(missing_docs, missing_debug_implementations, unreachable_pub, unsafe_code, clippy::all, reason = "generated")]

wit_bindgen::generate!({ path: "../../../wit", world: "wasi-streams:net/consumer", generate_all });

pub use wasi_streams::net::connections;

/// The arguments of the program, which are all text.
pub fn arguments<const N: usize>(usage: &str) -> anyhow::Result<[String; N]> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    arguments.try_into().map_err(|_| anyhow::anyhow!("usage: {usage}"))
}

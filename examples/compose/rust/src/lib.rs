//! What the programs here share: the imports of `wasi-streams:net`, whose errors `?` turns into `anyhow`'s, and some text.
#![allow(missing_docs, missing_debug_implementations, unreachable_pub, unsafe_code, clippy::all, reason = "generated")]

wit_bindgen::generate!({ path: "../wit", world: "wasi-streams:net/consumer", generate_all });

pub use wasi_streams::net::connections;

/// An address as people write it, `127.0.0.1:80` or `[::1]:80`.
pub fn shown(address: &connections::Address) -> String {
    let connections::Address { host, port } = address;
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// The arguments of the program, which are all text.
pub fn arguments<const N: usize>(usage: &str) -> anyhow::Result<[String; N]> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    arguments.try_into().map_err(|_| anyhow::anyhow!("usage: {usage}"))
}

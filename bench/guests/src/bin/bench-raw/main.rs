//! The servers of the benchmark by hand: one loop straight on `wasi:io` and `wasi:sockets`, with everything that is known to make
//! it fast. No executor, no library: the ceiling of WASI 0.2, and what a program is spared.

#[cfg(target_os = "wasi")]
mod connection;
#[cfg(target_os = "wasi")]
mod pace;
#[cfg(target_os = "wasi")]
mod poller;
#[cfg(target_os = "wasi")]
mod serve;

#[cfg(target_os = "wasi")]
fn main() -> anyhow::Result<()> {
    let one_tier = std::env::args().any(|argument| argument == "--one-tier");
    serve::serve(wasi_streams_bench_guests::Mode::from_args()?, one_tier)
}

#[cfg(not(target_os = "wasi"))]
fn main() {}

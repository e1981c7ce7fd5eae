//! Runs WASI 0.2 components on an embedded wasmtime, for tests and for the runner `wasi-streams-run`.
//!
//! A test builds a [`Guest`], starts it, plays its peers with [`peer`], and looks at the [`Outcome`]:
//!
//! ```no_run
//! # async fn test() -> anyhow::Result<()> {
//! use wasi_streams_host::{Guest, peer::Peer};
//!
//! let mut guest = Guest::named("echo-server").arg("127.0.0.1:0").start().await?;
//! let line = guest.wait_line("Serving on ").await?;
//! let mut peer = Peer::connect(line["Serving on ".len()..].parse()?).await?;
//! peer.write_all(b"hello\n").await?;
//! assert_eq!(peer.read_line().await?, b"hello\n");
//! guest.stop().await;
//! # Ok(())
//! # }
//! ```
//!
//! | module | what it knows |
//! |---|---|
//! | `engine` | the process's one compiler and its clock for tight loops |
//! | `component`, `cache` | from a file to machine code, compiled once per machine |
//! | [`enforce`] | a policy in force, for every host that embeds wasmtime |
//! | `policy`, `pattern`, `denial`, `limits` | what network a guest may use, and what it was refused |
//! | `state`, `instrument` | what a store holds, and the counting in front of `wasi:io` |
//! | `names` | names that only one guest can look up |
//! | `guest`, `running` | building, watching and ending one run |
//! | `capture` | output that can be read while it is written |
//! | [`unix`] | Unix sockets, for every host that embeds wasmtime |
//! | [`faults`] | a network that misbehaves by script, for tests |
//! | [`exported`] | components that export the library's interface, called instead of run |
//! | [`peer`] | native peers that behave and misbehave by script |
//!
//! Left out on purpose: `wasi:http`, WASI 0.1 modules, and anything that changes the component under test.

#![deny(unsafe_code)]

mod cache;
mod capture;
mod component;
mod denial;
pub mod enforce;
mod engine;
pub mod exported;
pub mod faults;
mod fds;
mod guest;
mod instrument;
mod limits;
mod names;
mod pattern;
pub mod peer;
mod policy;
mod running;
mod state;
pub mod unix;

pub use component::{LoadError, Loaded, components_dir, load};
pub use denial::{Denial, Denials};
pub use engine::engine;
pub use fds::open_fds;
pub use guest::{Guest, Stdio};
pub use limits::Limits;
pub use pattern::PolicyError;
pub use policy::{Policy, Verdict};
pub use running::{Outcome, Running, Status};
pub use state::{Resources, Snapshot, State};
pub use wasmtime_wasi::p2::bindings::sockets::network::ErrorCode;

/// Runs a test or a program on a tokio runtime with two threads, as many as the smallest machine in use.
///
/// # Panics
///
/// If the system gives no threads.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a tokio runtime starts");
    let result = runtime.block_on(future);
    // A read of the process's stdin cannot be cancelled, and need not be waited for.
    runtime.shutdown_background();
    result
}

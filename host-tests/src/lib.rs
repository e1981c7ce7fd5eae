//! For programs that run WASI 0.2 components by wasmtime: a network policy, Unix sockets and limits. And a harness that tests components
//! with them; the runner `wasi-streams-run` is made of it.
//!
//! # Quick start for embedders
//!
//! The store and the linker are yours. This library stands in front of wasmtime's sockets, and adds Unix sockets, which WASI 0.2 does not
//! have:
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use wasi_streams_host::enforce::{self, Enforcement, PolicyView};
//! use wasi_streams_host::unix::UnixPerms;
//! use wasi_streams_host::{Limits, Policy, Ticking, engine, explain_missing, load};
//! use wasmtime::Store;
//! use wasmtime::component::{Linker, ResourceTable};
//! use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView, p2};
//!
//! struct State {
//!     wasi: WasiCtx,
//!     table: ResourceTable,
//!     enforcement: Enforcement,
//! }
//!
//! impl WasiView for State {
//!     fn ctx(&mut self) -> WasiCtxView<'_> {
//!         WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
//!     }
//! }
//!
//! impl PolicyView for State {
//!     fn policy(&mut self) -> (&mut Enforcement, WasiCtxView<'_>) {
//!         (&mut self.enforcement, WasiCtxView { ctx: &mut self.wasi, table: &mut self.table })
//!     }
//! }
//!
//! # async fn run() -> anyhow::Result<()> {
//! let mut linker = Linker::<State>::new(engine());
//! p2::add_to_linker_async(&mut linker)?;
//! enforce::add_to_linker(&mut linker)?;
//!
//! // Nothing is allowed but what is said here.
//! let policy = Policy::loopback().allow("*.example.org:443")?.allow_unix("/run", "/srv/sockets", UnixPerms::CONNECT);
//! let limits = Limits::default().memory_bytes(64 << 20).sockets(100).resources(1000);
//! let enforcement = Enforcement::new(policy, limits)?;
//! let denials = enforcement.denials().clone();
//! let mut wasi = WasiCtx::builder();
//! enforcement.configure(wasi.inherit_stdio());
//! let mut store = Store::new(engine(), State { wasi: wasi.build(), table: ResourceTable::new(), enforcement });
//! enforce::limit(&mut store);
//!
//! let component = load("app.wasm".as_ref(), || {})?.component;
//! let command = p2::bindings::Command::instantiate_async(&mut store, &component, &linker).await;
//! let command = command.map_err(|error| explain_missing(&component, error))?;
//! let _ticking = Ticking::start();
//! let run = command.wasi_cli_run().call_run(&mut store);
//! let ended = tokio::time::timeout(Duration::from_secs(10), run).await;
//! println!("{ended:?}, and it was refused {:?}", denials.list());
//! # Ok(())
//! # }
//! ```
//!
//! `examples/embed` is this as a program. Where the component has to be watched as well, or there is nothing else in the store, a [`Guest`]
//! is shorter: `Guest::new("app.wasm").policy(policy).limits(limits).run().await`.
//!
//! # The parts
//!
//! | for embedders | what it is |
//! |---|---|
//! | [`Policy`], [`Verdict`], [`PolicyError`] | what network a component may use, Unix sockets included; nothing by default |
//! | [`enforce`] | a policy and limits in force in your linker and your store |
//! | [`Denial`], [`Denials`] | what a component was refused |
//! | [`unix`] | Unix sockets alone, without a policy |
//! | [`Limits`] | memory, sockets, resources and time |
//! | [`engine`](fn@engine), [`Ticking`] | the engine, and the clock by which loops without end give way |
//! | [`load`], [`LoadError`], [`explain_missing`] | from a file to a component, compiled once per machine, and clear words when that fails |
//!
//! | for tests | what it is |
//! |---|---|
//! | [`Guest`], [`Running`], [`Outcome`] | building, watching and ending one run |
//! | [`peer`] | native peers that behave and misbehave by script |
//! | [`faults`] | a network that misbehaves by script: pieces, delays, stalls, resets, refusals, late and unanswered connecting and lookups |
//! | [`exported`] | components that export the library's interface, called instead of run |
//! | [`patiently`] | waiting no longer than is reasonable |
//! | [`Snapshot`], [`Resources`] | the resources of the host that a guest has, counted |
//!
//! # What it cannot do
//!
//! - `wasi:http` and modules of WASI 0.1 are left out; add the former to the linker yourself.
//! - UDP is all or nothing ([`Policy::everything`]); its sockets count among those of TCP. Which peers a listener accepts is not said by a rule; a [hook](Policy::hook) can.
//! - A rule with a name is about the addresses that this machine finds when the rule is made, one with a pattern about those that the
//!   component is told. What stands behind an address is nobody's to see: TLS with names verified is the component's.
//! - Instructions are not counted, see [`Limits`]. Processor time is not limited, only time.
//! - Unix sockets need Linux 5.6 or newer with `/proc`; elsewhere each operation fails with `not-supported`. All the rest is for Unix-like
//!   systems, and tested on Linux.
//!
//! # The harness
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
mod learned;
mod limits;
mod missing;
mod names;
mod patience;
mod pattern;
pub mod peer;
mod policy;
mod running;
mod state;
pub mod unix;

pub use component::{LoadError, Loaded, components_dir, load};
pub use denial::{Denial, Denials};
pub use engine::{Ticking, engine};
pub use fds::open_fds;
pub use guest::{Guest, Stdio};
pub use limits::Limits;
pub use missing::explain_missing;
pub use patience::patiently;
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

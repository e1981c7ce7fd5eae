//! Unix sockets for components: `wasi-streams:unix/sockets` over those of the system.
//!
//! WASI 0.2 has no Unix sockets. A component that is built with the library's feature `unix` imports this interface, and a host that
//! embeds wasmtime adds it to its linker:
//!
//! ```
//! use wasi_streams_host::unix::{self, UnixCtx, UnixCtxView, UnixView};
//! use wasmtime::component::{Linker, ResourceTable};
//!
//! struct State {
//!     unix: UnixCtx,
//!     table: ResourceTable,
//! }
//!
//! impl UnixView for State {
//!     fn unix(&mut self) -> UnixCtxView<'_> {
//!         UnixCtxView { ctx: &self.unix, table: &mut self.table }
//!     }
//! }
//!
//! # fn main() -> wasmtime::Result<()> {
//! # let folder = std::env::temp_dir();
//! let mut linker = Linker::<State>::new(&wasmtime::Engine::default());
//! unix::add_to_linker(&mut linker)?;
//! // What the component calls /run is this folder, and all that it can reach.
//! let unix = UnixCtx::builder().dir("/run", folder)?.build();
//! # let _ = State { unix, table: ResourceTable::new() };
//! # Ok(())
//! # }
//! ```
//!
//! Nothing is granted unless it is said. The table must be the one that the store's `wasi:io` uses.
//!
//! # Paths
//!
//! A path is resolved by the kernel, in one step, beneath the folder that was opened when the grant was made (`openat2` with
//! `RESOLVE_BENEATH`), and what was found is used by its descriptor and never by its name again. So `..`, absolute links and links that are
//! exchanged meanwhile lead nowhere; links that stay below the folder work. The length limit of socket addresses (108 bytes) is for the
//! last part of the path alone, and leaves it about 80.
//!
//! A peer that asks for the address of a component's listener is told a path below `/proc/self/fd`, which means nothing to it.
//!
//! # Platforms
//!
//! Linux 5.6 and later, with `/proc`, without which nothing is found. Elsewhere every operation is `not-supported`.

mod ctx;
#[cfg_attr(not(target_os = "linux"), path = "files_elsewhere.rs")]
mod files;
mod host;
mod pending;
mod socket;
mod stream;

pub(crate) use pending::poll_once;

pub use ctx::{UnixCtx, UnixCtxBuilder, UnixDenial, UnixPerms, UnixReason, UnixUse};
pub use host::{UnixCtxView, UnixError, UnixView, add_to_linker};
pub use socket::UnixSocket;

/// What `bindgen!` makes of the package in `wit/unix`.
#[allow(missing_docs, missing_debug_implementations, unreachable_pub, clippy::all, reason = "generated")]
pub mod bindings {
    wasmtime::component::bindgen!({
        path: "../wit/unix",
        world: "imports",
        imports: { default: trappable },
        require_store_data_send: true,
        with: {
            "wasi:io": wasmtime_wasi_io::bindings::wasi::io,
            "wasi-streams:unix/sockets.unix-socket": super::UnixSocket,
        },
        trappable_error_type: {
            "wasi-streams:unix/sockets.error-code" => super::UnixError,
        },
    });
}

pub use bindings::wasi_streams::unix::sockets::{Address, ErrorCode};

//! Components that export `wasi-streams:net/connections`, called by a test as a component in another language calls them.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use wasmtime::component::{Resource, ResourceAny, ResourceTable};
use wasmtime::{AsContextMut, Store};
use wasmtime_wasi::p2::{DynPollable, Pollable};
use wasmtime_wasi_io::bindings::wasi::io::poll::Host;
use wasmtime_wasi_io::poll::subscribe;

use crate::capture::Reader;
use crate::denial::Denial;
use crate::engine::Ticking;
use crate::guest::Guest;
use crate::instrument::linker;
use crate::missing::explain_missing;
use crate::patience::patiently;
use crate::running::Ends;
use crate::state::{Resources, Snapshot, State};

/// What `bindgen!` makes of the package in `wit/`.
#[allow(missing_docs, missing_debug_implementations, unreachable_pub, clippy::all, reason = "generated")]
pub mod bindings {
    wasmtime::component::bindgen!({
        path: "../wit",
        world: "provider",
        exports: { default: async },
        with: { "wasi:io/poll": wasmtime_wasi_io::bindings::wasi::io::poll },
    });
}

pub use bindings::exports::wasi_streams::net::connections;

/// A pollable of the host, as a consumer of the interface holds it.
pub type Held = Resource<DynPollable>;

/// An instance of such a component.
pub struct Exported {
    store: Store<State>,
    provider: bindings::Provider,
    ends: Ends,
    _ticking: Ticking,
}

impl Guest {
    /// Instantiates the component, of which nothing runs until its functions are called.
    ///
    /// # Errors
    ///
    /// As [`start`](Guest::start), and if the component does not export the interface.
    pub async fn export(self) -> Result<Exported> {
        let (mut store, component, ends) = self.prepare().await?;
        let linker = linker().map_err(anyhow::Error::from)?;
        let provider = bindings::Provider::instantiate_async(&mut store, &component, linker).await;
        let provider = provider
            .map_err(|error| anyhow::Error::from(explain_missing(&component, error)))
            .context("it does not export wasi-streams:net/connections")?;
        Ok(Exported { store, provider, ends, _ticking: Ticking::start() })
    }
}

impl Guest {
    /// The same on a host that calls `wait` of the component again whenever the component polls, which no composition of components can
    /// do. Gives what that is answered.
    ///
    /// # Errors
    ///
    /// As [`export`](Guest::export).
    pub async fn export_reentered(self) -> Result<(Exported, Arc<Mutex<Vec<String>>>)> {
        let (mut store, component, ends) = self.prepare().await?;
        let again: Arc<OnceLock<connections::Guest>> = Arc::default();
        let answers: Arc<Mutex<Vec<String>>> = Arc::default();
        let mut linker = linker().map_err(anyhow::Error::from)?.clone();
        let (called, noted) = (Arc::clone(&again), Arc::clone(&answers));
        linker.allow_shadowing(true);
        linker.instance(POLL)?.func_wrap_async("poll", move |mut store, (pollables,): (Vec<Held>,)| {
            let (called, noted) = (Arc::clone(&called), Arc::clone(&noted));
            Box::new(async move {
                if let Some(interface) = called.get() {
                    let answer = interface.call_wait(&mut store, &[], Some(0)).await;
                    noted.lock().unwrap_or_else(PoisonError::into_inner).push(format!("{answer:?}"));
                }
                Ok((store.data_mut().table.poll(pollables).await?,))
            })
        })?;
        let provider = bindings::Provider::instantiate_async(&mut store, &component, &linker).await?;
        let _ = again.set(provider.wasi_streams_net_connections().clone());
        Ok((Exported { store, provider, ends, _ticking: Ticking::start() }, answers))
    }
}

impl Exported {
    /// The functions of the interface, and what they are called with.
    pub fn parts(&mut self) -> (&connections::Guest, &mut Store<State>) {
        (self.provider.wasi_streams_net_connections(), &mut self.store)
    }

    /// Drops a resource of the component.
    ///
    /// # Errors
    ///
    /// A trap.
    pub async fn drop_resource(&mut self, resource: ResourceAny) -> Result<()> {
        let dropped = patiently(PATIENCE, resource.resource_drop_async(self.store.as_context_mut()));
        Ok(dropped.await.context("the component does not return")??)
    }

    /// Waits as a consumer waits, for pollables of its own or of `subscribe`; says which are ready.
    ///
    /// # Errors
    ///
    /// If none is within 30 seconds, or the list is empty.
    pub async fn poll<'a>(&mut self, pollables: impl IntoIterator<Item = &'a Held>) -> Result<Vec<usize>> {
        let borrowed = pollables.into_iter().map(|pollable| Resource::new_borrow(pollable.rep())).collect();
        let ready = patiently(PATIENCE, self.table().poll(borrowed)).await.context("nothing becomes ready")??;
        Ok(ready.into_iter().map(|index| index as usize).collect())
    }

    /// Makes a pollable that has nothing to do with the component.
    pub fn foreign(&mut self, pollable: impl Pollable) -> Result<Held> {
        let resource = self.table().push(pollable)?;
        Ok(subscribe(self.table(), resource)?)
    }

    /// Makes a pollable that is ready after so long.
    pub fn timer(&mut self, delay: Duration) -> Result<Held> {
        self.foreign(Timer(tokio::time::Instant::now() + delay))
    }

    /// Drops a pollable.
    ///
    /// # Errors
    ///
    /// If it is gone already.
    pub fn drop_pollable(&mut self, pollable: Held) -> Result<()> {
        use wasmtime_wasi_io::bindings::wasi::io::poll::HostPollable;
        Ok(HostPollable::drop(self.table(), pollable)?)
    }

    /// The host's resources that component and consumer have now.
    pub fn resources(&mut self) -> Resources {
        Resources::count(self.table())
    }

    /// The component's numbers as it last called `poll`.
    pub fn snapshot(&self) -> Snapshot {
        *self.ends.snapshots.borrow()
    }

    /// What the component wrote to standard error so far.
    pub fn stderr(&self) -> String {
        let written: &Reader = &self.ends.stderr;
        String::from_utf8_lossy(&written.contents()).into_owned()
    }

    /// What the component was refused so far.
    pub fn denials(&self) -> Vec<Denial> {
        self.ends.denials.list()
    }

    fn table(&mut self) -> &mut ResourceTable {
        &mut self.store.data_mut().table
    }
}

impl std::fmt::Debug for Exported {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Exported").field("snapshot", &self.snapshot()).finish_non_exhaustive()
    }
}

struct Timer(tokio::time::Instant);

#[wasmtime_wasi::async_trait]
impl Pollable for Timer {
    async fn ready(&mut self) {
        tokio::time::sleep_until(self.0).await;
    }
}

/// The interface by which components poll, as `linker` has it.
const POLL: &str = "wasi:io/poll@0.2.12";
const PATIENCE: Duration = Duration::from_secs(30);

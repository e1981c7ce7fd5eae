//! What a store holds for one guest: its view of WASI, and the numbers that tests look at.

use tokio::sync::watch;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream, DynPollable, TcpSocket};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use crate::enforce::{Enforcement, PolicyView};
use crate::unix::UnixSocket;

/// How many resources of the host a guest has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Resources {
    /// TCP sockets: listeners, connections and such as are neither yet.
    pub tcp_sockets: usize,
    /// Unix sockets, the same.
    pub unix_sockets: usize,
    /// Input streams, standard input among them.
    pub input_streams: usize,
    /// Output streams, standard output and error among them.
    pub output_streams: usize,
    /// Pollables.
    pub pollables: usize,
    /// Everything else: networks, folders, terminals, errors.
    pub others: usize,
}

impl Resources {
    /// All of them together.
    pub fn total(&self) -> usize {
        self.tcp_sockets + self.unix_sockets + self.input_streams + self.output_streams + self.pollables + self.others
    }

    pub(crate) fn count(table: &mut ResourceTable) -> Self {
        let mut resources = Resources::default();
        for entry in table.iter_mut() {
            let number = if entry.is::<DynPollable>() {
                &mut resources.pollables
            } else if entry.is::<TcpSocket>() {
                &mut resources.tcp_sockets
            } else if entry.is::<UnixSocket>() {
                &mut resources.unix_sockets
            } else if entry.is::<DynInputStream>() {
                &mut resources.input_streams
            } else if entry.is::<DynOutputStream>() {
                &mut resources.output_streams
            } else {
                &mut resources.others
            };
            *number += 1;
        }
        resources
    }
}

/// A guest's numbers as it last called `poll`, which is where it waits whenever it has nothing to do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Snapshot {
    /// The host's resources that it has.
    pub resources: Resources,
    /// The size of its linear memories, which never shrink: the end is the peak.
    pub memory_bytes: usize,
    /// How often it called `poll`.
    pub polls: u64,
    /// How many pollables it waited for in all these calls together.
    pub polled: u64,
}

/// What a store holds for one guest.
pub struct State {
    pub(crate) wasi: WasiCtx,
    pub(crate) table: ResourceTable,
    pub(crate) enforcement: Enforcement,
    pub(crate) numbers: Numbers,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("enforcement", &self.enforcement).finish_non_exhaustive()
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl PolicyView for State {
    fn policy(&mut self) -> (&mut Enforcement, WasiCtxView<'_>) {
        (&mut self.enforcement, WasiCtxView { ctx: &mut self.wasi, table: &mut self.table })
    }
}

impl State {
    /// The numbers are what they are now, for whoever looks.
    pub(crate) fn publish(&mut self) {
        self.numbers.publish(&mut self.table, self.enforcement.memory_bytes());
    }
}

/// The counting side of [`Snapshot`].
pub(crate) struct Numbers {
    current: Snapshot,
    /// None if nobody looks: counting takes time in proportion to the number of resources.
    published: Option<watch::Sender<Snapshot>>,
}

impl Numbers {
    pub(crate) fn new(published: Option<watch::Sender<Snapshot>>) -> Self {
        Numbers { current: Snapshot::default(), published }
    }

    pub(crate) fn polling(&mut self, pollables: usize, table: &mut ResourceTable, memory_bytes: usize) {
        self.current.polls += 1;
        self.current.polled += pollables as u64;
        self.publish(table, memory_bytes);
    }

    fn publish(&mut self, table: &mut ResourceTable, memory_bytes: usize) {
        if let Some(published) = &self.published {
            self.current.memory_bytes = memory_bytes;
            self.current.resources = Resources::count(table);
            published.send_replace(self.current);
        }
    }
}

//! Everything that a guest may import: WASI with `wasi:io/poll` counted and the policy enforced, and Unix sockets.
//!
//! Components see nothing of the counting: every call goes on to wasmtime's own implementation.

use std::sync::OnceLock;

use wasmtime::Result;
use wasmtime::component::{HasData, Linker, Resource, ResourceTable};
use wasmtime_wasi::p2::{self, DynPollable};
use wasmtime_wasi_io::bindings::wasi::io::poll;

use crate::enforce;
use crate::engine::engine;
use crate::state::{Numbers, State};

/// Everything a guest may import.
pub(crate) fn linker() -> Result<&'static Linker<State>> {
    static LINKER: OnceLock<Linker<State>> = OnceLock::new();
    if let Some(linker) = LINKER.get() {
        return Ok(linker);
    }
    let mut linker = Linker::new(engine());
    p2::add_to_linker_async(&mut linker)?;
    linker.allow_shadowing(true);
    poll::add_to_linker::<State, Counted>(&mut linker, |state| Polls {
        table: &mut state.table,
        numbers: &mut state.numbers,
        memory_bytes: state.enforcement.memory_bytes(),
    })?;
    enforce::add_to_linker(&mut linker)?;
    Ok(LINKER.get_or_init(|| linker))
}

struct Counted;

impl HasData for Counted {
    type Data<'a> = Polls<'a>;
}

struct Polls<'a> {
    table: &'a mut ResourceTable,
    numbers: &'a mut Numbers,
    memory_bytes: usize,
}

impl poll::Host for Polls<'_> {
    async fn poll(&mut self, pollables: Vec<Resource<DynPollable>>) -> Result<Vec<u32>> {
        self.numbers.polling(pollables.len(), self.table, self.memory_bytes);
        poll::Host::poll(self.table, pollables).await
    }
}

impl poll::HostPollable for Polls<'_> {
    async fn ready(&mut self, pollable: Resource<DynPollable>) -> Result<bool> {
        poll::HostPollable::ready(self.table, pollable).await
    }

    async fn block(&mut self, pollable: Resource<DynPollable>) -> Result<()> {
        self.numbers.polling(1, self.table, self.memory_bytes);
        poll::HostPollable::block(self.table, pollable).await
    }

    fn drop(&mut self, pollable: Resource<DynPollable>) -> Result<()> {
        poll::HostPollable::drop(self.table, pollable)
    }
}

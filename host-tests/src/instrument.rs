//! Three interfaces of WASI with something in front: `wasi:io/poll` is counted, `wasi:sockets/ip-name-lookup` asks the
//! policy about each name, keeps what it refused and knows the names that the test gave, and
//! `wasi:sockets/tcp-create-socket` keeps that it refused.
//!
//! Components see nothing of it: every call goes on to wasmtime's own implementation, and a refused lookup fails just
//! as wasmtime makes it fail.

use std::sync::OnceLock;

use wasmtime::Result;
use wasmtime::component::{HasData, Linker, Resource, ResourceTable};
use wasmtime_wasi::p2::bindings::sockets::ip_name_lookup as names;
use wasmtime_wasi::p2::bindings::sockets::network::{self, IpAddress, IpAddressFamily, Network};
use wasmtime_wasi::p2::bindings::sockets::tcp_create_socket as creation;
use wasmtime_wasi::p2::{self, DynPollable, SocketError, TcpSocket};
use wasmtime_wasi::sockets::{WasiSocketsCtx, WasiSocketsCtxView};
use wasmtime_wasi_io::bindings::wasi::io::poll;

use crate::denial::{Denial, Denials};
use crate::engine::engine;
use crate::names::Names;
use crate::policy::Policy;
use crate::state::{Numbers, State};
use crate::unix;

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
    })?;
    names::add_to_linker::<State, Checked>(&mut linker, sockets)?;
    creation::add_to_linker::<State, Checked>(&mut linker, sockets)?;
    unix::add_to_linker(&mut linker)?;
    Ok(LINKER.get_or_init(|| linker))
}

struct Counted;

impl HasData for Counted {
    type Data<'a> = Polls<'a>;
}

struct Polls<'a> {
    table: &'a mut ResourceTable,
    numbers: &'a mut Numbers,
}

impl poll::Host for Polls<'_> {
    async fn poll(&mut self, pollables: Vec<Resource<DynPollable>>) -> Result<Vec<u32>> {
        self.numbers.polling(pollables.len(), self.table);
        poll::Host::poll(self.table, pollables).await
    }
}

impl poll::HostPollable for Polls<'_> {
    async fn ready(&mut self, pollable: Resource<DynPollable>) -> Result<bool> {
        poll::HostPollable::ready(self.table, pollable).await
    }

    async fn block(&mut self, pollable: Resource<DynPollable>) -> Result<()> {
        self.numbers.polling(1, self.table);
        poll::HostPollable::block(self.table, pollable).await
    }

    fn drop(&mut self, pollable: Resource<DynPollable>) -> Result<()> {
        poll::HostPollable::drop(self.table, pollable)
    }
}

struct Checked;

impl HasData for Checked {
    type Data<'a> = Sockets<'a>;
}

struct Sockets<'a> {
    sockets: WasiSocketsCtxView<'a>,
    policy: &'a Policy,
    denials: &'a Denials,
    names: &'a mut Names,
}

fn sockets(state: &mut State) -> Sockets<'_> {
    let State { wasi, table, policy, denials, names, .. } = state;
    Sockets { sockets: WasiSocketsCtxView { ctx: wasi.sockets(), table }, policy, denials, names }
}

impl creation::Host for Sockets<'_> {
    fn create_tcp_socket(&mut self, family: IpAddressFamily) -> Result<Resource<TcpSocket>, SocketError> {
        if !self.policy.tcp() {
            self.denials.record(Denial::Tcp);
        }
        self.sockets.create_tcp_socket(family)
    }
}

impl names::Host for Sockets<'_> {
    fn resolve_addresses(
        &mut self,
        network: Resource<Network>,
        name: String,
    ) -> Result<Resource<names::ResolveAddressStream>, SocketError> {
        let Some(denial) = self.policy.lookup_refusal(&name) else {
            if !self.names.knows(&name) {
                return self.sockets.resolve_addresses(network, name);
            }
            // An address is a lookup that is done at once.
            let lookup = self.sockets.resolve_addresses(network, "127.0.0.1".into())?;
            self.names.answer(&lookup, &name);
            return Ok(lookup);
        };
        self.denials.record(denial);
        // Asks a context that allows no names, so that the error is wasmtime's.
        let mut closed = WasiSocketsCtx::default();
        WasiSocketsCtxView { ctx: &mut closed, table: self.sockets.table }.resolve_addresses(network, name)
    }
}

impl network::Host for Sockets<'_> {
    fn convert_error_code(&mut self, error: SocketError) -> Result<network::ErrorCode> {
        self.sockets.convert_error_code(error)
    }

    fn network_error_code(&mut self, error: Resource<p2::IoError>) -> Result<Option<network::ErrorCode>> {
        self.sockets.network_error_code(error)
    }
}

impl network::HostNetwork for Sockets<'_> {
    fn drop(&mut self, network: Resource<Network>) -> Result<()> {
        network::HostNetwork::drop(&mut self.sockets, network)
    }
}

impl names::HostResolveAddressStream for Sockets<'_> {
    fn resolve_next_address(
        &mut self,
        stream: Resource<names::ResolveAddressStream>,
    ) -> Result<Option<IpAddress>, SocketError> {
        match self.names.next(&stream) {
            Some(answer) => Ok(answer?.map(IpAddress::from)),
            None => self.sockets.resolve_next_address(stream),
        }
    }

    fn subscribe(&mut self, stream: Resource<names::ResolveAddressStream>) -> Result<Resource<DynPollable>> {
        names::HostResolveAddressStream::subscribe(&mut self.sockets, stream)
    }

    fn drop(&mut self, stream: Resource<names::ResolveAddressStream>) -> Result<()> {
        self.names.forget(&stream);
        names::HostResolveAddressStream::drop(&mut self.sockets, stream)
    }
}

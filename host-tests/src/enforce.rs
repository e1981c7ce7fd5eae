//! A policy in force, and faults: what stands in front of wasmtime's sockets in a linker, for every program that embeds wasmtime.
//!
//! `wasi:sockets/ip-name-lookup` asks the policy about each name, `wasi:sockets/tcp-create-socket` notes that there is no TCP, and both it
//! and `accept` keep to the limit of sockets; addresses are checked where wasmtime asks about them. A refused lookup fails just as
//! wasmtime makes it fail. The [faults](crate::faults) of a test come in where connections begin.

mod connecting;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use wasmtime::component::{HasData, Linker, Resource};
use wasmtime::{Result, StoreContextMut};
use wasmtime_wasi::p2::bindings::sockets::ip_name_lookup as names;
use wasmtime_wasi::p2::bindings::sockets::network::{self, ErrorCode, IpAddress, IpAddressFamily, Network};
use wasmtime_wasi::p2::bindings::sockets::tcp::HostTcpSocket;
use wasmtime_wasi::p2::bindings::sockets::tcp_create_socket as creation;
use wasmtime_wasi::p2::{self, DynInputStream, DynOutputStream, DynPollable, Pollable, SocketError, TcpSocket};
use wasmtime_wasi::sockets::{WasiSocketsCtx, WasiSocketsCtxView};
use wasmtime_wasi::{WasiCtxBuilder, WasiCtxView, WasiView};

use crate::denial::{Denial, Denials};
use crate::faults::{Faults, InForce};
use crate::learned::Learned;
use crate::names::Names;
use crate::policy::Policy;
use crate::unix::{UnixCtx, poll_once};

/// A [`Policy`] in force for one component, with the log of what it refuses.
#[derive(Debug)]
pub struct Enforcement {
    policy: Arc<Policy>,
    denials: Denials,
    names: Names,
    learned: Learned,
    most_sockets: Option<usize>,
    faults: InForce,
}

impl Enforcement {
    /// Puts a policy in force.
    pub fn new(policy: Policy) -> Self {
        Enforcement {
            policy: Arc::new(policy),
            denials: Denials::default(),
            names: Names::default(),
            learned: Learned::default(),
            most_sockets: None,
            faults: InForce::default(),
        }
    }

    /// Limits how many TCP sockets there are at once, listeners and connections together, and how many Unix sockets: not limited by
    /// default. Beyond that, connecting fails with "too many open files", and connections wait to be accepted.
    pub fn max_sockets(mut self, most: impl Into<Option<usize>>) -> Self {
        self.most_sockets = most.into();
        self
    }

    /// Lets the network misbehave, for tests: not unless set. Unix sockets have no faults.
    pub fn faults(mut self, faults: Faults) -> Self {
        self.faults = InForce::new(faults);
        self
    }

    pub(crate) fn with_names(mut self, names: Names) -> Self {
        self.names = names;
        self
    }

    /// The log; clones are the same.
    pub fn denials(&self) -> &Denials {
        &self.denials
    }

    /// Tells wasmtime's sockets what is allowed.
    pub fn configure(&self, builder: &mut WasiCtxBuilder) {
        let (policy, denials, learned) = (Arc::clone(&self.policy), self.denials.clone(), self.learned.clone());
        // Whether a name may be looked up is asked in front of it.
        builder.allow_tcp(policy.tcp()).allow_udp(policy.udp()).allow_ip_name_lookup(true);
        builder.socket_addr_check(move |address, purpose| {
            let refusal = policy.refusal_after(address, purpose, &learned);
            let allowed = refusal.is_none();
            refusal.into_iter().for_each(|denial| denials.record(denial));
            Box::pin(std::future::ready(allowed))
        });
    }

    /// The Unix sockets that are allowed.
    ///
    /// # Errors
    ///
    /// If a folder cannot be opened; names it.
    pub fn unix(&self) -> io::Result<UnixCtx> {
        let denials = self.denials.clone();
        let mut ctx = self.policy.unix()?.on_denial(move |denial| denials.record(Denial::Unix(denial)));
        if let Some(most) = self.most_sockets {
            ctx = ctx.max_sockets(most);
        }
        Ok(ctx.build())
    }
}

/// Implemented by the state of a store, so that [`add_to_linker`] finds what it needs.
pub trait PolicyView: WasiView {
    /// Gives the policy in force, and wasmtime's own view.
    fn policy(&mut self) -> (&mut Enforcement, WasiCtxView<'_>);
}

/// Puts the policy in front of wasmtime's sockets, which [`wasmtime_wasi::p2::add_to_linker_async`] has added before. Shadowing stays
/// allowed in this linker.
///
/// # Errors
///
/// If the linker has no sockets.
pub fn add_to_linker<T: PolicyView + 'static>(linker: &mut Linker<T>) -> Result<()> {
    linker.allow_shadowing(true);
    names::add_to_linker::<T, Checked>(linker, sockets::<T>)?;
    creation::add_to_linker::<T, Checked>(linker, sockets::<T>)?;
    let mut tcp = linker.instance(TCP)?;
    tcp.func_wrap(
        "[method]tcp-socket.accept",
        |mut store: StoreContextMut<'_, T>, (listener,): (Resource<TcpSocket>,)| {
            Ok((sockets(store.data_mut()).accept(listener)?,))
        },
    )?;
    connecting::add_to_linker(linker)
}

/// As wasmtime calls it; components of every version 0.2 find it.
const TCP: &str = "wasi:sockets/tcp@0.2.12";

struct Checked;

impl HasData for Checked {
    type Data<'a> = Sockets<'a>;
}

struct Sockets<'a> {
    sockets: WasiSocketsCtxView<'a>,
    enforcement: &'a mut Enforcement,
}

fn sockets<T: PolicyView>(state: &mut T) -> Sockets<'_> {
    let (enforcement, WasiCtxView { ctx, table }) = state.policy();
    Sockets { sockets: WasiSocketsCtxView { ctx: ctx.sockets(), table }, enforcement }
}

impl Sockets<'_> {
    /// Whether there are as many TCP sockets as there may be.
    fn is_full(&mut self) -> bool {
        let Some(most) = self.enforcement.most_sockets else { return false };
        self.sockets.table.iter_mut().filter(|entry| entry.is::<TcpSocket>()).count() >= most
    }

    /// Whether a connection waits at this listener.
    fn has_next(&mut self, listener: &Resource<TcpSocket>) -> bool {
        let Ok(listener) = self.sockets.table.get_mut(listener) else { return false };
        let mut ready = Pollable::ready(listener);
        poll_once(|cx| ready.as_mut().poll(cx))
    }

    fn look_up(
        &mut self,
        network: Resource<Network>,
        name: String,
    ) -> Result<Resource<names::ResolveAddressStream>, SocketError> {
        if !self.enforcement.names.knows(&name) {
            return names::Host::resolve_addresses(&mut self.sockets, network, name);
        }
        // An address is a lookup that is done at once.
        let lookup = names::Host::resolve_addresses(&mut self.sockets, network, "127.0.0.1".into())?;
        self.enforcement.names.answer(&lookup, &name);
        Ok(lookup)
    }

    fn accept(&mut self, listener: Resource<TcpSocket>) -> Result<Result<Accepted, network::ErrorCode>> {
        if self.is_full() {
            // It stays in the queue; and where there is none, waiting for one makes sense.
            let code = if self.has_next(&listener) { ErrorCode::NewSocketLimit } else { ErrorCode::WouldBlock };
            return Ok(Err(code));
        }
        match HostTcpSocket::accept(&mut self.sockets, listener) {
            Ok((socket, input, output)) => Ok(match self.accepted(&socket, (input, output))? {
                Some((input, output)) => Ok((socket, input, output)),
                None => {
                    self.sockets.table.delete(socket)?;
                    Err(ErrorCode::ConnectionAborted)
                }
            }),
            Err(error) => Ok(Err(network::Host::convert_error_code(&mut self.sockets, error)?)),
        }
    }
}

fn ip(address: &IpAddress) -> IpAddr {
    match *address {
        IpAddress::Ipv4((a, b, c, d)) => Ipv4Addr::new(a, b, c, d).into(),
        IpAddress::Ipv6((a, b, c, d, e, f, g, h)) => Ipv6Addr::new(a, b, c, d, e, f, g, h).into(),
    }
}

type Accepted = (Resource<TcpSocket>, Resource<DynInputStream>, Resource<DynOutputStream>);

impl creation::Host for Sockets<'_> {
    fn create_tcp_socket(&mut self, family: IpAddressFamily) -> Result<Resource<TcpSocket>, SocketError> {
        if !self.enforcement.policy.tcp() {
            self.enforcement.denials.record(Denial::Tcp);
        } else if self.is_full() {
            return Err(ErrorCode::NewSocketLimit.into());
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
        let Some(denial) = self.enforcement.policy.lookup_refusal(&name) else {
            let faults = self.enforcement.faults.next_lookup();
            let lookup = if let Some(code) = faults.fails {
                let lookup = self.sockets.resolve_addresses(network, "127.0.0.1".into())?;
                self.enforcement.names.fail(&lookup, code);
                lookup
            } else {
                let opened = self.enforcement.policy.opened_by(&name);
                let lookup = self.look_up(network, name)?;
                self.enforcement.learned.begin(lookup.rep(), opened);
                lookup
            };
            let begun = self.enforcement.faults.lookup_begun(self.sockets.table, &lookup, &faults);
            return begun.map(|()| lookup).map_err(SocketError::trap);
        };
        self.enforcement.denials.record(denial);
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
        let lookup = stream.rep();
        if !self.enforcement.faults.may_answer(self.sockets.table, &stream).map_err(SocketError::trap)? {
            return Err(ErrorCode::WouldBlock.into());
        }
        let address = match self.enforcement.names.next(&stream) {
            Some(answer) => answer?.map(IpAddress::from),
            None => self.sockets.resolve_next_address(stream)?,
        };
        if let Some(address) = &address {
            self.enforcement.learned.answered(lookup, ip(address));
        }
        Ok(address)
    }

    fn subscribe(&mut self, stream: Resource<names::ResolveAddressStream>) -> Result<Resource<DynPollable>> {
        let lookup = Resource::new_borrow(stream.rep());
        let pollable = names::HostResolveAddressStream::subscribe(&mut self.sockets, stream)?;
        self.enforcement.faults.lookup_subscribed(self.sockets.table, &lookup, &pollable)?;
        Ok(pollable)
    }

    fn drop(&mut self, stream: Resource<names::ResolveAddressStream>) -> Result<()> {
        self.enforcement.names.forget(&stream);
        self.enforcement.learned.forget(stream.rep());
        let lookup = stream.rep();
        names::HostResolveAddressStream::drop(&mut self.sockets, stream)?;
        self.enforcement.faults.lookup_dropped(self.sockets.table, lookup)
    }
}

//! A policy and limits in force, and faults: what stands in front of wasmtime's sockets in a linker, for every program that embeds
//! wasmtime.
//!
//! `wasi:sockets/ip-name-lookup` asks the policy about each name, in the form in which it is looked up; the two that create sockets note
//! that there are none, and they and `accept` keep to the limit of sockets; addresses are checked where wasmtime asks about them. A refused
//! lookup fails just as wasmtime makes it fail, and so does each one in a linker without this layer. The [faults](crate::faults) of a test come in where connections begin.

mod connecting;

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use wasmtime::component::{HasData, Linker, Resource};
use wasmtime::{Result, Store, StoreContextMut};
use wasmtime_wasi::p2::bindings::sockets::ip_name_lookup as names;
use wasmtime_wasi::p2::bindings::sockets::network::{self, ErrorCode, IpAddress, IpAddressFamily, Network};
use wasmtime_wasi::p2::bindings::sockets::tcp::HostTcpSocket;
use wasmtime_wasi::p2::bindings::sockets::tcp_create_socket as creation;
use wasmtime_wasi::p2::bindings::sockets::udp_create_socket as udp_creation;
use wasmtime_wasi::p2::{
    self, DynInputStream, DynOutputStream, DynPollable, Pollable, SocketError, TcpSocket, UdpSocket,
};
use wasmtime_wasi::sockets::{WasiSocketsCtx, WasiSocketsCtxView};
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};

use crate::denial::{Denial, Denials};
use crate::faults::{Faults, InForce};
use crate::learned::Learned;
use crate::limits::{Limits, Memory};
use crate::names::Names;
use crate::pattern::plain_host;
use crate::policy::Policy;
use crate::unix::{self, UnixCtx, UnixCtxView, UnixView, poll_once};

/// A [`Policy`] and [`Limits`] in force for one component, with the log of what is refused.
pub struct Enforcement {
    policy: Arc<Policy>,
    denials: Denials,
    names: Names,
    learned: Learned,
    unix: UnixCtx,
    limits: Limits,
    memory: Memory,
    faults: InForce,
    /// Looks names up, which wasmtime's own context does not.
    resolver: WasiSocketsCtx,
}

impl fmt::Debug for Enforcement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Enforcement { policy, limits, denials, .. } = self;
        let mut form = f.debug_struct("Enforcement");
        form.field("policy", policy).field("limits", limits).field("denials", denials).finish_non_exhaustive()
    }
}

impl Enforcement {
    /// Puts a policy and limits in force: the state of a store holds it, [`configure`](Self::configure) tells wasmtime, and
    /// [`limit`] the store.
    ///
    /// # Errors
    ///
    /// If a folder of Unix sockets cannot be opened, which the error names; or if an abstract name is empty.
    pub fn new(policy: Policy, limits: Limits) -> io::Result<Self> {
        let denials = Denials::default();
        let refused = denials.clone();
        let mut unix = policy.unix()?.on_denial(move |denial| refused.record(Denial::of_unix(denial)));
        if let Some(most) = limits.sockets {
            unix = unix.max_sockets(most);
        }
        Ok(Enforcement {
            policy: Arc::new(policy),
            denials,
            names: Names::default(),
            learned: Learned::default(),
            unix: unix.build(),
            limits,
            memory: Memory::at_most(limits.memory_bytes),
            faults: InForce::default(),
            resolver: WasiCtx::builder().allow_ip_name_lookup(true).build().sockets().clone(),
        })
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
        // Names are looked up in front of it, where the policy is asked: without that layer none is.
        builder.allow_tcp(policy.tcp()).allow_udp(policy.udp()).allow_ip_name_lookup(false);
        builder.socket_addr_check(move |address, purpose| {
            let refusal = policy.refusal_after(address, purpose, &learned);
            let allowed = refusal.is_none();
            refusal.into_iter().for_each(|denial| denials.record(denial));
            Box::pin(std::future::ready(allowed))
        });
    }

    /// How large the component's memories are together, in bytes.
    pub fn memory_bytes(&self) -> usize {
        self.memory.bytes()
    }
}

/// Implemented by the state of a store, so that [`add_to_linker`] finds what it needs.
pub trait PolicyView: WasiView {
    /// Gives the policy in force, and wasmtime's own view.
    fn policy(&mut self) -> (&mut Enforcement, WasiCtxView<'_>);
}

impl<T: PolicyView> UnixView for T {
    fn unix(&mut self) -> UnixCtxView<'_> {
        let (enforcement, WasiCtxView { table, .. }) = self.policy();
        UnixCtxView { ctx: &enforcement.unix, table }
    }
}

/// Puts the limits of memory and resources in force in a store of [`engine`](fn@crate::engine), and lets it give way to other tasks whenever
/// the epoch moves on. The deadline is for whoever runs the component to keep: with tokio's `timeout` and a [`Ticking`](crate::Ticking).
pub fn limit<T: PolicyView>(store: &mut Store<T>) {
    let (enforcement, WasiCtxView { table, .. }) = store.data_mut().policy();
    if let Some(most) = enforcement.limits.resources {
        table.set_max_capacity(most);
    }
    store.limiter(|state| &mut state.policy().0.memory);
    store.set_epoch_deadline(1);
    store.epoch_deadline_async_yield_and_update(1);
}

/// Puts the policy in front of wasmtime's sockets, which `wasmtime_wasi::p2::add_to_linker_async` has added before, and adds Unix
/// sockets. Nothing can be shadowed in this linker from then on, so that nothing takes the policy's place.
///
/// # Errors
///
/// If the linker has no sockets yet, or has Unix sockets already.
pub fn add_to_linker<T: PolicyView + 'static>(linker: &mut Linker<T>) -> Result<()> {
    if has_no_sockets(linker)? {
        let first = "call wasmtime_wasi::p2::add_to_linker_async before enforce::add_to_linker";
        return Err(wasmtime::Error::msg(format!("this linker has no sockets to put a policy in front of: {first}")));
    }
    unix::add_to_linker(linker)?;
    linker.allow_shadowing(true);
    names::add_to_linker::<T, Checked>(linker, sockets::<T>)?;
    creation::add_to_linker::<T, Checked>(linker, sockets::<T>)?;
    udp_creation::add_to_linker::<T, Checked>(linker, sockets::<T>)?;
    let mut tcp = linker.instance(TCP)?;
    tcp.func_wrap(
        "[method]tcp-socket.accept",
        |mut store: StoreContextMut<'_, T>, (listener,): (Resource<TcpSocket>,)| {
            Ok((sockets(store.data_mut()).accept(listener)?,))
        },
    )?;
    connecting::add_to_linker(linker)?;
    linker.allow_shadowing(false);
    Ok(())
}

/// Whether nothing is in the place of TCP sockets; then there is something now, which is never called.
fn has_no_sockets<T: 'static>(linker: &mut Linker<T>) -> Result<bool> {
    linker.allow_shadowing(false);
    let never = |_: StoreContextMut<'_, T>, _: (Resource<TcpSocket>,)| -> Result<()> { Ok(()) };
    Ok(linker.instance(TCP)?.func_wrap("[method]tcp-socket.accept", never).is_ok())
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
    /// Whether there are as many TCP and UDP sockets as there may be.
    fn is_full(&mut self) -> bool {
        let Some(most) = self.enforcement.limits.sockets else { return false };
        self.sockets.table.iter_mut().filter(|entry| entry.is::<TcpSocket>() || entry.is::<UdpSocket>()).count() >= most
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
            return self.resolve(network, name);
        }
        let lookup = self.resolve(network, DONE.into())?;
        self.enforcement.names.answer(&lookup, &name);
        Ok(lookup)
    }

    /// Lets wasmtime look up what the policy allows.
    fn resolve(
        &mut self,
        network: Resource<Network>,
        name: String,
    ) -> Result<Resource<names::ResolveAddressStream>, SocketError> {
        let mut sockets = WasiSocketsCtxView { ctx: &mut self.enforcement.resolver, table: self.sockets.table };
        names::Host::resolve_addresses(&mut sockets, network, name)
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

impl udp_creation::Host for Sockets<'_> {
    async fn create_udp_socket(&mut self, family: IpAddressFamily) -> Result<Resource<UdpSocket>, SocketError> {
        if !self.enforcement.policy.udp() {
            self.enforcement.denials.record(Denial::UdpSocket);
        } else if self.is_full() {
            return Err(ErrorCode::NewSocketLimit.into());
        }
        self.sockets.create_udp_socket(family).await
    }
}

/// More than a name of 255 bytes takes where each is written in three.
const LONGEST_NAME: usize = 1024;
/// A lookup that is done at once, being none.
const DONE: &str = "127.0.0.1";

impl names::Host for Sockets<'_> {
    fn resolve_addresses(
        &mut self,
        network: Resource<Network>,
        name: String,
    ) -> Result<Resource<names::ResolveAddressStream>, SocketError> {
        if name.len() > LONGEST_NAME {
            return Err(ErrorCode::InvalidArgument.into());
        }
        let name = plain_host(&name).unwrap_or(name);
        let Some(denial) = self.enforcement.policy.lookup_refusal(&name) else {
            let faults = self.enforcement.faults.next_lookup();
            let lookup = if let Some(code) = faults.fails {
                let lookup = self.resolve(network, DONE.into())?;
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
        // wasmtime's own context allows no names, so the error is wasmtime's.
        self.sockets.resolve_addresses(network, name)
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

//! `wasi:sockets/tcp` as far as the [faults](crate::faults) of connecting stand in front of it: a connection that is late, or never
//! there.

use wasmtime::component::{Linker, Resource, ResourceType};
use wasmtime::{Result, StoreContextMut};
use wasmtime_wasi::p2::bindings::sockets::network::{self, ErrorCode, IpSocketAddress, Network};
use wasmtime_wasi::p2::bindings::sockets::tcp::HostTcpSocket;
use wasmtime_wasi::p2::{DynPollable, TcpSocket};

use super::{PolicyView, Sockets, TCP, sockets};
use crate::faults::{Ends, Streams};

pub(super) fn add_to_linker<T: PolicyView + 'static>(linker: &mut Linker<T>) -> Result<()> {
    let mut tcp = linker.instance(TCP)?;
    tcp.func_wrap(
        "[method]tcp-socket.start-connect",
        |mut store: StoreContextMut<'_, T>,
         (socket, network, to): (Resource<TcpSocket>, Resource<Network>, IpSocketAddress)| {
            Ok((sockets(store.data_mut()).start_connect(&socket, network, to)?,))
        },
    )?;
    tcp.func_wrap(
        "[method]tcp-socket.finish-connect",
        |mut store: StoreContextMut<'_, T>, (socket,): (Resource<TcpSocket>,)| {
            Ok((sockets(store.data_mut()).finish_connect(&socket)?,))
        },
    )?;
    tcp.func_wrap(
        "[method]tcp-socket.subscribe",
        |mut store: StoreContextMut<'_, T>, (socket,): (Resource<TcpSocket>,)| {
            Ok((sockets(store.data_mut()).subscribe_socket(&socket)?,))
        },
    )?;
    tcp.resource("tcp-socket", ResourceType::host::<TcpSocket>(), |mut store, socket| {
        sockets(store.data_mut()).drop_socket(socket)
    })
}

/// The same socket for one more call: wasmtime's take theirs.
fn again(socket: &Resource<TcpSocket>) -> Resource<TcpSocket> {
    Resource::new_borrow(socket.rep())
}

impl Sockets<'_> {
    fn start_connect(
        &mut self,
        socket: &Resource<TcpSocket>,
        network: Resource<Network>,
        to: IpSocketAddress,
    ) -> Result<Result<(), ErrorCode>> {
        match HostTcpSocket::start_connect(&mut self.sockets, again(socket), network, to) {
            Ok(()) => self.enforcement.faults.connect_begun(self.sockets.table, socket).map(Ok),
            Err(error) => Ok(Err(network::Host::convert_error_code(&mut self.sockets, error)?)),
        }
    }

    fn finish_connect(&mut self, socket: &Resource<TcpSocket>) -> Result<Result<Streams, ErrorCode>> {
        if !self.enforcement.faults.may_connect(self.sockets.table, socket)? {
            return Ok(Err(ErrorCode::WouldBlock));
        }
        match HostTcpSocket::finish_connect(&mut self.sockets, again(socket)) {
            Ok(streams) => {
                let ends = self.ends(socket);
                let faults = &mut self.enforcement.faults;
                let streams = faults.connected(self.sockets.table, socket.rep(), ends, streams)?;
                Ok(streams.ok_or(ErrorCode::ConnectionRefused))
            }
            Err(error) => Ok(Err(network::Host::convert_error_code(&mut self.sockets, error)?)),
        }
    }

    /// The streams of a connection that was accepted, with the faults it is to have; none when there is to be no connection.
    pub(super) fn accepted(&mut self, socket: &Resource<TcpSocket>, streams: Streams) -> Result<Option<Streams>> {
        let ends = self.ends(socket);
        self.enforcement.faults.accepted(self.sockets.table, ends, streams)
    }

    /// The addresses of a connection, for its faults; none when it has ended already.
    fn ends(&mut self, socket: &Resource<TcpSocket>) -> Option<Ends> {
        if !self.enforcement.faults.are_any() {
            return None; // nobody wants to know, and the system takes its time to say
        }
        let ours = HostTcpSocket::local_address(&mut self.sockets, again(socket)).ok()?;
        let theirs = HostTcpSocket::remote_address(&mut self.sockets, again(socket)).ok()?;
        Some((ours.into(), theirs.into()))
    }

    fn subscribe_socket(&mut self, socket: &Resource<TcpSocket>) -> Result<Resource<DynPollable>> {
        let pollable = HostTcpSocket::subscribe(&mut self.sockets, again(socket))?;
        self.enforcement.faults.socket_subscribed(self.sockets.table, socket, &pollable)?;
        Ok(pollable)
    }

    fn drop_socket(&mut self, socket: u32) -> Result<()> {
        HostTcpSocket::drop(&mut self.sockets, Resource::new_own(socket))?;
        self.enforcement.faults.socket_dropped(self.sockets.table, socket)
    }
}

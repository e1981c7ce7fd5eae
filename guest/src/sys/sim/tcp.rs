//! Sockets, as wasmtime's state machine has them: lazy connects, a socket that a failed connect uses up.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::net::SocketAddr;
use std::rc::Rc;

use crate::sys::types::{ErrorCode, Family, KeepAliveNanos, Shutdown};

use super::connect::{fits, is_unicast, start_connecting};
use super::handle::Handle;
use super::link::EndRef;
use super::network::Event;
use super::socket::{Backlog, Connecting, Operation, Result, Socket, State};
use super::world;
use super::{InputStream, OutputStream, Pollable};

/// A TCP socket of the host.
pub(crate) struct TcpSocket {
    handle: Handle,
    socket: Rc<RefCell<Socket>>,
}

/// How many sockets there are.
pub(crate) fn live_sockets() -> usize {
    world::current().borrow().counts.sockets
}

impl TcpSocket {
    /// Makes a socket; a host without TCP answers `AccessDenied` here.
    pub(crate) fn create(family: Family) -> Result<Self> {
        let handle = Handle::root(&world::current());
        handle.call();
        if handle.world.borrow().tcp_denied {
            return Err(ErrorCode::AccessDenied);
        }
        Ok(Self::new(handle, Socket::new(family, State::Fresh)))
    }

    fn new(handle: Handle, socket: Socket) -> Self {
        {
            let counts = &mut handle.world.borrow_mut().counts;
            counts.sockets += 1;
            counts.tcp_sockets += 1;
        }
        Self { handle, socket: Rc::new(RefCell::new(socket)) }
    }

    pub(crate) fn start_bind(&self, address: SocketAddr) -> Result<()> {
        let mut socket = self.enter();
        if socket.operation.is_some() {
            return Err(ErrorCode::ConcurrencyConflict);
        }
        if socket.is_bound() {
            return Err(ErrorCode::InvalidState);
        }
        if !is_unicast(address.ip()) || !fits(address.ip(), socket.family) {
            return Err(ErrorCode::InvalidArgument);
        }
        let mut world = self.handle.world.borrow_mut();
        if world.denied.contains(&address) {
            return Err(ErrorCode::AccessDenied);
        }
        if let Some(code) = world.bind_failures.get(&address) {
            return Err(*code);
        }
        if !address.ip().is_unspecified() && !world.local_ips.contains(&address.ip()) {
            return Err(ErrorCode::AddressNotBindable);
        }
        let mut bound = address;
        if address.port() == 0 {
            bound.set_port(world.free_port());
        } else if world.is_taken(address) {
            return Err(ErrorCode::AddressInUse);
        }
        world.bound.insert(bound);
        socket.bound = Some(bound);
        socket.operation = Some(Operation::Bind);
        Ok(())
    }

    pub(crate) fn finish_bind(&self) -> Result<()> {
        self.enter().finish(Operation::Bind)
    }

    pub(crate) fn start_connect(&self, address: SocketAddr) -> Result<()> {
        let mut socket = self.enter();
        if socket.operation.is_some() {
            return Err(ErrorCode::ConcurrencyConflict);
        }
        let State::Fresh = socket.state else { return Err(ErrorCode::InvalidState) };
        let remote = !address.ip().to_canonical().is_unspecified() && address.port() != 0;
        if !is_unicast(address.ip()) || !remote || !fits(address.ip(), socket.family) {
            return Err(ErrorCode::InvalidArgument);
        }
        // Its port is no longer in the way of others: the host sets SO_REUSEADDR.
        if let Some(bound) = &socket.bound {
            self.handle.world.borrow_mut().bound.remove(bound);
        }
        socket.state = State::Connecting { to: address, progress: Connecting::Lazy };
        socket.operation = Some(Operation::Connect);
        Ok(())
    }

    pub(crate) fn finish_connect(&self) -> Result<(InputStream, OutputStream)> {
        if self.enter().operation != Some(Operation::Connect) {
            return Err(ErrorCode::NotInProgress);
        }
        start_connecting(&self.handle.world, &self.socket);
        let mut socket = self.socket.borrow_mut();
        let State::Connecting { progress: Connecting::Done(result), .. } = &socket.state else {
            return Err(ErrorCode::WouldBlock);
        };
        let result = result.clone();
        {
            let mut world = self.handle.world.borrow_mut();
            if world.skips(&mut socket.skipped) {
                return Err(ErrorCode::WouldBlock);
            }
            world.progress();
        }
        socket.operation = None;
        match result {
            Ok(end) => {
                socket.state = State::Connected(end.clone());
                Ok(self.streams(&end))
            }
            Err(code) => {
                socket.state = State::Closed(code);
                Err(code)
            }
        }
    }

    pub(crate) fn start_listen(&self) -> Result<()> {
        let mut socket = self.enter();
        if socket.operation.is_some() {
            return Err(ErrorCode::ConcurrencyConflict);
        }
        let (State::Fresh, Some(address)) = (&socket.state, socket.bound) else { return Err(ErrorCode::InvalidState) };
        let backlog = Backlog { address, waiting: VecDeque::new(), limit: socket.backlog };
        let backlog = Rc::new(RefCell::new(backlog));
        let mut world = self.handle.world.borrow_mut();
        world.backlogs.insert(address, Rc::downgrade(&backlog));
        world.record(Event::Listening(address));
        socket.state = State::Listening(backlog);
        socket.operation = Some(Operation::Listen);
        Ok(())
    }

    pub(crate) fn finish_listen(&self) -> Result<()> {
        self.enter().finish(Operation::Listen)
    }

    pub(crate) fn accept(&self) -> Result<(TcpSocket, InputStream, OutputStream)> {
        let mut socket = self.enter();
        let State::Listening(backlog) = &socket.state else { return Err(ErrorCode::InvalidState) };
        let backlog = backlog.clone();
        let (end, family, keep_alive) = {
            let mut world = self.handle.world.borrow_mut();
            let nothing = backlog.borrow().waiting.is_empty() && world.accept_failures.is_empty();
            let seen = std::mem::take(&mut socket.seen) || nothing || world.spend();
            if nothing || !seen || world.skips(&mut socket.skipped) {
                return Err(ErrorCode::WouldBlock);
            }
            world.progress();
            if let Some(code) = world.accept_failures.pop_front() {
                return Err(code);
            }
            let end = backlog.borrow_mut().waiting.pop_front().ok_or(ErrorCode::WouldBlock)?;
            if world.abort_vanished && end.peek(|end, _| end.dead) {
                return Err(ErrorCode::ConnectionAborted);
            }
            (end, socket.family, socket.keep_alive)
        };
        let remote = end.peek(|end, _| end.remote);
        self.handle.world.borrow_mut().record(Event::Accepted(remote));
        let accepted = Socket { keep_alive, ..Socket::new(family, State::Connected(end.clone())) };
        let accepted = Self::new(Handle::root(&self.handle.world), accepted);
        let (input, output) = accepted.streams(&end);
        Ok((accepted, input, output))
    }

    pub(crate) fn local_address(&self) -> Result<SocketAddr> {
        let socket = self.enter();
        match &socket.state {
            State::Fresh => socket.bound.ok_or(ErrorCode::InvalidState),
            State::Connecting { .. } => Err(ErrorCode::InvalidState),
            State::Connected(end) => Ok(end.peek(|end, _| end.local)),
            State::Listening(backlog) => Ok(backlog.borrow().address),
            State::Closed(code) => Err(*code),
        }
    }

    /// Fails once the peer has left: ask early and keep the answer.
    pub(crate) fn remote_address(&self) -> Result<SocketAddr> {
        match &self.enter().state {
            State::Connected(end) => {
                end.peek(|end, other| if end.peer_left(other) { Err(ErrorCode::InvalidState) } else { Ok(end.remote) })
            }
            State::Closed(code) => Err(*code),
            State::Fresh | State::Connecting { .. } | State::Listening(_) => Err(ErrorCode::InvalidState),
        }
    }

    pub(crate) fn is_listening(&self) -> bool {
        matches!(self.enter().state, State::Listening(_))
    }

    pub(crate) fn set_listen_backlog_size(&self, size: u64) -> Result<()> {
        let mut socket = self.enter();
        if size == 0 {
            return Err(ErrorCode::InvalidArgument);
        }
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        match &socket.state {
            State::Fresh => socket.backlog = size,
            State::Listening(backlog) => backlog.borrow_mut().limit = size,
            State::Closed(code) => return Err(*code),
            State::Connecting { .. } | State::Connected(_) => return Err(ErrorCode::InvalidState),
        }
        Ok(())
    }

    /// Turns keep-alive on with these settings.
    pub(crate) fn set_keep_alive(&self, settings: KeepAliveNanos) -> Result<()> {
        let mut socket = self.enter();
        socket.descriptor()?;
        socket.keep_alive = true;
        let zero = settings.idle == Some(0) || settings.interval == Some(0) || settings.count == Some(0);
        if zero { Err(ErrorCode::InvalidArgument) } else { Ok(()) }
    }

    /// Whether keep-alive is on.
    pub(crate) fn keep_alive_enabled(&self) -> Result<bool> {
        let socket = self.enter();
        socket.descriptor()?;
        Ok(socket.keep_alive)
    }

    pub(crate) fn shutdown(&self, how: Shutdown) -> Result<()> {
        let State::Connected(end) = &self.enter().state else { return Err(ErrorCode::InvalidState) };
        end.with(|end, _| end.shutdown(how));
        Ok(())
    }

    /// Ready when the operation under way (bind, connect, listen, accept) may go on.
    pub(crate) fn subscribe(&self) -> Pollable {
        Pollable::socket(&self.handle, self.socket.clone())
    }

    fn enter(&self) -> std::cell::RefMut<'_, Socket> {
        self.handle.call();
        self.socket.borrow_mut()
    }

    /// The two streams of a connection; socket and streams keep it open together.
    fn streams(&self, end: &EndRef) -> (InputStream, OutputStream) {
        end.with(|end, _| end.handles = 3);
        (InputStream::tcp(&self.handle, end), OutputStream::tcp(&self.handle, end))
    }
}

impl Drop for TcpSocket {
    fn drop(&mut self) {
        let world = self.handle.world.clone();
        let state = std::mem::replace(&mut self.socket.borrow_mut().state, State::Closed(ErrorCode::InvalidState));
        let bound = self.socket.borrow().bound;
        let mut cancelled = None;
        {
            let mut world = world.borrow_mut();
            world.counts.sockets -= 1;
            if let (Some(bound), State::Fresh | State::Listening(_)) = (bound, &state) {
                world.bound.remove(&bound);
            }
            if let State::Connecting { to, progress: Connecting::Started(event) } = &state {
                world.record(Event::ConnectAbandoned(*to));
                cancelled = event.and_then(|event| world.cancel(event));
            }
            if let State::Listening(backlog) = &state {
                let address = backlog.borrow().address;
                world.backlogs.remove(&address);
                world.record(Event::Closed(address));
            }
        }
        drop(cancelled);
        match state {
            State::Connected(end) => end.release(),
            State::Connecting { progress: Connecting::Done(Ok(end)), .. } => end.with(|end, other| end.close(other)),
            State::Listening(backlog) => {
                let waiting = std::mem::take(&mut backlog.borrow_mut().waiting);
                waiting.iter().for_each(|end| end.with(|end, other| end.reset(other)));
            }
            State::Fresh | State::Connecting { .. } | State::Closed(_) => {}
        }
        self.handle.close("tcp-socket");
    }
}

impl fmt::Debug for TcpSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.socket.borrow().fmt(f)
    }
}

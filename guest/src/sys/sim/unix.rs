//! Unix sockets: the state machine of the host.

use std::cell::{RefCell, RefMut};
use std::collections::VecDeque;
use std::fmt;
use std::rc::Rc;

use crate::UnixAddr;
use crate::sys::types::{ErrorCode, Shutdown};

use super::files::connect;
use super::handle::Handle;
use super::link::{EndRef, NOWHERE};
use super::socket::{Backlog, Operation, Result};
use super::world::{self, Shared, World};
use super::{InputStream, OutputStream, Pollable};

/// The host's side of a socket.
pub(super) struct Socket {
    state: State,
    operation: Option<Operation>,
    /// The address, and the number of the file that bind has made.
    bound: Option<(UnixAddr, u64)>,
    remove_file: bool,
    backlog: usize,
    skipped: bool,
    seen: bool,
}

enum State {
    Fresh,
    Connecting(UnixAddr),
    Connected { end: EndRef, peer: UnixAddr },
    Listening(Rc<RefCell<Backlog>>),
    Closed,
}

/// A Unix socket of the host.
pub(crate) struct UnixSocket {
    handle: Handle,
    socket: Rc<RefCell<Socket>>,
}

/// What the socket's pollable says; none: ready because there is nothing to wait for.
pub(super) fn is_ready(world: &Shared, socket: &Rc<RefCell<Socket>>) -> Option<bool> {
    let mut socket = socket.borrow_mut();
    match (&socket.state, socket.operation) {
        (State::Connecting(to), Some(Operation::Connect)) => Some(!world.borrow().files.is_full(to)),
        (State::Listening(backlog), None) => {
            let waiting = !backlog.borrow().waiting.is_empty() || !world.borrow().accept_failures.is_empty();
            socket.seen = waiting;
            Some(waiting)
        }
        _ => None,
    }
}

impl Socket {
    fn new(state: State) -> Self {
        Self { state, operation: None, bound: None, remove_file: true, backlog: 128, skipped: false, seen: false }
    }

    fn start(&self) -> Result<()> {
        if self.operation.is_some() { Err(ErrorCode::ConcurrencyConflict) } else { Ok(()) }
    }

    fn finish(&mut self, operation: Operation) -> Result<()> {
        if self.operation != Some(operation) {
            return Err(ErrorCode::NotInProgress);
        }
        self.operation = None;
        Ok(())
    }
}

impl UnixSocket {
    pub(crate) fn create() -> Result<Self> {
        let handle = Handle::root(&world::current());
        handle.call();
        Ok(Self::new(handle, Socket::new(State::Fresh)))
    }

    fn new(handle: Handle, socket: Socket) -> Self {
        {
            let counts = &mut handle.world.borrow_mut().counts;
            counts.sockets += 1;
            counts.unix_sockets += 1;
        }
        Self { handle, socket: Rc::new(RefCell::new(socket)) }
    }

    pub(crate) fn start_bind(&self, address: &UnixAddr) -> Result<()> {
        let mut socket = self.enter();
        socket.start()?;
        if socket.bound.is_some() || !matches!(socket.state, State::Fresh) {
            return Err(ErrorCode::InvalidState);
        }
        let files = &mut self.handle.world.borrow_mut().files;
        files.check(address)?;
        socket.bound = Some((address.clone(), files.bind(address)?));
        socket.operation = Some(Operation::Bind);
        Ok(())
    }

    pub(crate) fn finish_bind(&self) -> Result<()> {
        self.enter().finish(Operation::Bind)
    }

    pub(crate) fn start_connect(&self, address: &UnixAddr) -> Result<()> {
        let mut socket = self.enter();
        socket.start()?;
        if !matches!(socket.state, State::Fresh) {
            return Err(ErrorCode::InvalidState);
        }
        self.handle.world.borrow().files.check(address)?;
        socket.state = State::Connecting(address.clone());
        socket.operation = Some(Operation::Connect);
        Ok(())
    }

    pub(crate) fn finish_connect(&self) -> Result<(InputStream, OutputStream)> {
        let mut socket = self.enter();
        let (Some(Operation::Connect), State::Connecting(to)) = (socket.operation, &socket.state) else {
            return Err(ErrorCode::NotInProgress);
        };
        let to = to.clone();
        if self.handle.world.borrow_mut().skips(&mut socket.skipped) {
            return Err(ErrorCode::WouldBlock);
        }
        let result = connect(&self.handle.world, &to, None);
        if let Err(ErrorCode::WouldBlock) = result {
            return Err(ErrorCode::WouldBlock);
        }
        self.handle.world.borrow_mut().progress();
        socket.operation = None;
        socket.state = State::Closed;
        let end = result?;
        socket.state = State::Connected { end: end.clone(), peer: to };
        Ok(self.streams(&end))
    }

    pub(crate) fn start_listen(&self) -> Result<()> {
        let mut socket = self.enter();
        socket.start()?;
        let (State::Fresh, Some(bound)) = (&socket.state, &socket.bound) else { return Err(ErrorCode::InvalidState) };
        let backlog = Backlog { address: NOWHERE, waiting: VecDeque::new(), limit: socket.backlog };
        let backlog = Rc::new(RefCell::new(backlog));
        self.handle.world.borrow_mut().files.listen(bound, Rc::downgrade(&backlog));
        socket.state = State::Listening(backlog);
        socket.operation = Some(Operation::Listen);
        Ok(())
    }

    pub(crate) fn finish_listen(&self) -> Result<()> {
        self.enter().finish(Operation::Listen)
    }

    pub(crate) fn accept(&self) -> Result<(UnixSocket, InputStream, OutputStream)> {
        let mut socket = self.enter();
        let State::Listening(backlog) = &socket.state else { return Err(ErrorCode::InvalidState) };
        let backlog = backlog.clone();
        let end = {
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
            backlog.borrow_mut().waiting.pop_front().ok_or(ErrorCode::WouldBlock)?
        };
        let state = State::Connected { end: end.clone(), peer: UnixAddr::Unnamed };
        let bound = socket.bound.clone();
        // The file is the listener's.
        let accepted = Socket { bound, remove_file: false, ..Socket::new(state) };
        let accepted = Self::new(Handle::root(&self.handle.world), accepted);
        let (input, output) = accepted.streams(&end);
        Ok((accepted, input, output))
    }

    pub(crate) fn local_address(&self) -> Result<UnixAddr> {
        let socket = self.enter();
        match (&socket.bound, &socket.state) {
            (Some((address, _)), _) => Ok(address.clone()),
            (None, State::Connected { .. }) => Ok(UnixAddr::Unnamed),
            (None, _) => Err(ErrorCode::InvalidState),
        }
    }

    pub(crate) fn remote_address(&self) -> Result<UnixAddr> {
        match &self.enter().state {
            State::Connected { peer, .. } => Ok(peer.clone()),
            _ => Err(ErrorCode::InvalidState),
        }
    }

    pub(crate) fn is_listening(&self) -> bool {
        matches!(self.enter().state, State::Listening(_))
    }

    pub(crate) fn set_listen_backlog_size(&self, size: u32) -> Result<()> {
        let mut socket = self.enter();
        if size == 0 {
            return Err(ErrorCode::InvalidArgument);
        }
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        match &socket.state {
            State::Fresh => socket.backlog = size,
            State::Listening(backlog) => backlog.borrow_mut().limit = size,
            State::Connecting(_) | State::Connected { .. } | State::Closed => return Err(ErrorCode::InvalidState),
        }
        Ok(())
    }

    /// Whether the file goes with the socket.
    pub(crate) fn set_remove_file(&self, remove: bool) {
        self.enter().remove_file = remove;
    }

    pub(crate) fn shutdown(&self, how: Shutdown) -> Result<()> {
        let State::Connected { end, .. } = &self.enter().state else { return Err(ErrorCode::InvalidState) };
        end.with(|end, _| end.shutdown(how));
        Ok(())
    }

    /// Ready when the operation under way (bind, connect, listen, accept) may go on.
    pub(crate) fn subscribe(&self) -> Pollable {
        Pollable::unix(&self.handle, self.socket.clone())
    }

    fn enter(&self) -> RefMut<'_, Socket> {
        self.handle.call();
        self.socket.borrow_mut()
    }

    /// The two streams of a connection; socket and streams keep it open together.
    fn streams(&self, end: &EndRef) -> (InputStream, OutputStream) {
        end.with(|end, _| end.handles = 3);
        (InputStream::tcp(&self.handle, end), OutputStream::tcp(&self.handle, end))
    }
}

impl Drop for UnixSocket {
    fn drop(&mut self) {
        let (state, bound, remove) = {
            let mut socket = self.socket.borrow_mut();
            let state = std::mem::replace(&mut socket.state, State::Closed);
            (state, socket.bound.take(), socket.remove_file)
        };
        {
            let World { counts, files, .. } = &mut *self.handle.world.borrow_mut();
            counts.sockets -= 1;
            if let (Some(bound), State::Fresh | State::Listening(_)) = (bound, &state) {
                files.close(&bound, remove);
            }
        }
        match state {
            State::Connected { end, .. } => end.release(),
            State::Listening(backlog) => {
                let waiting = std::mem::take(&mut backlog.borrow_mut().waiting);
                waiting.iter().for_each(|end| end.with(|end, other| end.reset(other)));
            }
            State::Fresh | State::Connecting(_) | State::Closed => {}
        }
        self.handle.close("unix-socket");
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.state, &self.bound) {
            (State::Connecting(to), _) => write!(f, "socket connecting to {to}"),
            (State::Connected { peer, .. }, _) => write!(f, "socket connected to {peer}"),
            (State::Listening(_), Some((at, _))) => write!(f, "socket listening at {at}"),
            (State::Fresh | State::Listening(_), _) => f.write_str("fresh socket"),
            (State::Closed, _) => f.write_str("closed socket"),
        }
    }
}

impl fmt::Debug for UnixSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.socket.borrow().fmt(f)
    }
}

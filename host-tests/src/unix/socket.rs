//! A socket, from nothing to connected or listening.

use std::fmt;
use std::future::poll_fn;
use std::io::ErrorKind;
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustix::io::Errno;
use tokio::net::UnixListener;
use tokio::net::unix::SocketAddr;
use wasmtime_wasi::async_trait;
use wasmtime_wasi_io::poll::Pollable;

use super::bindings::wasi_streams::unix::sockets::{Address, ErrorCode};
use super::ctx::{Admission, Place, UnixCtx, UnixReason, UnixUse};
use super::files::{self, Failure, SocketFile, Target};
use super::pending::{Pending, poll_once};
use super::stream::Connection;

type Result<T> = std::result::Result<T, ErrorCode>;

/// What the component's resource is.
pub struct UnixSocket {
    state: State,
    /// The address that it is bound to, or was accepted at.
    local: Option<Address>,
    /// The file that bind has made. Behind the state: nobody listens any more when it is removed.
    file: Option<SocketFile>,
    remove_file: bool,
    backlog: u32,
    ctx: UnixCtx,
    _admission: Admission,
}

enum State {
    Fresh,
    Binding(Address, Pending<Result<(OwnedFd, Option<SocketFile>)>>),
    Bound(OwnedFd),
    /// Listens, once `finish` was asked.
    Starting(Listener),
    Listening(Listener),
    Connecting(Address, Pending<Result<UnixStream>>),
    Connected(Address, Connection),
    Closed,
}

impl UnixSocket {
    pub(super) fn create(ctx: &UnixCtx) -> Result<Self> {
        if !ctx.grants_something() {
            return Err(ctx.deny(UnixUse::Create, &Address::Unnamed, UnixReason::NotGranted));
        }
        Ok(Self::new(ctx, ctx.admit()?, State::Fresh))
    }

    fn new(ctx: &UnixCtx, admission: Admission, state: State) -> Self {
        let (local, file, ctx) = (None, None, ctx.clone());
        UnixSocket { state, local, file, remove_file: true, backlog: 128, ctx, _admission: admission }
    }

    /// Refuses what cannot be begun now.
    fn begin(&self, allowed: impl FnOnce(&State) -> bool) -> Result<()> {
        match &self.state {
            State::Binding(..) | State::Starting(_) | State::Connecting(..) => Err(ErrorCode::ConcurrencyConflict),
            state if allowed(state) => Ok(()),
            _ => Err(ErrorCode::InvalidState),
        }
    }

    pub(super) fn start_bind(&mut self, address: Address) -> Result<()> {
        self.begin(|state| matches!(state, State::Fresh))?;
        let place = self.ctx.place(&address, UnixUse::Listen)?;
        let (ctx, wanted) = (self.ctx.clone(), address.clone());
        self.state = State::Binding(
            address,
            Pending::start(async move {
                let bound = blocking(move || match place {
                    Place::Below(folder, path) => folder.bind(&path).map(|(socket, file)| (socket, Some(file))),
                    Place::Abstract(name) => files::bind_name(&name).map(|socket| (socket, None)),
                });
                bound.await.map_err(|failure| told(failure, &ctx, UnixUse::Listen, &wanted))
            }),
        );
        Ok(())
    }

    pub(super) fn finish_bind(&mut self) -> Result<()> {
        let State::Binding(_, pending) = &mut self.state else { return Err(ErrorCode::NotInProgress) };
        if !pending.is_done() {
            return Err(ErrorCode::WouldBlock);
        }
        let State::Binding(address, Pending::Done(result)) = std::mem::replace(&mut self.state, State::Fresh) else {
            return Err(ErrorCode::Unknown);
        };
        let (socket, file) = result?;
        self.file = file;
        self.local = Some(address);
        self.state = State::Bound(socket);
        self.set_remove_file(self.remove_file);
        Ok(())
    }

    pub(super) fn start_connect(&mut self, address: Address) -> Result<()> {
        self.begin(|state| matches!(state, State::Fresh))?;
        let place = self.ctx.place(&address, UnixUse::Connect)?;
        let (ctx, wanted) = (self.ctx.clone(), address.clone());
        let pending = Pending::start(async move {
            let connected = connect(place).await;
            connected.map_err(|failure| told(failure, &ctx, UnixUse::Connect, &wanted))
        });
        self.state = State::Connecting(address, pending);
        Ok(())
    }

    pub(super) fn finish_connect(&mut self) -> Result<Connection> {
        let State::Connecting(_, pending) = &mut self.state else { return Err(ErrorCode::NotInProgress) };
        if !pending.is_done() {
            return Err(ErrorCode::WouldBlock);
        }
        let State::Connecting(peer, Pending::Done(result)) = std::mem::replace(&mut self.state, State::Closed) else {
            return Err(ErrorCode::Unknown);
        };
        let stream = tokio::net::UnixStream::from_std(result?).map_err(|error| io_code(&error))?;
        let connection = Connection::new(stream);
        self.state = State::Connected(peer, connection.clone());
        Ok(connection)
    }

    pub(super) fn start_listen(&mut self) -> Result<()> {
        self.begin(|state| matches!(state, State::Bound(_)))?;
        let State::Bound(socket) = std::mem::replace(&mut self.state, State::Closed) else {
            return Err(ErrorCode::InvalidState);
        };
        files::listen(socket.as_fd(), self.backlog).map_err(code)?;
        let listener = UnixListener::from_std(socket.into()).map_err(|error| io_code(&error))?;
        self.state = State::Starting(Listener { listener, next: None });
        Ok(())
    }

    pub(super) fn finish_listen(&mut self) -> Result<()> {
        match std::mem::replace(&mut self.state, State::Closed) {
            State::Starting(listener) => {
                self.state = State::Listening(listener);
                Ok(())
            }
            other => {
                self.state = other;
                Err(ErrorCode::NotInProgress)
            }
        }
    }

    pub(super) fn accept(&mut self) -> Result<(Self, Connection)> {
        let State::Listening(listener) = &mut self.state else { return Err(ErrorCode::InvalidState) };
        if !listener.has_next() {
            return Err(ErrorCode::WouldBlock);
        }
        let admission = self.ctx.admit()?;
        let (stream, peer) = listener.next.take().ok_or(ErrorCode::WouldBlock)?.map_err(|error| io_code(&error))?;
        let connection = Connection::new(stream);
        let state = State::Connected(visible(&peer), connection.clone());
        let accepted = UnixSocket { local: self.local.clone(), ..Self::new(&self.ctx, admission, state) };
        Ok((accepted, connection))
    }

    pub(super) fn local_address(&self) -> Result<Address> {
        match (&self.state, &self.local) {
            (State::Binding(..) | State::Fresh, _) => Err(ErrorCode::InvalidState),
            (_, Some(address)) => Ok(address.clone()),
            (State::Connected(..), None) => Ok(Address::Unnamed),
            (_, None) => Err(ErrorCode::InvalidState),
        }
    }

    pub(super) fn remote_address(&self) -> Result<Address> {
        match &self.state {
            State::Connected(peer, _) => Ok(peer.clone()),
            _ => Err(ErrorCode::InvalidState),
        }
    }

    pub(super) fn is_listening(&self) -> bool {
        matches!(self.state, State::Listening(_))
    }

    pub(super) fn set_backlog(&mut self, size: u32) -> Result<()> {
        if size == 0 {
            return Err(ErrorCode::InvalidArgument);
        }
        match &self.state {
            State::Connecting(..) | State::Connected(..) | State::Closed => return Err(ErrorCode::InvalidState),
            State::Listening(listener) | State::Starting(listener) => {
                files::listen(listener.listener.as_fd(), size).map_err(code)?;
            }
            State::Fresh | State::Binding(..) | State::Bound(_) => {}
        }
        self.backlog = size;
        Ok(())
    }

    pub(super) fn set_remove_file(&mut self, remove: bool) {
        self.remove_file = remove;
        if let Some(file) = &mut self.file {
            file.remove = remove;
        }
    }

    pub(super) fn shutdown(&self, how: Shutdown) -> Result<()> {
        let State::Connected(_, connection) = &self.state else { return Err(ErrorCode::InvalidState) };
        connection.shutdown(how);
        Ok(())
    }
}

#[async_trait]
impl Pollable for UnixSocket {
    async fn ready(&mut self) {
        match &mut self.state {
            State::Binding(_, pending) => pending.ready().await,
            State::Connecting(_, pending) => pending.ready().await,
            State::Listening(listener) => poll_fn(|cx| listener.poll_next(cx)).await,
            State::Fresh | State::Bound(_) | State::Starting(_) | State::Connected(..) | State::Closed => {}
        }
    }
}

/// A listener, and the connection that it has taken but not given.
struct Listener {
    listener: UnixListener,
    next: Option<std::io::Result<(tokio::net::UnixStream, SocketAddr)>>,
}

impl Listener {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.next.is_none() {
            self.next = Some(ready!(self.listener.poll_accept(cx)));
        }
        Poll::Ready(())
    }

    /// Whether there is a connection, or an error, to be given.
    fn has_next(&mut self) -> bool {
        poll_once(|cx| self.poll_next(cx))
    }
}

impl fmt::Debug for UnixSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnixSocket").field("local", &self.local).finish_non_exhaustive()
    }
}

/// Finds the peer and connects to it, as often as its queue is full.
async fn connect(place: Place) -> std::result::Result<UnixStream, Failure> {
    let found = blocking(move || {
        let target = match place {
            Place::Below(folder, path) => folder.socket_at(&path)?,
            Place::Abstract(name) => Target::of_name(&name)?,
        };
        Ok((files::stream_socket()?, target))
    });
    let (socket, target) = found.await?;
    let mut pause = FIRST_PAUSE;
    loop {
        match files::connect(&socket, &target) {
            Ok(()) => return Ok(socket.into()),
            Err(Errno::INTR) => {}
            // Nothing tells when there is room.
            Err(Errno::AGAIN) => {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Does work that may block for a moment.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> std::result::Result<T, Failure> + Send + 'static,
) -> std::result::Result<T, Failure> {
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(Failure::Code(ErrorCode::Unknown)))
}

/// The word for a failure, after it was told that a path leads out of its folder.
fn told(failure: Failure, ctx: &UnixCtx, purpose: UnixUse, address: &Address) -> ErrorCode {
    match failure {
        Failure::Escape => ctx.deny(purpose, address, UnixReason::Escapes),
        Failure::Code(code) => code,
    }
}

fn code(failure: Failure) -> ErrorCode {
    match failure {
        Failure::Escape => ErrorCode::AccessDenied,
        Failure::Code(code) => code,
    }
}

fn io_code(error: &std::io::Error) -> ErrorCode {
    match Errno::from_io_error(error) {
        Some(errno) => files::code(errno),
        None if error.kind() == ErrorKind::WouldBlock => ErrorCode::WouldBlock,
        None => ErrorCode::Unknown,
    }
}

/// The address of a client, as far as the component may know it: its path is one of the host's.
fn visible(peer: &SocketAddr) -> Address {
    #[cfg(target_os = "linux")]
    if let Some(name) = peer.as_abstract_name() {
        return Address::AbstractName(name.to_vec());
    }
    let _ = peer;
    Address::Unnamed
}

const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

//! What Unix sockets are at: files that outlive their listeners, and abstract names that do not, as on Linux.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::{Rc, Weak};

use crate::UnixAddr;
use crate::sys::types::ErrorCode;

use super::Network;
use super::end::End;
use super::link::{EndRef, NOWHERE};
use super::peer::{ListenQueue, Listener, Peer};
use super::socket::{Backlog, Result};
use super::world::Shared;

/// What is at paths and abstract names.
#[derive(Default)]
pub(super) struct Files {
    entries: BTreeMap<UnixAddr, File>,
    denied: BTreeSet<UnixAddr>,
    /// The number of the newest file.
    newest: u64,
}

struct File {
    /// Tells a file from another that has taken its place.
    number: u64,
    kind: Kind,
}

enum Kind {
    Guest(Weak<RefCell<Backlog>>),
    Test(Weak<RefCell<ListenQueue>>),
    /// A socket that does not listen, for now or any more.
    Idle,
    NoSocket,
}

impl Files {
    /// Refuses what cannot be used.
    pub(super) fn check(&self, address: &UnixAddr) -> Result<()> {
        if self.denied.contains(address) {
            return Err(ErrorCode::AccessDenied);
        }
        if address.clone().check().is_err() {
            return Err(ErrorCode::InvalidArgument);
        }
        Ok(())
    }

    /// Whether the queue of the guest's listener at `address` is full.
    pub(super) fn is_full(&self, address: &UnixAddr) -> bool {
        match self.entries.get(address).map(|file| &file.kind) {
            Some(Kind::Guest(backlog)) => backlog.upgrade().is_some_and(|backlog| backlog.borrow().is_full()),
            _ => false,
        }
    }

    /// The socket that has made a file listens.
    pub(super) fn listen(&mut self, bound: &(UnixAddr, u64), backlog: Weak<RefCell<Backlog>>) {
        if let Some(file) = self.own(bound) {
            file.kind = Kind::Guest(backlog);
        }
    }

    fn add(&mut self, address: UnixAddr, kind: Kind) -> u64 {
        self.newest += 1;
        self.entries.insert(address, File { number: self.newest, kind });
        self.newest
    }

    /// Makes the file of a new socket, in place of one where nobody listens any more.
    pub(super) fn bind(&mut self, address: &UnixAddr) -> Result<u64> {
        match self.entries.get(address) {
            Some(file) if file.is_alive() => Err(ErrorCode::AddressInUse),
            _ => Ok(self.add(address.clone(), Kind::Idle)),
        }
    }

    /// The file that bind has made, unless another has taken its place.
    fn own(&mut self, bound: &(UnixAddr, u64)) -> Option<&mut File> {
        self.entries.get_mut(&bound.0).filter(|file| file.number == bound.1)
    }

    /// A socket is closed: its listener is gone, and its file if that is wanted.
    pub(super) fn close(&mut self, bound: &(UnixAddr, u64), remove: bool) {
        let is_name = matches!(bound.0, UnixAddr::Abstract(_));
        let Some(file) = self.own(bound) else { return };
        file.kind = Kind::Idle;
        if remove || is_name {
            self.entries.remove(&bound.0);
        }
    }
}

impl File {
    fn is_alive(&self) -> bool {
        match &self.kind {
            Kind::Guest(backlog) => backlog.strong_count() > 0,
            Kind::Test(queue) => queue.strong_count() > 0,
            Kind::Idle => false,
            Kind::NoSocket => true,
        }
    }
}

/// Connects to whoever listens; the near end, whose it is, holds as much as is said, or as the system's sockets do.
pub(super) fn connect(world: &Shared, to: &UnixAddr, capacity: Option<usize>) -> Result<EndRef> {
    enum Target {
        Guest(Rc<RefCell<Backlog>>),
        Test(Rc<RefCell<ListenQueue>>),
    }
    let (target, send, receive) = {
        let world = world.borrow();
        let target = match world.files.entries.get(to).map(|file| &file.kind) {
            None if matches!(to, UnixAddr::Abstract(_)) => return Err(ErrorCode::ConnectionRefused),
            None => return Err(ErrorCode::NotFound),
            Some(Kind::NoSocket) => return Err(ErrorCode::NotAStreamSocket),
            Some(Kind::Guest(backlog)) => backlog.upgrade().map(Target::Guest),
            Some(Kind::Test(queue)) => queue.upgrade().map(Target::Test),
            Some(Kind::Idle) => None,
        };
        (target.ok_or(ErrorCode::ConnectionRefused)?, world.send_buffer, world.receive_buffer)
    };
    let near = End::new(NOWHERE, NOWHERE, capacity.unwrap_or(send), capacity.unwrap_or(receive));
    match target {
        Target::Test(queue) => {
            let (near, far) = EndRef::pair(world, [near, End::new(NOWHERE, NOWHERE, usize::MAX, usize::MAX)]);
            ListenQueue::push(world, &queue, Peer::new(far));
            Ok(near)
        }
        Target::Guest(backlog) => {
            let (near, far) = EndRef::pair(world, [near, End::new(NOWHERE, NOWHERE, send, receive)]);
            if backlog.borrow_mut().push(|| far) { Ok(near) } else { Err(ErrorCode::WouldBlock) }
        }
    }
}

fn address(text: &str) -> UnixAddr {
    match text.strip_prefix('\0') {
        Some(name) => UnixAddr::Abstract(name.as_bytes().to_vec().into()),
        None => UnixAddr::Path(text.into()),
    }
}

/// Unix sockets; addresses are paths, or abstract names behind a null character.
impl Network {
    /// Listens at a path, which becomes a file. When the listener is dropped the file stays, and refuses connections.
    #[must_use = "dropping the listener ends it"]
    pub fn listen_unix(&self, path: &str) -> Listener {
        let queue: Rc<RefCell<ListenQueue>> = Rc::default();
        self.0.borrow_mut().files.add(address(path), Kind::Test(Rc::downgrade(&queue)));
        Listener::new(NOWHERE, queue)
    }

    /// A client connects to the guest's listener at a path.
    ///
    /// # Errors
    ///
    /// `NotFound` without a file, `ConnectionRefused` if nobody listens there, `WouldBlock` if the backlog is full.
    pub fn connect_unix(&self, path: &str) -> Result<Peer> {
        let end = connect(&self.0, &address(path), Some(usize::MAX))?;
        self.0.borrow_mut().progress();
        Ok(Peer::new(end))
    }

    /// Puts a file at a path that is no socket.
    pub fn put_file(&self, path: &str) {
        self.0.borrow_mut().files.add(address(path), Kind::NoSocket);
    }

    /// Removes whatever is at a path.
    pub fn remove_file(&self, path: &str) {
        self.0.borrow_mut().files.entries.remove(&address(path));
    }

    /// Whether something is at a path.
    pub fn has_file(&self, path: &str) -> bool {
        self.0.borrow().files.entries.contains_key(&address(path))
    }

    /// The host permits neither listening at a path nor connecting to it.
    pub fn deny_unix(&self, path: &str) {
        self.0.borrow_mut().files.denied.insert(address(path));
    }
}

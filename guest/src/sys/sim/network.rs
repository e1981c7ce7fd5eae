//! The scripting side: what a test says about the world around the guest, and what it can see of the guest.

use std::cell::RefCell;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use crate::sys::types::ErrorCode;

use super::Faults;
use super::end::End;
use super::link::EndRef;
use super::peer::{ListenQueue, Listener, Peer};
use super::world::{self, Happening, Name, Remote, Shared};

/// The simulated world of this thread: a net around the guest, and a clock that jumps.
///
/// Every thread has one from the start; [`new`](Self::new) replaces it. Clones are the same world. Addresses that
/// nobody spoke of refuse connections, unless the guest itself listens there; the only known name is `localhost`,
/// which is 127.0.0.1.
#[derive(Clone)]
pub struct Network(pub(super) Shared);

/// Something that happened in the simulated world, as [`Network::events`] lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The guest's connection attempt left the host.
    ConnectStarted(SocketAddr),
    /// The guest's connection attempt succeeded.
    Connected(SocketAddr),
    /// The guest's connection attempt failed.
    ConnectFailed(SocketAddr, ErrorCode),
    /// The guest dropped a socket that was still connecting.
    ConnectAbandoned(SocketAddr),
    /// The guest listens.
    Listening(SocketAddr),
    /// The guest accepted a connection from there.
    Accepted(SocketAddr),
    /// The guest let go of a connection to there, or of its listener there.
    Closed(SocketAddr),
    /// The guest looked a name up.
    Lookup(String),
}

/// How many resources live, and what was ever done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Sockets that live.
    pub sockets: usize,
    /// Input streams that live.
    pub input_streams: usize,
    /// Output streams that live.
    pub output_streams: usize,
    /// Pollables that live.
    pub pollables: usize,
    /// Name lookups that live.
    pub lookups: usize,
    /// Calls of the host so far, of every kind (drops do not count).
    pub host_calls: u64,
    /// Calls of `poll` so far.
    pub polls: u64,
    /// Entries of all those polls together.
    pub polled: u64,
    /// Calls of `read` so far.
    pub reads: u64,
    /// Calls of `check-write` so far.
    pub check_writes: u64,
    /// Calls of `write` so far.
    pub writes: u64,
    /// Timers so far that were made for a time to come.
    pub timers: u64,
    /// Bytes read so far.
    pub bytes_read: u64,
    /// Bytes written so far.
    pub bytes_written: u64,
    /// TCP sockets so far that the guest made, or accepted.
    pub tcp_sockets: u64,
    /// Unix sockets so far that the guest made, or accepted.
    pub unix_sockets: u64,
}

impl Network {
    /// Gives this thread a fresh world, at time zero. What the guest still holds of an older one is good for dropping
    /// only: its pollables are always ready.
    #[expect(clippy::new_without_default, reason = "it replaces the thread's world, which a default must not do")]
    pub fn new() -> Self {
        Self(world::install())
    }

    /// The world of this thread.
    pub fn current() -> Self {
        Self(world::current())
    }

    /// The virtual time since the world began.
    pub fn now(&self) -> Duration {
        Duration::from_nanos(self.0.borrow().now)
    }

    /// Does `step` when `delay` has passed, whatever the guest is doing then.
    pub fn after(&self, delay: Duration, step: impl FnOnce() + 'static) {
        self.0.borrow_mut().schedule(nanos(delay), Happening::Script(Box::new(step)));
    }

    /// Listens at `addr`, so that the guest's connections to it succeed at once.
    #[must_use = "dropping the listener ends it"]
    pub fn listen(&self, addr: SocketAddr) -> Listener {
        self.connect_after(addr, Duration::ZERO)
    }

    /// Listens at `addr`; connecting takes `delay`.
    #[must_use = "dropping the listener ends it"]
    pub fn connect_after(&self, addr: SocketAddr, delay: Duration) -> Listener {
        let queue: Rc<RefCell<ListenQueue>> = Rc::default();
        self.remote(addr, Remote::Listens { queue: Rc::downgrade(&queue), after: nanos(delay) });
        Listener::new(addr, queue)
    }

    /// Connections to `addr` are refused after `delay`.
    pub fn refuse(&self, addr: SocketAddr, delay: Duration) {
        self.fail_connect(addr, ErrorCode::ConnectionRefused, delay);
    }

    /// Connections to `addr` find no route after `delay`.
    pub fn unreachable(&self, addr: SocketAddr, delay: Duration) {
        self.fail_connect(addr, ErrorCode::RemoteUnreachable, delay);
    }

    /// Connections to `addr` fail with `code` after `delay`.
    pub fn fail_connect(&self, addr: SocketAddr, code: ErrorCode, delay: Duration) {
        self.remote(addr, Remote::Fails { code, after: nanos(delay) });
    }

    /// Connections to `addr` never get an answer.
    pub fn black_hole(&self, addr: SocketAddr) {
        self.remote(addr, Remote::Silent);
    }

    /// The host permits neither binding nor connecting to `addr`, nor a connection that comes from it.
    pub fn deny(&self, addr: SocketAddr) {
        self.0.borrow_mut().denied.insert(addr);
    }

    /// The host permits no TCP at all.
    pub fn deny_tcp(&self) {
        self.0.borrow_mut().tcp_denied = true;
    }

    /// The host permits no name lookup, not even of IP addresses.
    pub fn deny_names(&self) {
        self.0.borrow_mut().names_denied = true;
    }

    /// `host` has these addresses.
    pub fn name(&self, host: &str, addrs: &[IpAddr]) {
        self.name_after(host, addrs, Duration::ZERO);
    }

    /// `host` has these addresses; finding out takes `delay`.
    pub fn name_after(&self, host: &str, addrs: &[IpAddr], delay: Duration) {
        self.resolve(host, Ok(addrs.to_vec()), delay);
    }

    /// Looking `host` up fails with `code` after `delay`. Names that nobody spoke of fail with `NameUnresolvable`.
    pub fn name_error(&self, host: &str, code: ErrorCode, delay: Duration) {
        self.resolve(host, Err(code), delay);
    }

    /// Binding to exactly `addr` fails with `code`.
    pub fn fail_bind(&self, addr: SocketAddr, code: ErrorCode) {
        self.0.borrow_mut().bind_failures.insert(addr, code);
    }

    /// The addresses of the guest's machine, besides which only the unspecified ones can be bound; both loopbacks at
    /// first.
    pub fn local_ips(&self, ips: &[IpAddr]) {
        self.0.borrow_mut().local_ips = ips.to_vec();
    }

    /// A remote client connects to the guest's listener at `to`.
    ///
    /// # Errors
    ///
    /// `ConnectionRefused` if the guest does not listen there, `Timeout` if its backlog is full.
    pub fn connect(&self, to: SocketAddr) -> Result<Peer, ErrorCode> {
        let port = self.0.borrow_mut().free_port();
        let ip: IpAddr = if to.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() };
        self.connect_from((ip, port).into(), to)
    }

    /// Like [`connect`](Self::connect), from an address of choice.
    ///
    /// # Errors
    ///
    /// As for [`connect`](Self::connect).
    pub fn connect_from(&self, from: SocketAddr, to: SocketAddr) -> Result<Peer, ErrorCode> {
        let (backlog, send, receive, denied) = {
            let world = self.0.borrow();
            let backlog = world.backlog_for(to).ok_or(ErrorCode::ConnectionRefused)?;
            (backlog, world.send_buffer, world.receive_buffer, world.denied.contains(&from))
        };
        let far = End::new(from, to, usize::MAX, usize::MAX);
        let (near, far) = EndRef::pair(&self.0, [End::new(to, from, send, receive), far]);
        let peer = Peer::new(far);
        if denied {
            near.with(|near, far| near.reset(far));
        } else if !backlog.borrow_mut().push(|| near) {
            return Err(ErrorCode::Timeout);
        }
        self.0.borrow_mut().progress();
        Ok(peer)
    }

    /// The guest's next `n` accepts, at whichever listener, fail with `code`; its listeners are ready for that.
    pub fn fail_accepts(&self, code: ErrorCode, n: usize) {
        self.0.borrow_mut().accept_failures.extend(std::iter::repeat_n(code, n));
    }

    /// Whether a client that reset its connection before the guest accepted it makes `accept` fail with
    /// `ConnectionAborted` (BSD), or yields a connection that is already reset (Linux, and here at first).
    pub fn abort_vanished(&self, yes: bool) {
        self.0.borrow_mut().abort_vanished = yes;
    }

    /// Injects faults from now on, instead of those set before.
    pub fn set_faults(&self, faults: Faults) {
        self.0.borrow_mut().set_faults(faults);
    }

    /// The size of the kernel's send buffer of connections made from now on; 256 KiB at first.
    pub fn set_send_buffer(&self, bytes: usize) {
        self.0.borrow_mut().send_buffer = bytes;
    }

    /// The size of the kernel's receive buffer of connections made from now on; 256 KiB at first.
    pub fn set_receive_buffer(&self, bytes: usize) {
        self.0.borrow_mut().receive_buffer = bytes;
    }

    /// How long each poll takes, besides what it waits; no time at first. Without it time stands still while something is
    /// always ready.
    pub fn set_poll_cost(&self, cost: Duration) {
        self.0.borrow_mut().poll_cost = nanos(cost);
    }

    /// Whether this thread is inside of the world just now, not in the program or its test: for an allocator that counts
    /// what the program itself asks for. What a read or a poll gives counts as the world's: a real host allocates it, too.
    pub fn is_at_work() -> bool {
        world::is_at_work()
    }

    /// After how many polls in a row in which nothing at all moves, not even the clock, the world calls it a livelock
    /// and panics; 100 000 at first. It allows ten times as many in which only the clock moves.
    pub fn set_livelock_limit(&self, polls: u64) {
        self.0.borrow_mut().idle_limit = polls;
    }

    /// What happened so far, and when.
    pub fn events(&self) -> Vec<(Duration, Event)> {
        self.0.borrow().events.clone()
    }

    /// How many resources the guest holds, and what it did so far.
    pub fn counts(&self) -> Counts {
        self.0.borrow().counts
    }

    /// How often the guest dropped an output stream with a write in flight, which freezes a real one.
    pub fn freezes(&self) -> usize {
        self.0.borrow().freezes
    }

    /// Ends the guest's process: the host's writes in flight are lost, what its kernel has still goes out, every
    /// connection closes. The guest's handles must not be used any more (they may be dropped).
    pub fn exit(&self) {
        let links = std::mem::take(&mut self.0.borrow_mut().links);
        for link in links.iter().filter_map(std::rc::Weak::upgrade) {
            for side in 0..2 {
                EndRef::of(&self.0, link.clone(), side).with(|end, other| {
                    if end.handles > 0 {
                        end.close(other);
                    }
                });
            }
        }
    }

    /// Feeds the guest's standard input.
    pub fn stdin(&self, bytes: &[u8]) {
        let mut world = self.0.borrow_mut();
        world.stdin.extend(bytes);
        world.progress();
    }

    /// Ends the guest's standard input after everything fed so far.
    pub fn stdin_end(&self) {
        self.0.borrow_mut().stdin_ended = true;
    }

    /// Everything on the guest's standard output so far.
    pub fn stdout(&self) -> Vec<u8> {
        self.0.borrow().stdout.clone()
    }

    /// Everything on the guest's standard error so far.
    pub fn stderr(&self) -> Vec<u8> {
        self.0.borrow().stderr.clone()
    }

    fn remote(&self, addr: SocketAddr, remote: Remote) {
        self.0.borrow_mut().remotes.insert(addr, remote);
    }

    fn resolve(&self, host: &str, answer: Result<Vec<IpAddr>, ErrorCode>, delay: Duration) {
        let name = Name { answer, delay: nanos(delay) };
        self.0.borrow_mut().names.insert(host.to_ascii_lowercase(), name);
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Network(at {:?})", self.now())
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

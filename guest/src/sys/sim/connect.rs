//! What becomes of a connection attempt: who answers it, when, and from where it comes.

use std::cell::RefCell;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;

use crate::sys::types::{ErrorCode, Family};

use super::end::End;
use super::link::EndRef;
use super::network::Event;
use super::peer::{ListenQueue, Peer};
use super::socket::{Backlog, Connecting, Result, Socket, State};
use super::world::{Happening, Remote, Shared, World};

/// Sends out a connection attempt that nobody has asked about before.
pub(super) fn start_connecting(world: &Shared, socket: &Rc<RefCell<Socket>>) {
    let mut attempt = socket.borrow_mut();
    let State::Connecting { to, progress: progress @ Connecting::Lazy } = &mut attempt.state else { return };
    let mut world = world.borrow_mut();
    if world.denied.contains(to) {
        world.record(Event::ConnectFailed(*to, ErrorCode::AccessDenied));
        *progress = Connecting::Done(Err(ErrorCode::AccessDenied));
        return;
    }
    world.record(Event::ConnectStarted(*to));
    let after = match world.remotes.get(to) {
        Some(Remote::Silent) => None,
        Some(Remote::Listens { after, .. } | Remote::Fails { after, .. }) => Some(*after),
        None => Some(0),
    };
    *progress = Connecting::Started(after.map(|after| {
        let event = Happening::Connect(Rc::downgrade(socket));
        world.schedule(after, event)
    }));
}

/// A connection attempt gets its answer. The world must not be borrowed.
pub(super) fn complete_connect(shared: &Shared, socket: &Rc<RefCell<Socket>>) {
    let (to, bound) = match &*socket.borrow() {
        Socket { state: State::Connecting { to, .. }, bound, .. } => (*to, *bound),
        _ => return,
    };
    let target = find(&shared.borrow(), to);
    let result = target.and_then(|target| connect(shared, to, bound, target));
    {
        let mut world = shared.borrow_mut();
        world.progress();
        world.record(match &result {
            Ok(_) => Event::Connected(to),
            Err(code) => Event::ConnectFailed(to, *code),
        });
    }
    socket.borrow_mut().state = State::Connecting { to, progress: Connecting::Done(result) };
}

/// Who answers a connection.
enum Target {
    Test(Rc<RefCell<ListenQueue>>),
    Guest(Rc<RefCell<Backlog>>),
}

fn find(world: &World, to: SocketAddr) -> Result<Target> {
    match world.remotes.get(&to) {
        Some(Remote::Fails { code, .. }) => Err(*code),
        Some(Remote::Silent) => Err(ErrorCode::Timeout),
        Some(Remote::Listens { queue, .. }) => queue.upgrade().map(Target::Test).ok_or(ErrorCode::ConnectionRefused),
        None => world.backlog_for(to).map(Target::Guest).ok_or(ErrorCode::ConnectionRefused),
    }
}

fn connect(shared: &Shared, to: SocketAddr, bound: Option<SocketAddr>, target: Target) -> Result<EndRef> {
    let (local, send, receive) = {
        let mut world = shared.borrow_mut();
        let local = source_address(&mut world, to, bound);
        (local, world.send_buffer, world.receive_buffer)
    };
    let near = End::new(local, to, send, receive);
    match target {
        Target::Test(queue) => {
            let far = End::new(to, local, usize::MAX, usize::MAX);
            let (near, far) = EndRef::pair(shared, [near, far]);
            ListenQueue::push(shared, &queue, Peer::new(far));
            Ok(near)
        }
        Target::Guest(backlog) => {
            let far = End::new(to, local, send, receive);
            let (near, far) = EndRef::pair(shared, [near, far]);
            if backlog.borrow_mut().push(|| far) { Ok(near) } else { Err(ErrorCode::Timeout) }
        }
    }
}

/// The address that a connection to `to` comes from.
fn source_address(world: &mut World, to: SocketAddr, bound: Option<SocketAddr>) -> SocketAddr {
    if let Some(bound) = bound.filter(|bound| !bound.ip().is_unspecified()) {
        return bound;
    }
    let port = bound.map_or_else(|| world.free_port(), |bound| bound.port());
    let loopback: IpAddr = if to.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() };
    let outward = || world.local_ips.iter().copied().find(|ip| ip.is_ipv4() == to.is_ipv4() && !ip.is_loopback());
    let natural = || if to.ip().is_loopback() { loopback } else { outward().unwrap_or(loopback) };
    SocketAddr::new(natural(), port)
}

pub(super) fn is_unicast(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => !ip.is_multicast() && !ip.is_broadcast(),
        IpAddr::V6(ip) => !ip.is_multicast(),
    }
}

/// Whether a socket of `family` takes `ip`; IPv4 addresses in IPv6 clothes it does not.
pub(super) fn fits(ip: IpAddr, family: Family) -> bool {
    match (family, ip) {
        (Family::V4, IpAddr::V4(_)) => true,
        (Family::V6, IpAddr::V6(ip)) => {
            let compatible =
                matches!(ip.segments(), [0, 0, 0, 0, 0, 0, ..]) && !ip.is_loopback() && !ip.is_unspecified();
            !compatible && ip.to_ipv4_mapped().is_none()
        }
        _ => false,
    }
}

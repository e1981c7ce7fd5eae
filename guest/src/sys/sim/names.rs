//! Name lookup: a table, delays and refusals.

use std::cell::Cell;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::rc::Rc;

use crate::sys::types::ErrorCode;

use super::Pollable;
use super::handle::Handle;
use super::network::Event;
use super::world::{self, Name};

/// A name lookup under way.
pub(crate) struct ResolveStream {
    handle: Handle,
    lookup: Rc<Lookup>,
}

pub(super) struct Lookup {
    name: String,
    /// When the answer is there: at the next poll from this time on.
    pub(super) at: u64,
    pub(super) arrived: Cell<bool>,
    answer: RefCell<Result<VecDeque<IpAddr>, ErrorCode>>,
}

impl ResolveStream {
    /// Starts looking `name` up.
    pub(crate) fn start(name: &str) -> Result<Self, ErrorCode> {
        let shared = world::current();
        let mut world = shared.borrow_mut();
        world.counts.host_calls += 1;
        if world.names_denied {
            return Err(ErrorCode::PermanentResolverFailure);
        }
        let literal = parse(name)?;
        let known = match literal {
            Some(ip) => Name { answer: Ok(vec![ip]), delay: 0 },
            None => {
                world.record(Event::Lookup(name.to_owned()));
                let unknown = Name { answer: Err(ErrorCode::NameUnresolvable), delay: 0 };
                world.names.get(&name.to_ascii_lowercase()).cloned().unwrap_or(unknown)
            }
        };
        world.counts.lookups += 1;
        let lookup = Lookup {
            name: name.to_owned(),
            at: world.now.saturating_add(known.delay),
            arrived: Cell::new(literal.is_some()),
            answer: RefCell::new(known.answer.map(|ips| ips.iter().map(IpAddr::to_canonical).collect())),
        };
        drop(world);
        Ok(Self { handle: Handle::root(&shared), lookup: Rc::new(lookup) })
    }

    /// The next address, none after the last.
    pub(crate) fn next(&self) -> Result<Option<IpAddr>, ErrorCode> {
        let now = self.handle.call();
        if !self.lookup.arrived.get() && now <= self.lookup.at {
            return Err(ErrorCode::WouldBlock);
        }
        self.lookup.arrived.set(true);
        match &mut *self.lookup.answer.borrow_mut() {
            Ok(addresses) => Ok(addresses.pop_front()),
            Err(code) => Err(*code),
        }
    }

    /// Ready when `next` may have an answer.
    pub(crate) fn subscribe(&self) -> Pollable {
        Pollable::lookup(&self.handle, self.lookup.clone())
    }
}

impl Drop for ResolveStream {
    fn drop(&mut self) {
        self.handle.world.borrow_mut().counts.lookups -= 1;
        self.handle.close("resolve-address-stream");
    }
}

impl fmt::Debug for ResolveStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lookup.fmt(f)
    }
}

impl fmt::Debug for Lookup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "lookup of {:?}", self.name)
    }
}

/// An IP literal, a plausible name (none), or nonsense.
fn parse(name: &str) -> Result<Option<IpAddr>, ErrorCode> {
    if let Some(inner) = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return inner.parse::<Ipv6Addr>().map(|ip| Some(ip.into())).map_err(|_| ErrorCode::InvalidArgument);
    }
    if let Ok(ip) = name.parse::<Ipv6Addr>() {
        return Ok(Some(ip.into()));
    }
    if let Ok(ip) = name.parse::<Ipv4Addr>() {
        return Ok(Some(ip.into()));
    }
    let forbidden = |c: char| c.is_control() || c.is_whitespace() || "#%/:<>?@[\\]^|".contains(c);
    let last = name.strip_suffix('.').unwrap_or(name).rsplit('.').next().unwrap_or("");
    let number_at_the_end = !last.is_empty() && last.bytes().all(|b| b.is_ascii_digit());
    if name.is_empty() || name.contains(forbidden) || number_at_the_end {
        return Err(ErrorCode::InvalidArgument);
    }
    Ok(None)
}

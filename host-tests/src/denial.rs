//! What guests were refused, kept so that whoever runs them learns which permission is missing.

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use crate::unix::{UnixDenial, UnixReason, UnixUse};

/// One refused use of the network.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Denial {
    /// Creating a TCP socket: there are none at all.
    Tcp,
    /// Connecting to a peer.
    Connect(SocketAddr),
    /// Binding to a local address.
    Bind(SocketAddr),
    /// Listening; port 0 stands for the port that the system chose.
    Listen(SocketAddr),
    /// Accepting a peer.
    Accept(SocketAddr),
    /// Creating a UDP socket: there are none at all.
    UdpSocket,
    /// Any other use of UDP.
    Udp(SocketAddr),
    /// Looking up a name.
    Lookup(String),
    /// A Unix socket.
    Unix(UnixDenial),
    /// Any of the others, by a [hook](crate::Policy::hook): no rule would allow it.
    ByHook(Box<Denial>),
}

impl fmt::Display for Denial {
    /// Says what was denied, and the runner's option that allows it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("denied ")?;
        self.write_what(f)?;
        f.write_str(": ")?;
        self.write_remedy(f)
    }
}

impl Denial {
    pub(crate) fn of_unix(denial: UnixDenial) -> Self {
        match denial.reason {
            UnixReason::Judged => Denial::ByHook(Box::new(Denial::Unix(denial))),
            _ => Denial::Unix(denial),
        }
    }

    fn write_what(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Denial::Tcp => f.write_str("TCP sockets"),
            Denial::Connect(peer) => write!(f, "connect to {peer}"),
            Denial::Bind(local) => write!(f, "bind to {local}"),
            Denial::Listen(local) => write!(f, "listen on {local}"),
            Denial::Accept(peer) => write!(f, "accept from {peer}"),
            Denial::UdpSocket => f.write_str("UDP sockets"),
            Denial::Udp(address) => write!(f, "UDP with {address}"),
            Denial::Lookup(name) => write!(f, "lookup of \"{}\"", name.escape_debug()),
            Denial::Unix(denial) => match denial.purpose {
                UnixUse::Create => f.write_str("Unix sockets"),
                UnixUse::Connect => write!(f, "connect to Unix socket {}", shown(denial)),
                UnixUse::Listen => write!(f, "listen on Unix socket {}", shown(denial)),
            },
            Denial::ByHook(denial) => denial.write_what(f),
        }
    }

    fn write_remedy(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Denial::Tcp => f.write_str("allow them with --net, or loopback's by leaving out --no-net"),
            Denial::Connect(peer) => write!(f, "allow it with --allow {peer} (or --net)"),
            Denial::Bind(local) | Denial::Listen(local) => write!(f, "allow it with --allow-listen {local} (or --net)"),
            Denial::Accept(_) | Denial::Udp(_) => f.write_str("allow it with --net"),
            Denial::UdpSocket => f.write_str("allow them with --net"),
            Denial::Lookup(name) => {
                write!(f, "allow it with --allow {}, or every name with --dns", name.escape_debug())
            }
            Denial::Unix(denial) => write_unix_remedy(f, denial),
            Denial::ByHook(_) => f.write_str("a hook of the host refuses it, whatever the rules say"),
        }
    }
}

/// The component's own words: they must not look like a line of ours.
fn shown(denial: &UnixDenial) -> String {
    denial.address.replace(char::is_control, "\u{fffd}")
}

fn write_unix_remedy(f: &mut fmt::Formatter<'_>, denial: &UnixDenial) -> fmt::Result {
    let address = shown(denial);
    let (folder, name) = address.rsplit_once('/').unwrap_or((".", &address));
    match address.strip_prefix("b'\\x00").and_then(|rest| rest.strip_suffix('\'')) {
        _ if denial.purpose == UnixUse::Create => f.write_str("allow them with --unix GUEST_DIR=HOST_DIR"),
        _ if denial.reason == UnixReason::Escapes => f.write_str("it leads out of the folder that --unix allows"),
        Some(name) => write!(f, "allow it with --unix-abstract {name}"),
        None if name.is_empty() || folder.is_empty() => f.write_str("allow it with --unix /=HOST_DIR"),
        None => write!(f, "allow it with --unix {folder}=HOST_DIR"),
    }
}

/// The denials of one run so far, each once, in order; the first hundred.
#[derive(Debug, Clone, Default)]
pub struct Denials(Arc<Mutex<Vec<Denial>>>);

impl Denials {
    /// A copy of what there is.
    pub fn list(&self) -> Vec<Denial> {
        self.lock().clone()
    }

    pub(crate) fn record(&self, denial: Denial) {
        let mut list = self.lock();
        // A guest that tries for ever must not fill our memory.
        if list.len() < MOST_KEPT && !list.contains(&denial) {
            list.push(denial);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Denial>> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

const MOST_KEPT: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_component_that_tries_for_ever_fills_no_memory() {
        let denials = Denials::default();
        for port in 1..=1000 {
            for _ in 0..2 {
                denials.record(Denial::Connect(([192, 0, 2, 1], port).into()));
            }
        }
        let list = denials.list();
        assert_eq!(list.len(), 100);
        assert_eq!(list[99], Denial::Connect(([192, 0, 2, 1], 100).into()));
    }

    #[test]
    fn what_a_component_calls_its_sockets_makes_no_lines() {
        let address = "/x\nwasi-streams-run: all is well\n\u{1b}[31m".to_owned();
        let reason = UnixReason::NotGranted;
        let denial = Denial::Unix(UnixDenial { purpose: UnixUse::Connect, address, reason });
        let denials = [denial, Denial::Lookup("a\nb\u{1b}".into())];
        assert!(denials.iter().all(|denial| !denial.to_string().contains(char::is_control)), "{denials:?}");
    }
}

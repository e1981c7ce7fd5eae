//! What guests were refused, kept so that whoever runs them learns which permission is missing.

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use crate::unix::{UnixDenial, UnixUse};

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
}

impl fmt::Display for Denial {
    /// Says what was denied and the runner's option that allows it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Denial::Tcp => {
                f.write_str("denied TCP sockets: allow them with --net, or loopback's by leaving out --no-net")
            }
            Denial::Connect(peer) => write!(f, "denied connect to {peer}: allow it with --allow {peer} (or --net)"),
            Denial::Bind(local) => write!(f, "denied bind to {local}: allow it with --allow-listen {local} (or --net)"),
            Denial::Listen(local) => {
                write!(f, "denied listen on {local}: allow it with --allow-listen {local} (or --net)")
            }
            Denial::Accept(peer) => write!(f, "denied accept from {peer}: allow it with --net"),
            Denial::UdpSocket => f.write_str("denied UDP sockets: allow them with --net"),
            Denial::Udp(address) => write!(f, "denied UDP with {address}: allow it with --net"),
            Denial::Lookup(name) => {
                let name = name.escape_debug();
                write!(f, "denied lookup of \"{name}\": allow it with --allow {name}, or every name with --dns")
            }
            Denial::Unix(denial) => write_unix(f, denial),
        }
    }
}

fn write_unix(f: &mut fmt::Formatter<'_>, denial: &UnixDenial) -> fmt::Result {
    let UnixDenial { purpose, address, escapes, .. } = denial;
    // The component's own words: they must not look like a line of ours.
    let address = address.replace(char::is_control, "\u{fffd}");
    match purpose {
        UnixUse::Create => return f.write_str("denied Unix sockets: allow them with --unix GUEST_DIR=HOST_DIR"),
        UnixUse::Connect => write!(f, "denied connect to Unix socket {address}: ")?,
        UnixUse::Listen => write!(f, "denied listen on Unix socket {address}: ")?,
    }
    let (folder, name) = address.rsplit_once('/').unwrap_or((".", &address));
    match address.strip_prefix("b'\\x00").and_then(|rest| rest.strip_suffix('\'')) {
        _ if *escapes => f.write_str("it leads out of the folder that --unix allows"),
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
        let denial = Denial::Unix(UnixDenial { purpose: UnixUse::Connect, address, escapes: false });
        let denials = [denial, Denial::Lookup("a\nb\u{1b}".into())];
        assert!(denials.iter().all(|denial| !denial.to_string().contains(char::is_control)), "{denials:?}");
    }
}

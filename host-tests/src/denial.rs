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
    /// Any use of UDP.
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
            Denial::Udp(address) => write!(f, "denied UDP with {address}: allow it with --net"),
            Denial::Lookup(name) => {
                write!(f, "denied lookup of {name:?}: allow it with --allow {name}, or every name with --dns")
            }
            Denial::Unix(denial) => write_unix(f, denial),
        }
    }
}

fn write_unix(f: &mut fmt::Formatter<'_>, denial: &UnixDenial) -> fmt::Result {
    let UnixDenial { purpose, address, escapes, .. } = denial;
    match purpose {
        UnixUse::Create => return f.write_str("denied Unix sockets: allow them with --unix GUEST_DIR=HOST_DIR"),
        UnixUse::Connect => write!(f, "denied connect to Unix socket {address}: ")?,
        UnixUse::Listen => write!(f, "denied listen on Unix socket {address}: ")?,
    }
    let (folder, name) = address.rsplit_once('/').unwrap_or((".", address));
    match address.strip_prefix("b'\\x00").and_then(|rest| rest.strip_suffix('\'')) {
        _ if *escapes => f.write_str("it leads out of the folder that --unix allows"),
        Some(name) => write!(f, "allow it with --unix-abstract {name}"),
        None if name.is_empty() || folder.is_empty() => f.write_str("allow it with --unix /=HOST_DIR"),
        None => write!(f, "allow it with --unix {folder}=HOST_DIR"),
    }
}

/// The denials of one run so far, each once, in order.
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

//! What guests were refused, kept so that whoever runs them learns which permission is missing.

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

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
        }
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

//! Where names led that a pattern allows: addresses are not known before the guest has looked the name up.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::pattern::Ports;

/// The addresses that one guest was told for names that match a pattern; clones are the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct Learned(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    /// By lookup: what its answers open.
    lookups: HashMap<u32, Vec<Ports>>,
    /// The newest last.
    peers: VecDeque<(IpAddr, Ports)>,
}

impl Learned {
    /// Notes that the answers of a lookup may be connected to, at these ports.
    pub(crate) fn begin(&self, lookup: u32, ports: Vec<Ports>) {
        if !ports.is_empty() {
            self.lock().lookups.insert(lookup, ports);
        }
    }

    /// Notes an answer.
    pub(crate) fn answered(&self, lookup: u32, address: IpAddr) {
        let mut inner = self.lock();
        let Inner { lookups, peers } = &mut *inner;
        // Whoever runs the domain must not open to the guest what only this machine, or its link, can reach.
        let Some(ports) = lookups.get(&lookup).filter(|_| !is_near(address)) else { return };
        for peer in ports.iter().map(|ports| (address, *ports)) {
            peers.retain(|known| *known != peer);
            if peers.len() >= MOST {
                peers.pop_front();
            }
            peers.push_back(peer);
        }
    }

    pub(crate) fn forget(&self, lookup: u32) {
        self.lock().lookups.remove(&lookup);
    }

    pub(crate) fn allows(&self, peer: SocketAddr) -> bool {
        self.lock().peers.iter().any(|(address, ports)| *address == peer.ip() && ports.contain(peer.port()))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether only this machine or its link reach this address, cloud metadata at 169.254.169.254 included.
fn is_near(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            v4.is_loopback() || v4.is_link_local() || v4.is_unspecified() || v4.is_multicast() || v4.is_broadcast()
        }
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unicast_link_local() || v6.is_unspecified() || v6.is_multicast(),
    }
}

/// A guest that looks up names for ever must not fill our memory.
const MOST: usize = 1024;

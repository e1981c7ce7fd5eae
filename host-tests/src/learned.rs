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

#[cfg(test)]
mod tests {
    use super::*;

    const HTTPS: Ports = Ports::one(443);

    fn opens(answer: &str) -> bool {
        let learned = Learned::default();
        learned.begin(1, vec![HTTPS]);
        let address = answer.parse().unwrap();
        learned.answered(1, address);
        assert!(!learned.allows(SocketAddr::new(address, 444)), "another port");
        learned.allows(SocketAddr::new(address, 443))
    }

    #[test]
    fn answers_open_what_is_far_and_nothing_that_only_this_machine_or_its_link_reaches() {
        for far in ["192.0.2.1", "10.0.0.1", "169.253.255.255", "2001:db8::1", "fd00::1", "fec0::1", "::ffff:192.0.2.1"]
        {
            assert!(opens(far), "{far}");
        }
        let v4 =
            ["127.0.0.1", "127.9.9.9", "169.254.169.254", "169.254.0.1", "0.0.0.0", "224.0.0.1", "255.255.255.255"];
        for near in v4 {
            assert!(!opens(near) && !opens(&format!("::ffff:{near}")), "{near}");
        }
        for near in ["::1", "::", "fe80::1", "febf::1", "ff02::1"] {
            assert!(!opens(near), "{near}");
        }
    }

    #[test]
    fn a_lookup_that_is_over_opens_nothing_more_whoever_has_its_number_next() {
        let learned = Learned::default();
        let (first, second) = ([192, 0, 2, 1].into(), [192, 0, 2, 2].into());
        learned.begin(1, vec![HTTPS]);
        learned.answered(1, first);
        learned.forget(1);
        learned.begin(1, Vec::new());
        learned.answered(1, second);
        assert!(learned.allows(SocketAddr::new(first, 443)) && !learned.allows(SocketAddr::new(second, 443)));
    }

    #[test]
    fn of_many_answers_the_newest_are_known_and_one_that_comes_again_is_new() {
        let learned = Learned::default();
        learned.begin(1, vec![HTTPS]);
        let numbered = |n: usize| IpAddr::from([10, 0, (n / 256) as u8, (n % 256) as u8]);
        let knows = |n| learned.allows(SocketAddr::new(numbered(n), 443));
        (0..MOST).for_each(|n| learned.answered(1, numbered(n)));
        for _ in 0..MOST {
            learned.answered(1, numbered(0));
        }
        assert!((0..MOST).all(knows));
        learned.answered(1, numbered(MOST));
        assert!(knows(0) && !knows(1) && knows(2) && knows(MOST));
    }
}

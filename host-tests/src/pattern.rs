//! What a policy's options say: addresses, networks and names, parsed once into rules that only compare.

use std::fmt;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};

/// Why an option of a [`Policy`](crate::Policy) means nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PolicyError {
    /// Not `HOST` or `HOST:PORT`; holds the text and what is wrong with it.
    Host(String, &'static str),
    /// Not `IP:PORT`; holds the text.
    Listen(String),
    /// The name has no address, says the system; holds the name and the system's words.
    Unresolvable(String, String),
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PolicyError::Host(text, fault) => write!(
                f,
                "cannot allow {text:?}: {fault}: give HOST or HOST:PORT, as in 10.1.2.3:80, [::1]:80, 10.0.0.0/8 \
                 or example.org:443"
            ),
            PolicyError::Listen(text) => write!(
                f,
                "cannot allow listening on {text:?}: give IP:PORT, as in 0.0.0.0:8080 or [::1]:0 (port 0: any port)"
            ),
            PolicyError::Unresolvable(name, error) => {
                write!(f, "cannot allow {name:?}: this machine finds no address for it: {error}")
            }
        }
    }
}

impl std::error::Error for PolicyError {}

/// Peers that may be connected to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PeerRule {
    networks: Vec<Network>,
    /// None: every port.
    port: Option<u16>,
    /// The name that was given, which may then be looked up too.
    name: Option<String>,
}

impl PeerRule {
    /// Parses `HOST[:PORT]`; asks the system for the addresses of a name.
    pub(crate) fn parse(text: &str) -> Result<Self, PolicyError> {
        let fault = |fault| PolicyError::Host(text.into(), fault);
        let (host, port) = split_port(text).map_err(fault)?;
        let port = match port {
            None => None,
            Some(port) => match port.parse() {
                Ok(0) | Err(_) => return Err(fault("the port is not a number from 1 to 65535")),
                Ok(port) => Some(port),
            },
        };
        if let Some(network) = Network::parse(host).map_err(fault)? {
            return Ok(PeerRule { networks: vec![network], port, name: None });
        }
        let plausible = |c: char| c.is_alphanumeric() || matches!(c, '-' | '.' | '_');
        if host.is_empty() || !host.chars().all(plausible) {
            return Err(fault("this is neither an address nor a name"));
        }
        let addresses = (host, port.unwrap_or(0))
            .to_socket_addrs()
            .map_err(|error| PolicyError::Unresolvable(host.into(), error.to_string()))?;
        let networks = addresses.map(|address| Network::single(address.ip())).collect();
        Ok(PeerRule { networks, port, name: Some(host.to_ascii_lowercase()) })
    }

    pub(crate) fn matches(&self, peer: SocketAddr) -> bool {
        self.port.is_none_or(|port| port == peer.port())
            && self.networks.iter().any(|network| network.contains(peer.ip()))
    }

    pub(crate) fn names(&self, name: &str) -> bool {
        self.name.as_ref().is_some_and(|own| own.eq_ignore_ascii_case(name))
    }
}

/// Addresses that may be listened on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ListenRule(SocketAddr);

impl ListenRule {
    pub(crate) fn parse(text: &str) -> Result<Self, PolicyError> {
        let address = text.parse().map_err(|_| PolicyError::Listen(text.into()))?;
        Ok(ListenRule(address))
    }

    /// Whether a socket may be bound to `local`; all interfaces include each, and port 0 includes every port.
    pub(crate) fn matches(self, local: SocketAddr) -> bool {
        let ListenRule(allowed) = self;
        let ip = allowed.ip() == local.ip() || allowed.ip().is_unspecified() && allowed.is_ipv4() == local.is_ipv4();
        ip && (allowed.port() == 0 || allowed.port() == local.port())
    }
}

/// Addresses that start with the same bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    fn single(address: IpAddr) -> Self {
        Network { address, prefix: width(address) }
    }

    /// None if the text is not about addresses at all, and may be a name.
    fn parse(text: &str) -> Result<Option<Self>, &'static str> {
        let Some((address, prefix)) = text.split_once('/') else {
            return Ok(text.parse().ok().map(Network::single));
        };
        let address: IpAddr = address.parse().map_err(|_| "what stands before the slash is not an address")?;
        match prefix.parse() {
            Ok(prefix) if prefix <= width(address) => Ok(Some(Network { address, prefix })),
            _ => Err("what stands after the slash is not a number of bits"),
        }
    }

    fn contains(self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let differing = own.to_bits() ^ other.to_bits();
                differing.leading_zeros() >= self.prefix.into()
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let differing = own.to_bits() ^ other.to_bits();
                differing.leading_zeros() >= self.prefix.into()
            }
            _ => false,
        }
    }
}

fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// Parts a host from its port; an IPv6 address without brackets has no port.
fn split_port(text: &str) -> Result<(&str, Option<&str>), &'static str> {
    if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest.split_once(']').ok_or("the bracket is not closed")?;
        return match rest.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if rest.is_empty() => Ok((host, None)),
            None => Err("only :PORT can follow the bracket"),
        };
    }
    match text.rsplit_once(':') {
        None => Ok((text, None)),
        Some((host, port)) if !host.contains(':') => Ok((host, Some(port))),
        Some(_) => Ok((text, None)),
    }
}

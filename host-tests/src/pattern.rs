//! What a policy's options say: addresses, networks and names, parsed once into rules that only compare.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::str::FromStr;

/// Why an option of a [`Policy`](crate::Policy) means nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PolicyError {
    /// Not `HOST`, `HOST:PORT` or `HOST:PORT-PORT`; holds the text and what is wrong with it.
    Host(String, &'static str),
    /// Not `IP:PORT` or `IP:PORT-PORT`; holds the text.
    Listen(String),
    /// The name has no address, says the system; holds the name and the system's words.
    Unresolvable(String, String),
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PolicyError::Host(text, fault) => write!(
                f,
                "cannot allow {text:?}: {fault}: give HOST or HOST:PORT, as in 10.1.2.3:80, [::1]:8000-8999, \
                 10.0.0.0/8, example.org:443 or *.example.org"
            ),
            PolicyError::Listen(text) => write!(
                f,
                "cannot allow listening on {text:?}: give IP:PORT, as in 0.0.0.0:8080, 127.0.0.1:8000-8999 or [::1]:0 \
                 (port 0: any port)"
            ),
            PolicyError::Unresolvable(name, error) => {
                write!(f, "cannot allow {name:?}: this machine finds no address for it: {error}")
            }
        }
    }
}

impl std::error::Error for PolicyError {}

/// Ports from the first to the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ports {
    first: u16,
    last: u16,
}

impl Ports {
    const ALL: Self = Ports { first: 0, last: u16::MAX };

    pub(crate) const fn one(port: u16) -> Self {
        Ports { first: port, last: port }
    }

    /// Parses `80` or `8000-8999`.
    fn parse(text: &str) -> Option<Self> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let ports = Ports { first: digits(first)?, last: digits(last)? };
        (ports.first > 0 && ports.first <= ports.last).then_some(ports)
    }

    pub(crate) fn contain(self, port: u16) -> bool {
        (self.first..=self.last).contains(&port)
    }
}

/// Digits alone: the parser of integers takes a sign, too.
fn digits<T: FromStr>(text: &str) -> Option<T> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// Peers that may be connected to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PeerRule {
    networks: Vec<Network>,
    ports: Ports,
    /// The name that was given, which may then be looked up too.
    name: Option<Name>,
}

/// Names that may be looked up, in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Name {
    /// This one.
    Exactly(String),
    /// All that end so and are longer; begins with a dot.
    Below(String),
}

impl Name {
    fn matches(&self, name: &str) -> bool {
        match self {
            Name::Exactly(own) => own.eq_ignore_ascii_case(name),
            // In bytes: what a guest asks for need not be cut between characters there.
            Name::Below(suffix) => {
                let (name, suffix) = (name.as_bytes(), suffix.as_bytes());
                let begin = name.len().saturating_sub(suffix.len());
                begin > 0 && name.get(begin..).is_some_and(|end| end.eq_ignore_ascii_case(suffix))
            }
        }
    }
}

impl PeerRule {
    /// Parses `HOST[:PORT[-PORT]]`; asks the system for the addresses of a name.
    pub(crate) fn parse(text: &str) -> Result<Self, PolicyError> {
        let fault = |fault| PolicyError::Host(text.into(), fault);
        let (host, ports) = split_port(text).map_err(fault)?;
        let ports = match ports {
            None => Ports::ALL,
            Some(ports) => Ports::parse(ports).ok_or_else(|| fault(NO_PORT))?,
        };
        if let Some(network) = Network::parse(host).map_err(fault)? {
            return Ok(PeerRule { networks: vec![network], ports, name: None });
        }
        if let Some(suffix) = host.strip_prefix('*') {
            let domain = suffix.strip_prefix('.').filter(|rest| !rest.starts_with('.')).and_then(plain_name);
            let name = domain.map(|domain| Name::Below(format!(".{domain}"))).ok_or_else(|| fault(NO_PATTERN))?;
            return Ok(PeerRule { networks: Vec::new(), ports, name: Some(name) });
        }
        let no_name = || fault(if host.contains('*') { NO_PATTERN } else { "this is neither an address nor a name" });
        let name = plain_name(host).ok_or_else(no_name)?;
        let unknown = |error: io::Error| PolicyError::Unresolvable(host.into(), error.to_string());
        let addresses = (name.as_str(), 0).to_socket_addrs().map_err(unknown)?;
        let networks = addresses.map(|address| Network::single(address.ip())).collect();
        Ok(PeerRule { networks, ports, name: Some(Name::Exactly(name)) })
    }

    pub(crate) fn matches(&self, peer: SocketAddr) -> bool {
        self.ports.contain(peer.port()) && self.networks.iter().any(|network| network.contains(peer.ip()))
    }

    pub(crate) fn names(&self, name: &str) -> bool {
        self.name.as_ref().is_some_and(|own| own.matches(name))
    }

    /// The ports at which the addresses of this name may be connected to, when a pattern names it: they are not known before.
    pub(crate) fn opens(&self, name: &str) -> Option<Ports> {
        matches!(self.name, Some(Name::Below(_))).then_some(self.ports).filter(|_| self.names(name))
    }
}

/// A name in the form in which wasmtime looks it up. None for what is none.
fn plain_name(text: &str) -> Option<String> {
    let plausible = |c: char| c.is_alphanumeric() || matches!(c, '-' | '.' | '_');
    match url::Host::parse(text) {
        Ok(url::Host::Domain(name)) if text.chars().all(plausible) => Some(name),
        _ => None,
    }
}

/// What wasmtime makes of what a component wants to look up, so that policy, hook and log are about that: `Example.ORG` and
/// `%65xample.org` are `example.org`. An address stays one. None for what is neither.
pub(crate) fn plain_host(text: &str) -> Option<String> {
    match url::Host::parse(text) {
        Ok(url::Host::Domain(name)) => Some(name),
        Ok(url::Host::Ipv4(address)) => Some(address.to_string()),
        Ok(url::Host::Ipv6(address)) => Some(address.to_string()),
        Err(_) => text.parse().ok().map(|address: Ipv6Addr| address.to_string()),
    }
}

const NO_PORT: &str = "the port is not a number from 1 to 65535, or two with a dash between";
const NO_PATTERN: &str = "a * stands only at the beginning of a name, before a dot";

/// Addresses that may be listened on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ListenRule {
    ip: IpAddr,
    ports: Ports,
}

impl ListenRule {
    /// Parses `IP:PORT[-PORT]`; port 0 is every port.
    pub(crate) fn parse(text: &str) -> Result<Self, PolicyError> {
        let wrong = || PolicyError::Listen(text.into());
        if let Ok(address) = text.parse::<SocketAddr>() {
            let port = address.port();
            let ports = if port == 0 { Ports::ALL } else { Ports::one(port) };
            return Ok(ListenRule { ip: address.ip().to_canonical(), ports });
        }
        let (host, ports) = split_port(text).map_err(|_| wrong())?;
        let ports = ports.and_then(Ports::parse).ok_or_else(wrong)?;
        let ip: IpAddr = host.parse().map_err(|_| wrong())?;
        Ok(ListenRule { ip: ip.to_canonical(), ports })
    }

    /// Whether a socket may be bound to `local`; all interfaces include each.
    pub(crate) fn matches(self, local: SocketAddr) -> bool {
        let ListenRule { ip, ports } = self;
        let included = ip == local.ip() || ip.is_unspecified() && ip.is_ipv4() == local.is_ipv4();
        included && ports.contain(local.port())
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
        Network { address, prefix: width(address) }.canonical()
    }

    /// As IPv4 what IPv6 only wraps: no host connects to `::ffff:10.0.0.1` by that name.
    fn canonical(self) -> Self {
        match (self.address.to_canonical(), self.prefix.checked_sub(MAPPED)) {
            (address @ IpAddr::V4(_), Some(prefix)) if self.address.is_ipv6() => Network { address, prefix },
            _ => self,
        }
    }

    /// None if the text is not about addresses at all, and may be a name.
    fn parse(text: &str) -> Result<Option<Self>, &'static str> {
        let Some((address, prefix)) = text.split_once('/') else {
            return Ok(text.parse().ok().map(Network::single));
        };
        let address: IpAddr = address.parse().map_err(|_| "what stands before the slash is not an address")?;
        match digits(prefix) {
            Some(prefix) if prefix <= width(address) => Ok(Some(Network { address, prefix }.canonical())),
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

/// How many bits stand before an IPv4 address that IPv6 wraps.
const MAPPED: u8 = 96;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_names_of_a_pattern_open_the_addresses_that_they_turn_out_to_have() {
        let pattern = PeerRule::parse("*.example.org:443").unwrap();
        assert_eq!(pattern.opens("a.example.org"), Some(Ports::one(443)));
        assert_eq!(pattern.opens("example.org"), None);
        assert_eq!(pattern.opens("a.example.net"), None);
        // A name stands for the addresses that this machine has found for it, and for no others.
        let name = PeerRule::parse("localhost:443").unwrap();
        assert!(name.names("localhost") && name.opens("localhost").is_none());
        assert_eq!(PeerRule::parse("127.0.0.1:443").unwrap().opens("127.0.0.1"), None);
    }
}

//! From host arguments to addresses.

use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};

use crate::error::{Error, ResolveErrorKind, Result};
use crate::options::AddressFamily;
use crate::sys;

/// The longest name that DNS knows, in bytes.
const MAX_NAME: usize = 254;

/// Looks `host` up, like `loop.getaddrinfo`: literals are parsed without asking anybody, names go to the host's resolver.
///
/// The order is the resolver's. Duplicates are kept.
///
/// # Errors
///
/// [`Error::Resolve`] with the reason; [`Error::InvalidInput`] for what cannot be a host name.
///
/// # Cancel safety
///
/// Dropping it gives the lookup up.
///
/// # Differences from asyncio
///
/// WASI 0.2 resolves names to addresses and nothing else: no services, no flags, no scope names (`%eth0`; `%2` works).
pub async fn resolve(host: &str, port: u16, family: AddressFamily) -> Result<Vec<SocketAddr>> {
    resolve_with(host, port, family, false).await
}

/// As [`resolve`]; `numeric` forbids to ask the resolver (`AI_NUMERICHOST`).
pub(crate) async fn resolve_with(
    host: &str,
    port: u16,
    family: AddressFamily,
    numeric: bool,
) -> Result<Vec<SocketAddr>> {
    if let Some(address) = parse_literal(host, port) {
        if family.allows(&address.ip()) {
            return Ok(vec![address]);
        }
        return Err(unknown(host)); // O10
    }
    // RFC 1035, section 2.3.4, and a dot at the end. Errors name the host: what is longer is no name, and must not flood a log.
    if host.len() > MAX_NAME {
        return Err(Error::invalid("a host name has at most 254 bytes"));
    }
    if numeric {
        return Err(unknown(host));
    }
    let found = sys::resolve(host).await?;
    let found: Vec<SocketAddr> =
        found.into_iter().filter(|ip| family.allows(ip)).map(|ip| SocketAddr::new(ip, port)).collect();
    if found.is_empty() {
        return Err(unknown(host)); // O12, O22
    }
    Ok(found)
}

fn unknown(host: &str) -> Error {
    Error::Resolve { kind: ResolveErrorKind::UnknownName, host: host.into() }
}

/// An address literal, IPv6 also with a numeric scope.
fn parse_literal(host: &str, port: u16) -> Option<SocketAddr> {
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Some(SocketAddr::new(ip, port));
    }
    let (ip, scope) = host.split_once('%')?;
    let (ip, scope): (Ipv6Addr, u32) = (ip.parse().ok()?, scope.parse().ok()?);
    Some(SocketAddrV6::new(ip, port, 0, scope).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn o10_literals_of_both_families_are_parsed() {
        assert_eq!(parse_literal("127.0.0.1", 80), Some("127.0.0.1:80".parse().expect("address")));
        assert_eq!(parse_literal("::1", 80), Some("[::1]:80".parse().expect("address")));
        assert_eq!(parse_literal("fe80::1%2", 80), Some("[fe80::1%2]:80".parse().expect("address")));
        for name in ["localhost", "fe80::1%eth0", "1.2.3", ""] {
            assert_eq!(parse_literal(name, 80), None, "{name}");
        }
    }
}

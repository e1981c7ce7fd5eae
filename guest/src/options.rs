//! Arguments: their types, their defaults, and the rules that are checked before anything else happens.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use crate::error::{Error, Result, quoted};
use crate::sys::types::KeepAliveNanos;

/// The default delay between attempts to connect, in happy eyeballs: 250 ms (RFC 8305 section 5).
pub const DEFAULT_HAPPY_EYEBALLS_DELAY: Duration = Duration::from_millis(250);

/// The default length of a listener's queue of connections.
pub const DEFAULT_BACKLOG: u32 = 100;

/// How many sockets may be open at once, listening ones among them, unless [`set_max_sockets`] says otherwise: 14 000 (8 000 in the
/// component for other languages).
pub const DEFAULT_MAX_SOCKETS: usize = crate::sys::DEFAULT_MAX_SOCKETS;

/// Sets how many sockets may be open at once on this thread.
///
/// Hosts end a program that has more handles than they grant, with all its connections; the [default](DEFAULT_MAX_SOCKETS) is what
/// fits wasmtime's default of 100 000, and each connection may need seven. Where the host grants more
/// (`-S max-component-handles=N`), allow more here.
///
/// At the limit [`open_connection`](crate::open_connection()) is an error of kind `QuotaExceeded`, and a server lets its clients wait
/// ([`Report::AcceptFailed`](crate::Report::AcceptFailed) says so) until others have left; open connections are not concerned.
pub fn set_max_sockets(n: usize) {
    crate::sys::set_max_sockets(n);
}

/// Which addresses to use, like the `family` argument of asyncio.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AddressFamily {
    /// IPv4 and IPv6 (`AF_UNSPEC`).
    #[default]
    Unspecified,
    /// IPv4 only (`AF_INET`).
    Inet,
    /// IPv6 only (`AF_INET6`).
    Inet6,
}

impl AddressFamily {
    pub(crate) fn allows(self, ip: &IpAddr) -> bool {
        match self {
            Self::Unspecified => true,
            Self::Inet => ip.is_ipv4(),
            Self::Inet6 => ip.is_ipv6(),
        }
    }

    pub(crate) fn loopback(self) -> IpAddr {
        match self {
            Self::Inet6 => Ipv6Addr::LOCALHOST.into(),
            Self::Inet | Self::Unspecified => Ipv4Addr::LOCALHOST.into(),
        }
    }

    pub(crate) fn unspecified(self) -> Vec<IpAddr> {
        let all: [IpAddr; 2] = [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
        all.into_iter().filter(|ip| self.allows(ip)).collect()
    }
}

/// TCP keep-alive settings; hosts round them to whole seconds and may clamp them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeepAlive {
    /// How long the connection is idle before the first probe; none leaves it to the system.
    pub idle: Option<Duration>,
    /// The time between probes; none leaves it to the system.
    pub interval: Option<Duration>,
    /// How many probes may stay unanswered; none leaves it to the system.
    pub count: Option<u32>,
}

impl KeepAlive {
    pub(crate) fn check(&self) -> Result<KeepAliveNanos> {
        let nanos = |duration: Option<Duration>| match duration {
            Some(duration) if duration.is_zero() => Err(Error::invalid("keep-alive times should be positive")),
            other => Ok(other.map(|duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX))),
        };
        if self.count == Some(0) {
            return Err(Error::invalid("the keep-alive count should be positive"));
        }
        Ok(KeepAliveNanos { idle: nanos(self.idle)?, interval: nanos(self.interval)?, count: self.count })
    }
}

/// R02: a limit of zero could never hold a byte.
pub(crate) fn check_limit(limit: usize) -> Result<usize> {
    if limit == 0 {
        return Err(Error::invalid("limit cannot be <= 0"));
    }
    Ok(limit)
}

/// A host argument: one name or address, or none (`()`, Python's `None`).
pub trait IntoHost {
    #[doc(hidden)]
    fn into_host(self) -> Option<String>;
}

impl IntoHost for () {
    fn into_host(self) -> Option<String> {
        None
    }
}

impl<H: IntoHost> IntoHost for Option<H> {
    fn into_host(self) -> Option<String> {
        self.and_then(H::into_host)
    }
}

macro_rules! host_from_text {
    ($($type:ty),*) => {$(
        impl IntoHost for $type {
            fn into_host(self) -> Option<String> {
                Some(self.to_string())
            }
        }
        impl IntoHosts for $type {
            fn into_hosts(self) -> Option<Vec<String>> {
                Some(vec![self.to_string()])
            }
        }
    )*};
}
host_from_text!(&str, &String, String, IpAddr, Ipv4Addr, Ipv6Addr);

/// The host argument of a server: none (`()`: every interface), one, or several; a none or an empty string among several
/// stands for every interface, too.
pub trait IntoHosts {
    #[doc(hidden)]
    fn into_hosts(self) -> Option<Vec<String>>;
}

impl IntoHosts for () {
    fn into_hosts(self) -> Option<Vec<String>> {
        None
    }
}

impl<H: IntoHost> IntoHosts for Option<H> {
    fn into_hosts(self) -> Option<Vec<String>> {
        self.and_then(H::into_host).map(|host| vec![host])
    }
}

impl<H: IntoHost> IntoHosts for Vec<H> {
    fn into_hosts(self) -> Option<Vec<String>> {
        Some(self.into_iter().map(|host| host.into_host().unwrap_or_default()).collect())
    }
}

impl<H: IntoHost, const N: usize> IntoHosts for [H; N] {
    fn into_hosts(self) -> Option<Vec<String>> {
        Some(self.into_iter().map(|host| host.into_host().unwrap_or_default()).collect())
    }
}

impl<H: IntoHost + Clone> IntoHosts for &Vec<H> {
    fn into_hosts(self) -> Option<Vec<String>> {
        self.as_slice().into_hosts()
    }
}

impl<H: IntoHost + Clone, const N: usize> IntoHosts for &[H; N] {
    fn into_hosts(self) -> Option<Vec<String>> {
        self.as_slice().into_hosts()
    }
}

impl<H: IntoHost + Clone> IntoHosts for &[H] {
    fn into_hosts(self) -> Option<Vec<String>> {
        Some(self.iter().map(|host| host.clone().into_host().unwrap_or_default()).collect())
    }
}

/// A port argument: a number, a number as text, or none (`()`, Python's `None`).
///
/// Service names (`"http"`) are errors: WASI 0.2 has no service database.
pub trait IntoPort {
    #[doc(hidden)]
    fn into_port(self) -> Result<Option<u16>>;
}

impl IntoPort for u16 {
    fn into_port(self) -> Result<Option<u16>> {
        Ok(Some(self))
    }
}

impl IntoPort for () {
    fn into_port(self) -> Result<Option<u16>> {
        Ok(None)
    }
}

impl IntoPort for String {
    fn into_port(self) -> Result<Option<u16>> {
        self.as_str().into_port()
    }
}

impl IntoPort for &String {
    fn into_port(self) -> Result<Option<u16>> {
        self.as_str().into_port()
    }
}

impl<P: IntoPort> IntoPort for Option<P> {
    fn into_port(self) -> Result<Option<u16>> {
        self.map_or(Ok(None), P::into_port)
    }
}

impl IntoPort for &str {
    fn into_port(self) -> Result<Option<u16>> {
        let port = self.trim().parse();
        port.map(Some).map_err(|_| {
            Error::InvalidInput(
                format!("port {} is not a number from 0 to 65535 (service names are not known here)", quoted(self))
                    .into(),
            )
        })
    }
}

/// A local address to connect from.
pub trait IntoLocalAddr {
    #[doc(hidden)]
    fn into_local_addr(self) -> (String, u16);
}

impl IntoLocalAddr for SocketAddr {
    fn into_local_addr(self) -> (String, u16) {
        let host = match self {
            SocketAddr::V6(a) if a.scope_id() != 0 => format!("{}%{}", a.ip(), a.scope_id()),
            other => other.ip().to_string(),
        };
        (host, self.port())
    }
}

impl<H: Into<String>> IntoLocalAddr for (H, u16) {
    fn into_local_addr(self) -> (String, u16) {
        (self.0.into(), self.1)
    }
}

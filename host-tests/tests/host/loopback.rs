//! Several addresses of loopback with one port: what a name with several addresses leads to.

use std::fs;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use socket2::{Domain, Socket, Type};
use tokio::net::TcpListener;
use tokio::time::{Instant, interval, timeout};
use wasi_streams_host::patiently;
use wasi_streams_host::peer::{BlackHole, Peer};

pub(crate) const V4: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
pub(crate) const V4_TOO: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 2));
pub(crate) const V6: IpAddr = IpAddr::V6(std::net::Ipv6Addr::LOCALHOST);

/// A native server that answers each line with itself.
pub(crate) struct Echo(TcpListener);

impl Echo {
    pub(crate) async fn on(ip: IpAddr, port: u16) -> Result<Self> {
        Ok(Echo(TcpListener::bind((ip, port)).await?))
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.0.local_addr().expect("a listener has an address")
    }

    pub(crate) async fn accept(&self) -> Result<(Peer, SocketAddr)> {
        let (stream, peer) = patiently(DEADLINE, self.0.accept()).await.context("the guest does not connect")??;
        Ok((Peer::over(stream), peer))
    }

    /// Answers one line of the next connection, and waits for its end; gives the address it came from.
    pub(crate) async fn answer(&self) -> Result<SocketAddr> {
        let (mut peer, address) = self.accept().await?;
        let line = peer.read_line().await?;
        peer.write_all(&line).await?;
        peer.read_to_end().await?;
        Ok(address)
    }

    /// Whether somebody has connected and waits to be accepted.
    pub(crate) async fn has_visitor(&self) -> bool {
        timeout(Duration::ZERO, self.0.accept()).await.is_ok()
    }
}

/// A black hole on 127.0.0.1, and an echo on another address with the same port.
pub(crate) async fn hole_and_echo(ip: IpAddr) -> Result<(BlackHole, Echo)> {
    for _ in 0..ATTEMPTS {
        let hole = BlackHole::v4().await?;
        // The system chose a port that is free on 127.0.0.1; elsewhere it may be taken.
        if let Ok(echo) = Echo::on(ip, hole.addr().port()).await {
            return Ok((hole, echo));
        }
    }
    bail!("no port is free on both addresses")
}

/// Sockets that are bound to one port of these addresses and do not listen: connecting is refused while they live.
pub(crate) fn refusing(ips: &[IpAddr]) -> Result<(u16, Vec<Socket>)> {
    for _ in 0..ATTEMPTS {
        let mut port = 0;
        let bound = ips.iter().map(|ip| {
            let domain = if ip.is_ipv4() { Domain::IPV4 } else { Domain::IPV6 };
            let socket = Socket::new(domain, Type::STREAM, None)?;
            if ip.is_ipv6() {
                socket.set_only_v6(true)?;
            }
            socket.bind(&SocketAddr::new(*ip, port).into())?;
            port = socket.local_addr()?.as_socket().map_or(0, |address| address.port());
            std::io::Result::Ok(socket)
        });
        if let Ok(sockets) = bound.collect() {
            return Ok((port, sockets));
        }
    }
    bail!("no port is free on all of {ips:?}")
}

/// Two addresses that this machine does not have.
pub(crate) fn addresses_of_others() -> Result<[IpAddr; 2]> {
    // Of the networks for documentation; virtual machines use some of these addresses nevertheless.
    let candidates = (1..255).map(|last| IpAddr::from([203, 0, 113, last]));
    let mut missing = candidates.filter(|ip| {
        let bound = std::net::TcpListener::bind((*ip, 0));
        bound.is_err_and(|error| error.kind() == ErrorKind::AddrNotAvailable)
    });
    missing.next().zip(missing.next()).map(Into::into).context("this machine has every address")
}

/// How many attempts to connect to `address`, of IPv4, are still waiting for an answer, in the whole machine.
pub(crate) fn attempts_at(address: SocketAddr) -> Result<usize> {
    let IpAddr::V4(ip) = address.ip() else { bail!("not an IPv4 address") };
    // The kernel's table shows the bytes of an address as a number of this machine.
    let remote = format!("{:08X}:{:04X}", u32::from_ne_bytes(ip.octets()), address.port());
    let table = fs::read_to_string("/proc/net/tcp")?;
    let is_attempt = |line: &&str| {
        let mut columns = line.split_whitespace().skip(2);
        columns.next() == Some(&remote) && columns.next() == Some(SYN_SENT)
    };
    Ok(table.lines().filter(is_attempt).count())
}

/// Waits for what the system does on its own time.
pub(crate) async fn eventually(what: &str, mut holds: impl FnMut() -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + DEADLINE;
    let mut looks = interval(Duration::from_millis(10));
    while !holds()? {
        if Instant::now() > deadline {
            bail!("waited {DEADLINE:?} for {what}");
        }
        looks.tick().await;
    }
    Ok(())
}

const ATTEMPTS: usize = 20;
const DEADLINE: Duration = Duration::from_secs(30);
const SYN_SENT: &str = "02";

//! Binding and serving on real addresses, and what a program brings along itself: pollables, and sockets that it made.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::net::TcpStream;
use tokio::time::timeout;
use wasi_streams_host::peer::Peer;
use wasi_streams_host::{Guest, Policy, Running, block_on};

use crate::loopback::{Echo, V4, V4_TOO, V6, addresses_of_others, refusing};

#[test]
fn s05_s06_no_host_is_every_interface_of_both_families_with_a_socket_for_each() -> Result<()> {
    block_on(async {
        let mut checked = 0;
        for hosts in ["-", "", "-", ""] {
            let mut server = serve(hosts, 0, &[]).policy(Policy::everything()).start().await?;
            let (v4, v6) = (bound(&mut server).await?, bound(&mut server).await?);
            assert_eq!((v4.ip().to_string(), v6.ip().to_string()), ("0.0.0.0".into(), "::".into()));
            server.wait_line("serving true").await?;
            for (reached, port, other) in [(V4, v4.port(), v6.port()), (V6, v6.port(), v4.port())] {
                echoes(SocketAddr::new(reached, port)).await?;
                // The IPv6 socket is no way in for IPv4, nor the other way round: the same port of the other family is free, and
                // while we hold it nobody else answers there.
                let there = SocketAddr::new(reached, other);
                let held = hold(there);
                checked += u32::from(port != other && held.is_ok() && refuses(there).await);
            }
            done(server).await?;
        }
        // Eight times in all, and hardly ever does another test have that port.
        ensure!(checked >= 4, "an address of one family was refused at the other's port {checked} times only");
        Ok(())
    })
}

/// Takes an address without listening there; fails if somebody has it.
fn hold(address: SocketAddr) -> Result<socket2::Socket> {
    let socket = socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::STREAM, None)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    Ok(socket)
}

#[test]
fn s05_one_port_serves_both_families() -> Result<()> {
    block_on(async {
        let (port, guards) = refusing(&["0.0.0.0".parse()?, "::".parse()?])?;
        drop(guards);
        let mut server = serve("-", port, &[]).policy(Policy::everything()).start().await?;
        server.wait_line("serving true").await?;
        echoes(SocketAddr::new(V4, port)).await?;
        echoes(SocketAddr::new(V6, port)).await?;
        done(server).await
    })
}

#[test]
fn s05_the_family_and_the_loopback_restrict_where_no_host_leads() -> Result<()> {
    block_on(async {
        for (options, expected) in [
            (&["family=4"][..], "0.0.0.0"),
            (&["family=6"], "::"),
            (&["loopback"], "127.0.0.1"),
            (&["loopback", "family=6"], "::1"),
        ] {
            let mut server = serve("-", 0, options).policy(Policy::everything()).start().await?;
            assert_eq!(bound(&mut server).await?.ip(), expected.parse::<IpAddr>()?);
            assert_eq!(server.wait_line("").await?, "serving true", "one socket");
            done(server).await?;
        }
        Ok(())
    })
}

#[test]
fn s06_several_hosts_with_port_0_have_a_port_each() -> Result<()> {
    block_on(async {
        let mut server = serve("127.0.0.1,127.0.0.2,::1", 0, &[]).start().await?;
        for ip in [V4, V4_TOO, V6] {
            let address = bound(&mut server).await?;
            assert!(address.ip() == ip && address.port() != 0, "{address}");
            echoes(address).await?;
        }
        done(server).await
    })
}

#[test]
fn s07_an_address_that_comes_twice_is_bound_once() -> Result<()> {
    block_on(async {
        let guest = serve("127.0.0.1,both.test,::1", 0, &[]).host("both.test", [V6, V4]);
        let mut server = guest.policy(Policy::loopback().dns(true)).start().await?;
        assert_eq!((bound(&mut server).await?.ip(), bound(&mut server).await?.ip()), (V4, V6));
        assert_eq!(server.wait_line("").await?, "serving true");
        done(server).await
    })
}

#[test]
fn s09_an_address_that_is_not_available_is_skipped_while_others_are() -> Result<()> {
    block_on(async {
        let [missing, missing_too] = addresses_of_others()?;
        let mut server = serve(&format!("{missing},127.0.0.1"), 0, &[]).policy(Policy::everything()).start().await?;
        let address = bound(&mut server).await?;
        assert_eq!(server.wait_line("").await?, "serving true");
        echoes(address).await?;
        done(server).await?;
        let guest = serve(&format!("{missing},{missing_too}"), 0, &[]).policy(Policy::everything());
        let mut server = guest.start().await?;
        let line = server.wait_line("error ").await?;
        let all =
            format!("error AddrNotAvailable: could not bind on any address out of [{missing}:0, {missing_too}:0]: ");
        assert!(line.starts_with(&all), "{line}");
        for address in [missing, missing_too] {
            assert!(line.contains(&format!("on address {address}:0: address not available")), "{line}");
        }
        done(server).await
    })
}

#[test]
fn s10_an_address_in_use_is_named_and_nothing_stays_bound() -> Result<()> {
    block_on(async {
        // The first address is free, the second is not.
        let (taken, first) = loop {
            let taken = Echo::on(V4_TOO, 0).await?;
            let first = SocketAddr::new(V4, taken.addr().port());
            if std::net::TcpListener::bind(first).is_ok() {
                break (taken, first);
            }
        };
        let mut server = serve("127.0.0.1,127.0.0.2", first.port(), &[]).start().await?;
        let expected = format!(
            "error AddrInUse: error while attempting to bind on address {}: address already in use",
            taken.addr()
        );
        assert_eq!(server.wait_line("error ").await?, expected);
        server.wait_until(|now| now.resources.tcp_sockets == 0).await?;
        drop(tokio::net::TcpListener::bind(first).await.context("the first address is free again")?);
        done(server).await
    })
}

#[test]
fn s13_the_backlog_is_how_many_connections_wait() -> Result<()> {
    block_on(async {
        for (backlog, waiting) in [(3, 3..=5), (40, 40..=42)] {
            let mut server = serve("127.0.0.1", 0, &[&format!("backlog={backlog}")]).start().await?;
            let address = bound(&mut server).await?;
            // While the guest stands still nobody is accepted, and the queue fills.
            server.write_stdin(b"block\n").await?;
            server.wait_line("blocked").await?;
            let mut queued = Vec::new();
            while queued.len() < 100 {
                match timeout(ANSWER, TcpStream::connect(address)).await {
                    Ok(stream) => queued.push(stream?),
                    Err(_) => break,
                }
            }
            assert!(waiting.contains(&queued.len()), "backlog {backlog}: {} are queued", queued.len());
            // Everybody who waited is served then.
            server.write_stdin(b"unblock\n").await?;
            for stream in queued {
                let mut peer = Peer::over(stream);
                peer.write_all(b"hello\n").await?;
                assert_eq!(peer.read_line().await?, b"hello\n");
            }
            done(server).await?;
        }
        Ok(())
    })
}

#[test]
fn s16_keep_alive_is_inherited_by_connections() -> Result<()> {
    block_on(async {
        for (options, expected) in [(&["keep-alive"][..], "keep-alive Some(true)"), (&[], "keep-alive Some(false)")] {
            let mut server = serve("127.0.0.1", 0, options).start().await?;
            echoes(bound(&mut server).await?).await?;
            let line = server.wait_line("client ").await?;
            assert!(line.ends_with(expected), "{line}");
            done(server).await?;
        }
        Ok(())
    })
}

#[test]
fn s17_s18_s19_s20_a_server_that_does_not_serve_yet_is_bound_and_refuses() -> Result<()> {
    block_on(async {
        let mut server = serve("127.0.0.1,::1", 0, &["idle"]).start().await?;
        let addresses = [bound(&mut server).await?, bound(&mut server).await?];
        server.wait_line("serving false").await?;
        for address in addresses {
            assert!(address.port() != 0 && refuses(address).await, "{address}");
        }
        for _ in 0..2 {
            server.write_stdin(b"start\n").await?;
            assert_eq!([bound(&mut server).await?, bound(&mut server).await?], addresses);
            server.wait_line("serving true").await?;
            for address in addresses {
                echoes(address).await?;
            }
        }
        done(server).await
    })
}

#[test]
fn s21_s24_s27_a_closed_server_refuses_and_its_connections_go_on() -> Result<()> {
    block_on(async {
        let mut server = serve("127.0.0.1,::1", 0, &[]).start().await?;
        let addresses = [bound(&mut server).await?, bound(&mut server).await?];
        let mut client = Peer::connect(addresses[0]).await?;
        server.wait_line("client ").await?;
        for _ in 0..2 {
            server.write_stdin(b"close\n").await?;
            assert_eq!(server.wait_line("").await?, "serving false", "no sockets are listed");
            for address in addresses {
                assert!(refuses(address).await, "{address}");
            }
        }
        server.write_stdin(b"start\n").await?;
        assert_eq!(server.wait_line("error ").await?, "error NotConnected: the server is closed");
        client.write_all(b"still here\n").await?;
        assert_eq!(client.read_line().await?, b"still here\n");
        done(server).await
    })
}

#[test]
fn s29_s31_waiting_for_the_end_of_a_closed_server_is_waiting_for_its_clients() -> Result<()> {
    block_on(async {
        let mut server = serve("127.0.0.1", 0, &[]).start().await?;
        let mut client = Peer::connect(bound(&mut server).await?).await?;
        server.wait_line("client ").await?;
        server.write_stdin(b"close\nwait\n").await?;
        server.wait_line("serving false").await?;
        client.write_all(b"still here\n").await?;
        assert_eq!(client.read_line().await?, b"still here\n");
        assert!(!server.stdout().contains("gone"));
        client.half_close().await?;
        assert_eq!(client.read_to_end().await?, b"");
        server.wait_line("gone").await?;
        done(server).await
    })
}

#[test]
fn x02_x03_c15_both_ends_of_an_accepted_connection_are_known_to_its_end() -> Result<()> {
    block_on(async {
        let mut server = serve("127.0.0.1,::1", 0, &[]).start().await?;
        for address in [bound(&mut server).await?, bound(&mut server).await?] {
            server.write_stdin(b"block\n").await?;
            server.wait_line("blocked").await?;
            // This peer has said all that it has to say, and left, before it is accepted.
            let mut client = Peer::connect(address).await?;
            let from = client.local_addr()?;
            client.write_all(b"farewell\n").await?;
            drop(client);
            server.write_stdin(b"unblock\n").await?;
            let names = match address {
                SocketAddr::V4(_) => {
                    format!("('127.0.0.1', {}) at ('127.0.0.1', {})", from.port(), address.port())
                }
                SocketAddr::V6(_) => format!("('::1', {}, 0, 0) at ('::1', {}, 0, 0)", from.port(), address.port()),
            };
            let line = server.wait_line("client ").await?;
            assert!(line.starts_with(&format!("client {names} ")), "{line}");
        }
        // While the connection lives, and when it is gone.
        let address = SocketAddr::new(V4, server_port(&server)?);
        let from = echoes(address).await?;
        let names = format!("('127.0.0.1', {}) at ('127.0.0.1', {})", from.port(), address.port());
        server.wait_line(&format!("client {names} keep-alive Some(false)")).await?;
        server.wait_line(&format!("left {names} keep-alive None")).await?;
        done(server).await
    })
}

#[test]
fn foreign_pollables_are_waited_for_beside_sockets() -> Result<()> {
    block_on(async {
        for ip in [V4, V6] {
            let echo = Echo::on(ip, 0).await?;
            let guest = Guest::named("platform").args(["pollables", &echo.addr().to_string()]).run();
            let server = async {
                let mut clients = Vec::new();
                for words in [&["one"][..], &["two", "three"]] {
                    let (mut peer, _) = echo.accept().await?;
                    for word in words {
                        let line = peer.read_line().await?;
                        assert_eq!(line, format!("{word}\n").into_bytes());
                        peer.write_all(&line).await?;
                    }
                    clients.push(peer);
                }
                anyhow::Ok(clients)
            };
            let (outcome, clients) = tokio::join!(guest, server);
            clients?;
            let outcome = outcome?.success()?;
            let heard: Vec<&str> = outcome.stdout.lines().collect();
            assert_eq!(heard, [r#"heard b"one\n""#, r#"heard "two\n""#, r#"heard "three\n""#]);
            assert_eq!(outcome.last.resources.tcp_sockets, 0);
        }
        Ok(())
    })
}

#[test]
fn o27_a_connected_socket_is_taken_over_and_is_no_company_for_a_host() -> Result<()> {
    block_on(async {
        for ip in [V4, V6] {
            let echo = Echo::on(ip, 0).await?;
            let guest = Guest::named("platform").args(["take-over-connected", &echo.addr().to_string()]).run();
            let server = async {
                // Two that are refused, and closed.
                for _ in 0..2 {
                    let (mut peer, _) = echo.accept().await?;
                    assert_eq!(peer.read_to_end().await?, b"");
                }
                echo.answer().await
            };
            let (outcome, from) = tokio::join!(guest, server);
            let (outcome, from) = (outcome?.success()?, from?);
            let lines: Vec<&str> = outcome.stdout.lines().collect();
            assert_eq!(lines[..2], [TOGETHER; 2], "{outcome}");
            let port = |address: SocketAddr| format!("', {}", address.port());
            assert!(lines[2].contains(&port(from)) && lines[2].contains(&port(echo.addr())), "{outcome}");
            assert_eq!(lines[3], r#"heard b"hello\n""#);
        }
        Ok(())
    })
}

#[test]
fn o27_a_bound_or_listening_socket_is_taken_over_and_is_no_company_for_a_host() -> Result<()> {
    block_on(async {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            for state in ["bound", "listening"] {
                let guest = Guest::named("platform").args(["take-over-listening", address, state]);
                let mut server = guest.piped_stdin().start().await?;
                assert_eq!([server.wait_line("").await?, server.wait_line("").await?], [TOGETHER; 2]);
                let address = bound(&mut server).await?;
                server.wait_line("serving true").await?;
                echoes(address).await?;
                server.close_stdin();
                let outcome = server.finish().await.success()?;
                assert_eq!(outcome.last.resources.tcp_sockets, 0, "{outcome}");
            }
        }
        Ok(())
    })
}

#[test]
fn a_socket_that_is_not_bound_cannot_be_taken_over() -> Result<()> {
    block_on(async {
        let guest = Guest::named("platform").args(["take-over-listening", "127.0.0.1:0", "unbound"]);
        let outcome = guest.run().await?.success()?;
        assert_eq!(outcome.stdout, "error InvalidInput: the socket is not bound\n");
        Ok(())
    })
}

fn serve(hosts: &str, port: u16, options: &[&str]) -> Guest {
    let guest = Guest::named("platform").args(["serve", hosts, &port.to_string()]);
    guest.args(options.iter().copied()).piped_stdin()
}

/// The next address that the guest is bound to.
async fn bound(server: &mut Running) -> Result<SocketAddr> {
    let line = server.wait_line("bound ").await?;
    Ok(line["bound ".len()..].parse()?)
}

/// The port that the guest was bound to first.
fn server_port(server: &Running) -> Result<u16> {
    let output = server.stdout();
    let address = output.lines().find_map(|line| line.strip_prefix("bound ")).context("no address")?;
    Ok(address.parse::<SocketAddr>()?.port())
}

/// Has a line echoed; gives the address that it came from.
async fn echoes(address: SocketAddr) -> Result<SocketAddr> {
    let mut client = Peer::connect(address).await.with_context(|| address.to_string())?;
    let from = client.local_addr()?;
    client.write_all(b"hello\n").await?;
    assert_eq!(client.read_line().await?, b"hello\n");
    client.half_close().await?;
    assert_eq!(client.read_to_end().await?, b"");
    Ok(from)
}

async fn refuses(address: SocketAddr) -> bool {
    let connected = timeout(Duration::from_secs(30), TcpStream::connect(address)).await;
    matches!(connected, Ok(Err(error)) if error.kind() == std::io::ErrorKind::ConnectionRefused)
}

/// Ends the guest by the end of its input.
async fn done(mut server: Running) -> Result<()> {
    server.close_stdin();
    server.finish().await.success()?;
    Ok(())
}

const TOGETHER: &str = "error InvalidInput: host/port and socket can not be specified at the same time";
/// On loopback an answer takes microseconds, or there is none.
const ANSWER: Duration = Duration::from_millis(300);

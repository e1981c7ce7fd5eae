//! The exported interface: connecting, in each of its forms, with each of its options, and with each of its errors.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Context, Result};
use wasi_streams_host::exported::{Exported, connections};
use wasi_streams_host::peer::{BlackHole, Listener, Peer, refusing_address};
use wasi_streams_host::{ErrorCode, Guest, Policy, block_on};
use wasmtime::component::ResourceAny;

use crate::export_support::{
    Error, ErrorKind, FORMS, any_ready, call, drop_all, expect_error, net, pair_with, perform, settle,
};
use crate::loopback::{Echo, V4, V4_TOO, V6, attempts_at, eventually, hole_and_echo};

#[test]
fn a_connection_is_made_in_every_form() -> Result<()> {
    block_on(async {
        let mut net = net().await?;
        let listener = Listener::v4()?;
        for form in FORMS {
            let connecting = call!(net.call_start_connect("127.0.0.1", listener.port(), None))?;
            let (reader, writer) =
                perform!(form, net.connecting: call_finish | call_try_finish as Connected(connecting))?;
            let mut peer = listener.accept().await?;
            assert_eq!(call!(net.writer.call_peer_address(writer)).map(socket_address), Some(listener.addr()));
            let local = call!(net.writer.call_local_address(writer)).map(socket_address);
            assert_eq!(local, Some(peer.peer_addr()?), "{form:?}");
            call!(net.writer.call_write(writer, b"ping"))?;
            call!(net.writer.call_drain(writer))?;
            peer.write_all(b"pong").await?;
            assert_eq!(call!(net.reader.call_read_exactly(reader, 4))?, b"pong");
            assert_eq!(peer.read_exact(4).await?, b"ping");
            // It has answered.
            for form in FORMS {
                let again = perform!(form, net.connecting: call_finish | call_try_finish as Connected(connecting));
                assert_eq!(expect_error(again).kind, ErrorKind::Closed, "{form:?}");
            }
            net.drop_resource(connecting).await?;
            call!(net.writer.call_write(writer, b"still there"))?;
            call!(net.writer.call_drain(writer))?;
            assert_eq!(peer.read_exact(11).await?, b"still there");
        }
        let (_, writer) = call!(net.call_connect("127.0.0.1", listener.port(), None))?;
        let mut peer = listener.accept().await?;
        call!(net.writer.call_write(writer, b"in one call\n"))?;
        call!(net.writer.call_drain(writer))?;
        assert_eq!(peer.read_line().await?, b"in one call\n");
        Ok(())
    })
}

#[test]
fn the_limit_is_that_of_the_reader() -> Result<()> {
    block_on(async {
        let mut net = net().await?;
        let options = call!(net.connect_options.call_constructor());
        call!(net.connect_options.call_set_limit(options, 5));
        let mut pair = pair_with(&mut net, &Listener::v4()?, Some(options)).await?;
        pair.peer.write_all(b"123456\n").await?;
        let error = expect_error(call!(net.reader.call_read_line(pair.reader)));
        assert_eq!(error.kind, ErrorKind::LimitOverrun);
        Ok(())
    })
}

#[test]
fn family_and_local_address_are_those_asked_for() -> Result<()> {
    block_on(async {
        let mut net = named([V4, V6]).await?;
        let listener = Listener::v6()?;
        let options = call!(net.connect_options.call_constructor());
        call!(net.connect_options.call_set_family(options, connections::Family::Ipv6));
        let (_, writer) = call!(net.call_connect("a.test", listener.port(), Some(options)))?;
        assert_eq!(call!(net.writer.call_peer_address(writer)).context("it is known")?.host, "::1");

        let listener = Listener::v4()?;
        let options = call!(net.connect_options.call_constructor());
        let from = connections::Address { host: "127.0.0.2".into(), port: 0 };
        call!(net.connect_options.call_set_local_address(options, &from));
        let pair = pair_with(&mut net, &listener, Some(options)).await?;
        assert_eq!(pair.peer.peer_addr()?.ip(), V4_TOO);
        Ok(())
    })
}

#[test]
fn the_race_of_addresses_obeys_its_options() -> Result<()> {
    block_on(async {
        // With a delay the next address gets its turn beside the first.
        let (hole, echo) = hole_and_echo(V4_TOO).await?;
        let mut net = named([V4, V4_TOO]).await?;
        let options = call!(net.connect_options.call_constructor());
        call!(net.connect_options.call_set_happy_eyeballs_delay(options, Some(20)));
        for form in FORMS {
            let connecting = call!(net.call_start_connect("a.test", hole.addr().port(), Some(options)))?;
            let (_, writer) = perform!(form, net.connecting: call_finish | call_try_finish as Connected(connecting))?;
            assert_eq!(call!(net.writer.call_peer_address(writer)).map(socket_address), Some(echo.addr()), "{form:?}");
        }
        // Without it only a failure gives it one.
        call!(net.connect_options.call_set_happy_eyeballs_delay(options, None));
        call!(net.connect_options.call_set_timeout(options, 400));
        let error = expect_error(call!(net.call_connect("a.test", hole.addr().port(), Some(options))));
        assert_eq!(error.kind, ErrorKind::TimedOut);

        // Nobody is at the first address: of two families that alternate the second is the next, of one after the other it is not.
        let (echo, port) = loop {
            let echo = Echo::on(V4_TOO, 0).await?;
            let port = echo.addr().port();
            if let Ok(too) = Echo::on(V6, port).await {
                break ((echo, too), port);
            }
        };
        for (count, expected) in [(1, V6), (0, V4_TOO)] {
            let mut net = named([V4, V4_TOO, V6]).await?;
            let options = call!(net.connect_options.call_constructor());
            call!(net.connect_options.call_set_interleave(options, count));
            let (_, writer) = call!(net.call_connect("a.test", port, Some(options)))?;
            let peer = call!(net.writer.call_peer_address(writer)).map(socket_address);
            assert_eq!(peer.map(|peer| peer.ip()), Some(expected));
        }
        drop(echo);
        Ok(())
    })
}

#[test]
fn keep_alive_is_turned_on() -> Result<()> {
    block_on(async {
        let mut net = net().await?;
        let listener = Listener::v4()?;
        let options = call!(net.connect_options.call_constructor());
        call!(net.connect_options.call_set_keep_alive(options, Some(600), Some(60), Some(3)));
        let plain = pair_with(&mut net, &listener, None).await?;
        let kept = pair_with(&mut net, &listener, Some(options)).await?;
        assert!(!has_keep_alive_timer(&plain.peer)?);
        assert!(has_keep_alive_timer(&kept.peer)?);
        Ok(())
    })
}

#[test]
fn arguments_without_sense_are_refused_before_anything_is_done() -> Result<()> {
    block_on(async {
        let mut net = net().await?;
        let empty = net.resources();
        let port_0 = expect_error(call!(net.call_start_connect("127.0.0.1", 0, None)));
        assert_eq!(port_0.kind, ErrorKind::InvalidArgument, "{port_0:?}");
        for option in 0..4 {
            let options = call!(net.connect_options.call_constructor());
            match option {
                0 => call!(net.connect_options.call_set_limit(options, 0)),
                1 => call!(net.connect_options.call_set_keep_alive(options, Some(0), None, None)),
                2 => call!(net.connect_options.call_set_tls_handshake_timeout(options, 1000)),
                _ => call!(net.connect_options.call_set_tls_shutdown_timeout(options, 1000)),
            }
            let error = expect_error(call!(net.call_start_connect("127.0.0.1", 1, Some(options))));
            assert_eq!(error.kind, ErrorKind::InvalidArgument, "{option}: {error:?}");
            let blocking = expect_error(call!(net.call_connect("127.0.0.1", 1, Some(options))));
            assert_eq!((blocking.kind, blocking.message), (error.kind, error.message), "{option}");
        }
        assert_eq!(net.resources(), empty);
        // What only the resolver can tell.
        let error = fails(&mut net, "not a name", 80, None).await?;
        assert_eq!(error.kind, ErrorKind::NameLookupDenied);
        let mut net = named([V4]).await?;
        assert_eq!(fails(&mut net, "not a name", 80, None).await?.kind, ErrorKind::InvalidArgument);
        Ok(())
    })
}

#[test]
fn what_the_network_and_the_host_refuse_has_its_kind_in_every_form() -> Result<()> {
    block_on(async {
        let mut net = net().await?;
        let (refusing, _refusing) = refusing_address()?;
        let error = fails(&mut net, "127.0.0.1", refusing.port(), None).await?;
        assert_eq!(error.kind, ErrorKind::ConnectionRefused);
        assert!(error.message.contains(&refusing.to_string()), "{error:?}");

        let error = fails(&mut net, "10.1.2.3", 80, None).await?;
        assert_eq!(error.kind, ErrorKind::AccessDenied);
        assert!(error.message.contains("--allow 10.1.2.3:80"), "{error:?}");

        // No connection leads to a broadcast address.
        assert_eq!(fails(&mut net, "127.255.255.255", 80, None).await?.kind, ErrorKind::HostUnreachable);

        let hole = BlackHole::v4().await?;
        let options = call!(net.connect_options.call_constructor());
        call!(net.connect_options.call_set_timeout(options, 200));
        assert_eq!(fails(&mut net, "127.0.0.1", hole.addr().port(), Some(options)).await?.kind, ErrorKind::TimedOut);

        let taken = Listener::v4()?;
        let options = call!(net.connect_options.call_constructor());
        let from = connections::Address { host: "127.0.0.1".into(), port: taken.port() };
        call!(net.connect_options.call_set_local_address(options, &from));
        let to = Listener::v4()?;
        assert_eq!(fails(&mut net, "127.0.0.1", to.port(), Some(options)).await?.kind, ErrorKind::AddressInUse);

        let mut net = Guest::named("wasi-streams").policy(Policy::everything()).export().await?;
        let from = connections::Address { host: "203.0.113.7".into(), port: 0 };
        let options = call!(net.connect_options.call_constructor());
        call!(net.connect_options.call_set_local_address(options, &from));
        assert_eq!(fails(&mut net, "127.0.0.1", to.port(), Some(options)).await?.kind, ErrorKind::AddressNotAvailable);

        let mut net = Guest::named("wasi-streams").policy(Policy::none()).export().await?;
        assert_eq!(fails(&mut net, "127.0.0.1", to.port(), None).await?.kind, ErrorKind::AccessDenied);
        Ok(())
    })
}

#[test]
fn names_fail_by_kind_in_every_form() -> Result<()> {
    block_on(async {
        let (refusing, _refusing) = refusing_address()?;
        let guest = Guest::named("wasi-streams")
            .host("nobody.test", [V4; 0])
            .host("mixed.test", [V4, IpAddr::from([10, 1, 2, 3])])
            .failing_host("later.test", ErrorCode::TemporaryResolverFailure)
            .failing_host("broken.test", ErrorCode::OutOfMemory);
        let mut net = guest.clone().policy(Policy::loopback().dns(true)).export().await?;
        for (name, kind) in [
            ("nobody.test", ErrorKind::NameUnknown),
            ("later.test", ErrorKind::NameTemporaryFailure),
            ("broken.test", ErrorKind::NameFailure),
            ("mixed.test", ErrorKind::Many),
        ] {
            let error = fails(&mut net, name, refusing.port(), None).await?;
            assert_eq!(error.kind, kind, "{error:?}");
            if kind == ErrorKind::Many {
                let (first, second) = (refusing.to_string(), format!("10.1.2.3:{}", refusing.port()));
                assert!(error.message.contains(&first) && error.message.contains(&second), "{error:?}");
            } else {
                assert!(error.message.contains(name), "{error:?}");
            }
        }
        // What is too long to be a name is not repeated, and nobody is asked for it.
        let error = fails(&mut net, &"x".repeat(1 << 20), 80, None).await?;
        assert_eq!(error.kind, ErrorKind::InvalidArgument, "{error:?}");
        assert!(error.message.len() < 100, "{error:?}");
        let mut net = guest.export().await?;
        let error = fails(&mut net, "nobody.test", 80, None).await?;
        assert_eq!(error.kind, ErrorKind::NameLookupDenied);
        assert!(error.message.contains("--dns"), "{error:?}");
        Ok(())
    })
}

#[test]
fn a_connection_on_its_way_can_be_dropped_at_any_time() -> Result<()> {
    block_on(async {
        let mut net = net().await?;
        let hole = BlackHole::v4().await?;
        let empty = net.resources();
        for _ in 0..3 {
            let connecting = call!(net.call_start_connect("127.0.0.1", hole.addr().port(), None))?;
            assert!(call!(net.connecting.call_try_finish(connecting))?.is_none());
            net.drop_resource(connecting).await?;
        }
        assert_eq!(net.resources().tcp_sockets, empty.tcp_sockets);
        eventually("the attempts to be given up", || Ok(attempts_at(hole.addr())? == 0)).await?;

        // With its pollables in other hands the attempt cannot be stopped, and ends as soon as it can be.
        let listener = Listener::v4()?;
        let connecting = call!(net.call_start_connect("127.0.0.1", listener.port(), None))?;
        let pollables = call!(net.connecting.call_subscribe(connecting));
        net.drop_resource(connecting).await?;
        settle(&mut net).await?;
        let mut peer: Peer = listener.accept().await?;
        assert_eq!(peer.read_to_end().await?, b"");
        assert!(any_ready(&mut net, &pollables).await?);
        drop_all(&mut net, pollables)?;
        Ok(())
    })
}

/// The error that connecting gives, the same in every form.
async fn fails(net: &mut Exported, host: &str, port: u16, options: Option<ResourceAny>) -> Result<Error> {
    let error = expect_error(call!(net.call_connect(host, port, options)));
    for form in FORMS {
        let connecting = call!(net.call_start_connect(host, port, options))?;
        let failed = perform!(form, net.connecting: call_finish | call_try_finish as Connected(connecting));
        let failed = expect_error(failed);
        assert_eq!((failed.kind, &failed.message), (error.kind, &error.message), "{form:?}");
        let after = expect_error(call!(net.connecting.call_try_finish(connecting)));
        assert_eq!(after.kind, ErrorKind::Closed, "{form:?}: it has answered");
        net.drop_resource(connecting).await?;
    }
    Ok(error)
}

/// The component with a name that has these addresses.
async fn named<const N: usize>(addresses: [IpAddr; N]) -> Result<Exported> {
    let policy = Policy::loopback().dns(true);
    Guest::named("wasi-streams").policy(policy).host("a.test", addresses).export().await
}

fn socket_address(address: connections::Address) -> SocketAddr {
    SocketAddr::new(address.host.parse().expect("an IP address as text"), address.port)
}

/// Whether the system has a keep-alive timer for the component's side of this connection.
fn has_keep_alive_timer(peer: &Peer) -> Result<bool> {
    let (local, remote) = (format!(":{:04X}", peer.peer_addr()?.port()), format!(":{:04X}", peer.local_addr()?.port()));
    let table = std::fs::read_to_string("/proc/net/tcp")?;
    let mut rows = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let row = rows.find(|row| row[1].ends_with(&local) && row[2].ends_with(&remote) && row[3] == ESTABLISHED);
    Ok(row.context("the system knows the connection")?[5].starts_with("02:"))
}

const ESTABLISHED: &str = "01";

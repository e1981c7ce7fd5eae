//! `open_connection`: its arguments, its errors, and that nothing of a failed attempt is left.

mod common;

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use wasi_streams::sim::{ErrorCode, Event, Network};
use wasi_streams::{AddressFamily, Error, KeepAlive, ResolveErrorKind, Socket, open_connection, start_server, timeout};
use wasi_streams::{StreamReader, StreamWriter};

use common::{addr, ms, secs, settle, simulate};

#[test]
fn o01_gives_reader_and_writer_once_connected() {
    simulate(async |net| {
        let listener = net.connect_after(addr("10.0.0.1:80"), ms(30));
        let (mut reader, writer) = open_connection("10.0.0.1", 80).await.unwrap();
        assert_eq!(net.now(), ms(30));
        let peer = listener.try_accept().unwrap();
        peer.send(b"hello");
        assert_eq!(reader.read(9).await.unwrap(), "hello");
        writer.write(b"world").unwrap();
        assert_eq!(peer.recv(5).await, b"world");
        writer.close();
    });
}

#[test]
fn o02_neither_host_nor_port_nor_socket_is_an_argument_error() {
    simulate(async |net| {
        let calls = net.counts().host_calls;
        let error = open_connection((), ()).await.unwrap_err();
        assert!(matches!(error, Error::InvalidInput(_)), "{error:?}");
        assert_eq!(error.to_string(), "host and port was not specified and no socket specified");
        for bad in [open_connection("h", ()), open_connection("h", 0)] {
            assert!(matches!(bad.await, Err(Error::InvalidInput(_))));
        }
        assert_eq!(net.counts().host_calls, calls, "before any network activity");
    });
}

#[test]
fn o24_a_port_may_be_numeric_text() {
    simulate(async |net| {
        let _listener = net.listen(addr("10.0.0.1:80"));
        for connect in [
            open_connection("10.0.0.1", 80),
            open_connection("10.0.0.1", "80"),
            open_connection("10.0.0.1", String::from("80")),
            open_connection("10.0.0.1", Some("80")),
        ] {
            let (_reader, writer) = connect.await.unwrap();
            assert_eq!(writer.peer_addr(), Some(addr("10.0.0.1:80")));
            writer.close();
        }
    });
}

#[test]
fn o24_a_port_out_of_range_or_with_a_name_is_an_argument_error() {
    simulate(async |net| {
        let calls = net.counts().host_calls;
        for bad in ["http", "65536", "-1", ""] {
            let error = open_connection("10.0.0.1", bad).await.unwrap_err();
            assert!(matches!(error, Error::InvalidInput(_)), "{bad:?}: {error:?}");
        }
        assert_eq!(net.counts().host_calls, calls, "before any network activity");
    });
}

#[test]
fn o03_a_port_without_host_is_on_the_loopback_address() {
    simulate(async |net| {
        let _four = net.listen(addr("127.0.0.1:80"));
        let _six = net.listen(addr("[::1]:80"));
        for (family, expected) in [
            (AddressFamily::Unspecified, "127.0.0.1:80"),
            (AddressFamily::Inet, "127.0.0.1:80"),
            (AddressFamily::Inet6, "[::1]:80"),
        ] {
            for connect in [open_connection((), 80), open_connection("", "80")] {
                let (_reader, writer) = connect.family(family).await.unwrap();
                assert_eq!(writer.peer_addr(), Some(addr(expected)));
                writer.close();
            }
        }
    });
}

#[test]
fn o10_a_literal_needs_no_lookup_and_one_of_another_family_fails() {
    simulate(async |net| {
        net.deny_names();
        let _four = net.listen(addr("10.0.0.1:80"));
        let _six = net.listen(addr("[fd00::1]:80"));
        for host in ["10.0.0.1", "fd00::1"] {
            let (_reader, writer) = open_connection(host, 80).await.unwrap();
            writer.close();
        }
        let error = open_connection("10.0.0.1", 80).family(AddressFamily::Inet6).await.unwrap_err();
        assert!(matches!(error, Error::Resolve { kind: ResolveErrorKind::UnknownName, .. }), "{error:?}");
        assert!(!net.events().iter().any(|(_, event)| matches!(event, Event::Lookup(_))));
    });
}

#[test]
fn o11_an_unknown_name_is_the_resolvers_error() {
    simulate(async |net| {
        let error = open_connection("nowhere.test", 80).await.unwrap_err();
        assert!(
            matches!(&error, Error::Resolve { kind: ResolveErrorKind::UnknownName, host } if &**host == "nowhere.test")
        );
        assert!(error.to_string().contains("nowhere.test"));
        for (code, expected) in [
            (ErrorCode::NameUnresolvable, ResolveErrorKind::UnknownName),
            (ErrorCode::TemporaryResolverFailure, ResolveErrorKind::Temporary),
            (ErrorCode::PermanentResolverFailure, ResolveErrorKind::Denied),
            (ErrorCode::Unknown, ResolveErrorKind::Permanent),
        ] {
            net.name_error("broken.test", code, ms(5));
            let error = open_connection("broken.test", 80).await.unwrap_err();
            assert!(matches!(error, Error::Resolve { kind, .. } if kind == expected), "{error:?}");
        }
        let error = open_connection("not a name", 80).await.unwrap_err();
        assert!(matches!(error, Error::InvalidInput(_)), "{error:?}");
        let error = open_connection("localhost", 80).numeric_host(true).await.unwrap_err();
        assert!(matches!(error, Error::Resolve { .. }), "{error:?}");
    });
}

#[test]
fn o12_a_resolver_that_finds_nothing_is_an_error() {
    simulate(async |net| {
        net.name("empty.test", &[]);
        let error = open_connection("empty.test", 80).await.unwrap_err();
        assert!(matches!(error, Error::Resolve { kind: ResolveErrorKind::UnknownName, .. }), "{error:?}");
        assert_eq!(net.counts().sockets, 0);
    });
}

#[test]
fn o13_addresses_are_tried_in_order_until_one_works() {
    simulate(async |net| {
        let at = name(&net, &["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80", "10.0.0.4:80"]);
        net.refuse(at[0], ms(100));
        net.unreachable(at[1], ms(20));
        let _third = net.connect_after(at[2], ms(3));
        let _fourth = net.listen(at[3]);
        let (_reader, writer) = open_connection("many.test", 80).happy_eyeballs_delay(None).await.unwrap();
        assert_eq!((net.now(), writer.peer_addr()), (ms(123), Some(at[2])));
        assert!(!net.events().iter().any(|(_, event)| *event == Event::ConnectStarted(at[3])));
        writer.close();
    });
}

#[test]
fn o14_o15_when_all_fail_every_error_is_told() {
    simulate(async |net| {
        let at = name(&net, &["10.0.0.1:80", "10.0.0.2:80"]);
        net.refuse(at[0], ms(1));
        net.unreachable(at[1], ms(1));
        let error = open_connection("many.test", 80).await.unwrap_err();
        let kinds: Vec<_> = error.errors().iter().map(Error::kind).collect();
        assert_eq!(kinds, [ErrorKind::ConnectionRefused, ErrorKind::HostUnreachable]);
        assert!(error.to_string().starts_with("multiple errors: ") && error.to_string().contains("10.0.0.2:80"));

        let alone = open_connection("10.0.0.1", 80).await.unwrap_err();
        assert!(matches!(alone, Error::Io { .. }));
        assert_eq!(alone.errors().len(), 1, "a single error can be asked for in the same way");

        name(&net, &["10.0.0.1:80", "10.0.0.1:80"]);
        let twice = open_connection("many.test", 80).await.unwrap_err();
        assert!(matches!(twice, Error::Io { .. }), "equal texts are told once: {twice:?}");
    });
}

#[test]
fn o16_each_failure_has_its_kind_and_names_the_address() {
    simulate(async |net| {
        for (code, kind) in [
            (ErrorCode::ConnectionRefused, ErrorKind::ConnectionRefused),
            (ErrorCode::RemoteUnreachable, ErrorKind::HostUnreachable),
            (ErrorCode::Timeout, ErrorKind::TimedOut),
            (ErrorCode::ConnectionReset, ErrorKind::ConnectionReset),
            (ErrorCode::AccessDenied, ErrorKind::PermissionDenied),
        ] {
            net.fail_connect(addr("[fd00::1]:8080"), code, ms(1));
            let error = open_connection("fd00::1", 8080).await.unwrap_err();
            assert_eq!(error.kind(), kind);
            assert!(error.to_string().contains("[fd00::1]:8080"), "{error}");
        }
        let nobody = open_connection("10.0.0.9", 1).await.unwrap_err();
        assert_eq!(nobody.kind(), ErrorKind::ConnectionRefused);
    });
}

#[test]
fn o17_after_failure_or_cancellation_at_any_point_no_socket_is_left() {
    simulate(async |net| {
        let at = name(&net, &["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"]);
        net.name_after("many.test", &at.iter().map(SocketAddr::ip).collect::<Vec<_>>(), ms(10));
        net.refuse(at[0], ms(5));
        net.refuse(at[1], ms(400));
        net.refuse(at[2], ms(400));
        let connect = || open_connection("many.test", 80).local_addr(("127.0.0.1", 0));
        for limit in (0..700).step_by(7) {
            let given_up = timeout(ms(limit), connect()).await;
            assert!(!matches!(given_up, Ok(Ok(_))));
            let counts = net.counts();
            assert_eq!((counts.sockets, counts.lookups, counts.output_streams), (0, 0, 0), "after {limit} ms");
        }
        let failed = connect().await.unwrap_err();
        assert_eq!(failed.kind(), ErrorKind::ConnectionRefused);
        assert_eq!(net.counts().sockets, 0);
    });
}

#[test]
fn o18_the_local_address_is_bound_before_connecting() {
    simulate(async |net| {
        net.local_ips(&[addr("10.0.0.7:0").ip(), addr("10.0.0.8:0").ip()]);
        let listener = net.listen(addr("10.0.0.1:80"));
        let (_r, fixed) = open_connection("10.0.0.1", 80).local_addr(addr("10.0.0.8:5000")).await.unwrap();
        assert_eq!(listener.try_accept().unwrap().remote_addr(), addr("10.0.0.8:5000"));
        assert_eq!(fixed.local_addr(), Some(addr("10.0.0.8:5000")));
        let (_r, any) = open_connection("10.0.0.1", 80).local_addr(("10.0.0.8", 0)).await.unwrap();
        let from = listener.try_accept().unwrap().remote_addr();
        assert_eq!(from.ip(), addr("10.0.0.8:0").ip());
        assert!(from.port() != 0 && from.port() != 5000);
        fixed.close();
        any.close();
    });
}

#[test]
fn o19_a_local_address_of_other_families_only_is_an_error() {
    simulate(async |net| {
        let error = open_connection("10.0.0.1", 80).local_addr(addr("[::1]:0")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrNotAvailable);
        assert!(error.to_string().starts_with("no matching local address with family"), "{error}");
        assert_eq!(net.counts().sockets, 0);
    });
}

#[test]
fn o20_local_addresses_of_the_right_family_are_tried_in_order() {
    simulate(async |net| {
        let ips = ["::1", "10.0.0.6", "10.0.0.7", "10.0.0.8"].map(|ip| ip.parse().unwrap());
        net.local_ips(&ips[2..]);
        net.name("me.test", &ips);
        net.fail_bind(addr("10.0.0.7:5000"), ErrorCode::AddressInUse);
        let listener = net.listen(addr("10.0.0.1:80"));
        let (_reader, writer) = open_connection("10.0.0.1", 80).local_addr(("me.test", 5000)).await.unwrap();
        assert_eq!(listener.try_accept().unwrap().remote_addr(), addr("10.0.0.8:5000"));
        writer.close();

        net.fail_bind(addr("10.0.0.8:5000"), ErrorCode::AccessDenied);
        net.name("me.test", &ips[1..3]);
        let error = open_connection("10.0.0.1", 80).local_addr(("me.test", 5000)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse, "the last one is raised");
        assert!(error.to_string().starts_with("error while attempting to bind on address 10.0.0.7:5000"), "{error}");
    });
}

#[test]
fn o21_a_local_address_in_use_says_so() {
    simulate(async |net| {
        let _listener = net.listen(addr("10.0.0.1:80"));
        let server = start_server(|_: StreamReader, _: StreamWriter| {}, "127.0.0.1", 0).await.unwrap();
        let taken = server.sockets()[0];
        let error = open_connection("10.0.0.1", 80).local_addr(taken).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
        assert!(error.to_string().contains(&taken.to_string()), "{error}");
    });
}

#[test]
fn o22_family_restricts_the_addresses_tried() {
    for (family, expected) in [
        (AddressFamily::Inet, ["10.0.0.1:80", "10.0.0.2:80"]),
        (AddressFamily::Inet6, ["[fd00::1]:80", "[fd00::2]:80"]),
    ] {
        simulate(async |net| {
            name(&net, &["10.0.0.1:80", "[fd00::1]:80", "10.0.0.2:80", "[fd00::2]:80"]);
            open_connection("many.test", 80).family(family).await.unwrap_err();
            let tried: Vec<Event> = net.events().into_iter().map(|(_, event)| event).collect();
            let started: Vec<_> = tried.into_iter().filter(|event| matches!(event, Event::ConnectStarted(_))).collect();
            assert_eq!(started, expected.map(|at| Event::ConnectStarted(addr(at))));
        });
    }
}

#[test]
fn o26_there_is_no_timeout_of_its_own() {
    simulate(async |net| {
        net.black_hole(addr("10.0.0.1:80"));
        let given_up = timeout(secs(1_000_000), open_connection("10.0.0.1", 80)).await;
        assert_eq!(given_up.unwrap_err().kind(), ErrorKind::TimedOut);
        assert_eq!(net.counts().sockets, 0);
    });
}

#[test]
fn o27_a_socket_together_with_host_or_port_is_an_argument_error() {
    simulate(async |_net| {
        for connect in [open_connection("10.0.0.1", ()), open_connection((), 80), open_connection("10.0.0.1", 80)] {
            let (socket, _other) = Socket::pair();
            let error = connect.socket(socket).await.unwrap_err();
            assert!(matches!(error, Error::InvalidInput(_)), "{error:?}");
        }
    });
}

#[test]
fn a_denial_names_what_is_denied_and_the_rest_works() {
    simulate(async |net| {
        net.deny(addr("10.0.0.1:22"));
        let _listener = net.listen(addr("10.0.0.1:80"));
        let error = open_connection("10.0.0.1", 22).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
        assert!(error.to_string().contains("10.0.0.1:22") && error.to_string().contains("--allow"), "{error}");
        let (_reader, writer) = open_connection("10.0.0.1", 80).await.unwrap();
        writer.close();
        net.deny_names();
        let error = open_connection("example.org", 80).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
        net.deny_tcp();
        assert_eq!(open_connection("10.0.0.1", 80).await.unwrap_err().kind(), ErrorKind::PermissionDenied);
    });
}

/// Gives the name `many.test` these addresses, all of one port.
fn name(net: &Network, at: &[&str]) -> Vec<SocketAddr> {
    let at: Vec<SocketAddr> = at.iter().map(|text| addr(text)).collect();
    let ips: Vec<_> = at.iter().map(SocketAddr::ip).collect();
    net.name("many.test", &ips);
    at
}

#[test]
fn r02_a_client_with_a_limit_of_zero_never_touches_the_network() {
    simulate(async |net| {
        let listener = net.listen(addr("10.0.0.1:80"));
        let calls = net.counts().host_calls;
        for host in ["10.0.0.1", "localhost"] {
            let error = open_connection(host, 80).limit(0).await.unwrap_err();
            assert!(matches!(&error, Error::InvalidInput(text) if text.contains("limit")), "{error}");
        }
        assert_eq!(net.counts().host_calls, calls);
        settle().await;
        assert!(net.events().is_empty() && listener.try_accept().is_none());
    });
}

#[test]
fn o18_a_local_address_keeps_its_scope() {
    simulate(async |net| {
        net.local_ips(&["fe80::1".parse().unwrap()]);
        let _listener = net.listen(addr("[2001:db8::1]:80"));
        let local: SocketAddr = addr("[fe80::1%2]:0");
        let (_reader, writer) = open_connection("2001:db8::1", 80).local_addr(local).await.unwrap();
        let Some(SocketAddr::V6(bound)) = writer.local_addr() else { panic!("an IPv6 address") };
        assert_eq!(bound.scope_id(), 2);
        writer.close();
    });
}

#[test]
fn o27_arguments_beside_a_socket_are_used_or_refused() {
    simulate(async |_net| {
        let bad = KeepAlive { idle: Some(Duration::ZERO), ..KeepAlive::default() };
        let error = open_connection((), ()).socket(Socket::pair().0).keep_alive(bad).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
        let good = KeepAlive::default();
        let error = open_connection((), ()).socket(Socket::pair().0).keep_alive(good).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::Unsupported);
        let local = open_connection((), ()).socket(Socket::pair().0).local_addr(("127.0.0.1", 0));
        assert_eq!(local.await.unwrap_err().kind(), std::io::ErrorKind::InvalidInput);
    });
}

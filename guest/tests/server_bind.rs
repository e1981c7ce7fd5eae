//! `start_server`: what it binds, what it refuses, and with which error.

mod common;

use std::io::ErrorKind;
use std::net::SocketAddr;

use wasi_streams::sim::ErrorCode;
use wasi_streams::{
    AddressFamily, DEFAULT_BACKLOG, Error, KeepAlive, Server, StreamReader, StreamWriter, start_server,
};

use common::{addr, secs, settle, simulate};

#[test]
fn s05_no_host_means_every_interface_of_both_families() {
    simulate(async |net| {
        let server = start_server(ignore, (), 8080).await.unwrap();
        assert_eq!(server.sockets(), [addr("0.0.0.0:8080"), addr("[::]:8080")]);
        for at in ["127.0.0.1:8080", "[::1]:8080"] {
            net.connect(addr(at)).unwrap().close();
        }
        drop(server);
        let server = start_server(ignore, "", 8080).await.unwrap();
        assert_eq!(server.sockets().len(), 2);
        drop(server);
        let server = start_server(ignore, (), 8080).family(AddressFamily::Inet6).await.unwrap();
        assert_eq!(server.sockets(), [addr("[::]:8080")]);
        assert_eq!(net.connect(addr("127.0.0.1:8080")).unwrap_err(), ErrorCode::ConnectionRefused, "IPv6 only");
        settle().await;
    });
}

#[test]
fn s06_with_port_0_each_socket_gets_a_port_of_its_own() {
    simulate(async |net| {
        let server = start_server(ignore, ["127.0.0.1", "::1"], 0).await.unwrap();
        let at = server.sockets();
        assert_eq!(at.iter().map(SocketAddr::is_ipv4).collect::<Vec<_>>(), [true, false]);
        assert!(at.iter().all(|at| at.port() != 0 && net.connect(*at).is_ok()));
        settle().await;
    });
}

#[test]
fn s07_each_address_is_bound_once() {
    simulate(async |net| {
        net.name("me.test", &["127.0.0.1", "::1", "127.0.0.1"].map(|ip| ip.parse().unwrap()));
        let server = start_server(ignore, ["127.0.0.1", "me.test", "127.0.0.1", "::1"], 80).await.unwrap();
        assert_eq!(server.sockets(), [addr("127.0.0.1:80"), addr("[::1]:80")]);
    });
}

#[test]
fn s08_no_hosts_at_all_cannot_be_bound() {
    simulate(async |_net| {
        let error = start_server(ignore, Vec::<&str>::new(), 80).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrNotAvailable);
        assert_eq!(error.to_string(), "could not bind on any address out of []");
    });
}

#[test]
fn s09_addresses_that_are_not_available_are_skipped_while_others_are() {
    simulate(async |net| {
        let server = start_server(ignore, ["10.0.0.1", "127.0.0.1", "fd00::1"], 80).await.unwrap();
        assert_eq!(server.sockets(), [addr("127.0.0.1:80")]);
        drop(server);
        let error = start_server(ignore, ["10.0.0.1", "fd00::1"], 80).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrNotAvailable);
        let text = error.to_string();
        assert!(text.starts_with("could not bind on any address out of [10.0.0.1:80, [fd00::1]:80]: "), "{text}");
        assert!(text.contains("on address 10.0.0.1:80: address not available"), "{text}");
        assert_eq!(net.counts().sockets, 0);
    });
}

#[test]
fn s10_an_address_in_use_ends_it_and_closes_what_was_bound() {
    simulate(async |net| {
        let first = start_server(ignore, "127.0.0.1", 80).await.unwrap();
        let error = start_server(ignore, ["::1", "127.0.0.1"], 80).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
        assert!(error.to_string().starts_with("error while attempting to bind on address 127.0.0.1:80"), "{error}");
        assert_eq!(net.counts().sockets, 1, "the first server's");
        assert_eq!(net.connect(addr("[::1]:80")).unwrap_err(), ErrorCode::ConnectionRefused);
        net.deny(addr("127.0.0.1:22"));
        let error = start_server(ignore, "127.0.0.1", 22).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
        assert!(error.to_string().contains("127.0.0.1:22"), "{error}");
        drop(first);
    });
}

#[test]
fn s11_nothing_to_bind_to_is_an_argument_error() {
    simulate(async |net| {
        let error = start_server(ignore, (), ()).await.unwrap_err();
        assert!(matches!(error, Error::InvalidInput(_)), "{error:?}");
        let calls = net.counts().host_calls;
        assert!(matches!(start_server(ignore, "127.0.0.1", 80).limit(0).await, Err(Error::InvalidInput(_))));
        assert!(matches!(start_server(ignore, "127.0.0.1", 80).backlog(0).await, Err(Error::InvalidInput(_))));
        assert_eq!(net.counts().host_calls, calls);
    });
}

#[test]
fn o24_a_server_s_port_may_be_numeric_text_too_and_nothing_else() {
    simulate(async |net| {
        let server = start_server(ignore, "127.0.0.1", "80").await.unwrap();
        assert_eq!(server.sockets(), [addr("127.0.0.1:80")]);
        let calls = net.counts().host_calls;
        for bad in ["http", "-1", "65536"] {
            assert!(matches!(start_server(ignore, "127.0.0.1", bad).await, Err(Error::InvalidInput(_))));
        }
        assert_eq!(net.counts().host_calls, calls);
    });
}

#[test]
fn s13_the_backlog_is_100_unless_set() {
    simulate(async |net| {
        assert_eq!(DEFAULT_BACKLOG, 100);
        for (backlog, port) in [(100, 80), (3, 81)] {
            let server = start_server(ignore, "127.0.0.1", port);
            let server = if backlog == 100 { server } else { server.backlog(backlog) }.await.unwrap();
            // Without an await nothing is accepted meanwhile.
            let peers: Vec<_> = (0..backlog).map(|_| net.connect(server.sockets()[0]).unwrap()).collect();
            assert_eq!(net.connect(server.sockets()[0]).unwrap_err(), ErrorCode::Timeout);
            settle().await;
            assert!(peers.iter().all(|peer| peer.saw_eof()), "each was accepted");
        }
    });
}

#[test]
fn s14_s15_what_wasi_cannot_do_is_unsupported() {
    simulate(async |net| {
        for refused in [
            start_server(ignore, "127.0.0.1", 80).reuse_address(false),
            start_server(ignore, "127.0.0.1", 80).reuse_port(true),
        ] {
            let error = refused.await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unsupported);
        }
        let server: Server = start_server(ignore, "127.0.0.1", 80).reuse_address(true).reuse_port(false).await.unwrap();
        assert!(net.connect(server.sockets()[0]).is_ok());
        settle().await;
    });
}

#[test]
fn s16_keep_alive_is_inherited_by_the_connections() {
    simulate(async |net| {
        let check = |_: StreamReader, writer: StreamWriter| {
            assert_eq!(writer.socket().unwrap().keep_alive(), Some(true));
            writer.write(b"checked").unwrap();
            writer.close();
        };
        let settings = KeepAlive { idle: Some(secs(60)), interval: Some(secs(10)), count: Some(5) };
        let server = start_server(check, "127.0.0.1", 0).keep_alive(settings).await.unwrap();
        let peer = net.connect(server.sockets()[0]).unwrap();
        assert_eq!(peer.recv_to_end().await, b"checked");
        let zero = KeepAlive { count: Some(0), ..KeepAlive::default() };
        assert!(matches!(start_server(ignore, "::1", 0).keep_alive(zero).await, Err(Error::InvalidInput(_))));
    });
}

fn ignore(_: StreamReader, writer: StreamWriter) {
    writer.close();
}

//! Unix sockets on the simulated host: both ends ours, the rules on socket files, and every error. What streams and servers do is the
//! same code whatever they stand on; the rows of CONFORMANCE.md here are those that reach down to the socket.
#![cfg(feature = "unix")]

mod common;

use std::cell::Cell;
use std::io::ErrorKind;
use std::rc::Rc;

use common::{clog, ms, pattern, secs, settle, simulate, take_reports, with_state};
use wasi_streams::sim::{ErrorCode, Faults, Network, Peer};
use wasi_streams::{
    DEFAULT_MAX_SOCKETS, Error, Report, Result, Server, Socket, StreamReader, StreamWriter, UnixAddr, copy,
    open_connection, open_unix_connection, set_max_sockets, sleep, spawn, start_server, start_unix_server, timeout,
};

const PATH: &str = "/run/a.sock";

async fn echo(mut reader: StreamReader, writer: StreamWriter) -> Result<()> {
    copy(&mut reader, &writer).await?;
    writer.close();
    writer.wait_closed().await
}

async fn ignore(_: StreamReader, _: StreamWriter) {}

async fn connected(net: &Network) -> (StreamReader, StreamWriter, Peer) {
    let listener = net.listen_unix(PATH);
    let (reader, writer) = open_unix_connection(PATH).await.expect("somebody listens");
    let peer = listener.accept().await;
    settle().await;
    (reader, writer, peer)
}

async fn end(server: Server) {
    server.close();
    timeout(secs(60), server.wait_closed()).await.expect("the clients end");
}

#[test]
fn o01_bytes_go_both_ways_and_whole() {
    for faults in [
        Faults::default(),
        Faults { seed: 1, max_read: Some(700), max_write: Some(900), spurious: 30, zero_permits: 30, budget: Some(16) },
    ] {
        simulate(async |net| {
            net.set_faults(faults.clone());
            let server = start_unix_server(echo, PATH).await.unwrap();
            let (mut reader, writer) = open_unix_connection(PATH).await.unwrap();
            let data = pattern(1 << 20, 1);
            writer.write(&data).unwrap();
            assert!(reader.readexactly(data.len()).await.unwrap() == data);
            writer.write_eof().unwrap();
            assert!(reader.read_to_end().await.unwrap().is_empty());
            writer.close();
            writer.wait_closed().await.unwrap();
            end(server).await;
        });
    }
}

#[test]
fn a_peer_that_finishes_can_still_be_written_to() {
    simulate(async |net| {
        let (mut reader, writer, peer) = connected(&net).await;
        peer.send(b"question");
        peer.finish();
        assert_eq!(reader.read_to_end().await.unwrap(), "question");
        writer.write("answer").unwrap();
        writer.close();
        writer.wait_closed().await.unwrap();
        assert_eq!(peer.recv_to_end().await, b"answer");
    });
}

#[test]
fn a_reset_is_told_to_reader_and_writer() {
    simulate(async |net| {
        let (mut reader, writer, peer) = connected(&net).await;
        peer.send(b"abc");
        settle().await;
        writer.write("nobody reads this").unwrap();
        settle().await;
        peer.reset();
        assert_eq!(reader.readline().await.unwrap_err().kind(), ErrorKind::ConnectionReset);
        assert_eq!(writer.wait_closed().await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    });
}

#[test]
fn a_busy_stream_is_parked_and_freezes_nobody() {
    simulate(async |net| {
        let (reader, writer, peer) = connected(&net).await;
        clog(&writer, &peer).await;
        writer.transport().abort();
        drop((reader, writer));
        sleep(ms(50)).await;
        assert_eq!(net.counts().output_streams, 1, "the host still holds what it has taken");
        peer.resume();
        peer.ended().await;
        settle().await;
    });
}

#[test]
fn what_was_sent_survives_unread_data() {
    simulate(async |net| {
        let (reader, writer, peer) = connected(&net).await;
        let data = pattern(20_000, 3);
        writer.write(&data).unwrap();
        settle().await;
        peer.send(b"nobody reads this");
        settle().await;
        writer.close();
        writer.wait_closed().await.unwrap();
        drop(reader);
        assert!(peer.recv(data.len()).await == data);
    });
}

#[test]
fn x01_c15_both_ends_know_their_addresses_by_all_names() {
    simulate(async |_net| {
        let seen = Rc::new(Cell::new(None));
        let handler = with_state(&seen, |seen, _: StreamReader, writer: StreamWriter| async move {
            seen.set(Some((writer.local_unix_addr().cloned(), writer.peer_unix_addr().cloned())));
        });
        let server = start_unix_server(handler, PATH).await.unwrap();
        let path = UnixAddr::Path(PATH.into());
        assert_eq!(server.unix_sockets(), std::slice::from_ref(&path));
        assert!(server.sockets().is_empty());
        let (_reader, writer) = open_unix_connection(PATH).await.unwrap();
        assert_eq!(writer.peer_unix_addr(), Some(&path));
        assert_eq!(writer.local_unix_addr(), Some(&UnixAddr::Unnamed));
        assert_eq!(writer.get_extra_info("peername").unwrap().to_string(), "'/run/a.sock'");
        assert_eq!(writer.get_extra_info("sockname").unwrap().to_string(), "''");
        assert!(writer.get_extra_info("cipher").is_none());
        assert!(writer.get_extra_info("no such thing").is_none());
        assert_eq!((writer.peer_addr(), writer.local_addr()), (None, None));
        settle().await;
        assert_eq!(seen.take(), Some((Some(path.clone()), Some(UnixAddr::Unnamed))));
        end(server).await;
        writer.close();
        writer.wait_closed().await.unwrap();
        assert_eq!(writer.peer_unix_addr(), Some(&path), "also when the connection is gone");
        assert_eq!(writer.get_extra_info("peername").unwrap().to_string(), "'/run/a.sock'");
        assert_eq!(writer.get_extra_info("sockname").unwrap().to_string(), "''");
    });
}

#[test]
fn a_stale_file_is_replaced_a_live_one_and_a_file_that_is_no_socket_are_not() {
    simulate(async |net| {
        drop(net.listen_unix(PATH));
        assert_eq!(net.connect_unix(PATH).unwrap_err(), ErrorCode::ConnectionRefused, "stale");
        let server = start_unix_server(echo, PATH).await.unwrap();
        let peer = net.connect_unix(PATH).unwrap();
        let error = start_unix_server(ignore, PATH).await.unwrap_err();
        assert_eq!(
            (error.kind(), &*error.to_string()),
            (ErrorKind::AddrInUse, "address '/run/a.sock' is already in use")
        );
        peer.send(b"still there");
        assert_eq!(peer.recv(11).await, b"still there");
        peer.close();
        net.put_file("/run/notes");
        assert_eq!(start_unix_server(ignore, "/run/notes").await.unwrap_err().kind(), ErrorKind::AddrInUse);
        assert!(net.has_file("/run/notes"));
        end(server).await;
    });
}

#[test]
fn the_file_goes_with_the_server_unless_it_shall_stay_or_is_another_s() {
    simulate(async |net| {
        let server = start_unix_server(ignore, PATH).await.unwrap();
        assert!(net.has_file(PATH));
        server.close();
        settle().await;
        assert!(!net.has_file(PATH));

        let server = start_unix_server(ignore, PATH).cleanup_socket(false).await.unwrap();
        drop(server);
        settle().await;
        assert!(net.has_file(PATH));

        let server = start_unix_server(ignore, PATH).await.unwrap();
        net.remove_file(PATH);
        net.put_file(PATH);
        server.close();
        settle().await;
        assert!(net.has_file(PATH), "it is not the server's any more");
    });
}

#[test]
fn a_listener_whose_file_is_deleted_underneath_serves_those_it_has_and_closes_well() {
    simulate(async |net| {
        let server = start_unix_server(echo, PATH).await.unwrap();
        let peer = net.connect_unix(PATH).unwrap();
        settle().await;
        net.remove_file(PATH);
        assert_eq!(open_unix_connection(PATH).await.unwrap_err().kind(), ErrorKind::NotFound);
        peer.send(b"still");
        assert_eq!(peer.recv(5).await, b"still");
        peer.close();
        end(server).await;
    });
}

#[test]
fn abstract_names_are_no_files() {
    simulate(async |net| {
        let server = start_unix_server(echo, "\0name").await.unwrap();
        assert_eq!(server.unix_sockets()[0].to_string(), r"b'\x00name'");
        let (mut reader, writer) = open_unix_connection(UnixAddr::Abstract("name".into())).await.unwrap();
        writer.write("x").unwrap();
        assert_eq!(reader.readexactly(1).await.unwrap(), "x");
        drop(writer);
        end(server).await;
        assert!(!net.has_file("\0name"));
        let error = open_unix_connection("\0name").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    });
}

#[test]
fn o16_o17_each_failure_has_its_kind_and_names_the_path() {
    simulate(async |net| {
        drop(net.listen_unix("/run/stale"));
        net.put_file("/run/notes");
        net.deny_unix("/etc/x");
        for (path, kind, part) in [
            ("/run/none", ErrorKind::NotFound, "no such file"),
            ("/run/stale", ErrorKind::ConnectionRefused, "connection refused"),
            ("/run/notes", ErrorKind::ConnectionRefused, "not a stream socket"),
            ("/etc/x", ErrorKind::PermissionDenied, "--unix GUEST_DIR=HOST_DIR"),
        ] {
            let error = open_unix_connection(path).await.unwrap_err();
            assert_eq!(error.kind(), kind, "{error}");
            let text = error.to_string();
            assert!(text.contains(part) && text.contains(&format!("'{path}'")), "{text}");
        }
        assert_eq!(start_unix_server(ignore, "/etc/x").await.unwrap_err().kind(), ErrorKind::PermissionDenied);
    });
}

#[test]
fn r02_r03_o02_o27_s11_arguments_are_checked_before_anything_else() {
    simulate(async |net| {
        let (one, other) = Socket::pair();
        let both = open_unix_connection(PATH).socket(one).await;
        assert_invalid(both.err(), "path and socket");
        assert_invalid(open_unix_connection(()).await.err(), "no path and socket");
        assert_invalid(open_unix_connection(PATH).limit(0).await.err(), "limit");
        assert_invalid(start_unix_server(ignore, PATH).limit(0).await.err(), "limit");
        assert_invalid(start_unix_server(ignore, PATH).backlog(0).await.err(), "backlog");
        assert_invalid(start_unix_server(ignore, ()).await.err(), "path was not specified");
        for path in ["", "a\0b", "\0"] {
            assert_invalid(open_unix_connection(path).await.err(), "");
            assert_invalid(start_unix_server(ignore, path).await.err(), "");
        }
        assert_invalid(open_unix_connection(UnixAddr::Unnamed).await.err(), "unnamed");
        assert!(!net.has_file(PATH) && net.counts().sockets == 0);
        drop(other);
    });
}

#[track_caller]
fn assert_invalid(error: Option<Error>, part: &str) {
    let error = error.expect("an argument that can never work");
    assert!(matches!(error, Error::InvalidInput(_)) && error.to_string().contains(part), "{error}");
}

#[test]
fn o27_a_connected_socket_is_taken_over() {
    simulate(async |_net| {
        let (one, other) = Socket::pair();
        let (_, writer) = open_unix_connection(()).socket(one).await.unwrap();
        let (mut reader, _other) = open_unix_connection(()).socket(other).await.unwrap();
        writer.write("abc").unwrap();
        assert_eq!(reader.readexactly(3).await.unwrap(), "abc");
    });
}

#[test]
fn s17_s18_the_path_is_there_from_the_start_and_is_serving_ends_with_close() {
    simulate(async |net| {
        let server = start_unix_server(ignore, PATH).start_serving(false).await.unwrap();
        let path = UnixAddr::Path(PATH.into());
        assert_eq!(server.unix_sockets(), std::slice::from_ref(&path));
        assert!(!server.is_serving() && net.has_file(PATH));
        server.start_serving().await.unwrap();
        assert_eq!(server.unix_sockets(), [path]);
        assert!(server.is_serving());
        server.close();
        assert!(server.unix_sockets().is_empty() && !server.is_serving());
        end(server).await;
    });
}

#[test]
fn s13_a_full_backlog_makes_clients_wait_and_s02_one_that_does_not_serve_refuses() {
    simulate(async |net| {
        let server = start_unix_server(echo, PATH).backlog(1).start_serving(false).await.unwrap();
        assert_eq!(open_unix_connection(PATH).await.unwrap_err().kind(), ErrorKind::ConnectionRefused);
        server.start_serving().await.unwrap();
        let queued = net.connect_unix(PATH).unwrap();
        assert_eq!(net.connect_unix(PATH).unwrap_err(), ErrorCode::WouldBlock);
        let (mut reader, writer) = open_unix_connection(PATH).await.unwrap();
        writer.write("x").unwrap();
        assert_eq!(reader.readexactly(1).await.unwrap(), "x");
        drop(writer);
        queued.close();
        end(server).await;
    });
}

#[test]
fn o17_a_connect_that_waits_can_be_given_up() {
    simulate(async |net| {
        let gate = Rc::new(Cell::new(false));
        // The accept loop is held up, so that the queue stays full.
        let server = start_unix_server(ignore, PATH).backlog(1).await.unwrap();
        net.fail_accepts(ErrorCode::NewSocketLimit, 1);
        settle().await;
        let queued = net.connect_unix(PATH).unwrap();
        let connecting = spawn({
            let gate = Rc::clone(&gate);
            async move {
                let _ = open_unix_connection(PATH).await;
                gate.set(true);
            }
        });
        settle().await;
        assert!(!gate.get(), "the queue is full");
        connecting.abort();
        settle().await;
        assert_eq!(net.counts().sockets, 1, "the listener");
        sleep(secs(2)).await; // it accepts again
        queued.close();
        end(server).await;
    });
}

#[test]
fn o26_a_connect_that_waits_has_no_timeout_of_its_own() {
    simulate(async |net| {
        let server = start_unix_server(ignore, PATH).backlog(1).await.unwrap();
        net.fail_accepts(ErrorCode::NewSocketLimit, 10_000); // one a second: the queue stays full
        settle().await;
        let queued = net.connect_unix(PATH).unwrap();
        let given_up = timeout(secs(5_000), open_unix_connection(PATH)).await;
        assert_eq!(given_up.unwrap_err().kind(), ErrorKind::TimedOut);
        assert_eq!(net.counts().sockets, 1, "the listener");
        queued.close();
        end(server).await;
        take_reports(); // each accept that failed
    });
}

#[test]
fn s39_s40_a_failed_accept_is_reported_with_the_path_and_waited_out() {
    simulate(async |net| {
        let server = start_unix_server(echo, PATH).await.unwrap();
        net.fail_accepts(ErrorCode::ConnectionAborted, 1);
        net.fail_accepts(ErrorCode::NewSocketLimit, 1);
        let peer = net.connect_unix(PATH).unwrap();
        peer.send(b"x");
        assert_eq!(peer.recv(1).await, b"x");
        let reports = take_reports();
        let [report @ Report::UnixAcceptFailed { .. }] = &reports[..] else { panic!("{reports:?}") };
        assert!(report.to_string().contains("connections on '/run/a.sock'"), "{report}");
        peer.close();
        end(server).await;
    });
}

#[test]
fn s31_s32_s33_the_server_knows_closes_and_aborts_its_clients() {
    simulate(async |net| {
        for aborts in [false, true] {
            let server = start_unix_server(echo, PATH).await.unwrap();
            let peers = [net.connect_unix(PATH).unwrap(), net.connect_unix(PATH).unwrap()];
            settle().await;
            assert_eq!(server.connections(), 2);
            if aborts {
                server.abort_clients()
            } else {
                server.close_clients()
            }
            server.close();
            assert!(server.unix_sockets().is_empty());
            for peer in &peers {
                peer.ended().await;
                peer.close();
            }
            end(server).await;
        }
    });
}

#[test]
fn tcp_and_unix_can_be_joined() {
    simulate(async |net| {
        let backend = start_unix_server(echo, PATH).await.unwrap();
        let front = start_server(
            async |mut reader: StreamReader, writer: StreamWriter| {
                let (mut from, to) = open_unix_connection(PATH).await?;
                copy(&mut reader, &to).await?;
                to.write_eof()?;
                copy(&mut from, &writer).await?;
                Ok::<_, Error>(())
            },
            "127.0.0.1",
            80,
        );
        let front = front.await.unwrap();
        let (mut reader, writer) = open_connection("127.0.0.1", 80).await.unwrap();
        let data = pattern(300_000, 5);
        writer.write(&data).unwrap();
        writer.write_eof().unwrap();
        assert!(reader.read_to_end().await.unwrap() == data);
        drop(writer);
        assert_eq!(net.freezes(), 0);
        end(front).await;
        end(backend).await;
    });
}

#[cfg(feature = "tls-ring")]
mod tls {
    use common::simulate_without_sockets;
    use common::tls::Authority;
    use wasi_streams::TlsConnector;

    use super::*;

    #[test]
    fn t02_tls_over_unix_sockets_verifies_the_name_that_is_given() {
        simulate(async |_net| {
            let ca = Authority::new();
            let server = start_unix_server(echo, PATH).tls(ca.acceptor("server.test")).await.unwrap();
            let connect = || open_unix_connection(PATH).tls(ca.connector());
            assert_invalid(connect().await.err(), "server_name");
            let plain = open_unix_connection(PATH).server_name("server.test");
            assert_invalid(plain.await.err(), "only meaningful with tls");
            let error = connect().server_name("other.test").await.unwrap_err();
            assert!(matches!(error, Error::Tls { .. }) && error.to_string().starts_with("'/run/a.sock': "), "{error}");
            let strangers = open_unix_connection(PATH).tls_default().unwrap();
            let error = strangers.server_name("server.test").await.unwrap_err();
            assert!(matches!(error, Error::Tls { .. }), "the usual authorities have not signed it: {error}");

            let (mut reader, writer) = connect().server_name("server.test").await.unwrap();
            let data = pattern(200_000, 7);
            writer.write(&data).unwrap();
            assert!(reader.readexactly(data.len()).await.unwrap() == data);
            assert_eq!(writer.peer_unix_addr(), Some(&UnixAddr::Path(PATH.into())));
            writer.close();
            writer.wait_closed().await.unwrap();
            assert!(!writer.tls().unwrap().truncated());
            end(server).await;
            take_reports(); // the handshakes that failed
        });
    }

    #[test]
    fn o04_o05_o08_o09_tls_arguments_are_checked_before_anything_else() {
        simulate_without_sockets(async |_net| {
            let tls = || Authority::new().connector();
            let open = || open_unix_connection(PATH);
            for (connect, part) in [
                (open().server_name(""), "server_name is only meaningful with tls"),
                (open().tls(tls()), "you have to pass server_name"),
                (open().tls_handshake_timeout(secs(1)), "only meaningful with tls"),
                (open().tls_shutdown_timeout(secs(1)), "only meaningful with tls"),
                (open().tls(tls()).server_name("a").tls_handshake_timeout(secs(0)), "should be a positive number"),
                (open().tls(tls()).server_name("a").tls_shutdown_timeout(secs(0)), "should be a positive number"),
            ] {
                assert_invalid(connect.await.err(), part);
            }
        });
    }

    #[test]
    fn a_plain_connection_is_upgraded_in_place() {
        simulate(async |_net| {
            let ca = Authority::new();
            let acceptor = ca.acceptor("server.test");
            let handler =
                with_state(&acceptor, |acceptor, mut reader: StreamReader, writer: StreamWriter| async move {
                    assert_eq!(reader.readline().await?, "STARTTLS\n");
                    writer.write("go\n")?;
                    writer.start_tls(acceptor).await?;
                    echo(reader, writer).await
                });
            let server = start_unix_server(handler, PATH).await.unwrap();
            let (mut reader, writer) = open_unix_connection(PATH).await.unwrap();
            writer.write("STARTTLS\n").unwrap();
            assert_eq!(reader.readline().await.unwrap(), "go\n");
            writer.start_tls(TlsConnector::clone(&ca.connector())).server_name("server.test").await.unwrap();
            writer.write("secret").unwrap();
            assert_eq!(reader.readexactly(6).await.unwrap(), "secret");
            writer.close();
            writer.wait_closed().await.unwrap();
            end(server).await;
        });
    }
}

#[test]
fn clients_beyond_the_limit_of_sockets_wait_and_connections_beyond_it_are_refused() {
    simulate(async |net| {
        let server = start_unix_server(echo, PATH).await.unwrap();
        set_max_sockets(2); // the listening one, and one
        let [first, second] = [0, 1].map(|_| net.connect_unix(PATH).unwrap());
        sleep(secs(3)).await;
        assert_eq!(server.connections(), 1);
        let told = take_reports();
        let is_limit = |report: &Report| matches!(report, Report::UnixAcceptFailed { error, .. } if error.kind() == ErrorKind::QuotaExceeded);
        assert!(told.iter().all(is_limit) && (2..=4).contains(&told.len()), "once a second: {told:?}");
        let error = open_unix_connection(PATH).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::QuotaExceeded);
        first.close();
        second.send(b"2");
        assert_eq!(second.recv(1).await, b"2", "a place is free");
        second.close();
        set_max_sockets(DEFAULT_MAX_SOCKETS);
        end(server).await;
    });
}

#[test]
fn the_host_moves_bytes_between_connections_of_every_kind() {
    for kinds in [[true, false], [false, true], [true, true]] {
        simulate(async |net| {
            let (mut from, back, source) = connected_by(&net, kinds[0]).await;
            let (_answers, to, sink) = connected_by(&net, kinds[1]).await;
            let to = Rc::new(to);
            let data = pattern(2 << 20, 6);
            sink.stall();
            source.send(&data);
            source.finish();
            let copying = spawn({
                let to = Rc::clone(&to);
                async move { copy(&mut from, &to).splice(true).await }
            });
            sleep(secs(1)).await;
            // The guest has none of it, so it is the host that moves it.
            assert_eq!(to.transport().get_write_buffer_size(), 0, "{kinds:?}");
            assert!(source.unsent() > data.len() / 4, "the stall holds the source back");
            sink.resume();
            assert_eq!(copying.await.unwrap().unwrap(), data.len() as u64);
            to.close();
            assert!(sink.recv_to_end().await == data, "{kinds:?}");
            back.close();
        });
    }
}

/// A connection over Unix sockets or over TCP.
async fn connected_by(net: &Network, unix: bool) -> (StreamReader, StreamWriter, Peer) {
    if unix {
        return connected(net).await;
    }
    common::connected(net).await
}

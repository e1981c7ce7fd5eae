//! Hosts end a program that has too many handles: a limit of sockets comes first, and costs nobody but those who come too late.

mod common;

use std::io::ErrorKind;

use common::{addr, echo, secs, settle, simulate, take_reports};
use wasi_streams::{DEFAULT_MAX_SOCKETS, Report, open_connection, set_max_sockets, sleep, start_server};

#[test]
fn clients_beyond_the_limit_wait_until_others_have_left() {
    simulate(async |net| {
        let server = start_server(echo, "127.0.0.1", 0).await.unwrap();
        set_max_sockets(3); // the listening one, and two
        let [first, second, third] = [0, 1, 2].map(|_| net.connect(server.sockets()[0]).unwrap());
        settle().await;
        assert_eq!(server.connections(), 2);
        sleep(secs(10)).await;
        let told = take_reports();
        let is_limit = |report: &Report| matches!(report, Report::AcceptFailed { error, .. } if error.kind() == ErrorKind::QuotaExceeded);
        assert!(told.iter().all(is_limit) && (9..=11).contains(&told.len()), "once a second: {told:?}");
        third.send(b"3");
        for peer in [&first, &second] {
            peer.send(b"x");
            assert_eq!(peer.recv(1).await, b"x", "those who are there are served");
        }
        first.close();
        assert_eq!(third.recv(1).await, b"3", "a place is free");
        take_reports();
        sleep(secs(10)).await;
        assert!(take_reports().is_empty(), "nobody waits");
        set_max_sockets(DEFAULT_MAX_SOCKETS);
    });
}

#[test]
fn a_connection_beyond_the_limit_is_refused_with_a_cause() {
    simulate(async |net| {
        let _listener = net.listen(addr("10.0.0.1:80"));
        set_max_sockets(1);
        let (_reader, first) = open_connection("10.0.0.1", 80).await.unwrap();
        let error = open_connection("10.0.0.1", 80).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::QuotaExceeded);
        assert!(error.to_string().contains("too many connections"), "{error}");
        first.close();
        first.wait_closed().await.unwrap();
        let (_reader, second) = open_connection("10.0.0.1", 80).await.unwrap();
        second.transport().abort();
        set_max_sockets(DEFAULT_MAX_SOCKETS);
    });
}

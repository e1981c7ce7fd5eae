//! Servers where TCP differs from Unix sockets: several addresses, and clients that vanish before they are accepted.

mod common;

use wasi_streams::{Error, StreamReader, StreamWriter, start_server};

use common::{addr, echo, ms, simulate, take_reports};

#[test]
fn s17_s18_sockets_and_is_serving_end_with_close() {
    simulate(async |_net| {
        let server = start_server(echo, ["127.0.0.1", "::1"], 80).start_serving(false).await.unwrap();
        let at = [addr("127.0.0.1:80"), addr("[::1]:80")];
        assert_eq!(server.sockets(), at);
        assert!(!server.is_serving());
        server.start_serving().await.unwrap();
        assert_eq!(server.sockets(), at);
        assert!(server.is_serving());
        server.close();
        assert!(server.sockets().is_empty() && !server.is_serving());
    });
}

#[test]
fn s39_clients_that_vanished_before_they_were_accepted_are_skipped() {
    simulate(async |net| {
        net.abort_vanished(true);
        let server = start_server(echo, "127.0.0.1", 0).await.unwrap();
        for _ in 0..10 {
            net.connect(server.sockets()[0]).unwrap().reset();
        }
        let peer = net.connect(server.sockets()[0]).unwrap();
        peer.send(b"after them");
        peer.finish();
        assert_eq!(peer.recv_to_end().await, b"after them");
        assert_eq!(net.now(), ms(0), "at once");
        assert_eq!(take_reports().len(), 0);
    });
}

#[test]
fn r03_a_server_with_a_limit_of_zero_never_starts() {
    simulate(async |net| {
        let handler = |_: StreamReader, _: StreamWriter| {};
        let error = start_server(handler, "127.0.0.1", 8080).limit(0).await.unwrap_err();
        assert!(matches!(&error, Error::InvalidInput(text) if text.contains("limit")), "{error}");
        assert!(net.events().is_empty());
    });
}

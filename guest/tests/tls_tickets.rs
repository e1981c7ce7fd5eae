//! When the tickets of a TLS 1.3 server go out: with the first data, for a small segment of their own before it would make it wait for
//! the peer's delayed acknowledgement.
#![cfg(feature = "tls-ring")]

mod common;

use std::cell::RefCell;
use std::rc::Rc;

use common::tls::Authority;
use common::tls_peer::TlsPeer;
use common::{settle, simulate, with_state};
use futures_lite::AsyncWriteExt;
use wasi_streams::sim::Network;
use wasi_streams::{Duplex, Server, StreamReader, StreamWriter, start_server};

const NAME: &str = "server.test";

type Slot = Rc<RefCell<Option<(StreamReader, StreamWriter)>>>;

/// A server, its first connection, and the client of that with the handshake done.
async fn accepted(net: &Network) -> (Server, (StreamReader, StreamWriter), TlsPeer) {
    let ca = Authority::new();
    let slot = Slot::default();
    let handler = with_state(&slot, |slot, reader, writer| async move {
        slot.replace(Some((reader, writer)));
    });
    let server = start_server(handler, "127.0.0.1", 0).tls(ca.acceptor(NAME)).await.unwrap();
    let mut client = TlsPeer::client(net.connect(server.sockets()[0]).unwrap(), &ca, NAME);
    client.shake_hands().await;
    settle().await;
    let connection = slot.take().expect("accepted");
    (server, connection, client)
}

#[test]
fn tickets_go_out_with_the_first_data_in_one_piece() {
    simulate(async |net| {
        let (_server, (_reader, writer), mut client) = accepted(&net).await;
        let before = client.peer.received_len();
        settle().await;
        assert_eq!(client.peer.received_len(), before, "nothing goes out by itself");
        assert_eq!(writer.transport().get_write_buffer_size(), 0, "nobody has to wait for them");
        let writes = net.counts().writes;
        writer.write("answer").unwrap();
        settle().await;
        assert_eq!(net.counts().writes, writes + 1, "tickets and data are one write of the host's");
        assert_eq!(client.recv(6).await, b"answer");
        assert_eq!(client.tickets(), 2);
    });
}

#[test]
fn a_flush_does_not_wait_for_tickets_that_wait_for_data() {
    simulate(async |net| {
        let (_server, (reader, writer), _client) = accepted(&net).await;
        Duplex::new(reader, writer).flush().await.unwrap();
    });
}

#[test]
fn a_server_that_says_nothing_sends_its_tickets_before_its_goodbye() {
    simulate(async |net| {
        let (_server, (_reader, writer), mut client) = accepted(&net).await;
        writer.close();
        assert_eq!(client.recv_to_goodbye().await, b"");
        assert_eq!(client.tickets(), 2);
        client.goodbye();
        writer.wait_closed().await.unwrap();
    });
}

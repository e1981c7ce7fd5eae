//! The shortest way through the whole library, in virtual time.

use wasi_streams::{StreamReader, StreamWriter};
use wasi_streams::{open_connection, run, sim, spawn, start_server};

async fn echo(mut reader: StreamReader, writer: StreamWriter) -> wasi_streams::Result<()> {
    let data = reader.read(100).await?;
    writer.write(&data)?;
    writer.drain().await?;
    writer.close();
    writer.wait_closed().await
}

#[test]
fn a_client_and_a_server_of_ours_echo() {
    let _net = sim::Network::new();
    run(async {
        let server = start_server(echo, "127.0.0.1", 0).await.unwrap();
        let address = server.sockets()[0];
        let (mut reader, writer) = open_connection(address.ip(), address.port()).await.unwrap();
        writer.write("hello").unwrap();
        assert_eq!(reader.read_to_end().await.unwrap(), "hello");
        writer.close();
        writer.wait_closed().await.unwrap();
        server.close();
        server.wait_closed().await;
    });
}

#[test]
fn a_plain_handler_compiles_and_runs() {
    let net = sim::Network::new();
    run(async {
        let server = start_server(
            |mut reader: StreamReader, writer: StreamWriter| {
                drop(spawn(async move {
                    let line = reader.readline().await.unwrap();
                    writer.write(line).unwrap();
                    writer.close();
                }));
            },
            "127.0.0.1",
            0,
        )
        .await
        .unwrap();
        let peer = net.connect(server.sockets()[0]).unwrap();
        peer.send(b"one\n");
        assert_eq!(peer.recv_to_end().await, b"one\n");
    });
    assert_eq!(net.freezes(), 0);
}

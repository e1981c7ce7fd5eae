//! `get_extra_info` and its typed neighbours.

mod common;

use wasi_streams::{AddressFamily, ExtraInfo, KeepAlive, open_connection, sleep, start_server, stream_pair};
use wasi_streams::{StreamReader, StreamWriter};

use common::{addr, connected, ms, simulate};

#[test]
fn x01_an_unknown_name_gives_the_default() {
    simulate(async |net| {
        let (_reader, writer, peer) = connected(&net).await;
        assert_eq!(writer.get_extra_info("no such thing"), None);
        assert_eq!(writer.transport().get_extra_info(""), None);
        let default = ExtraInfo::Address(addr("192.0.2.1:1"));
        assert_eq!(writer.get_extra_info("PEERNAME").unwrap_or(default.clone()), default);
        assert_ne!(writer.get_extra_info("peername"), None);
        drop(peer);
        let ((_r1, one), (_r2, other)) = stream_pair();
        for name in ["peername", "sockname", "socket"] {
            assert_eq!(one.get_extra_info(name), None, "a pair in memory has no {name}");
        }
        [writer, one, other].iter().for_each(|writer| writer.close());
    });
}

#[test]
fn x02_names_are_addresses_and_show_as_python_prints_them() {
    simulate(async |net| {
        let (_reader, writer, peer) = connected(&net).await;
        assert_eq!(writer.get_extra_info("peername"), Some(ExtraInfo::Address(peer.local_addr())));
        assert_eq!(writer.get_extra_info("sockname"), Some(ExtraInfo::Address(peer.remote_addr())));
        assert_eq!(writer.get_extra_info("peername").unwrap().to_string(), "('10.0.0.1', 80)");
        let mine = peer.remote_addr();
        let text = format!("('{}', {})", mine.ip(), mine.port());
        assert_eq!(writer.get_extra_info("sockname").unwrap().to_string(), text);

        let _listener = net.listen(addr("[fe80::1%3]:8080"));
        let (_reader, linked) = open_connection("fe80::1%3", 8080).await.unwrap();
        assert_eq!(linked.get_extra_info("peername").unwrap().to_string(), "('fe80::1', 8080, 0, 3)");
        writer.close();
        linked.close();
    });
}

#[test]
fn x03_peername_of_an_accepted_connection_is_taken_when_it_is_accepted() {
    simulate(async |net| {
        let handler = async move |mut reader: StreamReader, writer: StreamWriter| {
            let line = reader.readline().await.unwrap();
            assert_eq!(reader.read_to_end().await.unwrap(), "");
            sleep(ms(10)).await;
            let peername = writer.get_extra_info("peername").unwrap();
            assert_eq!(peername.to_string(), String::from_utf8_lossy(&line).trim());
            writer.close();
        };
        let server = start_server(handler, "127.0.0.1", 0).await.unwrap();
        let peer = net.connect_from(addr("10.9.8.7:1234"), server.sockets()[0]).unwrap();
        sleep(ms(1)).await;
        assert_eq!(server.connections(), 1, "accepted");
        peer.send(b"('10.9.8.7', 1234)\n");
        drop(peer); // from now on the host does not know the address any more
        sleep(ms(100)).await;
        server.close();
        server.wait_closed().await;
    });
}

#[test]
fn x04_socket_is_a_view_of_addresses_and_options() {
    simulate(async |net| {
        let _listener = net.listen(addr("[::1]:80"));
        let settings = KeepAlive { idle: Some(ms(60_000)), ..KeepAlive::default() };
        let (_reader, writer) = open_connection("::1", 80).keep_alive(settings).await.unwrap();
        let Some(ExtraInfo::Socket(view)) = writer.get_extra_info("socket") else { panic!("a socket") };
        assert_eq!(view.peer_addr(), Some(addr("[::1]:80")));
        assert_eq!(view.local_addr(), writer.local_addr());
        assert_eq!((view.family(), view.keep_alive()), (AddressFamily::Inet6, Some(true)));
        writer.transport().abort();
        let view = writer.socket().unwrap();
        assert_eq!((view.peer_addr(), view.keep_alive()), (Some(addr("[::1]:80")), None), "the options went with it");

        let (_reader, writer, _peer) = connected(&net).await;
        let view = writer.socket().unwrap();
        assert_eq!((view.family(), view.keep_alive()), (AddressFamily::Inet, Some(false)));
        writer.close();
    });
}

#[test]
fn c15_after_a_close_the_addresses_are_still_known() {
    simulate(async |net| {
        let (_reader, writer, peer) = connected(&net).await;
        writer.close();
        writer.wait_closed().await.unwrap();
        assert_eq!(writer.get_extra_info("peername").unwrap().address(), Some(peer.local_addr()));
        assert_eq!(writer.get_extra_info("sockname").unwrap().address(), Some(peer.remote_addr()));
        assert_eq!(writer.peer_addr(), Some(peer.local_addr()));
        assert_eq!(writer.local_addr(), Some(peer.remote_addr()));
    });
}

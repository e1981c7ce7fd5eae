//! The exported interface: serving, in each of its forms, and what becomes of those who are not accepted.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Context, Result};
use wasi_streams_host::exported::{Exported, connections};
use wasi_streams_host::peer::Peer;
use wasi_streams_host::{Guest, Policy, block_on};
use wasmtime::component::ResourceAny;

use crate::export_support::{
    ErrorKind, FORMS, Interest, any_ready, call, drop_all, expect_error, listen, net, perform, settle,
};
use crate::loopback::{V4, V6};

#[test]
fn clients_are_accepted_in_every_form() -> Result<()> {
    block_on(async {
        let mut net = net().await?;
        let (server, address) = listen(&mut net, None).await?;
        assert_eq!(call!(net.server.call_failed_handshakes(server)), 0);
        for form in FORMS {
            // Some are there already, some come while it waits.
            let early = Peer::connect(address).await?;
            let (reader, writer) = perform!(form, net.server: call_accept | call_try_accept as Acceptable(server))?;
            talk(&mut net, reader, writer, early).await?;
            assert!(call!(net.server.call_try_accept(server))?.is_none());
            let late = tokio::spawn(async move {
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                Peer::connect(address).await
            });
            let (reader, writer) = perform!(form, net.server: call_accept | call_try_accept as Acceptable(server))?;
            talk(&mut net, reader, writer, late.await??).await?;
        }
        Ok(())
    })
}

#[test]
fn a_server_without_clients_wakes_nobody() -> Result<()> {
    block_on(async {
        let mut net = net().await?;
        let (server, address) = listen(&mut net, None).await?;
        let fresh = call!(net.server.call_subscribe(server));
        assert!(!fresh.is_empty());
        drop_all(&mut net, fresh)?;
        assert!(call!(net.server.call_try_accept(server))?.is_none());
        let pollables = call!(net.server.call_subscribe(server));
        assert!(!any_ready(&mut net, &pollables).await?);
        let peer = Peer::connect(address).await?;
        assert!(any_ready(&mut net, &pollables).await?);
        drop_all(&mut net, pollables)?;
        assert!(call!(net.server.call_try_accept(server))?.is_some());
        drop(peer);
        let before = net.snapshot().polls;
        assert_eq!(call!(net.call_wait(&[Interest::Acceptable(server)], Some(300)))?, []);
        assert!(net.snapshot().polls - before <= 8);
        Ok(())
    })
}

#[test]
fn a_server_listens_where_it_is_told() -> Result<()> {
    block_on(async {
        let mut net = net().await?;
        let hosts = ["127.0.0.1".to_owned(), "::1".to_owned(), "127.0.0.1".to_owned()];
        let server = call!(net.call_listen(&hosts, 0, None))?;
        let ips: Vec<IpAddr> = addresses(&mut net, server).await?.iter().map(SocketAddr::ip).collect();
        assert_eq!(ips, [V4, V6], "each once");
        for address in addresses(&mut net, server).await? {
            let _peer = Peer::connect(address).await?;
            let (_, writer) = call!(net.server.call_accept(server))?;
            let local = call!(net.writer.call_local_address(writer)).context("it is known")?;
            assert_eq!(local.host.parse::<IpAddr>()?, address.ip());
        }
        // None, and an empty name, are every interface; a family restricts them.
        let mut net = Guest::named("wasi-streams").policy(Policy::everything()).export().await?;
        for hosts in [&[][..], &[String::new()]] {
            for family in [None, Some(connections::Family::Ipv4), Some(connections::Family::Ipv6)] {
                let options = call!(net.listen_options.call_constructor());
                if let Some(family) = family {
                    call!(net.listen_options.call_set_family(options, family));
                }
                let server = call!(net.call_listen(hosts, 0, Some(options)))?;
                let all = addresses(&mut net, server).await?;
                assert!(all.iter().all(|address| address.ip().is_unspecified() && address.port() != 0));
                let v6 = all.iter().filter(|address| address.is_ipv6()).count();
                let expected = match family {
                    None => (2, 1),
                    Some(connections::Family::Ipv4) => (1, 0),
                    Some(connections::Family::Ipv6) => (1, 1),
                };
                assert_eq!((all.len(), v6), expected, "{hosts:?} {family:?}");
            }
        }
        Ok(())
    })
}

#[test]
fn the_limit_is_that_of_each_reader() -> Result<()> {
    block_on(async {
        let mut net = net().await?;
        let options = call!(net.listen_options.call_constructor());
        call!(net.listen_options.call_set_limit(options, 4));
        let (server, address) = listen(&mut net, Some(options)).await?;
        let mut peer = Peer::connect(address).await?;
        peer.write_all(b"12345\n").await?;
        let (reader, _) = call!(net.server.call_accept(server))?;
        assert_eq!(expect_error(call!(net.reader.call_read_line(reader))).kind, ErrorKind::LimitOverrun);
        Ok(())
    })
}

#[test]
fn no_more_than_the_backlog_is_taken_in_unasked() -> Result<()> {
    block_on(async {
        let mut net = net().await?;
        let options = call!(net.listen_options.call_constructor());
        call!(net.listen_options.call_set_backlog(options, 3));
        let (server, address) = listen(&mut net, Some(options)).await?;
        let mut peers = Vec::new();
        for _ in 0..5 {
            peers.push(Peer::connect(address).await?);
            settle(&mut net).await?;
        }
        // One of them is in the hands of the accept loop; the last is still the system's.
        assert_eq!(net.resources().tcp_sockets, 1 + 3 + 1);
        for mut peer in peers {
            let (_, writer) = call!(net.server.call_accept(server))?;
            let address = call!(net.writer.call_peer_address(writer)).context("it is known")?;
            assert_eq!(address.port, peer.local_addr()?.port(), "in order");
            net.drop_resource(writer).await?;
            settle(&mut net).await?;
            assert_eq!(peer.read_to_end().await?, b"");
        }
        Ok(())
    })
}

#[test]
fn what_makes_no_sense_or_is_taken_has_its_kind() -> Result<()> {
    block_on(async {
        let mut net = net().await?;
        let (server, address) = listen(&mut net, None).await?;
        let local = ["127.0.0.1".to_owned()];
        let error = expect_error(call!(net.call_listen(&local, address.port(), None)));
        assert_eq!(error.kind, ErrorKind::AddressInUse);
        assert!(error.message.contains(&address.to_string()), "{error:?}");
        net.drop_resource(server).await?;
        call!(net.call_listen(&local, address.port(), None))?;

        for option in 0..4 {
            let options = call!(net.listen_options.call_constructor());
            match option {
                0 => call!(net.listen_options.call_set_limit(options, 0)),
                1 => call!(net.listen_options.call_set_backlog(options, 0)),
                2 => call!(net.listen_options.call_set_tls_handshake_timeout(options, 1000)),
                _ => call!(net.listen_options.call_set_tls_shutdown_timeout(options, 1000)),
            }
            let error = expect_error(call!(net.call_listen(&local, 0, Some(options))));
            assert_eq!(error.kind, ErrorKind::InvalidArgument, "{option}: {error:?}");
        }
        let error = expect_error(call!(net.call_listen(&["10.1.2.3".to_owned()], 80, None)));
        assert_eq!(error.kind, ErrorKind::AccessDenied);
        assert!(error.message.contains("--allow-listen 10.1.2.3:80"), "{error:?}");
        let error = expect_error(call!(net.call_listen(&["a.test".to_owned()], 80, None)));
        assert_eq!(error.kind, ErrorKind::NameLookupDenied);

        let policy = Policy::everything().dns(true);
        let guest = Guest::named("wasi-streams").policy(policy).host("nobody.test", [V4; 0]);
        let mut net = guest.export().await?;
        let error = expect_error(call!(net.call_listen(&["nobody.test".to_owned()], 80, None)));
        assert_eq!(error.kind, ErrorKind::NameUnknown);
        let error = expect_error(call!(net.call_listen(&["203.0.113.7".to_owned()], 0, None)));
        assert_eq!(error.kind, ErrorKind::AddressNotAvailable);
        Ok(())
    })
}

#[test]
fn a_closed_server_says_so_and_accepted_connections_live_on() -> Result<()> {
    block_on(async {
        let mut net = net().await?;
        for (form, drops) in FORMS.into_iter().flat_map(|form| [(form, false), (form, true)]) {
            let (server, address) = listen(&mut net, None).await?;
            let peer = Peer::connect(address).await?;
            let (reader, writer) = call!(net.server.call_accept(server))?;
            // One that was taken in, and one that was not.
            let mut unaccepted = vec![Peer::connect(address).await?];
            settle(&mut net).await?;
            unaccepted.push(Peer::connect(address).await?);
            if drops {
                net.drop_resource(server).await?;
            } else {
                for _ in 0..2 {
                    call!(net.server.call_close(server));
                }
                let accepted = perform!(form, net.server: call_accept | call_try_accept as Acceptable(server));
                assert_eq!(expect_error(accepted).kind, ErrorKind::Closed, "{form:?}");
                assert!(addresses(&mut net, server).await?.is_empty(), "{form:?}");
                let pollables = call!(net.server.call_subscribe(server));
                assert!(any_ready(&mut net, &pollables).await?, "{form:?}");
                drop_all(&mut net, pollables)?;
                assert_eq!(call!(net.call_wait(&[Interest::Acceptable(server)], None))?, [0]);
            }
            for mut peer in unaccepted {
                // An end or a reset, whichever the system makes of it.
                assert_eq!(peer.read_to_end().await.unwrap_or_default(), b"", "{form:?}");
            }
            assert!(Peer::connect(address).await.is_err(), "{form:?}");
            talk(&mut net, reader, writer, peer).await?;
        }
        Ok(())
    })
}

#[test]
fn a_server_closed_before_its_pollables_keeps_nobody_waiting_nor_its_place() -> Result<()> {
    block_on(async {
        let mut net = net().await?;
        let (server, address) = listen(&mut net, None).await?;
        assert!(call!(net.server.call_try_accept(server))?.is_none());
        let pollables = call!(net.server.call_subscribe(server));
        let mut early = Peer::connect(address).await?;
        net.drop_resource(server).await?;
        // The host cannot stop to listen while somebody has a pollable of it. Those who come are sent away.
        let mut late = Peer::connect(address).await?;
        settle(&mut net).await?;
        assert_eq!(early.read_to_end().await.unwrap_or_default(), b"");
        assert_eq!(late.read_to_end().await.unwrap_or_default(), b"");
        let waiting = tokio::spawn(async move { Peer::connect(address).await?.read_to_end().await });
        while !waiting.is_finished() {
            call!(net.call_wait(&[], Some(10)))?;
        }
        assert_eq!(waiting.await?.unwrap_or_default(), b"");

        let server = call!(net.call_listen(&["127.0.0.1".to_owned()], address.port(), None))?;
        let peer = Peer::connect(address).await?;
        let (reader, writer) = call!(net.server.call_accept(server))?;
        talk(&mut net, reader, writer, peer).await?;
        drop_all(&mut net, pollables)?;
        Ok(())
    })
}

async fn addresses(net: &mut Exported, server: ResourceAny) -> Result<Vec<SocketAddr>> {
    let addresses = call!(net.server.call_local_addresses(server));
    addresses.into_iter().map(|address| Ok(SocketAddr::new(address.host.parse()?, address.port))).collect()
}

/// A line to and fro.
async fn talk(net: &mut Exported, reader: ResourceAny, writer: ResourceAny, mut peer: Peer) -> Result<()> {
    let address = call!(net.writer.call_peer_address(writer)).context("it is known")?;
    assert_eq!(address.port, peer.local_addr()?.port());
    peer.write_all(b"question\n").await?;
    assert_eq!(call!(net.reader.call_read_line(reader))?, b"question\n");
    call!(net.writer.call_write(writer, b"answer\n"))?;
    call!(net.writer.call_close(writer));
    call!(net.writer.call_wait_closed(writer))?;
    assert_eq!(peer.read_to_end().await?, b"answer\n");
    Ok(())
}

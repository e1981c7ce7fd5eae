//! Every example program: what it prints, how it ends, and what it says when it cannot.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use wasi_streams_host::peer::{Listener, Peer, refusing_address};
use wasi_streams_host::{Guest, Outcome, Policy, Running, Status, block_on};

use crate::loopback::{V4, V6, refusing};

#[test]
fn every_example_explains_bad_arguments_in_one_line() -> Result<()> {
    let cases: &[(&str, &[&str], &str)] = &[
        ("echo-server", &["--bogus"], "'--bogus'"),
        ("echo-server", &["--port"], "'--port'"),
        ("echo-server", &["--port", "http"], "http"),
        ("echo-server", &["--port", "65536"], "65536"),
        ("echo-server", &["--port", "0", "--limit", "0"], "limit"),
        ("echo-server", &["--port", "0", "--backlog", "0"], "backlog"),
        ("echo-server", &["extra"], "extra"),
        ("echo-server", &["--tls-cert", "server.pem"], "--tls-key"),
        ("echo-server", &["--tls-cert=a", "--tls-cert=b", "--tls-key=c"], "--tls-key"),
        ("echo-server", &["--client-ca", "ca.pem"], "--tls-cert"),
        ("echo-client", &["one", "two"], "two"),
        ("echo-client", &["--port", "-1"], "-1"),
        ("echo-client", &["--port", "0"], "port 0"),
        ("echo-client", &["--ca", "ca.pem"], "--tls"),
        ("echo-client", &["--tls", "--cert", "client.pem"], "--key"),
        ("http-headers", &[], "a URL is needed"),
        ("http-headers", &["--timeout", "soon", "http://127.0.0.1/"], "soon"),
        ("http-headers", &["nonsense"], "nonsense"),
        ("http-headers", &["ftp://127.0.0.1/"], "ftp"),
        ("http-headers", &["--insecure", "--ca", "ca.pem", "https://127.0.0.1/"], "drop one"),
        ("http-headers", &["http://127.0.0.1:99999/"], "65535"),
        ("starttls", &[], "client or server"),
        ("starttls", &["client", "mail.test"], "PORT"),
        ("starttls", &["client", "mail.test", "25", "--mail", "a", "b c"], "b c"),
        ("starttls", &["server", "--tls-cert", "server.pem"], "--tls-key"),
        ("wait-for-data", &["--udp"], "'--udp'"),
        ("chat", &["--buffer", "much"], "much"),
        ("chat", &["--host"], "'--host'"),
        ("proxy", &["--to", "127.0.0.1:80"], "--listen"),
        ("proxy", &["--listen", ":0"], "--to"),
        ("proxy", &["--listen", "nowhere", "--to", "127.0.0.1:80"], "HOST:PORT"),
        ("proxy", &["--listen", "::1:80", "--to", "127.0.0.1:80"], "brackets"),
    ];
    block_on(async {
        for (program, arguments, expected) in cases {
            let outcome = Guest::named(program).args(arguments.iter().copied()).run().await?;
            assert!(complaint(&outcome).contains(expected), "{arguments:?}\n{outcome}");
            assert_eq!(outcome.stdout, "", "{arguments:?}");
        }
        Ok(())
    })
}

#[test]
fn every_example_shows_its_options() -> Result<()> {
    block_on(async {
        for program in ["echo-server", "echo-client", "http-headers", "starttls", "wait-for-data", "chat", "proxy"] {
            for option in ["--help", "-h"] {
                let outcome = Guest::named(program).arg(option).run().await?.success()?;
                assert!(outcome.stdout.contains(&format!("Usage: {program} ")), "{outcome}");
                assert_eq!(outcome.stderr, "");
            }
        }
        Ok(())
    })
}

#[test]
fn a_server_whose_address_is_taken_or_forbidden_says_so() -> Result<()> {
    block_on(async {
        let taken = Listener::v4()?;
        let listening = taken.addr().to_string();
        let port = taken.port().to_string();
        for (program, arguments) in [
            ("echo-server", vec!["--port", &port]),
            ("chat", vec!["--port", &port]),
            ("proxy", vec!["--listen", &listening, "--to", "127.0.0.1:80"]),
        ] {
            let outcome = Guest::named(program).args(arguments).run().await?;
            let line = complaint(&outcome);
            assert!(line.contains(&listening) && line.contains("address already in use"), "{outcome}");
        }
        for (program, arguments) in [
            ("echo-server", vec!["--host", "0.0.0.0", "--port", "0"]),
            ("chat", vec!["--host", "0.0.0.0", "--port", "0"]),
            ("proxy", vec!["--listen", "0.0.0.0:0", "--to", "127.0.0.1:80"]),
        ] {
            let outcome = Guest::named(program).args(arguments).run().await?;
            assert!(complaint(&outcome).contains("--allow-listen 0.0.0.0:0"), "{outcome}");
        }
        Ok(())
    })
}

#[test]
fn a_client_whose_server_refuses_or_is_forbidden_says_so() -> Result<()> {
    block_on(async {
        let (address, _guard) = refusing_address()?;
        let (port, url) = (address.port().to_string(), format!("http://{address}/"));
        for (program, arguments) in [("echo-client", vec!["--port", &port]), ("http-headers", vec![&url])] {
            let outcome = Guest::named(program).args(arguments).run().await?;
            let line = complaint(&outcome);
            assert!(line.contains(&address.to_string()) && line.contains("connection refused"), "{outcome}");
        }
        for (program, arguments) in
            [("echo-client", ["--host", "10.1.2.3"]), ("http-headers", ["--timeout=1", "http://10.1.2.3:8888/"])]
        {
            let outcome = Guest::named(program).args(arguments).run().await?;
            assert!(complaint(&outcome).contains("--allow 10.1.2.3:8888"), "{outcome}");
        }
        let outcome = Guest::named("echo-client").args(["--host", "a.test"]).run().await?;
        assert!(complaint(&outcome).contains("cannot resolve \"a.test\""), "{outcome}");
        Ok(())
    })
}

#[test]
fn the_echo_server_prints_each_step_and_ends_with_its_input() -> Result<()> {
    block_on(async {
        for (ip, shown) in [(V4, "127.0.0.1"), (V6, "[::1]")] {
            let (mut server, address) = serving("echo-server", &["--host", &ip.to_string(), "--port", "0"]).await?;
            let mut client = Peer::connect(address).await?;
            let from = client.local_addr()?.port();
            client.write_all(b"Hello World!").await?;
            assert_eq!(client.read_to_end().await?, b"Hello World!");
            server.wait_line("Close the connection").await?;
            let from = if ip.is_ipv4() { format!("('127.0.0.1', {from})") } else { format!("('::1', {from}, 0, 0)") };
            let outcome = ended(server).await?;
            let expected = format!(
                "Serving on {shown}:{}\nReceived 'Hello World!' from {from}\nSend: 'Hello World!'\nClose the connection\n",
                address.port()
            );
            assert_eq!(outcome.stdout, expected);
            assert_eq!(outcome.stderr, "");
        }
        Ok(())
    })
}

#[test]
fn the_echo_server_reads_once_and_at_most_a_hundred_bytes() -> Result<()> {
    block_on(async {
        let (server, address) = serving("echo-server", &["--port", "0"]).await?;
        let mut client = Peer::connect(address).await?;
        client.write_all(&[b'x'; 150]).await?;
        assert_eq!(client.read_to_end().await?, [b'x'; 100]);
        // A client that says nothing at all is answered by nothing.
        let mut client = Peer::connect(address).await?;
        client.half_close().await?;
        assert_eq!(client.read_to_end().await?, b"");
        let outcome = ended(server).await?;
        assert!(outcome.stdout.contains("Received '' from "), "{outcome}");
        Ok(())
    })
}

#[test]
fn the_echo_server_survives_clients_that_misbehave() -> Result<()> {
    block_on(async {
        let (mut server, address) = serving("echo-server", &["--port", "0"]).await?;
        let mut client = Peer::connect(address).await?;
        client.write_all(b"\xff\xfe").await?;
        assert_eq!(client.read_to_end().await?, b"");
        let line = server.wait_stderr_line("echo-server: ").await?;
        assert!(line.contains("not UTF-8") && line.contains(&client.local_addr()?.to_string()), "{line}");
        let client = Peer::connect(address).await?;
        let from = client.local_addr()?.to_string();
        client.reset()?;
        let line = server.wait_stderr_line("echo-server: ").await?;
        assert!(line.contains("reset"), "{line} of {from}");
        let mut client = Peer::connect(address).await?;
        client.write_all(b"still here?").await?;
        assert_eq!(client.read_to_end().await?, b"still here?");
        let outcome = ended(server).await?;
        assert_eq!(outcome.stderr.lines().count(), 2, "{outcome}");
        Ok(())
    })
}

#[test]
fn the_echo_server_lets_its_connections_finish_after_the_end_of_its_input() -> Result<()> {
    block_on(async {
        for options in [&["--port=0"][..], &["--port=0", "--stream"]] {
            let (mut server, address) = serving("echo-server", options).await?;
            let mut client = Peer::connect(address).await?;
            // It is accepted: the listener and the connection.
            server.wait_until(|now| now.resources.tcp_sockets == 2).await?;
            server.close_stdin();
            server.wait_until(|now| now.resources.tcp_sockets == 1).await?;
            let refused = timeout(DEADLINE, TcpStream::connect(address)).await?;
            assert_eq!(refused.unwrap_err().kind(), std::io::ErrorKind::ConnectionRefused);
            assert!(!server.is_finished());
            client.write_all(b"last words").await?;
            client.half_close().await?;
            assert_eq!(client.read_to_end().await?, b"last words");
            let outcome = server.finish().await.success()?;
            assert_eq!(outcome.last.resources.tcp_sockets, 0, "{outcome}");
        }
        Ok(())
    })
}

#[test]
fn the_echo_server_listens_on_several_addresses() -> Result<()> {
    block_on(async {
        let guest = program("echo-server", &["--host", "127.0.0.1", "--host=::1", "--port=0", "--stream"]);
        let mut server = guest.start().await?;
        let line = server.wait_line("Serving on ").await?;
        let addresses: Vec<SocketAddr> =
            line["Serving on ".len()..].split(", ").map(str::parse).collect::<Result<_, _>>()?;
        assert_eq!(addresses.iter().map(SocketAddr::ip).collect::<Vec<_>>(), [V4, V6]);
        for address in addresses {
            echoes(address, b"hello").await?;
        }
        ended(server).await?;
        // Every interface, in both families.
        let (port, guards) = refusing(&["0.0.0.0".parse()?, "::".parse()?])?;
        drop(guards);
        let guest = program("echo-server", &["--host=", "--port", &port.to_string(), "--stream"]);
        let mut server = guest.policy(Policy::everything()).start().await?;
        assert_eq!(server.wait_line("Serving on ").await?, format!("Serving on 0.0.0.0:{port}, [::]:{port}"));
        echoes(SocketAddr::new(V4, port), b"hello").await?;
        echoes(SocketAddr::new(V6, port), b"hello").await?;
        ended(server).await?;
        Ok(())
    })
}

#[test]
fn the_echo_server_streams_and_takes_no_more_than_its_client_takes_back() -> Result<()> {
    block_on(async {
        let (server, address) = serving("echo-server", &["--port=0", "--stream", "--limit=8192"]).await?;
        let mut greedy = Peer::connect_with_receive_buffer(address, 4096).await?;
        let data: Vec<u8> = (0..64u32 << 20).map(|n| (n % 251) as u8).collect();
        // It offers 64 MiB and reads nothing: it is held back after what the system's own buffers take.
        let offering = greedy.stream().write_all(&data);
        assert!(timeout(STANDSTILL, offering).await.is_err(), "64 MiB were taken");
        // The others are served meanwhile.
        echoes(address, &data[..3 << 20]).await?;
        drop(greedy);
        // One that reads gets everything back.
        echoes(address, &data).await?;
        let outcome = ended(server).await?;
        assert_eq!(outcome.stdout, format!("Serving on {address}\n"), "nothing about connections");
        assert!(outcome.last.memory_bytes < 8 << 20, "{:?}", outcome.last);
        Ok(())
    })
}

#[test]
fn the_echo_client_prints_each_step() -> Result<()> {
    block_on(async {
        for listener in [Listener::v4()?, Listener::v6()?] {
            let (host, port) = (listener.addr().ip().to_string(), listener.port().to_string());
            let guest = Guest::named("echo-client").args(["--host", &host, "--port", &port, "it's me"]).run();
            let server = async {
                let mut peer = listener.accept().await?;
                let heard = peer.read_exact(7).await?;
                peer.write_all(b"it's \"you\"").await?;
                assert_eq!(peer.read_to_end().await?, b"");
                anyhow::Ok(heard)
            };
            let (outcome, heard) = tokio::join!(guest, server);
            assert_eq!(heard?, b"it's me");
            let expected = "Send: \"it's me\"\nReceived: 'it\\'s \"you\"'\nClose the connection\n";
            assert_eq!(outcome?.success()?.stdout, expected);
        }
        Ok(())
    })
}

#[test]
fn the_echo_client_tells_an_end_from_a_loss() -> Result<()> {
    block_on(async {
        for lost in [false, true] {
            let listener = Listener::v4()?;
            let guest = Guest::named("echo-client").args(["--port", &listener.port().to_string()]).run();
            let server = async {
                let mut peer = listener.accept().await?;
                peer.read_exact("Hello World!".len()).await?;
                if lost { peer.reset() } else { Ok(()) }
            };
            let (outcome, served) = tokio::join!(guest, server);
            served?;
            let outcome = outcome?;
            if lost {
                assert!(complaint(&outcome).contains("connection reset by peer"), "{outcome}");
                assert_eq!(outcome.stdout, "Send: 'Hello World!'\n");
            } else {
                let expected = "Send: 'Hello World!'\nReceived: ''\nClose the connection\n";
                assert_eq!(outcome.success()?.stdout, expected);
            }
        }
        Ok(())
    })
}

#[test]
fn http_headers_asks_as_a_browser_would_and_stops_at_the_empty_line() -> Result<()> {
    block_on(async {
        for (listener, host) in [(Listener::v4()?, "127.0.0.1"), (Listener::v6()?, "[::1]")] {
            let port = listener.port();
            let url = format!("http://user:secret@{host}:{port}/a%20b/?q=1#fragment");
            let guest = Guest::named("http-headers").args([url, format!("http://{host}:{port}")]).run();
            let server = async {
                let mut requests = Vec::new();
                // With an end of lines that is not HTTP's, and a body; then one that breaks off.
                for answer in
                    ["HTTP/1.1 200 Fine\nX: 1 \r\n\r\nbody\n", "HTTP/1.1 302 Elsewhere\r\nLocation: http://10.0.0.1/"]
                {
                    let mut peer = listener.accept().await?;
                    let mut request = Vec::new();
                    while !request.ends_with(b"\r\n\r\n") {
                        request.extend(peer.read_line().await?);
                    }
                    peer.write_all(answer.as_bytes()).await?;
                    peer.half_close().await?;
                    peer.read_to_end().await?;
                    requests.push(String::from_utf8(request)?);
                }
                anyhow::Ok(requests)
            };
            let (outcome, requests) = tokio::join!(guest, server);
            assert_eq!(
                requests?,
                [
                    format!("HEAD /a%20b/?q=1 HTTP/1.0\r\nHost: {host}:{port}\r\n\r\n"),
                    format!("HEAD / HTTP/1.0\r\nHost: {host}:{port}\r\n\r\n"),
                ]
            );
            let lines = ["HTTP/1.1 200 Fine", "X: 1", "HTTP/1.1 302 Elsewhere", "Location: http://10.0.0.1/"];
            assert_eq!(outcome?.success()?.stdout, lines.map(|line| format!("HTTP header> {line}\n")).concat());
        }
        Ok(())
    })
}

#[test]
fn http_headers_goes_on_with_the_other_urls_and_fails_at_the_end() -> Result<()> {
    block_on(async {
        let (refusing, _guard) = refusing_address()?;
        let listener = Listener::v4()?;
        let urls = [format!("http://{refusing}/"), "ftp://127.0.0.1/".into(), format!("http://{}/", listener.addr())];
        let guest = Guest::named("http-headers").args(urls.clone()).run();
        let server = async {
            let mut peer = listener.accept().await?;
            peer.read_line().await?;
            peer.write_all(b"HTTP/1.0 200 OK\r\n\r\n").await?;
            peer.read_to_end().await
        };
        let (outcome, served) = tokio::join!(guest, server);
        served?;
        let outcome = outcome?;
        assert_eq!(outcome.status, Status::Exited(1), "{outcome}");
        assert_eq!(outcome.stdout, "HTTP header> HTTP/1.0 200 OK\n");
        let complaints: Vec<&str> = outcome.stderr.lines().collect();
        assert_eq!(complaints.len(), 2, "{outcome}");
        for (complaint, url) in complaints.iter().zip(&urls) {
            assert!(complaint.starts_with(&format!("http-headers: {url}: ")), "{complaint}");
        }
        Ok(())
    })
}

#[test]
fn wait_for_data_receives_in_memory_and_over_tcp() -> Result<()> {
    block_on(async {
        for arguments in [&[][..], &["--tcp"]] {
            let outcome = Guest::named("wait-for-data").args(arguments.iter().copied()).run().await?.success()?;
            assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), ("Received: abc\n", ""));
            assert_eq!(outcome.last.resources.tcp_sockets, 0);
        }
        // In memory it needs no network; over TCP it says what it lacks.
        Guest::named("wait-for-data").policy(Policy::none()).run().await?.success()?;
        let outcome = Guest::named("wait-for-data").arg("--tcp").policy(Policy::none()).run().await?;
        complaint(&outcome);
        Ok(())
    })
}

#[test]
fn chat_passes_lines_on_and_a_slow_client_holds_nobody_up() -> Result<()> {
    block_on(async {
        let (mut server, address) = serving("chat", &["--port=0", "--buffer=100000"]).await?;
        let mut talker = joined(address, 1).await?;
        // The slow one reads nothing from here on, and its system takes little for it.
        let mut slow = Peer::connect_with_receive_buffer(address, 4096).await?;
        assert_eq!(text(slow.read_line().await?), "* you are client 2\n");
        let mut listener = joined(address, 3).await?;
        assert_eq!(text(talker.read_line().await?), "* client 2 joined\n");
        assert_eq!(text(talker.read_line().await?), "* client 3 joined\n");

        // Everybody else gets each line before the next one is said, until the slow one is dropped.
        let line = format!("{}\n", "x".repeat(4000));
        let mut said = 0;
        loop {
            talker.write_all(line.as_bytes()).await?;
            said += 1;
            let heard = text(listener.read_line().await?);
            if heard == DROPPED {
                assert_eq!(text(listener.read_line().await?), format!("client 1: {line}"));
                break;
            }
            assert_eq!(heard, format!("client 1: {line}"));
            assert!(said < 20_000, "80 MB wait for a client that does not read");
        }
        assert_eq!(server.wait_line("client 2 dropped").await?, "client 2 dropped: more than 100000 bytes wait for it");
        assert_eq!(text(talker.read_line().await?), DROPPED);
        // The others go on, the slow one sees the end.
        listener.write_all(b"and now\xff?\r\n").await?;
        assert_eq!(talker.read_line().await?, b"client 3: and now\xff?\n");
        timeout(DEADLINE, async { while slow.read_some(1 << 20).await.is_ok_and(|data| !data.is_empty()) {} }).await?;
        drop(talker);
        assert_eq!(text(listener.read_line().await?), "* client 1 left\n");
        drop(listener);
        let outcome = ended(server).await?;
        assert_eq!(outcome.stderr, "");
        assert!(outcome.stdout.ends_with("client 1 left\nclient 3 left\n"), "{outcome}");
        assert!(outcome.last.memory_bytes < 4 << 20, "{:?}", outcome.last);
        Ok(())
    })
}

#[test]
fn chat_serves_many_clients() -> Result<()> {
    block_on(async {
        let (server, address) = serving("chat", &["--port=0"]).await?;
        let mut clients = Vec::new();
        for id in 1..=50 {
            clients.push(joined(address, id).await?);
        }
        for (number, client) in clients.iter_mut().enumerate() {
            for id in number + 2..=50 {
                assert_eq!(text(client.read_line().await?), format!("* client {id} joined\n"));
            }
        }
        for speaker in 0..50 {
            clients[speaker].write_all(b"hello\n").await?;
            for listener in (0..50).filter(|listener| *listener != speaker) {
                assert_eq!(text(clients[listener].read_line().await?), format!("client {}: hello\n", speaker + 1));
            }
        }
        drop(clients);
        assert_eq!(ended(server).await?.stderr, "");
        Ok(())
    })
}

#[test]
fn proxy_keeps_half_closed_connections_open_in_both_directions() -> Result<()> {
    block_on(async {
        let data: Vec<u8> = (0..3u32 << 20).map(|n| (n % 251) as u8).collect();
        for splice in [&[][..], &["--no-splice"]] {
            for far in [Listener::v4()?, Listener::v6()?] {
                let (server, address) = proxy(far.addr(), splice).await?;
                // The near side ends first, and still gets everything; then the far side ends first.
                for near_first in [true, false] {
                    let near = Peer::connect(address).await?;
                    let far = far.accept().await?;
                    let (mut first, mut second) = if near_first { (near, far) } else { (far, near) };
                    send_all(&mut first, &mut second, &data).await?;
                    first.half_close().await?;
                    assert_eq!(second.read_to_end().await?, b"");
                    send_all(&mut second, &mut first, &data).await?;
                    second.half_close().await?;
                    assert_eq!(first.read_to_end().await?, b"");
                }
                let outcome = ended(server).await?;
                assert_eq!((outcome.stdout, outcome.stderr), (format!("Serving on {address}\n"), String::new()));
            }
        }
        Ok(())
    })
}

#[test]
fn proxy_passes_back_pressure_on() -> Result<()> {
    block_on(async {
        let data = vec![7; 64 << 20];
        for splice in [&[][..], &["--no-splice"]] {
            let far = Listener::stalling(4096)?;
            let (server, address) = proxy(far.addr(), splice).await?;
            let mut near = Peer::connect(address).await?;
            let mut peer = far.accept().await?;
            let offering = near.stream().write_all(&data);
            assert!(timeout(STANDSTILL, offering).await.is_err(), "64 MiB were taken");
            drop(near);
            // What was taken arrives.
            assert!(peer.read_to_end().await?.iter().all(|&byte| byte == 7));
            drop(peer);
            let outcome = ended(server).await?;
            assert!(outcome.last.memory_bytes < 4 << 20, "{:?}", outcome.last);
        }
        Ok(())
    })
}

#[test]
fn proxy_survives_what_is_lost_on_either_side() -> Result<()> {
    block_on(async {
        for splice in [&[][..], &["--no-splice"]] {
            let far = Listener::v4()?;
            let (mut server, address) = proxy(far.addr(), splice).await?;
            for near_lost in [true, false] {
                let mut near = Peer::connect(address).await?;
                let mut peer = far.accept().await?;
                send_all(&mut near, &mut peer, b"hello").await?;
                let (lost, mut left) = if near_lost { (near, peer) } else { (peer, near) };
                lost.reset()?;
                left.read_to_end().await?;
                let line = server.wait_stderr_line("proxy: ").await?;
                assert!(line.contains("reset"), "{line}");
            }
            // All is well again.
            let mut near = Peer::connect(address).await?;
            let mut peer = far.accept().await?;
            send_all(&mut near, &mut peer, b"hello").await?;
            drop((near, peer));
            assert_eq!(ended(server).await?.last.resources.tcp_sockets, 0);
        }
        let (refusing, _guard) = refusing_address()?;
        let (mut server, address) = proxy(refusing, &[]).await?;
        for _ in 0..2 {
            let mut near = Peer::connect(address).await?;
            assert_eq!(near.read_to_end().await?, b"");
            let line = server.wait_stderr_line("proxy: ").await?;
            assert!(line.contains(&refusing.to_string()) && line.contains("connection refused"), "{line}");
        }
        ended(server).await?;
        Ok(())
    })
}

/// An example that serves until its standard input ends.
fn program(name: &str, options: &[&str]) -> Guest {
    Guest::named(name).args(options.iter().copied()).arg("--until-stdin-closes").piped_stdin()
}

pub(crate) async fn serving(name: &str, options: &[&str]) -> Result<(Running, SocketAddr)> {
    let mut server = program(name, options).start().await?;
    let line = server.wait_line("Serving on ").await?;
    let address = line["Serving on ".len()..].parse().with_context(|| line)?;
    Ok((server, address))
}

async fn proxy(to: SocketAddr, options: &[&str]) -> Result<(Running, SocketAddr)> {
    let to = to.to_string();
    serving("proxy", &[&["--listen", "127.0.0.1:0", "--to", &to], options].concat()).await
}

/// Ends a server by the end of its input, which is a success.
pub(crate) async fn ended(mut server: Running) -> Result<Outcome> {
    server.close_stdin();
    server.finish().await.success()
}

/// The one line about a failure, which says whose it is and is no backtrace.
#[track_caller]
pub(crate) fn complaint(outcome: &Outcome) -> &str {
    assert_eq!(outcome.status, Status::Exited(1), "{outcome}");
    let line = outcome.stderr.strip_suffix('\n').unwrap_or_default();
    let program = outcome.name.trim_end_matches(".wasm");
    assert!(line.starts_with(&format!("{program}: ")) && !line.contains('\n'), "{outcome}");
    line
}

/// Has all of it echoed, by a server that echoes streams.
async fn echoes(address: SocketAddr, data: &[u8]) -> Result<()> {
    let (mut receiving, mut sending) = timeout(DEADLINE, TcpStream::connect(address)).await??.into_split();
    let (sent, received) = tokio::join!(
        timeout(DEADLINE, async {
            sending.write_all(data).await?;
            sending.shutdown().await
        }),
        timeout(DEADLINE, async {
            let mut received = Vec::new();
            receiving.read_to_end(&mut received).await?;
            std::io::Result::Ok(received)
        })
    );
    sent??;
    assert!(received?? == data, "what comes back differs");
    Ok(())
}

async fn send_all(from: &mut Peer, to: &mut Peer, data: &[u8]) -> Result<()> {
    let (sent, received) = tokio::join!(from.write_all(data), to.read_exact(data.len()));
    sent?;
    assert!(received? == data, "what arrives differs");
    Ok(())
}

/// A client of the chat, and its number.
async fn joined(address: SocketAddr, id: u32) -> Result<Peer> {
    let mut client = Peer::connect(address).await?;
    assert_eq!(text(client.read_line().await?), format!("* you are client {id}\n"));
    Ok(client)
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8_lossy(&bytes).into_owned()
}

const DEADLINE: Duration = Duration::from_secs(30);
/// Within this 64 MiB are through, unless somebody holds them back.
const STANDSTILL: Duration = Duration::from_secs(2);
const DROPPED: &str = "* client 2 was dropped: it reads too slowly\n";

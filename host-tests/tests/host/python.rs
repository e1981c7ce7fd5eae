//! Our examples against CPython's asyncio, in both directions, and against what the same programs in Python print.
//!
//! The Python programs are in `host-tests/peers`. Where both languages have a program, each is run against the same peer,
//! and their outputs are compared, port numbers apart.

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use wasi_streams_host::peer::{Peer, Program, Python};
use wasi_streams_host::{Guest, Running, block_on};

#[test]
fn our_echo_client_prints_what_python_s_does_against_python_s_server() -> Result<()> {
    block_on(async {
        let mut server = Python::run(ECHO_SERVER, ["127.0.0.1"])?;
        let address = serving(&server.wait_line("Serving on ").await?)?;
        for message in MESSAGES {
            let theirs = python_echo(address, message).await?;
            let seen_of_theirs = connection_lines(&mut server).await?;
            let ours = Guest::named("echo-client").args(host_and_port(address)).arg(*message).run().await?.success()?;
            let seen_of_ours = connection_lines(&mut server).await?;
            assert_eq!(ours.stdout, theirs);
            assert_eq!(ours.stderr, "");
            assert_eq!(without_ports(&seen_of_ours), without_ports(&seen_of_theirs));
        }
        ended_well(server).await
    })
}

#[test]
fn our_echo_server_prints_what_python_s_does_to_python_s_client() -> Result<()> {
    block_on(async {
        for host in ["127.0.0.1", "::1"] {
            let mut theirs = Python::run(ECHO_SERVER, [host])?;
            let their_address = serving(&theirs.wait_line("Serving on ").await?)?;
            let (mut ours, address) = echo_server(host, &[]).await?;
            for message in MESSAGES {
                let their_answer = python_echo(their_address, message).await?;
                assert_eq!(python_echo(address, message).await?, their_answer, "what the client sees");
                let mut lines = Vec::new();
                for _ in 0..3 {
                    lines.push(ours.wait_line("").await?);
                }
                assert_eq!(without_ports(&lines), without_ports(&connection_lines(&mut theirs).await?));
            }
            ours.close_stdin();
            assert_eq!(ours.finish().await.success()?.stderr, "");
            ended_well(theirs).await?;
        }
        Ok(())
    })
}

#[test]
fn eight_megabytes_go_through_our_server_and_come_back_to_python_s_client() -> Result<()> {
    block_on(async {
        let (mut ours, address) = echo_server("127.0.0.1", &["--stream"]).await?;
        for pace in ["fast", "slow"] {
            stream_through(address, pace).await?;
        }
        ours.close_stdin();
        let outcome = ours.finish().await.success()?;
        assert_eq!(outcome.stdout, format!("Serving on {address}\n"));
        Ok(())
    })
}

#[test]
fn eight_megabytes_go_through_our_proxy_between_python_s_client_and_server() -> Result<()> {
    block_on(async {
        for splice in [&[][..], &["--no-splice"]] {
            let mut server = Python::run(ECHO_SERVER, ["127.0.0.1", "stream"])?;
            let target = serving(&server.wait_line("Serving on ").await?)?;
            let guest = Guest::named("proxy").args(["--listen", "127.0.0.1:0", "--to", &target.to_string()]);
            let mut proxy =
                guest.args(splice.iter().copied()).arg("--until-stdin-closes").piped_stdin().start().await?;
            let address = serving(&proxy.wait_line("Serving on ").await?)?;
            stream_through(address, "fast").await?;
            proxy.close_stdin();
            assert_eq!(proxy.finish().await.success()?.stderr, "");
            ended_well(server).await?;
        }
        Ok(())
    })
}

#[test]
fn our_reader_s_methods_and_python_s_understand_each_other() -> Result<()> {
    block_on(async {
        let mut server = Python::run(LINES_SERVER, [""; 0])?;
        let address = serving(&server.wait_line("Serving on ").await?)?;
        // Through the proxy, whose two connections are ours.
        let guest = Guest::named("proxy").args(["--listen", "127.0.0.1:0", "--to", &address.to_string()]);
        let mut proxy = guest.arg("--until-stdin-closes").piped_stdin().start().await?;
        let mut client = Peer::connect(serving(&proxy.wait_line("Serving on ").await?)?).await?;
        client.write_all(b"line hello\nexactly 5\n12345until ;\nab;c;").await?;
        assert_eq!(client.read_line().await?, b"line 5\n");
        assert_eq!(client.read_line().await?, b"exactly 5\n");
        assert_eq!(client.read_line().await?, b"until 3\n");
        client.write_all(b"\nbye\n").await?;
        assert_eq!(client.read_line().await?, b"c; 0\n");
        assert_eq!(client.read_to_end().await?, b"the end");
        drop(client);
        proxy.close_stdin();
        proxy.finish().await.success()?;
        ended_well(server).await
    })
}

#[test]
fn our_http_headers_prints_what_python_s_does_about_python_s_server() -> Result<()> {
    block_on(async {
        for host in ["127.0.0.1", "::1"] {
            let mut server = Python::run(HTTP_SERVER, [host])?;
            let address = serving(&server.wait_line("Serving on ").await?)?;
            for (path, status) in [("/page.html", "200 OK"), ("/missing", "404 File not found"), ("", "200 OK")] {
                let url = format!("http://{address}{path}");
                let theirs = Python::run(HTTP_HEADERS, [&url])?.finish().await?;
                ensure!(theirs.code == Some(0), "{theirs}");
                let their_request = server.wait_line("HEAD ").await?;
                let ours = Guest::named("http-headers").arg(&url).run().await?.success()?;
                let our_request = server.wait_line("HEAD ").await?;
                assert_eq!(without_date(&ours.stdout), without_date(&theirs.stdout), "{url}");
                assert_eq!(our_request, their_request);
                assert!(ours.stdout.starts_with(&format!("HTTP header> HTTP/1.0 {status}\n")), "{ours}");
                assert!(ours.stdout.contains("HTTP header> X-Name: J\u{f6}rg\n"), "{ours}");
            }
            // A redirect is shown and not followed: the folder is asked for once, without its slash.
            let url = format!("http://{address}/folder");
            let ours = Guest::named("http-headers").args([&url, &url]).run().await?.success()?;
            assert_eq!(ours.stdout.matches("HTTP header> HTTP/1.0 301 Moved Permanently\n").count(), 2, "{ours}");
            assert_eq!(ours.stdout.matches("HTTP header> Location: /folder/\n").count(), 2, "{ours}");
            for _ in 0..2 {
                assert_eq!(server.wait_line("HEAD ").await?, format!("HEAD /folder HTTP/1.0 301 Host: {address}"));
            }
            ended_well(server).await?;
        }
        Ok(())
    })
}

#[test]
fn our_wait_for_data_prints_what_python_s_does() -> Result<()> {
    block_on(async {
        let theirs = Python::run(WAIT_FOR_DATA, [""; 0])?.finish().await?;
        ensure!(theirs.code == Some(0), "{theirs}");
        for arguments in [&[][..], &["--tcp"]] {
            let ours = Guest::named("wait-for-data").args(arguments.iter().copied()).run().await?.success()?;
            assert_eq!(ours.stdout, theirs.stdout);
        }
        Ok(())
    })
}

async fn python_echo(address: SocketAddr, message: &str) -> Result<String> {
    let arguments = [address.ip().to_string(), address.port().to_string(), message.into()];
    let client = Python::run(ECHO_CLIENT, arguments)?.finish().await?;
    ensure!(client.code == Some(0) && client.stderr.is_empty(), "{client}");
    Ok(client.stdout)
}

async fn stream_through(address: SocketAddr, pace: &str) -> Result<()> {
    let arguments = [address.ip().to_string(), address.port().to_string(), (8 << 20).to_string(), pace.into()];
    let client = Python::run(STREAM_CLIENT, arguments)?.finish().await?;
    assert_eq!((client.code, client.stdout.as_str()), (Some(0), "8388608 bytes, as sent\n"), "{client}");
    Ok(())
}

async fn echo_server(host: &str, options: &[&str]) -> Result<(Running, SocketAddr)> {
    let guest = Guest::named("echo-server").args(["--host", host, "--port", "0", "--until-stdin-closes"]);
    let mut running = guest.args(options.iter().copied()).piped_stdin().start().await?;
    let address = serving(&running.wait_line("Serving on ").await?)?;
    Ok((running, address))
}

fn serving(line: &str) -> Result<SocketAddr> {
    line.strip_prefix("Serving on ").and_then(|address| address.parse().ok()).with_context(|| line.to_owned())
}

fn host_and_port(address: SocketAddr) -> [String; 4] {
    ["--host".into(), address.ip().to_string(), "--port".into(), address.port().to_string()]
}

/// The three lines that Python's server prints about a connection.
async fn connection_lines(server: &mut Program) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    for _ in 0..3 {
        lines.push(server.wait_line("").await?);
    }
    Ok(lines)
}

/// The peer's port is the system's choice: `from ('127.0.0.1', 40000)`.
fn without_ports(lines: &[String]) -> Vec<String> {
    let without = |line: &String| match line.rsplit_once(" from (") {
        Some((before, peer)) => {
            let mut parts: Vec<&str> = peer.trim_end_matches(')').split(", ").collect();
            parts[1] = "PORT";
            format!("{before} from ({})", parts.join(", "))
        }
        None => line.clone(),
    };
    lines.iter().map(without).collect()
}

/// The clock may move on between two requests.
fn without_date(text: &str) -> String {
    text.lines().filter(|line| !line.starts_with("HTTP header> Date: ")).collect::<Vec<_>>().join("\n")
}

async fn ended_well(server: Program) -> Result<()> {
    let status = server.finish().await?;
    ensure!(status.code == Some(0) && status.stderr.is_empty(), "{status}");
    Ok(())
}

const MESSAGES: &[&str] = &[
    "Hello World!",
    "it's",
    "say \"so\"",
    "it's \"so\"",
    "tab\t, return\r\n, back\\slash, bell\x07, escape\x1b",
    "gr\u{fc}\u{df} dich \u{4f60}\u{597d} \u{1f980} e\u{301}",
    "\u{a0}\u{ad}\u{200b}\u{2028}\u{feff}\u{e000}\u{10ffff}",
    // More than one read of 100 bytes.
    "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789 and more",
];

const ECHO_SERVER: &str = include_str!("../../peers/echo_server.py");
const ECHO_CLIENT: &str = include_str!("../../peers/echo_client.py");
const STREAM_CLIENT: &str = include_str!("../../peers/stream_client.py");
const LINES_SERVER: &str = include_str!("../../peers/lines_server.py");
const HTTP_SERVER: &str = include_str!("../../peers/http_server.py");
const HTTP_HEADERS: &str = include_str!("../../peers/http_headers.py");
const WAIT_FOR_DATA: &str = include_str!("../../peers/wait_for_data.py");

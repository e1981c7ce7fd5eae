//! TLS against curl as a client and nginx as a server.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, Result};
use tokio::net::TcpSocket;
use wasi_streams_host::block_on;
use wasi_streams_host::peer::{Program, ProgramStatus};

use crate::certificates::{Authority, KeyKind};
use crate::loopback::eventually;
use crate::support::{assert_same, pattern};
use crate::tls_support::{NAME, Pki, line, value};

#[test]
fn t01_curl_fetches_from_our_server_in_both_versions() -> Result<()> {
    block_on(async {
        let pki = Pki::new();
        let server = pki.serve(&["--http", "--alpn", "http/1.1"]).await?;
        for (options, version) in [(&["--tls-max", "1.2"][..], "TLSv1.2"), (&["--tlsv1.3"], "TLSv1.3")] {
            // Two requests, which share a connection.
            let urls = [url(server.address, "one"), url(server.address, "two")];
            let fetched = curl(&pki, server.address, &[options, &[&urls[0], &urls[1]]].concat()).await?.success()?;
            let agreed: Vec<&str> = fetched.stdout.split("version=").skip(1).collect();
            assert_eq!(agreed.len(), 2, "{fetched}");
            for agreed in agreed {
                assert!(agreed.starts_with(version) && agreed.contains(" alpn=http/1.1 sni=server.test "), "{fetched}");
            }
        }
        let seen = server.finish().await?;
        assert_eq!(
            (seen.matches("accepted ").count(), seen.matches("ended truncated=false\n").count()),
            (2, 2),
            "{seen}"
        );
        Ok(())
    })
}

#[test]
fn eight_megabytes_go_up_to_our_server_by_curl_and_come_back_the_same() -> Result<()> {
    block_on(async {
        let pki = Pki::new();
        let sent = pattern(8 << 20);
        pki.write("sent", &sent);
        let server = pki.serve(&["--http"]).await?;
        for version in ["1.2", "1.3"] {
            let (from, to) = (pki.path("sent"), pki.path("received"));
            // Without waiting for leave to send it.
            let upload = ["--upload-file", &from, "--output", &to, "--header", "Expect:", "--tls-max", version];
            let url = url(server.address, "");
            curl(&pki, server.address, &[&upload[..], &[&url]].concat()).await?.success()?;
            assert_same(&std::fs::read(to)?, &sent);
        }
        server.finish().await?;
        Ok(())
    })
}

#[test]
fn t18_curl_shows_its_certificate_and_believes_ours_or_not() -> Result<()> {
    block_on(async {
        let pki = Pki::new();
        pki.issue("client", &["client.test"], KeyKind::Rsa, |_| {});
        let mut server = pki.serve(&["--http", "--require", "/pki/ca.pem"]).await?;
        let url = url(server.address, "");
        let (chain, key) = (pki.path("client.pem"), pki.path("client.key"));
        let fetched = curl(&pki, server.address, &["--cert", &chain, "--key", &key, &url]).await?.success()?;
        assert!(fetched.stdout.ends_with(" verified=true peer=CN=client.test DNS:client.test\n"), "{fetched}");
        let fetched = curl(&pki, server.address, &[&url]).await?;
        // Of TLS 1.3: the refusal comes when it reads.
        assert!(fetched.code == Some(56) && fetched.stderr.contains("certificate required"), "{fetched}");
        server.guest.wait_line("handshake failed NoCertificate: ").await?;
        let fetched =
            curl(&pki, server.address, &["--cert", &chain, "--key", &key, &url.replace(NAME, "127.0.0.1")]).await?;
        assert_eq!(fetched.code, Some(60), "no name of the certificate: {fetched}");
        server.guest.wait_line("").await?;
        pki.write("ca.pem", Authority::new("another").pem());
        let fetched = curl(&pki, server.address, &["--cert", &chain, "--key", &key, &url]).await?;
        assert_eq!(fetched.code, Some(60), "not trusted: {fetched}");
        let failed = server.guest.wait_line("handshake failed Alert(48): ").await?;
        assert!(failed.contains("the peer refuses: alert UnknownCA (48)"), "{failed}");
        server.finish().await?;
        Ok(())
    })
}

#[test]
fn t01_our_client_fetches_from_nginx_in_both_versions_and_resumes() -> Result<()> {
    block_on(async {
        let pki = Pki::new();
        pki.write("page", "from nginx\n");
        for version in ["1.2", "1.3"] {
            let host = "ssl_certificate server.pem; ssl_certificate_key server.key; ssl_session_cache shared:S:1m;";
            let (_nginx, address) = nginx(&pki, &[(NAME, &format!("{host} ssl_protocols TLSv{version};"))]).await?;
            let arguments = ["--name", NAME, "--line", REQUEST, "--to-end", "--times", "3"];
            let seen = pki.talk(address, &arguments).await?;
            let connected: Vec<&str> = seen.lines().filter(|line| line.starts_with("connected ")).collect();
            let resumed: Vec<&str> = connected.iter().map(|line| value(line, "resumed")).collect();
            assert_eq!(resumed, ["false", "true", "true"], "{seen}");
            assert!(connected.iter().all(|line| value(line, "version") == format!("TLSv{version}")), "{seen}");
            assert_eq!(seen.matches(r#"answer "HTTP/1.1 200 OK\r\n"#).count(), 3, "{seen}");
            assert_eq!(seen.matches(r#"\r\n\r\nfrom nginx\n""#).count(), 3, "{seen}");
            assert_eq!(seen.matches("closed truncated=false").count(), 3, "{seen}");
        }
        Ok(())
    })
}

#[test]
fn t18_nginx_chooses_among_its_hosts_by_the_name_and_the_protocol_and_asks_for_certificates() -> Result<()> {
    block_on(async {
        let pki = Pki::new();
        pki.write("page", "from nginx\n");
        pki.issue("other", &["other.test"], KeyKind::Rsa, |_| {});
        pki.issue("client", &["client.test"], KeyKind::Ed25519, |_| {});
        let other = "ssl_certificate other.pem; ssl_certificate_key other.key; ssl_client_certificate ca.pem; \
                     ssl_verify_client on; add_header Client $ssl_client_s_dn;";
        let hosts = [(NAME, "ssl_certificate server.pem; ssl_certificate_key server.key;"), ("other.test", other)];
        let (_nginx, address) = nginx(&pki, &hosts).await?;
        let fetch = ["--line", REQUEST, "--to-end", "--alpn", "h3", "--alpn", "http/1.1"];
        let seen = pki.talk(address, &[&fetch[..], &["--name", NAME]].concat()).await?;
        let connected = line(&seen, "connected ");
        assert_eq!(
            (value(connected, "peer"), value(connected, "alpn")),
            ("CN=server.test DNS:server.test", "http/1.1")
        );
        assert!(seen.contains("200 OK"), "{seen}");
        let request = REQUEST.replace(NAME, "other.test");
        let fetch = ["--name", "other.test", "--line", &request, "--to-end"];
        let identity = ["--identity", "/pki/client.pem", "/pki/client.key"];
        let seen = pki.talk(address, &[&fetch[..], &identity].concat()).await?;
        assert_eq!(value(line(&seen, "connected "), "peer"), "CN=other.test DNS:other.test");
        assert!(seen.contains("200 OK") && seen.contains(r"\r\nClient: CN=client.test\r\n"), "{seen}");
        let seen = pki.talk(address, &fetch).await?;
        assert!(seen.contains("400 Bad Request") && seen.contains("No required SSL certificate was sent"), "{seen}");
        Ok(())
    })
}

const REQUEST: &str = "GET /page HTTP/1.1\r\nHost: server.test\r\nConnection: close\r\n\r";

/// Runs curl, for which every name is at this address.
async fn curl(pki: &Pki, address: SocketAddr, arguments: &[&str]) -> Result<ProgramStatus> {
    let (to, ca) = (format!("::{}:{}", address.ip(), address.port()), pki.path("ca.pem"));
    let always =
        ["--silent", "--show-error", "--max-time", "30", "--noproxy", "*", "--connect-to", &to, "--cacert", &ca];
    Program::run("curl", [&always, arguments].concat())?.finish().await
}

fn url(address: SocketAddr, path: &str) -> String {
    format!("https://{NAME}:{}/{path}", address.port())
}

/// nginx with these hosts and what is particular to each; files are those of the folder.
async fn nginx(pki: &Pki, hosts: &[(&str, &str)]) -> Result<(Program, SocketAddr)> {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tools/bin/nginx");
    let program = program.canonicalize().with_context(|| format!("{}: run make setup", program.display()))?;
    // Bound and not listening, and nginx shares it: nobody else gets the port meanwhile.
    let reserved = TcpSocket::new_v4()?;
    reserved.set_reuseport(true)?;
    reserved.bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    let address = reserved.local_addr()?;
    let folder = pki.folder().display();
    let mut configuration =
        "daemon off; master_process off; pid nginx.pid; error_log stderr; events {} http { access_log off;\n"
            .to_owned();
    for purpose in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
        configuration += &format!("{purpose}_temp_path {folder}/{purpose};\n");
    }
    for (number, (name, particular)) in hosts.iter().enumerate() {
        let shared = if number == 0 { "reuseport" } else { "" };
        let listen = format!("listen {address} ssl {shared};");
        configuration += &format!("server {{ {listen} server_name {name}; root {folder}; {particular} }}\n");
    }
    pki.write("nginx.conf", configuration + "}\n");
    let (prefix, file) = (pki.path(""), pki.path("nginx.conf"));
    let program = Program::run(&program.display().to_string(), ["-e", "stderr", "-p", &prefix, "-c", &file])?;
    eventually("nginx to listen", || Ok(std::net::TcpStream::connect(address).is_ok())).await?;
    drop(reserved);
    Ok((program, address))
}

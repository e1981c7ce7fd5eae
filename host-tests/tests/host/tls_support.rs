//! What the TLS tests need: certificates in files for both sides, and the two sides.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, Result};
use rcgen::CertificateParams;
use wasi_streams_host::peer::{Listener, Peer, Program, Python};
use wasi_streams_host::{Guest, Running};

use crate::certificates::{Authority, Folder, KeyKind};

/// The name in the certificate of `server`.
pub(crate) const NAME: &str = "server.test";

/// The certificates of one test, in a folder that the guest has as `/pki`.
pub(crate) struct Pki {
    folder: Folder,
    pub(crate) authority: Authority,
}

impl Pki {
    /// An authority in `ca.pem`, and a certificate of its in `server.pem` and `server.key`.
    pub(crate) fn new() -> Self {
        Pki::of(KeyKind::Ecdsa)
    }

    /// The same with a key of this kind for the server.
    pub(crate) fn of(kind: KeyKind) -> Self {
        let pki = Pki { folder: Folder::new(), authority: Authority::new("the authority") };
        pki.write("ca.pem", pki.authority.pem());
        pki.issue("server", &[NAME], kind, |_| {});
        pki
    }

    /// Issues a certificate, into `FILE.pem` and `FILE.key`.
    pub(crate) fn issue(&self, file: &str, names: &[&str], kind: KeyKind, change: impl FnOnce(&mut CertificateParams)) {
        self.issue_by(&self.authority, file, names, kind, change);
    }

    /// The same by another authority.
    pub(crate) fn issue_by(
        &self,
        authority: &Authority,
        file: &str,
        names: &[&str],
        kind: KeyKind,
        change: impl FnOnce(&mut CertificateParams),
    ) {
        let identity = authority.issue(names, kind, change);
        self.write(&format!("{file}.pem"), identity.chain);
        self.write(&format!("{file}.key"), identity.key);
    }

    pub(crate) fn write(&self, file: &str, contents: impl AsRef<[u8]>) {
        self.folder.write(file, contents);
    }

    /// What is in a file.
    pub(crate) fn read(&self, file: &str) -> Result<String> {
        Ok(std::fs::read_to_string(self.path(file))?)
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Where native programs find a file.
    pub(crate) fn path(&self, file: &str) -> String {
        self.folder().join(file).display().to_string()
    }

    /// The fixture, for any command.
    pub(crate) fn guest(&self, command: &str, arguments: &[&str]) -> Guest {
        Guest::named("tls").dir(self.folder(), "/pki").arg(command).args(arguments.iter().copied())
    }

    /// A client of the server at this address that trusts the authority.
    pub(crate) fn client(&self, command: &str, address: SocketAddr, arguments: &[&str]) -> Guest {
        let (host, port) = (address.ip().to_string(), address.port().to_string());
        self.guest(command, &["--host", &host, "--port", &port, "--ca", "/pki/ca.pem"]).args(arguments.iter().copied())
    }

    /// What a client that talks prints until its end.
    pub(crate) async fn talk(&self, address: SocketAddr, arguments: &[&str]) -> Result<String> {
        Ok(self.client("talk", address, arguments).run().await?.success()?.stdout)
    }

    /// A server of echoes on 127.0.0.1 with the certificate of `server`.
    pub(crate) async fn serve(&self, arguments: &[&str]) -> Result<Server> {
        let certificate = ["--identity", "/pki/server.pem", "/pki/server.key"];
        self.serve_as(&[&certificate, arguments].concat()).await
    }

    /// The same with other certificates.
    pub(crate) async fn serve_as(&self, arguments: &[&str]) -> Result<Server> {
        let mut guest = self.guest("serve", arguments).piped_stdin().start().await?;
        let address = serving(&guest.wait_line("Serving on ").await?)?;
        Ok(Server { guest, address })
    }

    /// `openssl s_server` that reverses each line, with the certificate of `server`.
    pub(crate) async fn s_server(&self, arguments: &[&str]) -> Result<(Program, SocketAddr)> {
        self.s_server_as("server", &[&["-rev"], arguments].concat()).await
    }

    /// `openssl s_server` that sends what it reads, with the certificate of `server`.
    pub(crate) async fn sending_s_server(&self, arguments: &[&str]) -> Result<(Program, SocketAddr)> {
        // If it could block it would wait for us to send something first.
        self.s_server_as("server", &[&["-nbio"], arguments].concat()).await
    }

    /// `openssl s_server` with this certificate.
    pub(crate) async fn s_server_as(&self, file: &str, arguments: &[&str]) -> Result<(Program, SocketAddr)> {
        let (chain, key) = (self.path(&format!("{file}.pem")), self.path(&format!("{file}.key")));
        let always = ["s_server", "-accept", "127.0.0.1:0", "-cert", &chain, "-key", &key];
        let mut program = Program::run("openssl", [&always, arguments].concat())?;
        let line = program.wait_line("ACCEPT ").await?;
        Ok((program, line["ACCEPT ".len()..].parse()?))
    }

    /// `openssl s_client` that verifies the name [`NAME`].
    pub(crate) fn s_client(&self, address: SocketAddr, arguments: &[&str]) -> Result<Program> {
        let named = ["-servername", NAME, "-verify_hostname", NAME];
        self.s_client_to(address, &[&named, arguments].concat())
    }

    /// `openssl s_client` that verifies the chain.
    pub(crate) fn s_client_to(&self, address: SocketAddr, arguments: &[&str]) -> Result<Program> {
        let (address, ca) = (address.to_string(), self.path("ca.pem"));
        let always = ["s_client", "-connect", &address, "-CAfile", &ca, "-verify_return_error"];
        Program::run("openssl", [&always, arguments].concat())
    }

    /// A Python script; its first argument is our folder.
    pub(crate) fn python(&self, script: &str, arguments: &[&str]) -> Result<Program> {
        let folder = self.folder().display().to_string();
        Python::run(script, [&[folder.as_str()], arguments].concat())
    }
}

/// Our server.
pub(crate) struct Server {
    pub(crate) guest: Running,
    pub(crate) address: SocketAddr,
}

impl Server {
    /// Ends it in order; gives what it printed.
    pub(crate) async fn finish(mut self) -> Result<String> {
        self.guest.close_stdin();
        let outcome = self.guest.finish().await.success()?;
        assert_eq!(outcome.stderr, "");
        Ok(outcome.stdout)
    }
}

/// The address that a program says to serve on.
pub(crate) fn serving(line: &str) -> Result<SocketAddr> {
    let address = line.strip_prefix("Serving on ").and_then(|address| address.parse().ok());
    address.with_context(|| line.to_owned())
}

/// The value of `name=value` in a line of the fixture; of `peer`, the last one, all that follows.
pub(crate) fn value<'a>(line: &'a str, name: &str) -> &'a str {
    let start = line.find(&format!(" {name}=")).unwrap_or_else(|| panic!("no {name} in {line:?}"));
    let value = &line[start + name.len() + 2..];
    if name == "peer" { value } else { value.split(' ').next().unwrap_or(value) }
}

/// The only line that starts so.
pub(crate) fn line<'a>(text: &'a str, prefix: &str) -> &'a str {
    let mut lines = text.lines().filter(|line| line.starts_with(prefix));
    let first = lines.next().unwrap_or_else(|| panic!("no line {prefix:?} in {text}"));
    assert_eq!(lines.next(), None, "{text}");
    first
}

/// Sends a line by `openssl s_client` and gets it back, then ends it.
pub(crate) async fn echo_by_s_client(mut client: Program) -> Result<()> {
    client.write_stdin(b"hello\n").await?;
    client.wait_line("hello").await?;
    client.write_stdin(b"Q\n").await?;
    client.finish().await?.success()?;
    Ok(())
}

/// What OpenSSL's client says first.
pub(crate) async fn client_hello(pki: &Pki) -> Result<Vec<u8>> {
    let listener = Listener::v4()?;
    let _client = pki.s_client(listener.addr(), &[])?;
    let mut peer = listener.accept().await?;
    read_record(&mut peer).await
}

/// One record of TLS.
pub(crate) async fn read_record(peer: &mut Peer) -> Result<Vec<u8>> {
    let header = peer.read_exact(5).await?;
    let length = usize::from(u16::from_be_bytes([header[3], header[4]]));
    Ok([header, peer.read_exact(length).await?].concat())
}

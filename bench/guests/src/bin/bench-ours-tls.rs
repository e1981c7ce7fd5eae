//! The echo server of the benchmark over TLS, on wasi-streams. Arguments: the files of certificate and key.

use anyhow::{Context, Result};
use wasi_streams::{Pem, TlsAcceptor, run, start_server};
use wasi_streams_bench_guests::{announce, echo};

fn main() -> Result<()> {
    let mut files = std::env::args().skip(1);
    let mut file = || files.next().context("usage: CERTIFICATE KEY");
    let acceptor = TlsAcceptor::builder().identity_pem(Pem::file(file()?), Pem::file(file()?)).build()?;
    run(async {
        let server = start_server(echo, "127.0.0.1", 0).backlog(1024).tls(acceptor).await?;
        announce(server.sockets().first().context("one socket")?.port())?;
        Ok(server.serve_forever().await?)
    })
}

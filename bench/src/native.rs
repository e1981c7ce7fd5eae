//! The native peers: tokio on one thread, as servers in a process of their own (`wasi-streams-bench serve MODE`).

use std::fs::File;
use std::hint::black_box;
use std::io::{BufReader, Write, stdout};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

const CHUNK: usize = 64 * 1024;

#[derive(Clone)]
enum Mode {
    Echo,
    Churn,
    Lines,
    LinesBorrowed,
    Tls(TlsAcceptor),
}

/// Serves until it is killed.
pub(crate) fn serve(arguments: &[String]) -> Result<()> {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mode = match arguments[..] {
        ["echo"] => Mode::Echo,
        ["churn"] => Mode::Churn,
        ["lines"] => Mode::Lines,
        ["lines-borrowed"] => Mode::LinesBorrowed,
        ["tls-echo", certificate, key] => Mode::Tls(acceptor(certificate.as_ref(), key.as_ref())?),
        _ => bail!("usage: serve echo | churn | lines | lines-borrowed | tls-echo CERTIFICATE KEY"),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(accept(mode))
}

fn acceptor(certificate: &Path, key: &Path) -> Result<TlsAcceptor> {
    let open = |path: &Path| File::open(path).map(BufReader::new).with_context(|| path.display().to_string());
    let chain: Vec<_> = CertificateDer::pem_reader_iter(open(certificate)?).collect::<Result<_, _>>()?;
    let key = PrivateKeyDer::from_pem_reader(open(key)?)?;
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key)?;
    Ok(Arc::new(config).into())
}

async fn accept(mode: Mode) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    writeln!(stdout(), "port {}", listener.local_addr()?.port())?;
    loop {
        let (stream, _) = listener.accept().await?;
        let mode = mode.clone();
        // A client that leaves in the middle is its own business.
        tokio::spawn(async move { drop(answer(mode, stream).await) });
    }
}

async fn answer(mode: Mode, stream: TcpStream) -> std::io::Result<()> {
    match mode {
        Mode::Echo => echo(stream).await,
        Mode::Churn => churn(stream).await,
        Mode::Lines => lines(stream).await,
        Mode::LinesBorrowed => lines_borrowed(stream).await,
        Mode::Tls(acceptor) => echo(acceptor.accept(stream).await?).await,
    }
}

async fn echo(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> std::io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    loop {
        let n = stream.read(&mut buffer).await?;
        if n == 0 {
            return stream.shutdown().await;
        }
        stream.write_all(&buffer[..n]).await?;
        stream.flush().await?;
    }
}

async fn churn(stream: TcpStream) -> std::io::Result<()> {
    let mut stream = tokio::io::BufReader::new(stream);
    let mut line = Vec::new();
    stream.read_until(b'\n', &mut line).await?;
    stream.write_all(&line).await
}

async fn lines(stream: TcpStream) -> std::io::Result<()> {
    let mut stream = tokio::io::BufReader::with_capacity(CHUNK, stream);
    let mut count: u64 = 0;
    loop {
        let mut line = Vec::new();
        if stream.read_until(b'\n', &mut line).await? == 0 {
            break;
        }
        black_box(line);
        count += 1;
    }
    stream.write_all(format!("{count}\n").as_bytes()).await
}

async fn lines_borrowed(stream: TcpStream) -> std::io::Result<()> {
    let mut stream = tokio::io::BufReader::with_capacity(CHUNK, stream);
    let mut count: u64 = 0;
    let mut line = Vec::new();
    while stream.read_until(b'\n', &mut line).await? != 0 {
        black_box(&line);
        line.clear();
        count += 1;
    }
    stream.write_all(format!("{count}\n").as_bytes()).await
}

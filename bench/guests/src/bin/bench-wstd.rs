//! The servers of the benchmark on wstd.
#![cfg_attr(not(target_os = "wasi"), allow(unused, reason = "wstd is for components"))]

#[cfg(target_os = "wasi")]
mod server {
    use std::hint::black_box;

    use wasi_streams_bench_guests::{CHUNK, Mode, announce};
    use wstd::io::{AsyncRead, AsyncWrite, Result};
    use wstd::iter::AsyncIterator;
    use wstd::net::{TcpListener, TcpStream};
    use wstd::runtime::spawn;

    pub(crate) async fn serve(mode: Mode) -> anyhow::Result<()> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        announce(listener.local_addr()?.port())?;
        let mut incoming = listener.incoming();
        while let Some(stream) = incoming.next().await {
            // "Would block" comes as an error here, and goes over.
            let Ok(stream) = stream else { continue };
            // A client that leaves in the middle is its own business.
            spawn(async move { drop(answer(mode, stream).await) }).detach();
        }
        Ok(())
    }

    async fn answer(mode: Mode, stream: TcpStream) -> Result<()> {
        match mode {
            Mode::Echo => echo(stream).await,
            // It splices.
            Mode::Splice => wstd::io::copy(&stream, &stream).await,
            Mode::Churn => churn(stream).await,
            Mode::Lines | Mode::LinesBorrowed => lines(mode, stream).await,
        }
    }

    async fn echo(stream: TcpStream) -> Result<()> {
        let (mut reader, mut writer) = stream.split();
        let mut buffer = vec![0; CHUNK];
        loop {
            let n = reader.read(&mut buffer).await?;
            if n == 0 {
                return Ok(());
            }
            writer.write_all(&buffer[..n]).await?;
        }
    }

    async fn churn(stream: TcpStream) -> Result<()> {
        let (mut reader, mut writer) = stream.split();
        let mut buffer = vec![0; 1024];
        let mut filled = 0;
        while !buffer[..filled].contains(&b'\n') {
            let n = reader.read(&mut buffer[filled..]).await?;
            if n == 0 {
                return Ok(());
            }
            filled += n;
        }
        writer.write_all(&buffer[..filled]).await
    }

    /// It has no `readline`: this is what a program on it does, in as little as it takes.
    async fn lines(mode: Mode, stream: TcpStream) -> Result<()> {
        let (mut reader, mut writer) = stream.split();
        let mut count: u64 = 0;
        let mut buffer = vec![0; 2 * CHUNK];
        let mut filled = 0;
        loop {
            let n = reader.read(&mut buffer[filled..][..CHUNK]).await?;
            if n == 0 {
                break;
            }
            filled += n;
            let mut start = 0;
            while let Some(at) = memchr::memchr(b'\n', &buffer[start..filled]) {
                let line = &buffer[start..=start + at];
                match mode {
                    Mode::Lines => drop(black_box(line.to_vec())),
                    _ => drop(black_box(line)),
                }
                start += at + 1;
                count += 1;
            }
            buffer.copy_within(start..filled, 0);
            filled -= start;
        }
        writer.write_all(format!("{count}\n").as_bytes()).await
    }
}

#[cfg(target_os = "wasi")]
fn main() -> anyhow::Result<()> {
    let mode = wasi_streams_bench_guests::Mode::from_args()?;
    wstd::runtime::block_on(server::serve(mode))
}

#[cfg(not(target_os = "wasi"))]
fn main() {}

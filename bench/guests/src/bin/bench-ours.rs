//! The servers of the benchmark on wasi-streams, as one would write them.

use std::hint::black_box;

use anyhow::{Context, Result};
use wasi_streams::{Result as StreamResult, Server, StreamReader, StreamWriter, copy, run, start_server};
use wasi_streams_bench_guests::{Mode, announce, echo};

fn main() -> Result<()> {
    let mode = Mode::from_args()?;
    run(async {
        let server = match mode {
            Mode::Echo => start_server(echo, "127.0.0.1", 0).backlog(1024).await?,
            Mode::Splice => start_server(splice, "127.0.0.1", 0).backlog(1024).await?,
            Mode::Churn => start_server(churn, "127.0.0.1", 0).backlog(1024).await?,
            Mode::Lines => start_server(lines, "127.0.0.1", 0).backlog(1024).await?,
            Mode::LinesBorrowed => start_server(lines_borrowed, "127.0.0.1", 0).backlog(1024).await?,
        };
        serve(server).await
    })
}

async fn serve(server: Server) -> Result<()> {
    announce(server.sockets().first().context("one socket")?.port())?;
    Ok(server.serve_forever().await?)
}

async fn splice(mut reader: StreamReader, writer: StreamWriter) -> StreamResult<()> {
    copy(&mut reader, &writer).splice(true).await?;
    close(writer).await
}

async fn churn(mut reader: StreamReader, writer: StreamWriter) -> StreamResult<()> {
    writer.write(reader.readline().await?)?;
    close(writer).await
}

async fn lines(mut reader: StreamReader, writer: StreamWriter) -> StreamResult<()> {
    let mut count: u64 = 0;
    while !black_box(reader.readline().await?).is_empty() {
        count += 1;
    }
    writer.write(format!("{count}\n"))?;
    close(writer).await
}

async fn lines_borrowed(mut reader: StreamReader, writer: StreamWriter) -> StreamResult<()> {
    let mut count: u64 = 0;
    while !black_box(reader.readline_ref().await?).is_empty() {
        count += 1;
    }
    writer.write(format!("{count}\n"))?;
    close(writer).await
}

async fn close(writer: StreamWriter) -> StreamResult<()> {
    writer.close();
    writer.wait_closed().await
}

//! The servers of the benchmark on `std::net`: it waits where it reads, so one client after the other.

use std::hint::black_box;
use std::io::{BufRead, BufReader, Read, Result, Write};
use std::net::{TcpListener, TcpStream};

use wasi_streams_bench_guests::{CHUNK, Mode, announce};

fn main() -> anyhow::Result<()> {
    let serve = match Mode::from_args()? {
        Mode::Echo | Mode::Splice => echo,
        Mode::Churn => churn,
        Mode::Lines => lines,
        Mode::LinesBorrowed => lines_borrowed,
    };
    let listener = TcpListener::bind("127.0.0.1:0")?;
    announce(listener.local_addr()?.port())?;
    for stream in listener.incoming() {
        // A client that leaves in the middle is its own business.
        let _ = serve(stream?);
    }
    Ok(())
}

fn echo(mut stream: TcpStream) -> Result<()> {
    let mut buffer = vec![0; CHUNK];
    loop {
        let n = stream.read(&mut buffer)?;
        if n == 0 {
            return Ok(());
        }
        stream.write_all(&buffer[..n])?;
    }
}

fn churn(mut stream: TcpStream) -> Result<()> {
    let mut line = Vec::new();
    BufReader::new(&stream).read_until(b'\n', &mut line)?;
    stream.write_all(&line)
}

fn lines(mut stream: TcpStream) -> Result<()> {
    let mut count: u64 = 0;
    let mut reader = BufReader::with_capacity(CHUNK, &stream);
    loop {
        let mut line = Vec::new();
        if reader.read_until(b'\n', &mut line)? == 0 {
            break;
        }
        black_box(line);
        count += 1;
    }
    writeln!(stream, "{count}")
}

fn lines_borrowed(mut stream: TcpStream) -> Result<()> {
    let mut count: u64 = 0;
    let mut reader = BufReader::with_capacity(CHUNK, &stream);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line)? != 0 {
        black_box(&line);
        line.clear();
        count += 1;
    }
    writeln!(stream, "{count}")
}

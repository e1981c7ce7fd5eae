//! Lines: as many as go, and how many there were.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use super::{Figure, PATIENCE, Span};
use crate::peers::Server;

/// 20 bytes with the newline.
const LINE: &[u8; 20] = b"0123456789 abcdefgh\n";
const PIECE: usize = 12_800;

/// Sends lines for a while and waits for their number.
pub(crate) fn lines(server: &Server, span: Span) -> Result<Figure> {
    let piece = LINE.repeat(PIECE);
    let mut stream = TcpStream::connect(server.address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let (start, before) = (Instant::now(), server.cpu());
    let mut sent = 0;
    while start.elapsed() < span.measure {
        stream.write_all(&piece)?;
        sent += PIECE as u64;
    }
    stream.shutdown(Shutdown::Write)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let time = start.elapsed();
    let count: u64 = answer.trim_end().parse().with_context(|| format!("the number of lines is {answer:?}"))?;
    ensure!(count == sent, "{count} lines of {sent} arrived");
    let cpu = server.cpu().zip(before).map(|(now, before)| now.saturating_sub(before));
    Ok(Figure { count, time, cpu, latencies: None, unserved: 0 })
}

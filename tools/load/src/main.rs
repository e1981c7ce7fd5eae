//! `wasi-streams-load`: clients of an echo server, one thread for each direction, which count what comes back.
//!
//! It is native and does next to nothing, so that what it measures is the server.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

const USAGE: &str = "usage: wasi-streams-load ADDRESS CONNECTIONS BYTES turns|flood MILLISECONDS
prints how many messages of so many bytes came back in a second: sent one after the answer to the other, or without waiting";

/// What is measured after this much of the time: until then everything is warm.
const WARM_UP: f64 = 0.2;

/// Who counts, and for how long.
#[derive(Default)]
struct Tally {
    bytes: AtomicU64,
    over: AtomicBool,
}

/// A line in capitals, which comes back as it is also from a server that answers lines in capitals.
fn message(size: usize) -> Vec<u8> {
    let mut message = vec![b'X'; size];
    message[size - 1] = b'\n';
    message
}

/// Sends a message when the one before has come back.
fn turns(mut stream: &TcpStream, size: usize, tally: &Tally) -> Result<()> {
    let (question, mut answer) = (message(size), vec![0; size]);
    while !tally.over.load(Relaxed) {
        stream.write_all(&question)?;
        stream.read_exact(&mut answer)?;
        ensure!(answer == question, "another answer");
        tally.bytes.fetch_add(size as u64, Relaxed);
    }
    Ok(())
}

/// Sends without waiting for what comes back.
fn flood(stream: &TcpStream, size: usize, tally: &Tally) -> Result<()> {
    thread::scope(|scope| {
        scope.spawn(move || {
            let (piece, mut stream) = (message(size), stream);
            while !tally.over.load(Relaxed) {
                stream.write_all(&piece)?;
            }
            stream.shutdown(Shutdown::Write)
        });
        let (mut piece, mut stream) = (vec![0; size], stream);
        loop {
            match stream.read(&mut piece)? {
                0 => return Ok(()),
                length => _ = tally.bytes.fetch_add(length as u64, Relaxed),
            }
        }
    })
}

/// Bytes in a second, behind the warm-up.
fn measure(tally: &Tally, time: Duration) -> f64 {
    thread::sleep(time.mul_f64(WARM_UP));
    let (start, before) = (Instant::now(), tally.bytes.load(Relaxed));
    thread::sleep(time.mul_f64(1.0 - WARM_UP));
    let rate = (tally.bytes.load(Relaxed) - before) as f64 / start.elapsed().as_secs_f64();
    tally.over.store(true, Relaxed);
    rate
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, connections, size, how, milliseconds] = &arguments[..] else { bail!(USAGE) };
    let (address, connections): (SocketAddr, usize) = (address.parse()?, connections.parse()?);
    let (size, time): (usize, _) = (size.parse()?, Duration::from_millis(milliseconds.parse()?));
    ensure!(size > 0, USAGE);
    let play = match how.as_str() {
        "turns" => turns,
        "flood" => flood,
        _ => bail!(USAGE),
    };
    let connect = || {
        let stream = TcpStream::connect(address).with_context(|| format!("no connection to {address}"))?;
        stream.set_nodelay(true)?;
        anyhow::Ok(stream)
    };
    let streams: Vec<TcpStream> = (0..connections).map(|_| connect()).collect::<Result<_>>()?;
    let tally = Tally::default();
    let rate = thread::scope(|scope| {
        let play = |stream| play(stream, size, &tally);
        let playing: Vec<_> = streams.iter().map(|stream| scope.spawn(move || play(stream))).collect();
        let rate = measure(&tally, time);
        playing.into_iter().try_for_each(|player| player.join().expect("a client does not panic"))?;
        anyhow::Ok(rate)
    })?;
    println!("{}", rate / size as f64);
    Ok(())
}

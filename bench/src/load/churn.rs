//! Churn: connect, one line, its answer, the end; a few at once.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream as StdStream};

use anyhow::{Result, ensure};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use super::{Clock, Figure, PATIENCE, Span};
use crate::peers::Server;

const QUESTION: &[u8] = b"hello there\n";
const AT_ONCE: usize = 8;

struct Client {
    stream: TcpStream,
    got: usize,
}

impl Client {
    fn connect(address: SocketAddr, poll: &Poll, index: usize) -> Result<Self> {
        // To loopback this does not wait; the server may be anywhere.
        let std = StdStream::connect_timeout(&address, PATIENCE)?;
        std.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(std);
        stream.write_all(QUESTION)?;
        poll.registry().register(&mut stream, Token(index), Interest::READABLE)?;
        Ok(Self { stream, got: 0 })
    }

    /// Whether the end has come, behind the answer.
    fn hear(&mut self) -> Result<bool> {
        let mut buffer = [0; 64];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => {
                    ensure!(self.got == QUESTION.len(), "an answer of {} bytes", self.got);
                    return Ok(true);
                }
                Ok(n) => self.got += n,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Connections for a while.
pub(crate) fn churn(server: &Server, span: Span) -> Result<Figure> {
    let mut clock = Clock::start(server, span);
    let mut count = 0;
    run(server.address, |_| {
        clock.tick()?;
        count += u64::from(clock.counts());
        Ok(!clock.is_over())
    })?;
    Ok(clock.figure(count))
}

/// `total` connections.
pub(crate) fn churn_many(address: SocketAddr, total: u64) -> Result<()> {
    run(address, |done| Ok(done < total))
}

/// One connection after the other, until `go_on` does not want another.
fn run(address: SocketAddr, mut go_on: impl FnMut(u64) -> Result<bool>) -> Result<()> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(AT_ONCE);
    let start = |poll: &Poll, index: usize| Client::connect(address, poll, index).map(Some);
    let mut clients = (0..AT_ONCE).map(|index| start(&poll, index)).collect::<Result<Vec<_>>>()?;
    let mut done = 0;
    while clients.iter().any(Option::is_some) {
        poll.poll(&mut events, Some(PATIENCE))?;
        ensure!(!events.is_empty(), "no answer for {PATIENCE:?}");
        for event in &events {
            let index = event.token().0;
            if !clients[index].as_mut().map_or(Ok(false), Client::hear)? {
                continue;
            }
            clients[index] = None;
            done += 1;
            if go_on(done)? {
                clients[index] = start(&poll, index)?;
            }
        }
    }
    Ok(())
}

/// One line and its answer.
pub(crate) fn ask(address: SocketAddr, question: &str) -> Result<String> {
    let mut stream = StdStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(question.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

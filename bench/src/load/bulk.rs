//! Bulk: as much as goes, to and fro at once.

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::time::Duration;

use anyhow::{Result, ensure};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use super::{Clock, Figure, Span, connect_all};
use crate::peers::Server;

const PIECE: usize = 256 * 1024;

struct Client {
    stream: TcpStream,
    may_read: bool,
    may_write: bool,
    sent: u64,
    got: u64,
}

impl Client {
    /// Sends one piece.
    fn send(&mut self, piece: &[u8]) -> Result<()> {
        match self.stream.write(piece) {
            Ok(n) => self.sent += n as u64,
            Err(error) if error.kind() == ErrorKind::WouldBlock => self.may_write = false,
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Takes one piece; how much there was.
    fn take(&mut self, buffer: &mut [u8]) -> Result<u64> {
        match self.stream.read(buffer) {
            Ok(n) => {
                ensure!(n > 0 || self.got == self.sent, "the server closed the connection");
                self.got += n as u64;
                Ok(n as u64)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.may_read = false;
                Ok(0)
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// Bytes that came back on `count` connections. At the end what is under way is taken too.
pub(crate) fn bulk(server: &Server, count: usize, span: Span) -> Result<Figure> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(64);
    let mut clients = Vec::with_capacity(count);
    for (index, mut stream) in connect_all(server.address, count)?.into_iter().enumerate() {
        poll.registry().register(&mut stream, Token(index), Interest::READABLE | Interest::WRITABLE)?;
        clients.push(Client { stream, may_read: true, may_write: true, sent: 0, got: 0 });
    }
    let (piece, mut buffer) = (vec![b'x'; PIECE], vec![0; PIECE]);
    let mut clock = Clock::start(server, span);
    let mut total = 0;
    loop {
        clock.tick()?;
        let sending = !clock.is_over();
        if !sending && clients.iter().all(|client| client.got == client.sent) {
            break;
        }
        let mut busy = false;
        for client in &mut clients {
            if client.may_read && client.got < client.sent {
                let n = client.take(&mut buffer)?;
                total += if clock.counts() { n } else { 0 };
            }
            if client.may_write && sending {
                client.send(&piece)?;
            }
            busy |= (client.may_read && client.got < client.sent) || (client.may_write && sending);
        }
        let wait = if busy { Duration::ZERO } else { Duration::from_millis(100) };
        poll.poll(&mut events, Some(wait))?;
        for event in &events {
            let client = &mut clients[event.token().0];
            client.may_read |= event.is_readable();
            client.may_write |= event.is_writable();
        }
    }
    for client in &clients {
        client.stream.shutdown(Shutdown::Write)?;
    }
    Ok(clock.figure(total))
}

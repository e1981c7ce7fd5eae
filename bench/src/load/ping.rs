//! Ping-pong: on each connection a message of 64 bytes, and the next one when it is back.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use super::{Clock, Figure, PATIENCE, PERCENTILES, Span, connect_all};
use crate::peers::Server;

/// How many connections get their first message together.
const AT_ONCE: usize = 50;
/// A line in capitals, which comes back as it is from servers that answer lines too.
const MESSAGE: [u8; 64] = {
    let mut message = [b'X'; 64];
    message[63] = b'\n';
    message
};

struct Client {
    stream: TcpStream,
    got: usize,
    sent_at: Instant,
    /// An answer counted.
    served: bool,
}

impl Client {
    fn ask(&mut self, now: Instant) -> Result<()> {
        self.sent_at = now;
        let n = self.stream.write(&MESSAGE)?;
        ensure!(n == MESSAGE.len(), "a message did not fit into an empty socket");
        Ok(())
    }

    /// Whether the answer is complete. What comes later is another event.
    fn hear(&mut self) -> Result<bool> {
        let mut buffer = [0; MESSAGE.len()];
        match self.stream.read(&mut buffer[self.got..]) {
            Ok(0) => bail!("the server closed the connection"),
            Ok(n) => self.got += n,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
        if self.got < MESSAGE.len() {
            return Ok(false);
        }
        self.got = 0;
        Ok(true)
    }
}

/// Open connections, each of which has had an answer.
pub(crate) struct Clients {
    poll: Poll,
    events: Events,
    clients: Vec<Client>,
}

impl Clients {
    /// Opens the connections; each has had its first answer.
    fn connect(address: SocketAddr, count: usize) -> Result<Self> {
        let clients = Vec::with_capacity(count);
        let mut all = Self { poll: Poll::new()?, events: Events::with_capacity(1024), clients };
        // A few at a time: one by one takes a server long that looks at quiet connections every few milliseconds, and all at once
        // are more than some can wake, or than may wait to be accepted.
        for first in (0..count).step_by(AT_ONCE) {
            let some = first..count.min(first + AT_ONCE);
            for (index, mut stream) in some.clone().zip(connect_all(address, some.len())?) {
                all.poll.registry().register(&mut stream, Token(index), Interest::READABLE)?;
                all.clients.push(Client { stream, got: 0, sent_at: Instant::now(), served: false });
                all.clients[index].ask(Instant::now())?;
            }
            some.into_iter().try_for_each(|index| all.hear_from(index))?;
        }
        Ok(all)
    }

    fn hear_from(&mut self, index: usize) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while !self.clients[index].hear()? {
            ensure!(Instant::now() < deadline, "no answer for {PATIENCE:?}");
            self.poll.poll(&mut self.events, Some(PATIENCE))?;
        }
        Ok(())
    }

    fn run(&mut self, server: &Server, active: usize, span: Span) -> Result<Figure> {
        let mut latencies: Vec<u32> = Vec::with_capacity(1 << 18);
        let mut clock = Clock::start(server, span);
        for client in &mut self.clients[..active] {
            client.ask(clock.now)?;
        }
        let mut asking = active;
        while asking > 0 {
            // It never sleeps: waking it up would take longer than the answer.
            self.poll.poll(&mut self.events, Some(Duration::ZERO))?;
            for event in &self.events {
                let client = &mut self.clients[event.token().0];
                if !client.hear()? {
                    continue;
                }
                clock.tick()?;
                if clock.counts() {
                    client.served = true;
                    latencies.push((clock.now - client.sent_at).as_nanos().try_into().unwrap_or(u32::MAX));
                }
                if clock.is_over() {
                    asking -= 1;
                } else {
                    client.ask(clock.now)?;
                }
            }
            if self.events.is_empty() {
                clock.tick()?;
            }
        }
        ensure!(!latencies.is_empty(), "no answer while it was measured");
        let count = latencies.len();
        let at = |percent: f64| {
            let index = ((count - 1) as f64 * percent / 100.0) as usize;
            Duration::from_nanos((*latencies.select_nth_unstable(index).1).into())
        };
        let unserved = self.clients[..active].iter().filter(|client| !client.served).count();
        Ok(Figure { latencies: Some(PERCENTILES.map(at)), unserved, ..clock.figure(count as u64) })
    }

    /// As in [`stand`].
    pub(crate) fn stand(&mut self, time: Duration) -> Result<Stood> {
        let begin = Instant::now();
        let mut stood = Stood { answers: 0, answered: 0, last: Duration::ZERO };
        self.clients.iter_mut().try_for_each(|client| client.ask(begin))?;
        while begin.elapsed() < time {
            self.poll.poll(&mut self.events, Some(Duration::from_millis(10)))?;
            for event in &self.events {
                let client = &mut self.clients[event.token().0];
                if client.hear()? {
                    let now = Instant::now();
                    client.ask(now)?;
                    stood.answers += 1;
                    stood.answered += usize::from(!std::mem::replace(&mut client.served, true));
                    stood.last = now - begin;
                }
            }
        }
        Ok(stood)
    }
}

/// What came of many questions at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stood {
    pub(crate) answers: u64,
    /// How many connections had one.
    pub(crate) answered: usize,
    /// When the last one came.
    pub(crate) last: Duration,
}

/// All of `count` connections ask at once, and again for each answer, for `time`; who is never answered waits.
pub(crate) fn stand(address: SocketAddr, count: usize, time: Duration) -> Result<Stood> {
    open(address, count)?.stand(time)
}

/// All of `count` connections are in use.
pub(crate) fn ping(server: &Server, count: usize, span: Span) -> Result<Figure> {
    open(server.address, count)?.run(server, count, span)
}

/// One connection is in use beside `idle` that are open.
pub(crate) fn idle(server: &Server, idle: usize, span: Span) -> Result<Figure> {
    open(server.address, idle + 1)?.run(server, 1, span)
}

/// Connections that are open and idle until they are dropped.
pub(crate) fn open(address: SocketAddr, count: usize) -> Result<Clients> {
    Clients::connect(address, count).context("connecting")
}

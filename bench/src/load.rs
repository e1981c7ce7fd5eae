//! The clients: one thread that waits in epoll and does nothing around it, so that the server is what is measured.

mod bulk;
mod churn;
mod lines;
mod ping;
mod tls;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

pub(crate) use bulk::bulk;
pub(crate) use churn::{ask, churn, churn_many};
pub(crate) use lines::lines;
pub(crate) use ping::{Stood, idle, open, ping, stand};
pub(crate) use tls::{Cipher, Tls};

use crate::peers::Server;

/// How long a load may make no progress before it is given up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// Which latencies are kept.
pub(crate) const PERCENTILES: [f64; 4] = [50.0, 90.0, 99.0, 99.9];

/// What one round of a load gave.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figure {
    /// Requests, bytes, lines or connections.
    pub(crate) count: u64,
    pub(crate) time: Duration,
    /// Of the server; none where the system does not say.
    pub(crate) cpu: Option<Duration>,
    /// How long answers took, at each of [`PERCENTILES`], where there are answers.
    pub(crate) latencies: Option<[Duration; 4]>,
    /// Connections that asked and had no answer: the server forgets them beside the others.
    pub(crate) unserved: usize,
}

impl Figure {
    pub(crate) fn rate(&self) -> f64 {
        self.count as f64 / self.time.as_secs_f64()
    }
}

/// A stretch of time: to get going, then to be measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    pub(crate) warm_up: Duration,
    pub(crate) measure: Duration,
}

impl Span {
    pub(crate) fn of(measure: Duration) -> Self {
        Self { warm_up: measure / 5, measure }
    }
}

/// Where a load is in its span, and what the server's processor time was at both ends of it.
#[derive(Debug)]
struct Clock<'a> {
    server: &'a Server,
    span: Span,
    begin: Instant,
    now: Instant,
    stage: Stage,
    cpu: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Stage {
    WarmUp,
    Measure,
    Over,
}

impl<'a> Clock<'a> {
    fn start(server: &'a Server, span: Span) -> Self {
        let now = Instant::now();
        Self { server, span, begin: now + span.warm_up, now, stage: Stage::WarmUp, cpu: None }
    }

    /// Looks at the time, for everything that is done now; fails when the server has stopped.
    fn tick(&mut self) -> Result<()> {
        self.now = Instant::now();
        let end = self.begin + self.span.measure;
        if self.stage == Stage::WarmUp && self.now >= self.begin {
            self.cpu = self.server.cpu();
            self.stage = Stage::Measure;
        }
        if self.stage == Stage::Measure && self.now >= end {
            self.cpu = self.server.cpu().zip(self.cpu).map(|(now, before)| now.saturating_sub(before));
            self.stage = Stage::Over;
        }
        ensure!(self.now < end + PATIENCE, "no answer for {PATIENCE:?}");
        Ok(())
    }

    fn counts(&self) -> bool {
        self.stage == Stage::Measure
    }

    fn is_over(&self) -> bool {
        self.stage == Stage::Over
    }

    /// What was counted while it counted.
    fn figure(&self, count: u64) -> Figure {
        Figure { count, time: self.span.measure, cpu: self.cpu, latencies: None, unserved: 0 }
    }
}

/// Opens `count` connections, and does not wait for the server in between.
fn connect_all(address: SocketAddr, count: usize) -> Result<Vec<mio::net::TcpStream>> {
    (0..count).map(|_| connect(address)).collect()
}

fn connect(address: SocketAddr) -> Result<mio::net::TcpStream> {
    let stream = std::net::TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_nodelay(true)?;
    stream.set_nonblocking(true)?;
    Ok(mio::net::TcpStream::from_std(stream))
}

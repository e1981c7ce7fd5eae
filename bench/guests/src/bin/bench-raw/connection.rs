//! One connection: what to do when it may go on, and what it waits for when it may not.

use std::hint::black_box;

use bytes::{Bytes, BytesMut};
use wasi::io::poll::Pollable;
use wasi::io::streams::{InputStream, OutputStream, StreamError};
use wasi::sockets::tcp::TcpSocket;
use wasi_streams_bench_guests::Mode;

use crate::pace::Pace;
use crate::poller::renew_budget;

/// The host zeroes what is asked for: small at first, more while reads are filled.
const MIN_READ: usize = 4 * 1024;
const MAX_READ: usize = 64 * 1024;

/// So many pieces a connection takes in one go, while they are in the processor's cache, before the others have theirs.
const PIECES: usize = 8;

/// Where a connection stands after a step.
pub(crate) enum Next {
    /// It may go on, after the others.
    Again,
    /// It has a pollable to wait for.
    Wait,
    /// It can be dropped.
    Done,
}

#[derive(Clone, Copy, PartialEq)]
enum Waits {
    No,
    Read,
    Write,
}

/// Children before parents: hosts trap when a stream is dropped before its pollable, or a socket before its streams.
pub(crate) struct Connection {
    readable: Option<Pollable>,
    writable: Option<Pollable>,
    input: InputStream,
    output: OutputStream,
    _socket: TcpSocket,
    mode: Mode,
    waits: Waits,
    read_size: usize,
    /// The last read was filled.
    plenty: bool,
    pace: Pace,
    /// What is left of the last answer.
    unsent: Vec<u8>,
    /// The beginning of a line.
    partial: BytesMut,
    lines: u64,
    ending: bool,
    pub(crate) hot: bool,
    pub(crate) active_at: u64,
    /// The sweep of the poller in which it was last asked.
    pub(crate) asked_in: u64,
}

impl Connection {
    pub(crate) fn new(mode: Mode, socket: TcpSocket, input: InputStream, output: OutputStream) -> Self {
        Self {
            readable: None,
            writable: None,
            input,
            output,
            _socket: socket,
            mode,
            waits: Waits::No,
            read_size: MIN_READ,
            plenty: false,
            pace: Pace::default(),
            unsent: Vec::new(),
            partial: BytesMut::new(),
            lines: 0,
            ending: false,
            hot: false,
            active_at: 0,
            asked_in: 0,
        }
    }

    pub(crate) fn waits_for(&self) -> Option<&Pollable> {
        match self.waits {
            Waits::No => None,
            Waits::Read => self.readable.as_ref(),
            Waits::Write => self.writable.as_ref(),
        }
    }

    /// Takes a few pieces of input and answers them. An error is the end of the connection.
    pub(crate) fn step(&mut self) -> Next {
        self.waits = Waits::No;
        for _ in 0..PIECES {
            self.plenty = false;
            match self.advance() {
                // There is more for certain. What came with less than was asked for is better looked at after the others.
                Ok(Next::Again) if self.plenty => {}
                Ok(next) => return next,
                Err(_) => return Next::Done,
            }
        }
        Next::Again
    }

    fn advance(&mut self) -> Result<Next, StreamError> {
        if !self.unsent.is_empty() {
            let unsent = std::mem::take(&mut self.unsent);
            self.send(unsent)?;
            if !self.unsent.is_empty() {
                return Ok(self.wait_to_write());
            }
        }
        if self.ending {
            // Dropping a stream with a write in flight would make everybody wait.
            return Ok(if self.permit()? == 0 { self.wait_to_write() } else { Next::Done });
        }
        if self.mode == Mode::Splice {
            return self.splice();
        }
        match self.input.read(self.read_size as u64) {
            Ok(data) if data.is_empty() => {
                self.pace.found(false);
                Ok(self.wait_to_read())
            }
            Ok(data) => {
                self.pace.found(true);
                self.adapt(data.len());
                Ok(match self.answer(data)? {
                    Next::Again if !self.plenty && !self.pace.looks_again() => self.wait_to_read(),
                    next => next,
                })
            }
            Err(StreamError::Closed) => self.end(),
            Err(error) => Err(error),
        }
    }

    fn answer(&mut self, data: Vec<u8>) -> Result<Next, StreamError> {
        match self.mode {
            Mode::Echo | Mode::Splice => self.send(data)?,
            Mode::Lines => self.count_lines(data.into()),
            Mode::LinesBorrowed => self.look_at_lines(&data),
            Mode::Churn => {
                self.partial.extend_from_slice(&data);
                if memchr::memchr(b'\n', &data).is_some() {
                    let line = std::mem::take(&mut self.partial);
                    return self.finish(line.into());
                }
            }
        }
        Ok(if self.unsent.is_empty() { Next::Again } else { self.wait_to_write() })
    }

    fn end(&mut self) -> Result<Next, StreamError> {
        let answer = match self.mode {
            Mode::Lines | Mode::LinesBorrowed => format!("{}\n", self.lines).into_bytes(),
            _ => Vec::new(),
        };
        self.finish(answer)
    }

    /// Sends the last answer.
    fn finish(&mut self, answer: Vec<u8>) -> Result<Next, StreamError> {
        self.ending = true;
        self.unsent = answer;
        self.advance()
    }

    /// Each line a value of its own, which shares the memory of what was read.
    fn count_lines(&mut self, mut data: Bytes) {
        if !self.partial.is_empty() {
            let Some(at) = memchr::memchr(b'\n', &data) else { return self.partial.extend_from_slice(&data) };
            self.partial.extend_from_slice(&data.split_to(at + 1));
            black_box(self.partial.split().freeze());
            self.lines += 1;
        }
        while let Some(at) = memchr::memchr(b'\n', &data) {
            black_box(data.split_to(at + 1));
            self.lines += 1;
        }
        self.partial.extend_from_slice(&data);
    }

    /// Each line as a part of what was read.
    fn look_at_lines(&mut self, mut data: &[u8]) {
        while let Some(at) = memchr::memchr(b'\n', data) {
            if self.partial.is_empty() {
                black_box(&data[..=at]);
            } else {
                self.partial.extend_from_slice(&data[..=at]);
                black_box(&self.partial);
                self.partial.clear();
            }
            data = &data[at + 1..];
            self.lines += 1;
        }
        self.partial.extend_from_slice(data);
    }

    /// Hands over as much as the host takes and keeps the rest.
    fn send(&mut self, mut data: Vec<u8>) -> Result<(), StreamError> {
        let mut sent = 0;
        while sent < data.len() {
            let permit = self.permit()? as usize;
            if permit == 0 {
                data.drain(..sent);
                self.unsent = data;
                return Ok(());
            }
            let end = data.len().min(sent + permit);
            self.output.write(&data[sent..end])?;
            sent = end;
        }
        Ok(())
    }

    /// How much may be written; 0 may only mean that the host's budget is spent, which a fresh timer renews.
    fn permit(&self) -> Result<u64, StreamError> {
        match self.output.check_write()? {
            0 => {
                renew_budget();
                self.output.check_write()
            }
            permit => Ok(permit),
        }
    }

    /// Lets the host move what there is.
    fn splice(&mut self) -> Result<Next, StreamError> {
        let permit = self.permit()?;
        if permit == 0 {
            return Ok(self.wait_to_write());
        }
        match self.output.splice(&self.input, permit) {
            Ok(0) => Ok(self.wait_to_read()),
            Ok(n) => {
                self.plenty = n >= MIN_READ as u64;
                Ok(Next::Again)
            }
            Err(_) => self.end(),
        }
    }

    fn wait_to_read(&mut self) -> Next {
        self.readable.get_or_insert_with(|| self.input.subscribe());
        self.waits = Waits::Read;
        Next::Wait
    }

    fn wait_to_write(&mut self) -> Next {
        self.writable.get_or_insert_with(|| self.output.subscribe());
        self.waits = Waits::Write;
        Next::Wait
    }

    fn adapt(&mut self, got: usize) {
        self.plenty = got >= self.read_size;
        if self.plenty {
            self.read_size = (self.read_size * 4).min(MAX_READ);
        } else if got < self.read_size / 8 {
            self.read_size = (self.read_size / 4).max(MIN_READ);
        }
    }
}

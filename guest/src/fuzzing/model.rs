//! What a reader does, written down so plainly that it is either right or plainly wrong: everything is searched again each
//! time, byte by byte.

use std::cmp::Reverse;

use bytes::Bytes;

use crate::error::{Error, Result};

#[derive(Debug)]
pub(super) enum Read {
    Some(usize),
    Exactly(usize),
    ToEnd,
    Line,
    LineRef,
    Next,
    Until(Vec<Vec<u8>>),
    /// Borrows what is there and uses up so much of it.
    Fill(usize),
    /// Reads into memory of the caller's, so much.
    Copy(usize),
}

#[derive(Debug, PartialEq)]
pub(super) enum Answer {
    Data(Vec<u8>),
    End,
    Incomplete { partial: Vec<u8>, expected: Option<usize> },
    Overrun { consumed: usize, found: bool },
    TooLong { found: bool },
    Invalid,
    Stored,
    Other(String),
}

impl Answer {
    pub(super) fn of(result: Result<Bytes>) -> Self {
        match result {
            Ok(data) => Self::Data(data.into()),
            Err(Error::Incomplete { partial, expected }) => Self::Incomplete { partial: partial.into(), expected },
            Err(Error::LimitOverrun { consumed, found }) => Self::Overrun { consumed, found },
            Err(Error::LineTooLong { found }) => Self::TooLong { found },
            Err(Error::InvalidInput(_)) => Self::Invalid,
            Err(Error::Io { message, .. }) if &*message == "stored" => Self::Stored,
            Err(other) => Self::Other(other.to_string()),
        }
    }
}

pub(super) struct Model {
    pub(super) limit: usize,
    /// What was fed and not read, lent or not.
    pub(super) data: Vec<u8>,
    pub(super) eof: bool,
    pub(super) error: bool,
    pub(super) paused: bool,
    /// What `read_to_end` has so far.
    collected: Vec<u8>,
}

impl Model {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, data: Vec::new(), eof: false, error: false, paused: false, collected: Vec::new() }
    }

    /// False when it is refused.
    pub(super) fn feed(&mut self, data: &[u8]) -> bool {
        if !self.eof && !data.is_empty() {
            self.data.extend_from_slice(data);
            self.pause_if_high();
        }
        !self.eof // R06
    }

    /// The answer, or none when it has to wait. `given` is how much the reader gave, for the reads that leave it to the reader.
    pub(super) fn read(&mut self, read: &Read, given: usize) -> Option<Answer> {
        match read {
            Read::Until(list) if list.is_empty() || list.contains(&Vec::new()) => return Some(Answer::Invalid), // R14
            _ if self.error => {
                self.collected.clear(); // R26
                return Some(Answer::Stored); // R11
            }
            Read::Some(0) | Read::Exactly(0) | Read::Copy(0) => return Some(Answer::Data(Vec::new())), // R23, R28
            _ => {}
        }
        let answer = match read {
            Read::Some(n) => self.some(*n),
            // Something, if anything was asked for.
            Read::Fill(n) | Read::Copy(n) => self.some(given.clamp(usize::from(*n > 0), *n)),
            Read::Exactly(n) if *n <= self.data.len() => Some(Answer::Data(self.take(*n))),
            Read::Exactly(n) => {
                self.eof.then(|| Answer::Incomplete { partial: self.take(usize::MAX), expected: Some(*n) }) // R30
            }
            Read::ToEnd => {
                let more = self.take(usize::MAX);
                self.collected.extend(more);
                self.eof.then(|| Answer::Data(std::mem::take(&mut self.collected)))
            }
            Read::Line | Read::LineRef => self.line(),
            Read::Next => match self.line() {
                Some(Answer::Data(line)) if line.is_empty() => Some(Answer::End), // R77
                other => other,
            },
            Read::Until(separators) => self.until(separators),
        };
        if answer.is_none() {
            self.paused = false; // F05
        }
        answer
    }

    /// The read that waits is no more.
    pub(super) fn give_up(&mut self) {
        let collected = std::mem::take(&mut self.collected);
        if !collected.is_empty() {
            self.data.splice(..0, collected); // R18
            self.pause_if_high();
        }
    }

    fn some(&mut self, n: usize) -> Option<Answer> {
        (self.eof || !self.data.is_empty()).then(|| Answer::Data(self.take(n)))
    }

    fn line(&mut self) -> Option<Answer> {
        Some(match self.until(&[b"\n".to_vec()])? {
            Answer::Incomplete { partial, .. } => Answer::Data(partial), // R71
            Answer::Overrun { consumed, found } => {
                self.take(if found { consumed + 1 } else { usize::MAX }); // R73, R74
                Answer::TooLong { found }
            }
            other => other,
        })
    }

    fn until(&mut self, separators: &[Vec<u8>]) -> Option<Answer> {
        let matches = separators.iter().flat_map(|separator| {
            let starts = 0..self.data.len();
            starts.filter(|i| self.data[*i..].starts_with(separator)).map(|i| (i, i + separator.len()))
        });
        // R47, R49: the one that ends first; of those the shortest.
        if let Some((start, end)) = matches.min_by_key(|(start, end)| (*end, Reverse(*start))) {
            let is_within = start <= self.limit; // R51, R52
            return Some(match is_within {
                true => Answer::Data(self.take(end)),
                false => Answer::Overrun { consumed: start, found: true },
            });
        }
        let longest = separators.iter().map(Vec::len).max().unwrap_or(0);
        let safe = (self.data.len() + 1).saturating_sub(longest);
        if safe > self.limit {
            return Some(Answer::Overrun { consumed: safe, found: false }); // R54, R55
        }
        self.eof.then(|| Answer::Incomplete { partial: self.take(usize::MAX), expected: None }) // R56
    }

    fn take(&mut self, n: usize) -> Vec<u8> {
        let taken = self.data.drain(..n.min(self.data.len())).collect();
        if self.data.len() <= self.limit {
            self.paused = false; // F03
        }
        taken
    }

    fn pause_if_high(&mut self) {
        self.paused |= self.data.len() > 2 * self.limit; // F01
    }
}

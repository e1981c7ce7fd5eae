//! The reader and its model, doing the same things.
//!
//! The first byte of the input is the limit, each of the next says what to do: its low half what, its high half how much. The
//! reader may lend, wait, be given up, be fed before it runs again; after each step it must have said the same as the model,
//! and be in the same state.

use std::rc::Rc;

use bytes::Bytes;
use futures_lite::{AsyncBufReadExt, AsyncReadExt, StreamExt};

use super::Script;
use super::model::{Answer, Model, Read};
use crate::connection::Connection;
use crate::error::{Error, Result};
use crate::reader::{Feeder, StreamReader};

#[path = "../../tests/attempt/mod.rs"]
mod attempt;
use attempt::Attempt;

/// So many steps at most: an input is one situation, not a day's work.
const STEPS: usize = 100;
/// What the high half of a byte means where it counts bytes: mostly few, for the limit is mostly small.
const COUNTS: [usize; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 13, 17, 40, 300, 5000, usize::MAX];
/// Half of all bytes mean one of these, so that separators are frequent, split and overlapping.
const ALPHABET: &[u8; 4] = b"ab\n\r";

/// Does what `input` says with a reader, beside a model of it.
pub fn reader(input: &[u8]) {
    let script = &mut Script(input);
    let first = script.byte();
    let limit = if first < 0xC0 { 1 + usize::from(first % 16) } else { 1 << (first % 10) };
    let mut reader = StreamReader::new(limit).expect("the limit is not 0");
    let mut bench = Bench {
        connection: Rc::clone(reader.connection()),
        feeder: reader.feeder(),
        model: Model::new(limit),
        overrun: 0,
        steps: 0,
    };
    while let Some(step) = bench.next(script) {
        match step {
            Step::Read(read) => bench.read(&mut reader, &read, script),
            other => bench.perform(&other),
        }
    }
    // Whatever is left, both must have the same.
    bench.perform(&Step::Eof);
    bench.read(&mut reader, &Read::ToEnd, script);
}

enum Step {
    Feed(Vec<u8>),
    Eof,
    Error,
    /// Gives up the read that waits.
    Cancel,
    /// Lets the read that waits run only after the next step.
    Lazily(Box<Step>),
    Read(Read),
}

struct Bench {
    /// For looking at the reader while a read borrows it.
    connection: Rc<Connection>,
    feeder: Feeder,
    model: Model,
    /// What the last `LimitOverrun` said can be taken.
    overrun: usize,
    steps: usize,
}

impl Bench {
    /// The next step of the script, none at its end.
    fn next(&mut self, script: &mut Script<'_>) -> Option<Step> {
        self.steps += 1;
        if script.is_over() || self.steps > STEPS {
            return None;
        }
        let byte = script.byte();
        let many = usize::from(byte >> 4);
        let lazily = |step| if many >= 8 { Step::Lazily(Box::new(step)) } else { step };
        Some(match byte % 16 {
            0 | 1 => lazily(Step::Feed(data(script, many % 8))),
            2 => Step::Feed(vec![letter(script.byte()); 1 << (many % 9)]),
            3 => lazily(Step::Eof),
            4 => lazily(Step::Error),
            5 => Step::Cancel,
            6 => Step::Read(Read::Some(COUNTS[many])),
            7 => Step::Read(Read::Exactly(COUNTS[many])),
            8 => Step::Read(Read::Exactly(self.overrun)), // R58
            9 => Step::Read(Read::ToEnd),
            10 => Step::Read(Read::Line),
            11 => Step::Read(Read::LineRef),
            12 => Step::Read(Read::Next),
            13 => Step::Read(Read::Until((0..many % 4).map(|_| separator(script)).collect())),
            14 => Step::Read(Read::Fill(COUNTS[many])),
            _ => Step::Read(Read::Copy(COUNTS[many].min(5000))), // memory is needed for it
        })
    }

    /// Does what is not a read.
    fn perform(&mut self, step: &Step) {
        match step {
            Step::Feed(data) => {
                let was_fed = self.feeder.feed_data(data).is_ok();
                assert_eq!(was_fed, self.model.feed(data), "feeding {} bytes", data.len());
                // F01: so a source that obeys exceeds twice the limit by at most what it had in hand.
                let buffered = self.connection.look(|buffer| buffer.buffered());
                let may_go_on = data.is_empty() || !was_fed || self.feeder.is_paused();
                assert!(may_go_on || buffered <= 2 * self.model.limit, "{buffered} bytes are buffered without a pause");
            }
            Step::Eof => {
                self.feeder.feed_eof();
                self.model.eof = true;
            }
            Step::Error => {
                self.feeder.set_exception(Error::io(std::io::ErrorKind::Other, "stored"));
                self.model.error = true;
            }
            Step::Lazily(step) => return self.perform(step),
            Step::Cancel | Step::Read(_) => {} // of a read, while none waits or beside one that does
        }
        self.compare_states();
    }

    /// Reads, and goes on with the script until it has its answer or is given up.
    fn read(&mut self, reader: &mut StreamReader, read: &Read, script: &mut Script<'_>) {
        let mut attempt = match Attempt::start(perform(read, reader)) {
            Ok(answer) => return self.compare(read, Some(answer)),
            Err(attempt) => attempt,
        };
        self.compare(read, None);
        loop {
            let step = self.next(script).unwrap_or(Step::Eof);
            if matches!(step, Step::Cancel) {
                drop(attempt);
                self.model.give_up();
                return self.compare_states();
            }
            self.perform(&step);
            if matches!(step, Step::Lazily(_)) {
                continue;
            }
            let answer = attempt.turn();
            let is_done = answer.is_some();
            self.compare(read, answer);
            if is_done {
                return;
            }
        }
    }

    fn compare(&mut self, read: &Read, ours: Option<Answer>) {
        let given = if let Some(Answer::Data(data)) = &ours { data.len() } else { 0 };
        assert_eq!(ours, self.model.read(read, given), "ours and the model's answer to {read:?}");
        if let Some(Answer::Overrun { consumed, .. }) = ours {
            self.overrun = consumed;
        }
        self.compare_states();
    }

    fn compare_states(&self) {
        let model = &self.model;
        self.connection.look(|buffer| {
            assert_eq!(buffer.buffered(), model.data.len(), "buffered");
            assert_eq!(buffer.is_paused(), model.paused, "paused, with {} bytes buffered", model.data.len());
            assert_eq!(buffer.at_eof(), model.eof && model.data.is_empty(), "at_eof"); // R08
            assert_eq!(buffer.error().is_some(), model.error, "exception"); // R10
        });
    }
}

async fn perform(read: &Read, reader: &mut StreamReader) -> Answer {
    Answer::of(match read {
        Read::Some(n) => reader.read(*n).await,
        Read::Exactly(n) => reader.readexactly(*n).await,
        Read::ToEnd => reader.read_to_end().await,
        Read::Line => reader.readline().await,
        Read::LineRef => reader.readline_ref().await.map(Bytes::copy_from_slice),
        Read::Next => match reader.lines().next().await {
            Some(line) => line,
            None => return Answer::End,
        },
        Read::Until(separators) => {
            let separators: Vec<&[u8]> = separators.iter().map(Vec::as_slice).collect();
            reader.readuntil(separators.as_slice()).await
        }
        Read::Fill(n) => fill_and_consume(reader, *n).await,
        Read::Copy(n) => {
            let mut out = vec![0; *n];
            let copied = AsyncReadExt::read(reader, &mut out).await;
            copied.map(|n| Bytes::copy_from_slice(&out[..n])).map_err(Error::from)
        }
    })
}

async fn fill_and_consume(reader: &mut StreamReader, n: usize) -> Result<Bytes> {
    let shown = reader.fill_buf().await?;
    let used = Bytes::copy_from_slice(&shown[..n.min(shown.len())]);
    reader.consume(n); // also more than was shown
    Ok(used)
}

fn separator(script: &mut Script<'_>) -> Vec<u8> {
    let length = usize::from(script.byte() % 5);
    data(script, length)
}

fn data(script: &mut Script<'_>, n: usize) -> Vec<u8> {
    script.bytes(n).iter().map(|byte| letter(*byte)).collect()
}

fn letter(byte: u8) -> u8 {
    if byte < 128 { ALPHABET[usize::from(byte % 4)] } else { byte }
}

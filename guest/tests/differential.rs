//! CPython's `StreamReader` and ours, doing the same 10 000 random things.
//!
//! Each sequence makes a reader with a small limit, then feeds, reads, cancels, ends and fails it, in random order, with
//! bytes out of a small alphabet, so that separators are frequent, split and overlapping. Reads that have to wait are
//! resolved by what comes later. Compared after every operation: what came of it; how much is buffered; whether the
//! transport is told to pause; whether an error is stored; whether the reader is at the end.
//!
//! The Python side is `peers/streamreader_peer.py`. An operation there is `feed:BYTES`, `+feed:BYTES` (the waiting read
//! does not run before the next operation), `eof`, `error`, `cancel`, `read:N`, `all`, `exactly:N`, `line`, `line_ref`
//! (`readline_ref` here, `readline` there), `next` (a step of the iteration), or `until:SEPARATOR,…`.
//!
//! # Differences that are meant
//!
//! * R18: CPython loses what a cancelled `read(-1)` had collected, `read_to_end` puts it back. The Python side puts
//!   it back likewise (and pauses if that makes too much), then both must agree on everything that follows.
//! * When an incomplete read has emptied a paused reader, CPython forgets to resume the transport. Nothing can come then,
//!   so it does not matter there; here the reader is never paused at its end. So there, and only there, Python's
//!   pause state is not compared, and ours must be "not paused".
//! * R11: an error stored in the same turn as data. In CPython a read that the data has woken already does not see
//!   the error: it gives the data, or waits for more without end; here it fails. So `error` never follows `+feed`.
//! * R15, R16: a second read beside a waiting one cannot be written here, so there is none.
//!
//! # Running it
//!
//! Needs Python 3; several separators are left out below 3.13. `WASI_STREAMS_SEED` sets another seed, `WASI_STREAMS_SEQUENCES`
//! another number of sequences. A failure prints the seed of its sequence: that seed with one sequence repeats it.

mod attempt;
mod random;

use std::collections::BTreeMap;
use std::fmt;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Instant;

use futures_lite::StreamExt;
use wasi_streams::{Bytes, Error, Feeder, StreamReader};

use attempt::Attempt;
use random::Random;

const SEED: u64 = 20_251_122;
const SEQUENCES: u64 = 10_000;
const ALPHABET: &[u8] = b"ab\n\r";
const LARGEST_LIMIT: usize = 8;
const LONGEST_SEQUENCE: usize = 30;
const STEPS_AFTER_THE_END: usize = 8;

/// What must have happened at least once, or the test tests less than it says.
const EVENTS: &str = "ok wait cancelled incomplete overrun:found overrun:missing too_long:found too_long:missing end error \
                      invalid refused paused put_back";

#[test]
fn ten_thousand_random_sequences_come_out_as_in_cpython() {
    let python = Python::newest();
    let several = python.version >= (3, 13);
    let said = format!("comparing with Python {}.{}", python.version.0, python.version.1);
    println!("{said}");
    if !several {
        // Not by `println`, which is shown only when the test fails.
        let _ = writeln!(std::io::stderr(), "{said}; readuntil with several separators is left out: it came with 3.13");
    }
    let (first, sequences) = (from_env("WASI_STREAMS_SEED", SEED), from_env("WASI_STREAMS_SEQUENCES", SEQUENCES));
    let mut peer = python.start();
    let mut events = BTreeMap::new();
    let start = Instant::now();
    for seed in first..first + sequences {
        let sequence = Sequence::random(seed, several);
        let theirs = peer.perform(&sequence);
        if let Some(difference) = sequence.first_difference(&theirs) {
            panic!(
                "a difference: repeat it with WASI_STREAMS_SEED={seed} WASI_STREAMS_SEQUENCES=1\n{}",
                sequence.beside(&theirs, difference)
            );
        }
        sequence.count(&mut events);
    }
    println!("{sequences} sequences in {:?}: {events:?}", start.elapsed());
    if sequences >= SEQUENCES {
        let missing: Vec<_> = EVENTS.split(' ').filter(|event| !events.contains_key(*event)).collect();
        assert!(missing.is_empty(), "never happened: {missing:?}");
    }
}

// ---------------------------------------------------------------------- operations

enum Operation {
    /// `lazily`: the read that waits does not run before the next operation.
    Feed {
        data: Vec<u8>,
        lazily: bool,
    },
    Eof,
    Error,
    Cancel,
    Read(Read),
}

#[derive(Clone)]
enum Read {
    Some(usize),
    All,
    Exactly(usize),
    Line,
    LineRef,
    Next,
    Until(Vec<Vec<u8>>),
}

impl Operation {
    fn random_feed(random: &mut Random) -> Self {
        let longest = if random.chance(20) { 3 * LARGEST_LIMIT } else { 5 };
        let len = random.below(longest + 1);
        Self::Feed { data: random.bytes(len, ALPHABET), lazily: random.chance(20) }
    }

    /// Performs what is not a read.
    fn perform(&self, feeder: &Feeder) -> Outcome {
        match self {
            Self::Feed { data, .. } if feeder.feed_data(data).is_err() => return Outcome("refused".into()),
            Self::Eof => feeder.feed_eof(),
            Self::Error => feeder.set_exception(Error::io(std::io::ErrorKind::Other, "stored")),
            Self::Feed { .. } | Self::Cancel | Self::Read(_) => {}
        }
        Outcome("-".into())
    }

    fn is_lazy(&self) -> bool {
        matches!(self, Self::Feed { lazily: true, .. })
    }
}

impl Read {
    fn random(random: &mut Random, several: bool) -> Self {
        match random.below(16) {
            0..3 => Self::Some(random.below(12)),
            3 => Self::All,
            4..7 => Self::Exactly(random.below(20)),
            7..9 => Self::Line,
            9..11 => Self::LineRef,
            11 => Self::Next,
            _ if several && random.chance(2) => Self::Until(Vec::new()),
            _ => {
                let count = if several { 1 + random.below(3) } else { 1 };
                Self::Until((0..count).map(|_| Self::random_separator(random)).collect())
            }
        }
    }

    fn random_separator(random: &mut Random) -> Vec<u8> {
        let len = if random.chance(2) { 0 } else { 1 + random.below(3) };
        random.bytes(len, ALPHABET)
    }

    async fn perform(self, reader: &mut StreamReader) -> Outcome {
        Outcome::of(match self {
            Self::Some(n) => reader.read(n).await,
            Self::All => reader.read_to_end().await,
            Self::Exactly(n) => reader.readexactly(n).await,
            Self::Line => reader.readline().await,
            Self::LineRef => reader.readline_ref().await.map(Bytes::copy_from_slice),
            Self::Next => match reader.lines().next().await {
                Some(line) => line,
                None => return Outcome("end".into()),
            },
            Self::Until(separators) => {
                let separators: Vec<&[u8]> = separators.iter().map(Vec::as_slice).collect();
                reader.readuntil(separators.as_slice()).await
            }
        })
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Feed { data, lazily } => write!(f, "{}feed:{}", if *lazily { "+" } else { "" }, data.escape_ascii()),
            Self::Eof => f.write_str("eof"),
            Self::Error => f.write_str("error"),
            Self::Cancel => f.write_str("cancel"),
            Self::Read(read) => read.fmt(f),
        }
    }
}

impl fmt::Display for Read {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Some(n) => write!(f, "read:{n}"),
            Self::All => f.write_str("all"),
            Self::Exactly(n) => write!(f, "exactly:{n}"),
            Self::Line => f.write_str("line"),
            Self::LineRef => f.write_str("line_ref"),
            Self::Next => f.write_str("next"),
            Self::Until(separators) if separators.is_empty() => f.write_str("until:()"),
            Self::Until(separators) => {
                let separators: Vec<_> = separators.iter().map(|one| one.escape_ascii().to_string()).collect();
                write!(f, "until:{}", separators.join(","))
            }
        }
    }
}

// ---------------------------------------------------------------------- our side

/// What came of an operation, in the words of the Python side.
#[derive(PartialEq, Eq)]
struct Outcome(String);

impl Outcome {
    fn of(result: wasi_streams::Result<Bytes>) -> Self {
        let word = |found| if found { "found" } else { "missing" };
        Self(match result {
            Ok(data) => format!("ok:{}", data.escape_ascii()),
            Err(Error::Incomplete { partial, expected }) => {
                let expected = expected.map_or("None".to_owned(), |n| n.to_string());
                format!("incomplete:{}:{expected}", partial.escape_ascii())
            }
            Err(Error::LimitOverrun { consumed, found }) => format!("overrun:{consumed}:{}", word(found)),
            Err(Error::LineTooLong { found }) => format!("too_long:{}", word(found)),
            Err(Error::InvalidInput(_)) => "invalid".into(),
            Err(Error::Io { message, .. }) if &*message == "stored" => "error".into(),
            Err(other) => format!("unexpected:{other:?}"),
        })
    }

    fn waits() -> Self {
        Self("wait".into())
    }

    /// What `LimitOverrun` said can be taken, if it is that.
    fn overrun(&self) -> Option<usize> {
        self.0.strip_prefix("overrun:")?.split(':').next()?.parse().ok()
    }
}

/// What can be asked of a reader after an operation.
enum State {
    Idle {
        buffered: usize,
        paused: bool,
        error: bool,
        at_eof: bool,
    },
    /// A read waits, so the reader itself cannot be asked.
    Reading {
        paused: bool,
    },
    /// After a lazy feed.
    Unsettled,
}

impl State {
    fn of(reader: &StreamReader, feeder: &Feeder) -> Self {
        let debug = format!("{reader:?}");
        let buffered = debug.trim_start_matches(|c: char| !c.is_ascii_digit());
        let buffered = buffered.split(|c: char| !c.is_ascii_digit()).next().and_then(|digits| digits.parse().ok());
        Self::Idle {
            buffered: buffered.expect("the debug form shows how much is buffered"),
            paused: feeder.is_paused(),
            error: reader.exception().is_some(),
            at_eof: reader.at_eof(),
        }
    }

    /// Whether the Python side is in this state; it writes how much is buffered and the letters `p`, `x` and `e`.
    fn agrees(&self, theirs: &str) -> bool {
        let letters = theirs.trim_start_matches(|c: char| c.is_ascii_digit());
        let has = |letter| letters.contains(letter);
        match self {
            Self::Unsettled => theirs.is_empty(),
            Self::Reading { paused } => has('p') == *paused && !has('x') && !has('e'),
            Self::Idle { buffered, paused, error, at_eof } => {
                // At the end theirs does not count, ours must be "not paused": see the top of this file.
                let same_pause = if *at_eof { !paused } else { *paused == has('p') };
                let same_size = theirs.strip_suffix(letters) == Some(&buffered.to_string());
                same_pause && same_size && *error == has('x') && *at_eof == has('e')
            }
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letter = |is_set: &bool, letter| if *is_set { letter } else { "" };
        match self {
            Self::Unsettled => Ok(()),
            Self::Reading { paused } => write!(f, "?{}", letter(paused, "p")),
            Self::Idle { buffered, paused, error, at_eof } => {
                write!(f, "{buffered}{}{}{}", letter(paused, "p"), letter(error, "x"), letter(at_eof, "e"))
            }
        }
    }
}

struct Step {
    operation: Operation,
    outcome: Outcome,
    state: State,
}

/// A sequence of operations, and what came of them here.
struct Sequence {
    limit: usize,
    /// How many steps it should have; it may get some more, to come to an end.
    len: usize,
    several_separators: bool,
    steps: Vec<Step>,
}

impl Sequence {
    /// Makes a sequence up while performing it, because what makes sense next depends on what came of it so far.
    fn random(seed: u64, several_separators: bool) -> Self {
        let random = &mut Random::new(seed);
        let (limit, len) = (1 + random.below(LARGEST_LIMIT), 5 + random.below(LONGEST_SEQUENCE - 5));
        let mut reader = StreamReader::new(limit).unwrap();
        let mut this = Self { limit, len, several_separators, steps: Vec::new() };
        while !this.is_long_enough() {
            let operation = this.choose(random, false);
            this.perform(random, &mut reader, operation);
        }
        // Whatever is left, both must have the same.
        this.perform(random, &mut reader, Operation::Eof);
        this.perform(random, &mut reader, Operation::Read(Read::All));
        this
    }

    fn choose(&self, random: &mut Random, a_read_waits: bool) -> Operation {
        let last = self.steps.last();
        match random.below(100) {
            0..2 => Operation::Eof,
            // R11: see the top of this file.
            2 if !last.is_some_and(|step| step.operation.is_lazy()) => Operation::Error,
            3..15 if a_read_waits => Operation::Cancel,
            2..50 => Operation::random_feed(random),
            _ if a_read_waits => Operation::random_feed(random),
            _ => Operation::Read(match last.and_then(|step| step.outcome.overrun()) {
                Some(consumed) if random.chance(50) => Read::Exactly(consumed), // R58
                _ => Read::random(random, self.several_separators),
            }),
        }
    }

    fn perform(&mut self, random: &mut Random, reader: &mut StreamReader, operation: Operation) {
        let feeder = reader.feeder();
        let (operation, outcome) = match operation {
            Operation::Read(read) => match Attempt::start(read.clone().perform(reader)) {
                Ok(outcome) => (Operation::Read(read), outcome),
                Err(attempt) => {
                    self.note(Operation::Read(read), Outcome::waits(), State::Reading { paused: feeder.is_paused() });
                    self.resolve(random, attempt, &feeder)
                }
            },
            other => {
                let outcome = other.perform(&feeder);
                (other, outcome)
            }
        };
        let state = if operation.is_lazy() { State::Unsettled } else { State::of(reader, &feeder) };
        self.note(operation, outcome, state);
    }

    /// Performs other operations until a read that waits has its outcome; gives it, and the operation that brought it.
    fn resolve(
        &mut self,
        random: &mut Random,
        mut read: Attempt<'_, Outcome>,
        feeder: &Feeder,
    ) -> (Operation, Outcome) {
        loop {
            let operation = if self.is_long_enough() { Operation::Eof } else { self.choose(random, true) };
            if matches!(operation, Operation::Cancel) {
                return (operation, Outcome("cancelled".into()));
            }
            let outcome = operation.perform(feeder);
            if operation.is_lazy() {
                self.note(operation, outcome, State::Unsettled);
                continue;
            }
            if let Some(outcome) = read.turn() {
                return (operation, outcome);
            }
            if matches!(operation, Operation::Eof) {
                return (operation, Outcome("waits after the end".into()));
            }
            self.note(operation, Outcome::waits(), State::Reading { paused: feeder.is_paused() });
        }
    }

    fn note(&mut self, operation: Operation, outcome: Outcome, state: State) {
        if matches!(operation, Operation::Eof | Operation::Error) {
            // Little that is new can happen from here on.
            self.len = self.len.min(self.steps.len() + STEPS_AFTER_THE_END);
        }
        self.steps.push(Step { operation, outcome, state });
    }

    fn is_long_enough(&self) -> bool {
        self.steps.len() >= self.len
    }

    /// The first step at which Python's answers differ.
    fn first_difference(&self, theirs: &[(String, String)]) -> Option<usize> {
        let same = |i: usize, step: &Step| {
            theirs.get(i).is_some_and(|(outcome, state)| step.outcome.0 == *outcome && step.state.agrees(state))
        };
        (0..self.steps.len()).find(|&i| !same(i, &self.steps[i]))
    }

    /// Both sides up to a difference, for people.
    fn beside(&self, theirs: &[(String, String)], difference: usize) -> String {
        let mut text = format!("limit {}\n{:24} {:40} theirs\n", self.limit, "operation", "ours");
        for (i, step) in self.steps.iter().enumerate().take(difference + 1) {
            let ours = format!("{} {}", step.outcome.0, step.state);
            let theirs = theirs.get(i).map_or("no answer".to_owned(), |(outcome, state)| format!("{outcome} {state}"));
            text += &format!("{:24} {ours:40} {theirs}\n", step.operation.to_string());
        }
        text
    }

    /// Counts what happened, in the words of [`EVENTS`].
    fn count(&self, events: &mut BTreeMap<String, usize>) {
        let mut count = |event: &str| *events.entry(event.to_owned()).or_default() += 1;
        let mut collects = false;
        for step in &self.steps {
            let parts: Vec<&str> = step.outcome.0.split(':').collect();
            match parts.as_slice() {
                ["overrun", _, found] => count(&format!("overrun:{found}")),
                ["too_long", found] => count(&format!("too_long:{found}")),
                [word, ..] => count(word),
                [] => {}
            }
            if matches!(step.state, State::Idle { paused: true, .. } | State::Reading { paused: true }) {
                count("paused");
            }
            if collects && step.outcome.0 == "cancelled" && matches!(step.state, State::Idle { buffered: 1.., .. }) {
                count("put_back");
            }
            if let Operation::Read(read) = &step.operation {
                collects = matches!(read, Read::All);
            }
        }
    }
}

// ---------------------------------------------------------------------- Python's side

/// A Python that runs.
struct Python {
    command: String,
    /// For pyenv, whose commands fail unless a version is chosen.
    pyenv_version: String,
    version: (u32, u32),
}

impl Python {
    fn newest() -> Self {
        let minors = (8..=20).rev().map(|minor| (format!("python3.{minor}"), format!("3.{minor}")));
        let plain = std::env::var("PYENV_VERSION").unwrap_or_default();
        let mut candidates = minors.chain([("python3".into(), plain.clone()), ("python".into(), plain)]);
        candidates.find_map(|(command, version)| Self::try_out(command, version)).expect("Python 3 on the path")
    }

    fn try_out(command: String, pyenv_version: String) -> Option<Self> {
        let mut this = Self { command, pyenv_version, version: (0, 0) };
        let said = this.command("import sys; print(*sys.version_info[:2])").stderr(Stdio::null()).output().ok()?;
        let said = String::from_utf8(said.stdout).ok()?;
        let mut numbers = said.split_whitespace().map(str::parse);
        this.version = (numbers.next()?.ok()?, numbers.next()?.ok()?);
        (this.version.0 == 3).then_some(this)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(&self.command);
        command.args(["-I", "-c", program]);
        if !self.pyenv_version.is_empty() {
            command.env("PYENV_VERSION", &self.pyenv_version);
        }
        command
    }

    fn start(&self) -> Peer {
        let mut command = self.command(include_str!("peers/streamreader_peer.py"));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("Python starts");
        let (input, output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Peer { child, input, output }
    }
}

/// The running Python side.
struct Peer {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Peer {
    /// Performs a sequence over there; gives an outcome and a state for each of its steps.
    fn perform(&mut self, sequence: &Sequence) -> Vec<(String, String)> {
        let mut request = sequence.limit.to_string();
        for step in &sequence.steps {
            request += &format!(" {}", step.operation);
        }
        let mut answer = String::new();
        let asked = writeln!(self.input, "{request}").and_then(|()| self.input.flush());
        let answered = asked.and_then(|()| self.output.read_line(&mut answer));
        assert!(matches!(answered, Ok(1..)), "the Python side has ended, at: {request}");
        let split = |answer: &str| answer.split_once('|').map(|(outcome, state)| (outcome.into(), state.into()));
        answer.split_whitespace().filter_map(split).collect()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

// ---------------------------------------------------------------------- helpers

fn from_env(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name}={text} is not a number")),
        Err(_) => default,
    }
}

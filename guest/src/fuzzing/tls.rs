//! Two TLS sessions, and somebody on the wire between them.
//!
//! The first byte of the input says what the connection is like, each of the next what happens: three bits what, one from which
//! side, four how much. What passes the wire untouched must arrive as it was written, in pieces of whatever size, and end
//! cleanly. What was tampered with must never arrive as something else: what arrives is the beginning of what was written, and a
//! clean end comes behind all of it only.

use std::sync::Arc;

use bytes::Bytes;
use rustls::pki_types::ServerName;

use super::Script;
use super::tls_configs::{Choices, configs};
use super::tls_side::{End, Side};
use crate::proto::tls::Session;

/// So many steps at most: an input is one situation, not a day's work.
const STEPS: usize = 64;
/// What the high half of a byte means where it counts bytes: parts of a record, of a flight, whole records, everything.
const COUNTS: [usize; 16] = [0, 1, 2, 3, 4, 5, 6, 9, 33, 100, 500, 1500, 5000, 16_389, 100_000, usize::MAX];
/// Records of few bytes, so that small writes are many records.
const SMALL_RECORD: usize = 200;
/// Settling in small pieces goes on with everything at once after so many, and must be over long before so many.
const SMALL_PIECES: usize = 2000;
const MOST_PIECES: usize = SMALL_PIECES + 1000;

/// Does what `input` says with a client and a server.
pub fn tls(input: &[u8]) {
    play(input);
}

/// As [`tls`]; gives both sides, the client first.
fn play(input: &[u8]) -> [Side; 2] {
    let script = &mut Script(input);
    let first = script.byte();
    let has = |bit: u8| first & (1 << bit) != 0;
    let choices = Choices { only_tls12: has(0), mutual: has(1), largest_record: has(2).then_some(SMALL_RECORD) };
    let (client, server) = configs(choices);
    let pair = || {
        let name = ServerName::try_from("localhost").expect("a name");
        let client = Session::client(Arc::clone(&client), name).expect("a client");
        let server = Session::server(Arc::clone(&server)).expect("a server");
        let sides = [Side::new(0, client, choices), Side::new(1, server, choices)];
        Pair { sides, held: [None, None], was_tampered_with: false }
    };
    if has(3) {
        pair().finish(); // the next one resumes its session
    }
    let mut pair = pair();
    for _ in 0..STEPS {
        if !script.is_over() {
            pair.step(script);
        }
    }
    pair.finish()
}

struct Pair {
    sides: [Side; 2],
    /// What from either side waits on the wire, if it is held back there.
    held: [Option<Vec<u8>>; 2],
    was_tampered_with: bool,
}

impl Pair {
    fn step(&mut self, script: &mut Script<'_>) {
        let byte = script.byte();
        let (from, many) = (usize::from(byte >> 3 & 1), usize::from(byte >> 4));
        let count = COUNTS[many];
        match (byte & 7, many) {
            (0, _) => self.sides[from].write(count),
            (1, _) => self.pass(from, count),
            (2, _) => self.settle(count.max(1)),
            (3, 0..7) => self.sides[from].wants_close = true,
            (3, 7) => self.hold(from),
            (3, 8..11) => self.cut(from),
            (3, 11..14) => self.sides[from].close(), // whatever it has still to say, and in the handshake
            (3, _) => self.sides[from].is_muted = true,
            (4, _) => {
                let mut piece = self.sides[from].take(1).to_vec();
                piece.iter_mut().for_each(|byte| *byte ^= 1 << (many % 8));
                self.deliver(from, piece.into());
            }
            (5, _) => drop(self.sides[from].take(count)),
            (6, _) => {
                let length = if many < 15 { many } else { script.byte().into() };
                self.deliver(from, Bytes::copy_from_slice(script.bytes(length)));
            }
            _ => {
                let again = self.sides[from].peek(count);
                self.deliver(from, again);
            }
        }
        self.was_tampered_with |= (byte & 7) > 3 || ((byte & 7) == 3 && many >= 8);
        self.work();
    }

    /// Lets `n` bytes through.
    fn pass(&mut self, from: usize, n: usize) {
        let piece = self.sides[from].take(n);
        if !self.sides[from].is_muted {
            self.deliver(from, piece);
        }
    }

    fn deliver(&mut self, from: usize, piece: Bytes) {
        let said = self.sides[from].said;
        if self.sides[from].is_cut || piece.is_empty() {
            return;
        }
        match &mut self.held[from] {
            Some(held) => held.extend(piece),
            None => self.sides[1 - from].receive(piece, said),
        }
    }

    /// Holds back what comes from now on, and lets it through as one piece when it is called again.
    fn hold(&mut self, from: usize) {
        match self.held[from].take() {
            Some(held) => self.deliver(from, held.into()),
            None => self.held[from] = Some(Vec::new()),
        }
    }

    fn release(&mut self, from: usize) {
        if self.held[from].is_some() {
            self.hold(from);
        }
    }

    fn cut(&mut self, from: usize) {
        self.release(from);
        if !std::mem::replace(&mut self.sides[from].is_cut, true) {
            let said = self.sides[from].said;
            self.sides[1 - from].receive_eof(said);
        }
    }

    /// Both do what they can without hearing more.
    fn work(&mut self) {
        self.sides.iter_mut().for_each(Side::work);
    }

    /// Lets everything through, in pieces of `size` bytes, until both wait for the other.
    fn settle(&mut self, size: usize) {
        self.release(0);
        self.release(1);
        self.work();
        for pieces in 0.. {
            assert!(pieces < MOST_PIECES, "they talk without end");
            let size = if pieces < SMALL_PIECES { size } else { usize::MAX };
            if self.sides.iter().all(|side| side.peek(1).is_empty()) {
                return;
            }
            self.pass(0, size);
            self.pass(1, size);
            self.work();
        }
    }

    /// Brings the connection to its end, whatever state it is in, and looks at what came of it.
    fn finish(mut self) -> [Side; 2] {
        self.settle(usize::MAX);
        self.sides.iter_mut().for_each(|side| side.wants_close = true);
        self.settle(usize::MAX);
        if !self.was_tampered_with {
            for which in [0, 1] {
                let (side, said) = (&self.sides[which], self.sides[1 - which].said);
                assert!(!side.is_handshaking(), "side {which} did not end its handshake");
                assert_eq!(side.end, Some(End::Clean), "side {which}");
                assert_eq!(side.received, said.written, "side {which}");
            }
        }
        self.cut(0);
        self.cut(1);
        for which in [0, 1] {
            assert!(self.sides[which].end.is_some(), "side {which} still waits behind the end of the stream");
            let said = self.sides[1 - which].said;
            self.sides[which].bother(said);
        }
        self.sides
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TLS12: u8 = 1;
    const MUTUAL: u8 = 2;
    const SMALL_RECORDS: u8 = 4;
    const RESUMED: u8 = 8;
    // What a step does, for the client; the server's have SERVER.
    const WRITE: u8 = 0;
    const PASS: u8 = 1;
    const SETTLE: u8 = 2;
    const CLOSE: u8 = 3;
    const HOLD: u8 = 3 | 0x70;
    const CUT: u8 = 3 | 0x80;
    const MUTE: u8 = 3 | 0xF0;
    const FLIP: u8 = 4;
    const DROP: u8 = 5;
    const INSERT: u8 = 6;
    const AGAIN: u8 = 7;
    const SERVER: u8 = 8;

    /// How much, as an index of [`COUNTS`].
    fn many(n: usize) -> u8 {
        let at = COUNTS.iter().position(|count| *count == n).expect("a count that there is");
        u8::try_from(at).unwrap() << 4
    }

    fn ends(script: &[u8]) -> [(Option<End>, usize); 2] {
        play(script).map(|side| (side.end, side.received))
    }

    #[test]
    fn an_untouched_wire_brings_everything_to_a_clean_end() {
        for choices in 0..16 {
            for size in [1, 100, 100_000] {
                let script =
                    [choices, WRITE | many(5000), WRITE | SERVER | many(100_000), SETTLE | many(size), CLOSE, SETTLE];
                assert_eq!(ends(&script), [(Some(End::Clean), 100_000), (Some(End::Clean), 5000)], "{script:?}");
            }
        }
    }

    #[test]
    fn the_choices_are_kept() {
        for choices in 0..16 {
            let sides = play(&[choices]);
            let tls = sides[1].connection();
            let is_tls12 = tls.protocol_version() == Some(rustls::ProtocolVersion::TLSv1_2);
            assert_eq!(is_tls12, choices & TLS12 != 0, "{choices}");
            assert_eq!(tls.peer_certificates().is_some(), choices & MUTUAL != 0, "{choices}");
            let is_resumed = tls.handshake_kind() == Some(rustls::HandshakeKind::Resumed);
            assert_eq!(is_resumed, choices & RESUMED != 0, "{choices}");
        }
    }

    #[test]
    fn an_input_does_the_same_each_time() {
        let keys = || play(&[MUTUAL | RESUMED])[0].connection().export_keying_material([0; 32], b"test", None).unwrap();
        assert_eq!(keys(), keys());
    }

    #[test]
    fn a_good_record_may_come_in_one_piece_with_a_bad_one() {
        let before = [0, SETTLE | many(usize::MAX), HOLD, WRITE | many(100), PASS | many(usize::MAX), WRITE | many(33)];
        let script = [&before[..], &[PASS | many(9), FLIP, PASS | many(usize::MAX), HOLD]].concat();
        assert_eq!(play(&script)[1].end, Some(End::Failed));
    }

    /// rustls panics then where it is built with debug assertions, so `Cargo.toml` builds it without.
    #[test]
    fn garbage_behind_our_goodbye_is_an_error() {
        let garbage = [INSERT | SERVER | many(6), 0x17, 3, 3, 0, 1, 0];
        let [client, _] = play(&[&[0, SETTLE | many(usize::MAX), CLOSE], &garbage[..]].concat());
        assert_eq!(client.end, Some(End::Failed));
    }

    #[test]
    fn whoever_tampers_is_noticed() {
        let all = SETTLE | many(usize::MAX);
        for (tampering, end) in [
            (vec![PASS | many(9), FLIP], End::Failed),
            (vec![DROP | many(1)], End::Failed),
            (vec![DROP | many(usize::MAX)], End::Failed),
            (vec![INSERT | many(1), 0x17], End::Failed),
            (vec![AGAIN | many(usize::MAX)], End::Failed),
            (vec![MUTE], End::Truncated),
            (vec![CUT], End::Truncated),
        ] {
            for choices in [0, TLS12, SMALL_RECORDS] {
                let before = [choices, all, WRITE | many(100), PASS | many(usize::MAX), WRITE | many(33)];
                let [_, server] = play(&[&before, tampering.as_slice(), &[all]].concat());
                assert_eq!(server.end, Some(end), "{tampering:?}");
                assert!(server.received >= 100, "{tampering:?}: what came before is lost");
            }
        }
    }
}

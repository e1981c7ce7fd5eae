//! One side of a TLS connection: it drives its session as the library does, and believes nothing.

use bytes::Bytes;

use super::tls_configs::Choices;
use crate::proto::tls::{Received, Session};

/// A side writes so much at most, in all.
const LARGEST_WRITE: usize = 200_000;
/// What a session encrypts at once.
const PIECE: usize = 64 * 1024;
/// What a record is longer than its plaintext, at most: header, explicit nonce, content type, tag.
const RECORD_OVERHEAD: usize = 5 + 8 + 1 + 16;
/// What a record can be at most, in ciphertext.
const LARGEST_RECORD: usize = 5 + 16 * 1024 + 256;
/// What a session may have to say besides: a flight of the handshake, tickets, alerts, key updates.
const ANSWERS: usize = 8 * 1024;

/// What receiving came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Clean,
    Truncated,
    /// The other side left during the handshake.
    Left,
    Failed,
}

/// What the other side must not doubt.
#[derive(Clone, Copy, Default)]
pub(super) struct Said {
    /// Bytes that were encrypted.
    pub(super) written: usize,
    pub(super) goodbye: bool,
}

pub(super) struct Side {
    which: usize,
    session: Session,
    /// More ciphertext than that never waits to be sent.
    most_ciphertext: usize,
    to_write: usize,
    pub(super) said: Said,
    pub(super) received: usize,
    /// Close once everything is written.
    pub(super) wants_close: bool,
    pub(super) end: Option<End>,
    /// What it sends is lost.
    pub(super) is_muted: bool,
    /// The other side has seen the end of the stream.
    pub(super) is_cut: bool,
}

impl Side {
    pub(super) fn new(which: usize, session: Session, choices: Choices) -> Self {
        // A record's header is part of what is limited.
        let records = choices.largest_record.map_or(4, |largest| PIECE / (largest - 5) + 1);
        Self {
            which,
            session,
            most_ciphertext: PIECE + records * RECORD_OVERHEAD + ANSWERS,
            to_write: 0,
            said: Said::default(),
            received: 0,
            wants_close: false,
            end: None,
            is_muted: false,
            is_cut: false,
        }
    }

    pub(super) fn is_handshaking(&self) -> bool {
        self.session.is_handshaking()
    }

    // ------------------------------------------------------------------ sending

    /// Writes once it can.
    pub(super) fn write(&mut self, n: usize) {
        let room = LARGEST_WRITE - self.said.written - self.to_write;
        self.to_write += n.min(room);
    }

    /// Does what it can without hearing more: writes, then closes.
    pub(super) fn work(&mut self) {
        let may_speak = !self.is_handshaking() && self.end != Some(End::Failed) && !self.said.goodbye;
        if may_speak && self.to_write > 0 && self.session.ciphertext().is_empty() {
            self.send();
        }
        if may_speak && self.to_write == 0 && self.wants_close {
            self.close();
        }
        let waiting = self.session.ciphertext().len();
        assert!(waiting <= self.most_ciphertext, "side {}: {waiting} bytes of ciphertext wait to be sent", self.which);
    }

    fn send(&mut self) {
        let plaintext: Vec<u8> = (0..self.to_write).map(|i| content(self.which, self.said.written + i)).collect();
        match self.session.send(&plaintext) {
            Ok(n) => {
                assert!((1..=PIECE.min(plaintext.len())).contains(&n), "{n} bytes of {} were sent", plaintext.len());
                self.said.written += n;
                self.to_write -= n;
            }
            Err(_) => self.end = Some(End::Failed),
        }
    }

    /// Says goodbye at once.
    pub(super) fn close(&mut self) {
        self.to_write = 0;
        self.said.goodbye = true;
        self.session.close();
    }

    /// Up to `n` bytes of what it has to send.
    pub(super) fn peek(&self, n: usize) -> Bytes {
        let ciphertext = self.session.ciphertext();
        Bytes::copy_from_slice(&ciphertext[..n.min(ciphertext.len())])
    }

    /// The same, and they are sent.
    pub(super) fn take(&mut self, n: usize) -> Bytes {
        let piece = self.peek(n);
        self.session.sent(piece.len());
        piece
    }

    // ------------------------------------------------------------------ receiving

    /// Takes what came from the other side, which has said so much.
    pub(super) fn receive(&mut self, piece: Bytes, said: Said) {
        let fed = piece.len();
        self.session.feed(piece);
        // Each step uses up a byte or gives one; what it gives may have come in earlier pieces.
        for _ in 0..2 * fed + 2 {
            if self.is_handshaking() && self.end.is_none() {
                if !self.session.has_input() {
                    return;
                }
                match self.session.step() {
                    Ok(()) => continue,
                    Err(_) => return self.note(End::Failed, said),
                }
            }
            match self.session.receive() {
                Ok(Received::Data(data)) => self.check(&data, fed, said),
                Ok(Received::End) => return self.note_end(said),
                Ok(Received::NeedsMore) => return,
                Ok(Received::Busy) => {}
                Err(_) => return self.note(End::Failed, said),
            }
        }
        panic!("side {}: {fed} bytes were not enough for so many steps", self.which);
    }

    /// Takes the end of the stream.
    pub(super) fn receive_eof(&mut self, said: Said) {
        if self.is_handshaking() {
            return self.note(End::Left, said);
        }
        if self.end == Some(End::Clean) {
            self.session.feed_eof();
            assert!(!self.session.is_truncated(), "side {}: nothing was missing", self.which);
        }
        if self.end.is_none() {
            self.session.feed_eof();
            assert_eq!(self.session.receive().expect("the end"), Received::End, "side {}", self.which);
            self.note_end(said);
        }
    }

    fn check(&mut self, data: &[u8], fed: usize, said: Said) {
        let which = self.which;
        assert!(!data.is_empty(), "side {which}: no data");
        assert!(data.len() <= fed + LARGEST_RECORD, "side {which}: {} bytes at once out of {fed}", data.len());
        assert!(self.received + data.len() <= said.written, "side {which}: more arrives than was written");
        let is_right = |(i, byte): (usize, &u8)| *byte == content(1 - which, self.received + i);
        assert!(data.iter().enumerate().all(is_right), "side {which}: behind {} bytes others arrive", self.received);
        assert!(!matches!(self.end, Some(End::Clean | End::Truncated)), "side {which}: data behind the end");
        self.received += data.len();
    }

    fn note_end(&mut self, said: Said) {
        self.note(if self.session.is_truncated() { End::Truncated } else { End::Clean }, said);
    }

    fn note(&mut self, end: End, said: Said) {
        if end == End::Clean && self.end.is_none() {
            assert!(said.goodbye, "side {}: the other side has not said goodbye", self.which);
            assert_eq!(self.received, said.written, "side {}: a clean end, but something is missing", self.which);
        }
        self.end.get_or_insert(end);
    }

    /// Goes on with a session that has ended: it may refuse, but not panic, and nothing that was not said may come of it.
    pub(super) fn bother(&mut self, said: Said) {
        self.receive(Bytes::from_static(b"\x16\x03\x03\x00\x01\x00"), said);
        let _ = self.session.send(b"late");
        let _ = self.session.step();
        self.close();
        self.session.feed_eof();
        self.receive(Bytes::from_static(b"\x17\x03\x03\x00\x00"), said);
        self.take(usize::MAX);
        assert!(self.peek(1).is_empty(), "side {}: everything was sent", self.which);
    }

    // ------------------------------------------------------------------ for tests

    #[cfg(test)]
    pub(super) fn connection(&self) -> &rustls::Connection {
        self.session.connection()
    }
}

/// What a side writes at a position; no two neighbourhoods are alike.
fn content(which: usize, position: usize) -> u8 {
    (which * 101 + position * 31 + position / 256 * 7).to_le_bytes()[0]
}

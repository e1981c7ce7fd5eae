//! The application's sessions, one for each connection.

use crate::bindings::Pollable;
use crate::bindings::connection_handler::Session;
use crate::bindings::connections::{Reader, Writer};
use crate::{complain, text};

#[derive(Default)]
pub(crate) struct Sessions(Vec<Attended>);

/// A session, and what it waits for. The pollables come first: they are dropped before what they belong to.
struct Attended {
    pollables: Vec<Pollable>,
    session: Session,
    peer: String,
    ready: bool,
}

impl Sessions {
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Starts one, which is ready for its first step.
    pub(crate) fn start(&mut self, reader: Reader, writer: Writer) {
        let peer = writer.peer_address().map_or_else(|| "an unknown peer".into(), |address| text(&address));
        let session = Session::new(reader, writer);
        self.0.push(Attended { pollables: Vec::new(), session, peer, ready: true });
    }

    /// Lets each that is ready make one step, which may be its last.
    pub(crate) fn go_on(&mut self) {
        self.0.retain_mut(|attended| !attended.ready || attended.go_on());
    }

    pub(crate) fn any_ready(&self) -> bool {
        self.0.iter().any(|attended| attended.ready)
    }

    /// The pollables, each with the number of its session for [`wake`](Self::wake).
    pub(crate) fn pollables(&self) -> impl Iterator<Item = (usize, &Pollable)> {
        let numbered = self.0.iter().enumerate();
        numbered.flat_map(|(number, attended)| attended.pollables.iter().map(move |pollable| (number, pollable)))
    }

    pub(crate) fn wake(&mut self, number: usize) {
        self.0[number].ready = true;
    }
}

impl Attended {
    /// Makes one step; false when the session is over.
    fn go_on(&mut self) -> bool {
        self.pollables.clear(); // before the next call on what they belong to
        match self.session.step() {
            None => {
                self.pollables = self.session.subscribe();
                self.ready = self.pollables.is_empty();
                true
            }
            Some(result) => {
                if let Err(message) = result {
                    complain(format_args!("{}: {message}", self.peer));
                }
                false
            }
        }
    }
}

//! Where connections come in.

use anyhow::{Result, anyhow};

use crate::bindings::Pollable;
use crate::bindings::connections::Server;
use crate::sessions::Sessions;

/// The server, and what tells that somebody wants to come in.
pub(crate) struct Door<'a> {
    pollables: Vec<Pollable>,
    ready: bool,
    server: &'a Server,
}

impl<'a> Door<'a> {
    pub(crate) fn new(server: &'a Server) -> Self {
        Self { pollables: Vec::new(), ready: true, server }
    }

    /// Lets in who is there, while there is room. Behind a full house others wait, and nobody looks for them.
    pub(crate) fn let_in(&mut self, sessions: &mut Sessions, most: usize) -> Result<()> {
        if !self.ready {
            return Ok(());
        }
        self.pollables.clear(); // before the next call on the server
        while sessions.len() < most {
            match self.server.try_accept().map_err(|error| anyhow!(error.message))? {
                Some((reader, writer)) => sessions.start(reader, writer),
                None => {
                    self.pollables = self.server.subscribe();
                    self.ready = false;
                    break;
                }
            }
        }
        Ok(())
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.ready
    }

    pub(crate) fn pollables(&self) -> &[Pollable] {
        &self.pollables
    }

    pub(crate) fn wake(&mut self) {
        self.ready = true;
    }
}

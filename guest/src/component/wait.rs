//! Waiting for several things at once.

use super::connecting::Connecting;
use super::convert::{error, millis};
use super::reader::Reader;
use super::server::Server;
use super::wit;
use super::writer::Writer;
use crate::os::wasi::Registered;
use crate::rt::calls;

/// Runs everything until one of these may go on.
pub(super) fn wait(on: Vec<wit::Interest<'_>>, timeout: Option<u32>) -> Result<Vec<u32>, wit::Error> {
    if on.is_empty() && timeout.is_none() {
        return Err(error(wit::ErrorKind::InvalidArgument, "nothing to wait for, and no timeout"));
    }
    let on: Vec<Interest<'_>> = on.into_iter().map(Interest::from).collect();
    on.iter().for_each(Interest::reclaim);
    let ready = || on.iter().enumerate().filter(|(_, interest)| interest.is_ready()).map(|(index, _)| index as u32);
    // What is ready already may be so because of something that has not been looked at for a while: look once.
    calls::look_and_advance();
    calls::run_until(&mut || ready().next().is_some(), timeout.map(millis))?;
    Ok(ready().collect())
}

/// Something to wait for.
enum Interest<'a> {
    Ours(wit::Interest<'a>),
    Foreign(Registered),
}

impl<'a> From<wit::Interest<'a>> for Interest<'a> {
    fn from(interest: wit::Interest<'a>) -> Self {
        match interest {
            wit::Interest::Foreign(pollable) => {
                let registered = Registered::new(pollable);
                registered.arm();
                Self::Foreign(registered)
            }
            ours => Self::Ours(ours),
        }
    }
}

impl Interest<'_> {
    /// Whoever waits for it here does so no longer by pollables of it.
    fn reclaim(&self) {
        match self {
            Self::Foreign(_) | Self::Ours(wit::Interest::Foreign(_) | wit::Interest::Drained(_)) => {}
            Self::Ours(wit::Interest::Connected(it)) => it.get::<Connecting>().reclaim(),
            Self::Ours(wit::Interest::Readable(it)) => it.get::<Reader>().reclaim(),
            Self::Ours(wit::Interest::Handshaken(it)) => it.get::<Writer>().reclaim_for_handshake(),
            Self::Ours(wit::Interest::Closed(it)) => it.get::<Writer>().reclaim(), // as `wait-closed`: only what comes in tells of a loss
            Self::Ours(wit::Interest::Acceptable(it)) => it.get::<Server>().reclaim(),
        }
    }

    fn is_ready(&self) -> bool {
        match self {
            // Nobody has to be woken: every turn asks.
            Self::Foreign(registered) => registered.is_ready(),
            Self::Ours(wit::Interest::Connected(it)) => it.get::<Connecting>().is_ready(),
            Self::Ours(wit::Interest::Readable(it)) => it.get::<Reader>().is_ready(),
            Self::Ours(wit::Interest::Drained(it)) => it.get::<Writer>().is_drained(),
            Self::Ours(wit::Interest::Handshaken(it)) => it.get::<Writer>().is_handshaken(),
            Self::Ours(wit::Interest::Closed(it)) => it.get::<Writer>().is_gone(),
            Self::Ours(wit::Interest::Acceptable(it)) => it.get::<Server>().is_ready(),
            Self::Ours(wit::Interest::Foreign(_)) => true,
        }
    }
}

//! Closing: by the program, by dropping, by force, and the lingering of a connection that still receives.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use super::{After, Connection, Fin, Phase, State};
use crate::error::{Error, Result};
use crate::report::{Report, report};
use crate::rt::linger::{Lingerer, Token};
use crate::rt::time::{Instant, timeout};
use crate::rt::yield_now;
use crate::sys::Link;

/// How long a closed connection whose peer has not finished goes on to discard what arrives, counted from the last data:
/// 2 seconds.
///
/// Data that is unread when a socket is closed, or arrives afterwards, makes the system send a reset, which destroys what
/// we sent and the peer's system has not taken yet. So such a connection is half closed first, and dropped when the
/// peer is done.
const LINGER: Duration = Duration::from_secs(2);

/// How long that goes on at most: 30 seconds.
const LINGER_TOTAL: Duration = Duration::from_secs(30);

/// What a connection has sent in all up to this is under way the moment it is handed over (the first flight of a TCP
/// connection is ten segments, RFC 6928), out of reach of a reset: no reason to linger.
const SURELY_SENT: u64 = 8 * 1024;

impl Connection {
    /// Closes the connection: no more reading, the queue is still handed over. Never waits; may be repeated.
    pub(crate) fn close(self: &Rc<Self>) {
        let token = Token::new(self);
        self.change(|state, after| {
            if state.is_closing() {
                return;
            }
            state.phase = Phase::Closing;
            if state.link.is_none() {
                return state.lose(None, after);
            }
            state.linger = Some(token);
            state.wake_pump(after);
        });
    }

    /// Ends the connection at once and drops what is queued.
    pub(crate) fn abort(&self) {
        self.change(|state, after| state.lose(None, after)); // C10
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.state.borrow().is_closing()
    }

    pub(crate) fn is_lost(&self) -> bool {
        self.state.borrow().is_lost()
    }

    /// Completes when the connection is gone, with the error that ended it, every time.
    pub(crate) fn poll_closed(&self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let mut state = self.state.borrow_mut();
        match &state.phase {
            Phase::Lost(None) => Poll::Ready(Ok(())),
            Phase::Lost(Some(error)) => Poll::Ready(Err(error.clone())), // C07
            Phase::Open | Phase::Closing => {
                super::remember(&mut state.closers, cx);
                Poll::Pending
            }
        }
    }

    /// Runs behind the loss of a connection that has to linger.
    pub(super) async fn linger_if_unread(&self) {
        let (link, token) = {
            let mut state = self.state.borrow_mut();
            match (state.lingering.take(), state.linger.take()) {
                (Some(link), token) => (link, token),
                (None, _) => return,
            }
        };
        discard_until_end(link).await;
        drop(token);
    }
}

/// Reads and throws away until the peer is done, fails, or the time is over.
async fn discard_until_end(mut link: Box<dyn Link>) {
    let end = Instant::now() + LINGER_TOTAL;
    loop {
        let patience = LINGER.min(end - Instant::now());
        match timeout(patience, poll_fn(|cx| link.poll_recv(cx))).await {
            Ok(Ok(data)) if !data.is_empty() && !patience.is_zero() => yield_now().await,
            _ => return,
        }
    }
}

impl State {
    /// Everything is handed over: the connection is gone for the program, and for us unless dropping it now could
    /// destroy what is still under way.
    pub(super) fn lose_or_linger(&mut self, cx: &mut Context<'_>, after: &mut After) {
        let peer_may_send = !self.receive.saw_eof();
        let endangered = self.link.as_mut().filter(|link| peer_may_send && link.resets_on_drop());
        match endangered.map(|link| link.poll_recv(cx)) {
            Some(Poll::Ready(Err(error))) => self.lose(Some(error), after),
            Some(Poll::Ready(Ok(bytes))) if !bytes.is_empty() => self.linger(after),
            Some(Poll::Pending) if self.sent > SURELY_SENT => self.linger(after),
            _ => self.lose(None, after),
        }
    }

    /// Ends the connection for the program, and keeps its link until the peer is done.
    fn linger(&mut self, after: &mut After) {
        let token = self.linger.take();
        self.lose(None, after);
        self.lingering = after.link.take();
        self.linger = token;
        if self.fin != Fin::Sent
            && let Some(link) = &mut self.lingering
        {
            // It fails when the peer has gone; then the first read says so too.
            let _ = link.shutdown_send();
        }
    }
}

impl Lingerer for Connection {
    fn give_up(&self) {
        let (unfinished, bytes) = {
            let state = self.state.borrow();
            // Over TLS what is handed over may be all, and only the peer's goodbye missing.
            let handed_over =
                state.send.is_empty() && state.link.as_ref().is_some_and(|link| link.is_goodbye_missing());
            (matches!(state.phase, Phase::Closing) && !handed_over, state.unsent())
        };
        if unfinished {
            report(&Report::Undelivered { peer: self.info.peer, bytes });
        }
        let error = Error::io(std::io::ErrorKind::TimedOut, "the program ended before everything was delivered");
        self.change(|state, after| {
            state.lose(Some(error), after);
            after.link = after.link.take().or(state.lingering.take());
            state.linger = None;
        });
    }
}

//! A [`Link`] that encrypts what goes through another.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::io::ErrorKind;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;

use super::{Side, Timeouts, TlsErrorKind, TlsInfo, TlsRole, tls_error};
use crate::error::{Error, Result};
use crate::proto::tls::{Received, Session};
use crate::rt;
use crate::rt::time::{Instant, Sleep, sleep_until, timeout};
use crate::sys::Link;

/// An established TLS connection.
pub(crate) struct TlsLink {
    inner: Box<dyn Link>,
    session: Session,
    role: TlsRole,
    shutdown_timeout: Duration,
    /// Runs from our `close_notify` on.
    goodbye: Option<Sleep>,
    info: Option<TlsInfo>,
    /// How much of the ciphertext is tickets of TLS 1.3 that wait for the first data: a small segment of their own would make a small
    /// answer behind them wait for the peer's delayed acknowledgement (some 40 ms; RFC 9293, section 3.7.4).
    tickets: usize,
}

/// Does the handshake over `inner`.
pub(crate) async fn handshake(
    inner: Box<dyn Link>,
    side: Side,
    timeouts: Timeouts,
) -> Result<(Box<dyn Link>, TlsInfo)> {
    let Side { session, role } = side;
    let shutdown_timeout = timeouts.shutdown;
    let link = TlsLink { inner, session, role, shutdown_timeout, goodbye: None, info: None, tickets: 0 };
    timeout(timeouts.handshake, link.shake_hands()).await.unwrap_or_else(|_| {
        let text = format!(
            "TLS handshake is taking longer than {} seconds: aborting the connection",
            seconds(timeouts.handshake)
        );
        Err(Error::io(ErrorKind::ConnectionAborted, text)) // T03
    })
}

/// The number as Python writes it, without the code that formatting floats would bring into a component.
fn seconds(duration: Duration) -> String {
    let text = format!("{}.{:03}", duration.as_secs(), duration.subsec_millis());
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

impl TlsLink {
    async fn shake_hands(mut self) -> Result<(Box<dyn Link>, TlsInfo)> {
        loop {
            self.tickets = self.session.tickets();
            let sent = poll_fn(|cx| self.poll_flush_ciphertext(cx)).await;
            if !self.session.is_handshaking() {
                sent?;
                let info = TlsInfo::of(self.session.connection(), self.role.clone());
                let info =
                    info.ok_or_else(|| tls_error(TlsErrorKind::Protocol, "TLS: a handshake without a result"))?;
                self.info = Some(info.clone());
                return Ok((Box::new(self), info));
            }
            if !self.session.has_input() {
                let ciphertext = poll_fn(|cx| self.inner.poll_recv(cx)).await?;
                if ciphertext.is_empty() {
                    return Err(Error::io(ErrorKind::ConnectionReset, "the peer left during the TLS handshake")); // T04
                }
                self.session.feed(ciphertext);
            }
            ration().await;
            match self.session.step() {
                // Nothing to say and not done: it was a piece of a message, and no work.
                Ok(()) if self.session.ciphertext().is_empty() && self.session.is_handshaking() => return_ration(),
                Ok(()) => {}
                Err(error) => {
                    // The alert that tells the peer why; it may have left already.
                    let _ = poll_fn(|cx| self.poll_flush_ciphertext(cx)).await;
                    return Err(error);
                }
            }
        }
    }

    /// T13: an end without goodbye is remembered, and an error only for those who want it.
    fn note_truncation(&self) -> Result<()> {
        let Some(info) = self.info.as_ref().filter(|_| self.session.is_truncated()) else { return Ok(()) };
        info.set_truncated();
        if self.role.suppresses_ragged_eofs() {
            return Ok(());
        }
        let text = "TLS: the stream ended without the peer's goodbye: somebody may have cut it";
        Err(tls_error(TlsErrorKind::Truncated, text))
    }

    fn poll_flush_ciphertext(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        if self.session.ciphertext().len() == self.tickets {
            return Poll::Ready(Ok(())); // nothing, or nothing else
        }
        self.tickets = 0;
        while !self.session.ciphertext().is_empty() {
            let n = ready!(self.inner.poll_send(cx, self.session.ciphertext()))?;
            self.session.sent(n);
        }
        Poll::Ready(Ok(()))
    }
}

thread_local!(static LAST_STEP: Cell<Option<u64>> = const { Cell::new(None) });

/// Lets the next one take its step in this turn, too.
fn return_ration() {
    LAST_STEP.set(None);
}

/// Lets one handshake take one step in each turn of the loop: a step may be some milliseconds of arithmetic, and a storm of
/// handshakes must not keep established connections from theirs.
async fn ration() {
    while LAST_STEP.with(|last| last.replace(Some(rt::turn()))) == Some(rt::turn()) {
        rt::yield_now().await;
    }
}

impl Link for TlsLink {
    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes>> {
        let mut fed = false;
        loop {
            let received = self.session.receive();
            // Answers of the engine (tickets, key updates, alerts) go out when there is room.
            if let Poll::Ready(Err(error)) = self.poll_flush_ciphertext(cx) {
                return Poll::Ready(Err(error));
            }
            match received? {
                Received::Data(data) => return Poll::Ready(Ok(data)),
                Received::End => return Poll::Ready(Ok(Bytes::new())),
                Received::NeedsMore if !fed => {}
                Received::NeedsMore | Received::Busy => {
                    // A peer may send what is no data for ever: one piece in each turn.
                    rt::defer(cx.waker());
                    return Poll::Pending;
                }
            }
            let ciphertext = ready!(self.inner.poll_recv(cx))?;
            if ciphertext.is_empty() {
                self.session.feed_eof();
                self.note_truncation()?;
            } else {
                self.session.feed(ciphertext);
                fed = true;
            }
        }
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<Result<usize>> {
        ready!(self.poll_flush_ciphertext(cx))?;
        let n = self.session.send(data)?;
        if let Poll::Ready(Err(error)) = self.poll_flush_ciphertext(cx) {
            return Poll::Ready(Err(error));
        }
        Poll::Ready(Ok(n))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.poll_flush_ciphertext(cx)
    }

    fn shutdown_send(&mut self) -> Result<()> {
        Err(Error::Unsupported("TLS cannot close one direction alone".into())) // W15
    }

    fn is_encrypted(&self) -> bool {
        true
    }

    fn is_goodbye_missing(&self) -> bool {
        self.goodbye.is_some() && self.session.ciphertext().is_empty()
    }

    fn held(&self) -> usize {
        self.session.ciphertext().len() - self.tickets // D17
    }

    /// Says goodbye, waits for the peer's, then closes what is below (T09–T11).
    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.session.close();
        let timer = self.goodbye.get_or_insert_with(|| sleep_until(Instant::now() + self.shutdown_timeout));
        if Pin::new(timer).poll(cx).is_ready() {
            return Poll::Ready(Err(Error::io(ErrorKind::TimedOut, "TLS shutdown timed out"))); // T10
        }
        ready!(self.poll_flush_ciphertext(cx))?;
        // Data that still arrives is nobody's any more (T15).
        if !ready!(self.poll_recv(cx))?.is_empty() {
            rt::defer(cx.waker());
            return Poll::Pending;
        }
        self.inner.poll_close(cx)
    }
}

impl std::fmt::Debug for TlsLink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsLink").field("truncated", &self.session.is_truncated()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_written_as_short_as_they_are() {
        assert_eq!(seconds(Duration::from_secs(60)), "60");
        assert_eq!(seconds(Duration::from_secs(100)), "100");
        assert_eq!(seconds(Duration::from_millis(1500)), "1.5");
        assert_eq!(seconds(Duration::from_millis(50)), "0.05");
    }
}

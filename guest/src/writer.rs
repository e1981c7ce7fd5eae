//! [`StreamWriter`] and its [`Transport`] view.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use futures_lite::AsyncWrite;

use crate::connection::Connection;
use crate::error::{Error, Result};
use crate::info::{ExtraInfo, SocketInfo};
use crate::report;
use crate::rt;

/// The writing half of a connection, like `asyncio.StreamWriter`.
///
/// [`write`](Self::write) never waits: what the peer does not take is queued and goes out on its own, also when the
/// program never calls [`drain`](Self::drain) again. `drain` is how a program keeps that queue bounded.
///
/// Methods take `&self`, so a writer can be shared (in an `Rc`) and several tasks can wait in `drain`.
///
/// Dropping a writer closes it: what was written is still delivered. That is the work of [`run`](crate::run()): a writer
/// that leaves it and is dropped later delivers only within the next `run` of the thread.
///
/// It is also an [`AsyncWrite`]: `poll_write` waits while the queue is above the high-water mark, `poll_flush` until the
/// queue is empty, `poll_close` flushes and sends the end of the stream ([`write_eof`](Self::write_eof)), or closes the
/// connection where one direction alone cannot be closed (TLS). Called on a
/// writer itself, `write` and `close` are the methods here; [`Duplex`](crate::Duplex) has those of the trait.
///
/// # Differences from asyncio
///
/// What is written after [`close`](Self::close) is discarded; asyncio still sends it on plain connections while
/// earlier data is queued.
pub struct StreamWriter {
    connection: Rc<Connection>,
}

impl StreamWriter {
    pub(crate) fn of(connection: Rc<Connection>) -> Self {
        Self { connection }
    }

    pub(crate) fn connection(&self) -> &Rc<Connection> {
        &self.connection
    }

    // ------------------------------------------------------------------ writing

    /// Queues `data` for sending and returns at once. Small writes of one turn of the loop leave as one.
    ///
    /// On a connection that is lost or closed the data is discarded: [`drain`](Self::drain) and
    /// [`wait_closed`](Self::wait_closed) tell why.
    ///
    /// # Errors
    ///
    /// [`Error::WriteAfterEof`](crate::Error::WriteAfterEof) after [`write_eof`](Self::write_eof); nothing else.
    pub fn write(&self, data: impl AsRef<[u8]>) -> Result<()> {
        self.connection.write(data.as_ref(), "write")
    }

    /// Queues several pieces in order; like [`write`](Self::write) of their concatenation.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write).
    pub fn writelines<T: AsRef<[u8]>>(&self, pieces: impl IntoIterator<Item = T>) -> Result<()> {
        self.connection.write(&[], "writelines")?; // W05, also when there are no pieces
        for piece in pieces {
            self.connection.write(piece.as_ref(), "writelines")?;
        }
        Ok(())
    }

    /// Waits while more is queued than the high-water mark, until it is at or below the low one. Not a flush: below
    /// the high mark it returns at once.
    ///
    /// # Errors
    ///
    /// The error that ended the connection; `ConnectionReset` ("connection lost") when it was closed without one, also by
    /// this side.
    ///
    /// # Cancel safety
    ///
    /// What is queued stays queued and is sent.
    ///
    /// # Differences from asyncio
    ///
    /// A task that keeps writing to a peer that takes everything lets the others go first after 32 calls in a row.
    pub async fn drain(&self) -> Result<()> {
        self.connection.drain().await
    }

    /// Returns whether [`write_eof`](Self::write_eof) can be used: not over TLS, where the end of one direction is the end of
    /// both. There the peer's goodbye closes the connection, and what is written after it is discarded.
    pub fn can_write_eof(&self) -> bool {
        self.connection.can_half_close()
    }

    /// Closes our direction of the stream behind what is queued; reading goes on. Repeating it, or calling it after
    /// [`close`](Self::close), has no effect.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`](crate::Error::Unsupported) where [`can_write_eof`](Self::can_write_eof) is false.
    pub fn write_eof(&self) -> Result<()> {
        if !self.can_write_eof() {
            return Err(Error::Unsupported("TLS cannot close one direction alone".into())); // W15
        }
        self.connection.write_eof();
        Ok(())
    }

    // ------------------------------------------------------------------ closing

    /// Closes the connection: nothing more is read, what is queued is still sent, then the socket is closed. Returns
    /// at once and may be repeated.
    pub fn close(&self) {
        self.connection.close();
    }

    /// Returns whether the connection is closed or being closed, by this side or by a loss.
    ///
    /// The end of the peer's stream alone does not count: the connection is half open then.
    pub fn is_closing(&self) -> bool {
        self.connection.is_closing()
    }

    /// Waits until the connection is gone: after [`close`](Self::close), until everything queued was handed to the
    /// system. A peer that takes nothing makes it wait without limit: use [`timeout`](crate::timeout).
    ///
    /// # Errors
    ///
    /// The error that ended the connection, every time.
    ///
    /// # Cancel safety
    ///
    /// Closing goes on; call again.
    pub async fn wait_closed(&self) -> Result<()> {
        poll_fn(|cx| self.connection.poll_closed(cx)).await
    }

    // ------------------------------------------------------------------ asking

    /// Returns the view that controls the connection below the writer, like asyncio's `transport`.
    pub fn transport(&self) -> Transport {
        Transport { connection: Rc::clone(&self.connection) }
    }

    /// Returns the address of the peer; none for in-memory connections. Known also after the connection is gone.
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        self.connection.info().peer
    }

    /// Returns the local address; none for in-memory connections. Known also after the connection is gone.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.connection.info().local
    }

    /// Returns the address of the peer over a Unix socket; none for other connections. Known also after the connection is gone.
    #[cfg(feature = "unix")]
    pub fn peer_unix_addr(&self) -> Option<&crate::UnixAddr> {
        self.connection.info().unix.as_ref().map(|ends| &ends.peer)
    }

    /// Returns the local address over a Unix socket; none for other connections. Known also after the connection is gone.
    #[cfg(feature = "unix")]
    pub fn local_unix_addr(&self) -> Option<&crate::UnixAddr> {
        self.connection.info().unix.as_ref().map(|ends| &ends.local)
    }

    /// Returns a view of the socket: addresses and options, no I/O.
    pub fn socket(&self) -> Option<SocketInfo> {
        SocketInfo::of(&self.connection)
    }

    /// Returns what is known of TLS; none on a plain connection.
    #[cfg(feature = "tls")]
    pub fn tls(&self) -> Option<&crate::tls::TlsInfo> {
        self.connection.tls()
    }

    /// Upgrades the connection to TLS in place, after what is queued was sent: as the client with a
    /// [`TlsConnector`](crate::TlsConnector), as the server with a [`TlsAcceptor`](crate::TlsAcceptor). The reader follows.
    ///
    /// Returns a builder; `.await` it. No read may be in progress in another task.
    ///
    /// # Errors
    ///
    /// Those of [`drain`](Self::drain) before anything else. [`Error::Tls`] when the handshake fails,
    /// `ConnectionAborted` when it takes too long; the connection is lost then with that error.
    /// `InvalidData` for a client that has received data in the clear already. [`Error::WriteAfterEof`] after
    /// [`write_eof`](Self::write_eof), [`Error::Busy`] over TLS. [`Error::InvalidInput`] for a client that does not know the
    /// name to verify.
    ///
    /// # Cancel safety
    ///
    /// Given up during the handshake, the connection is aborted.
    ///
    /// # Differences from asyncio
    ///
    /// A client without a server name verifies the host of `open_connection`; asyncio verifies none.
    #[cfg(feature = "tls")]
    pub fn start_tls(&self, role: impl Into<crate::tls::TlsRole>) -> crate::tls::StartTls<'_> {
        crate::tls::StartTls::new(&self.connection, role.into())
    }

    /// Returns what is known under one of asyncio's names: `peername`, `sockname`, `socket`, and over TLS `sslcontext`, `cipher`,
    /// `peercert` and `ssl_object`.
    ///
    /// For those who port: [`peer_addr`](Self::peer_addr) and its neighbours are typed.
    ///
    /// # Differences from asyncio
    ///
    /// The default for unknown names is the caller's: `get_extra_info(name).unwrap_or(…)`.
    pub fn get_extra_info(&self, name: &str) -> Option<ExtraInfo> {
        ExtraInfo::of(&self.connection, name)
    }
}

impl Drop for StreamWriter {
    fn drop(&mut self) {
        if !self.connection.is_closing() && !rt::is_ending() {
            report::writer_dropped(self.peer_addr());
        }
        self.connection.close(); // C12
    }
}

impl fmt::Debug for StreamWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("StreamWriter").field(&self.connection).finish()
    }
}

impl AsyncWrite for StreamWriter {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.connection.poll_write(cx, data).map_err(Into::into)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.connection.poll_flushed(cx).map_err(Into::into)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.can_write_eof() {
            self.connection.close();
            return self.connection.poll_closed(cx).map_err(Into::into);
        }
        self.connection.write_eof();
        self.connection.poll_flushed(cx).map_err(Into::into)
    }
}

/// Controls the connection below a [`StreamWriter`], like an asyncio transport.
#[derive(Clone)]
pub struct Transport {
    connection: Rc<Connection>,
}

impl Transport {
    /// Ends the connection at once: what is queued is dropped, reads give the end of the stream.
    ///
    /// # Differences from asyncio
    ///
    /// WASI 0.2 cannot send a reset: the peer sees the end of the stream, behind up to 64 KiB that the host holds already.
    pub fn abort(&self) {
        self.connection.abort();
    }

    /// Closes the connection; see [`StreamWriter::close`].
    pub fn close(&self) {
        self.connection.close();
    }

    /// Returns whether the connection is closed or being closed.
    pub fn is_closing(&self) -> bool {
        self.connection.is_closing()
    }

    /// Returns how many bytes are accepted and not handed over yet.
    pub fn get_write_buffer_size(&self) -> usize {
        self.connection.queued()
    }

    /// Returns the low and the high water mark in bytes; 16 384 and 65 536 unless set, over TLS 131 072 and 524 288.
    pub fn get_write_buffer_limits(&self) -> (usize, usize) {
        let marks = self.connection.marks();
        (marks.low, marks.high)
    }

    /// Sets the water marks, in bytes. A missing low mark is a quarter of the high one, a missing high mark four times the
    /// low one; none of both are the defaults.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`](crate::Error::InvalidInput) when low is above high; the marks stay as they were.
    pub fn set_write_buffer_limits(&self, high: impl Into<Option<usize>>, low: impl Into<Option<usize>>) -> Result<()> {
        self.connection.set_limits(high.into(), low.into())
    }

    /// Stops taking data from the peer until [`resume_reading`](Self::resume_reading).
    pub fn pause_reading(&self) {
        self.connection.pause_reading(true);
    }

    /// Takes data from the peer again.
    pub fn resume_reading(&self) {
        self.connection.pause_reading(false);
    }

    /// Returns whether data is being taken from the peer: not paused, by the program or by a full buffer, and not ended.
    pub fn is_reading(&self) -> bool {
        self.connection.is_reading()
    }

    /// Returns what is known under one of asyncio's names; see [`StreamWriter::get_extra_info`].
    pub fn get_extra_info(&self, name: &str) -> Option<ExtraInfo> {
        ExtraInfo::of(&self.connection, name)
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Transport").field(&self.connection).finish()
    }
}

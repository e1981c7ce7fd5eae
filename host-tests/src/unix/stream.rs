//! The two streams of a connection.
//!
//! They behave as those of wasmtime's TCP sockets: reads and writes never wait, a write that the system does not take whole goes on in a
//! task, and the permit is 0 until it is through. Unlike those they do not spend the cooperative budget of the guest's task, so an answer of
//! "not yet" is always the system's own.

use std::io::{self, ErrorKind};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};
use rustix::io::Errno;
use rustix::net::{self as system, SendFlags};
use tokio::net::UnixStream;
use wasmtime_wasi::async_trait;
use wasmtime_wasi_io::poll::Pollable;
use wasmtime_wasi_io::streams::{InputStream, OutputStream, StreamError, StreamResult};

use super::pending::Pending;

/// The most that one read gives, and that one write takes.
const MOST: usize = 64 * 1024;

/// Without waiting and without a signal. Apple's sockets are told not to send one when they are made.
#[cfg(not(target_vendor = "apple"))]
const AT_ONCE: SendFlags = SendFlags::DONTWAIT.union(SendFlags::NOSIGNAL);
#[cfg(target_vendor = "apple")]
const AT_ONCE: SendFlags = SendFlags::DONTWAIT;

/// A connection, shared by its socket and its streams.
#[derive(Clone)]
pub(super) struct Connection {
    stream: Arc<UnixStream>,
    /// Nothing will be read any more.
    read_all: Arc<AtomicBool>,
    writer: Arc<Mutex<Writing>>,
}

enum Writing {
    Ready,
    /// A write goes on.
    Busy(Pending<io::Result<()>>),
    /// A write goes on, and the end of the stream follows it.
    Ending(Pending<io::Result<()>>),
    Closed,
    /// The error is told once; then it is closed.
    Failed(io::Error),
}

impl Connection {
    pub(super) fn new(stream: UnixStream) -> Self {
        Connection { stream: Arc::new(stream), read_all: Arc::default(), writer: Arc::new(Mutex::new(Writing::Ready)) }
    }

    pub(super) fn input(&self) -> Input {
        Input(self.clone())
    }

    pub(super) fn output(&self) -> Output {
        Output(self.clone())
    }

    /// Shuts directions down; the end of ours follows what was written.
    pub(super) fn shutdown(&self, how: Shutdown) {
        if how != Shutdown::Write {
            self.read_all.store(true, Relaxed);
            self.shut(system::Shutdown::Read);
        }
        if how != Shutdown::Read {
            let mut writer = lock(&self.writer);
            self.settle(&mut writer);
            *writer = match std::mem::replace(&mut *writer, Writing::Closed) {
                Writing::Ready => {
                    self.shut(system::Shutdown::Write);
                    Writing::Closed
                }
                // Nobody may ask again: the end has to come by itself.
                Writing::Busy(write) => {
                    let this = self.clone();
                    Writing::Ending(Pending::start(async move {
                        let result = write.finish().await;
                        this.shut(system::Shutdown::Write);
                        result
                    }))
                }
                over => over,
            };
        }
    }

    /// It fails when the peer has gone, and then there is nobody to tell.
    fn shut(&self, how: system::Shutdown) {
        let _ = system::shutdown(self.stream.as_fd(), how);
    }

    /// Looks whether a write that went on is through.
    fn settle(&self, writer: &mut Writing) {
        let (Writing::Busy(write) | Writing::Ending(write)) = &mut *writer else { return };
        if !write.is_done() {
            return;
        }
        *writer = match std::mem::replace(writer, Writing::Closed) {
            Writing::Busy(Pending::Done(Ok(()))) => Writing::Ready,
            Writing::Busy(Pending::Done(Err(error))) | Writing::Ending(Pending::Done(Err(error))) => failed(error),
            _ => Writing::Closed,
        };
    }

    fn check(&self, writer: &mut Writing) -> StreamResult<()> {
        match std::mem::replace(writer, Writing::Closed) {
            Writing::Closed => Err(StreamError::Closed),
            Writing::Failed(error) => Err(StreamError::LastOperationFailed(error.into())),
            usable => {
                *writer = usable;
                Ok(())
            }
        }
    }
}

/// What is left of a direction of which a write failed: a peer that has gone is a closed stream.
fn failed(error: io::Error) -> Writing {
    match error.kind() {
        ErrorKind::BrokenPipe | ErrorKind::NotConnected => Writing::Closed,
        _ => Writing::Failed(error),
    }
}

/// What comes from the peer.
pub(super) struct Input(Connection);

#[async_trait]
impl InputStream for Input {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        if self.0.read_all.load(Relaxed) {
            return Err(StreamError::Closed);
        }
        if size == 0 {
            return Ok(Bytes::new());
        }
        let mut bytes = BytesMut::zeroed(size.min(MOST));
        match self.0.stream.try_read(&mut bytes) {
            Ok(0) => {
                self.0.read_all.store(true, Relaxed);
                Err(StreamError::Closed)
            }
            Ok(n) => {
                bytes.truncate(n);
                Ok(bytes.freeze())
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(Bytes::new()),
            Err(error) => {
                self.0.read_all.store(true, Relaxed);
                Err(StreamError::LastOperationFailed(error.into()))
            }
        }
    }
}

#[async_trait]
impl Pollable for Input {
    async fn ready(&mut self) {
        if !self.0.read_all.load(Relaxed) {
            // An error is something to be read.
            let _ = self.0.stream.readable().await;
        }
    }
}

/// What goes to the peer.
pub(super) struct Output(Connection);

#[async_trait]
impl OutputStream for Output {
    fn write(&mut self, mut bytes: Bytes) -> StreamResult<()> {
        let mut writer = lock(&self.0.writer);
        self.0.settle(&mut writer);
        self.0.check(&mut writer)?;
        if !matches!(*writer, Writing::Ready) || bytes.len() > MOST {
            return Err(StreamError::trap("more was written than check-write has allowed"));
        }
        while !bytes.is_empty() {
            // Past tokio, which takes a new socket for full until it hears otherwise.
            match system::send(&*self.0.stream, &bytes, AT_ONCE) {
                Ok(n) => drop(bytes.split_to(n)),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    *writer = Writing::Busy(Pending::start(write_all(Arc::clone(&self.0.stream), bytes)));
                    return Ok(());
                }
                Err(error) => {
                    *writer = failed(error.into());
                    return self.0.check(&mut writer);
                }
            }
        }
        Ok(())
    }

    /// What is written is on its way already.
    fn flush(&mut self) -> StreamResult<()> {
        let mut writer = lock(&self.0.writer);
        self.0.settle(&mut writer);
        self.0.check(&mut writer)
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        let mut writer = lock(&self.0.writer);
        self.0.settle(&mut writer);
        self.0.check(&mut writer)?;
        Ok(if matches!(*writer, Writing::Ready) { MOST } else { 0 })
    }

    /// Waits until what was written is through, or it would be lost.
    async fn cancel(&mut self) {
        self.ready().await;
    }
}

#[async_trait]
impl Pollable for Output {
    async fn ready(&mut self) {
        std::future::poll_fn(|cx| match &mut *lock(&self.0.writer) {
            Writing::Busy(write) | Writing::Ending(write) => write.poll(cx).map(|_| ()),
            Writing::Ready | Writing::Closed | Writing::Failed(_) => std::task::Poll::Ready(()),
        })
        .await;
    }
}

async fn write_all(stream: Arc<UnixStream>, mut bytes: Bytes) -> io::Result<()> {
    while !bytes.is_empty() {
        stream.writable().await?;
        match stream.try_write(&bytes) {
            Ok(n) => drop(bytes.split_to(n)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//! Output of a guest that can be read while the guest writes it.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::{self, AsyncWrite};
use tokio::sync::watch;
use wasmtime_wasi::async_trait;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

/// A pair of ends: what the guest writes to, and what the test reads. The reader knows when the guest is gone.
pub(crate) fn capture() -> (Writer, Reader) {
    let (sender, receiver) = watch::channel(Vec::new());
    (Writer(sender), Reader { receiver, seen: 0 })
}

#[derive(Clone)]
pub(crate) struct Writer(watch::Sender<Vec<u8>>);

impl Writer {
    fn append(&self, bytes: &[u8]) {
        self.0.send_modify(|all| all.extend_from_slice(bytes));
    }
}

impl IsTerminal for Writer {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Writer {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[async_trait]
impl Pollable for Writer {
    async fn ready(&mut self) {}
}

impl OutputStream for Writer {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.append(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(PERMIT)
    }
}

impl AsyncWrite for Writer {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.append(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[derive(Debug)]
pub(crate) struct Reader {
    receiver: watch::Receiver<Vec<u8>>,
    /// How much `next_line` has passed over.
    seen: usize,
}

impl Reader {
    /// Everything so far.
    pub(crate) fn contents(&self) -> Vec<u8> {
        self.receiver.borrow().clone()
    }

    /// The next whole line that starts with `prefix`; lines before it are passed over. None if the guest ends first.
    pub(crate) async fn next_line(&mut self, prefix: &str) -> Option<String> {
        let Reader { receiver, seen } = self;
        let mut found = None;
        let waited = receiver.wait_for(|output| {
            found = pass_lines(output, seen, prefix);
            found.is_some()
        });
        if waited.await.is_err() {
            // The guest is gone, and what it wrote last may have come with an earlier change.
            found = pass_lines(&receiver.borrow(), seen, prefix);
        }
        found
    }
}

/// Passes over whole lines up to one that starts with `prefix`.
fn pass_lines(output: &[u8], seen: &mut usize, prefix: &str) -> Option<String> {
    while let Some(length) = output[*seen..].iter().position(|&byte| byte == b'\n') {
        let line = &output[*seen..*seen + length];
        *seen += length + 1;
        if line.starts_with(prefix.as_bytes()) {
            return Some(String::from_utf8_lossy(line).into_owned());
        }
    }
    None
}

const PERMIT: usize = 64 * 1024;

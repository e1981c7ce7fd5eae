//! A server on wasi-streams that says how much memory it has. The others of the benchmark do not count: that takes time.
//!
//! It answers lines with themselves, one line or any number of them on each connection. `memory` is answered with the bytes of the
//! linear memory and those that are allocated in it; after `hold` the connection is kept and nothing is read from it any more.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use anyhow::{Context, Result};
use wasi_streams::{Result as StreamResult, StreamReader, StreamWriter, run, start_server};
use wasi_streams_bench_guests::{Mode, announce};

/// The system's allocator, and how many bytes are asked for and not given back.
struct Counting;

static ALLOCATED: AtomicUsize = AtomicUsize::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: every call goes on to the system's allocator as it is.
#[allow(unsafe_code, reason = "the one way to see allocations")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.fetch_add(layout.size(), Relaxed);
        // SAFETY: the caller keeps to the rules of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        ALLOCATED.fetch_sub(layout.size(), Relaxed);
        // SAFETY: all memory comes from `System`.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATED.fetch_add(size, Relaxed);
        ALLOCATED.fetch_sub(layout.size(), Relaxed);
        // SAFETY: all memory comes from `System`.
        unsafe { System.realloc(memory, layout, size) }
    }
}

fn main() -> Result<()> {
    let mode = Mode::from_args()?;
    run(async {
        let server = match mode {
            Mode::Churn => start_server(once, "127.0.0.1", 0).backlog(1024).await?,
            _ => start_server(echo, "127.0.0.1", 0).backlog(1024).await?,
        };
        announce(server.sockets().first().context("one socket")?.port())?;
        Ok(server.serve_forever().await?)
    })
}

async fn once(mut reader: StreamReader, writer: StreamWriter) -> StreamResult<()> {
    answer(&mut reader, &writer).await?;
    close(writer).await
}

async fn echo(mut reader: StreamReader, writer: StreamWriter) -> StreamResult<()> {
    while answer(&mut reader, &writer).await? {
        writer.drain().await?;
    }
    close(writer).await
}

/// Answers a line; whether there is to be another one.
async fn answer(reader: &mut StreamReader, writer: &StreamWriter) -> StreamResult<bool> {
    let line = reader.readline().await?;
    match line.as_ref() {
        b"memory\n" => {
            writer.write(format!("{} {}\n", linear_memory(), ALLOCATED.load(Relaxed)))?;
            return Ok(false);
        }
        b"hold\n" => std::future::pending().await,
        _ => {}
    }
    let more = !line.is_empty();
    writer.write(line)?;
    Ok(more)
}

async fn close(writer: StreamWriter) -> StreamResult<()> {
    writer.close();
    writer.wait_closed().await
}

/// Bytes that the guest's memory has; it never shrinks.
fn linear_memory() -> usize {
    #[cfg(target_family = "wasm")]
    return std::arch::wasm32::memory_size::<0>() * 64 * 1024;
    #[cfg(not(target_family = "wasm"))]
    return 0;
}

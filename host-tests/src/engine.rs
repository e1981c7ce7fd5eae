//! The process's one wasmtime engine, and the clock that makes guests in tight loops give way.
//!
//! Compiled code belongs to an engine, so all guests of a process share it. Guests yield to tokio whenever the epoch
//! moves on; a thread moves it on every 10 ms, but only while somebody holds a [`Ticking`]. That is enough for a
//! deadline (dropping the future ends the guest) and needs no signal handling.

use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use wasmtime::{Config, Engine, OptLevel};

/// The engine that compiles and runs every component of this process; it stops guests by epochs, so every store needs an epoch deadline
/// (`u64::MAX / 2` is none), and somebody to move the epoch on: [`Ticking`].
///
/// # Panics
///
/// If the machine's processor is one for which wasmtime has no compiler.
pub fn engine() -> &'static Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE.get_or_init(|| {
        let mut config = Config::new();
        config.wasm_component_model(true);
        config.epoch_interruption(true);
        config.cranelift_opt_level(OptLevel::Speed);
        Engine::new(&config).expect("wasmtime supports this machine")
    })
}

/// While one lives, the epoch of [`engine`] moves on every 10 ms.
///
/// A store that yields then (`set_epoch_deadline(1)` and `epoch_deadline_async_yield_and_update(1)`) can be given up at any time by
/// dropping its future, with tokio's `timeout` say: a wall-clock limit that holds in loops without end, too.
#[derive(Debug)]
#[must_use = "the epoch stands still when it is dropped"]
pub struct Ticking(());

impl Ticking {
    /// Lets the epoch move on, by a thread that all of them share.
    ///
    /// # Panics
    ///
    /// If the system gives no thread.
    pub fn start() -> Self {
        static THREAD: OnceLock<()> = OnceLock::new();
        THREAD.get_or_init(|| {
            std::thread::Builder::new().name("epoch".into()).spawn(tick).expect("a thread starts");
        });
        *holders() += 1;
        WANTED.notify_one();
        Ticking(())
    }
}

impl Drop for Ticking {
    fn drop(&mut self) {
        *holders() -= 1;
    }
}

fn tick() {
    loop {
        drop(WANTED.wait_while(holders(), |holders| *holders == 0).unwrap_or_else(PoisonError::into_inner));
        std::thread::sleep(TICK);
        engine().increment_epoch();
    }
}

fn holders() -> MutexGuard<'static, usize> {
    HOLDERS.lock().unwrap_or_else(PoisonError::into_inner)
}

static HOLDERS: Mutex<usize> = Mutex::new(0);
static WANTED: Condvar = Condvar::new();
const TICK: Duration = Duration::from_millis(10);

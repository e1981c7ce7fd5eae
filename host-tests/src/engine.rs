//! The process's one wasmtime engine, and the clock that makes guests in tight loops give way.
//!
//! Compiled code belongs to an engine, so all guests of a process share it. Guests yield to tokio whenever the epoch
//! moves on; a thread moves it on every 10 ms, but only while somebody holds a [`Ticking`]. That is enough for a
//! deadline (dropping the future ends the guest) and needs no signal handling.

use std::sync::{Condvar, Mutex, OnceLock};
use std::time::Duration;

use wasmtime::{Config, Engine, OptLevel};

/// The engine that compiles and runs every component of this process.
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

/// While one lives, running guests yield every 10 ms.
#[derive(Debug)]
pub(crate) struct Ticking(());

impl Ticking {
    pub(crate) fn start() -> Self {
        static THREAD: OnceLock<()> = OnceLock::new();
        THREAD.get_or_init(|| {
            std::thread::Builder::new().name("epoch".into()).spawn(tick).expect("a thread starts");
        });
        *HOLDERS.lock().expect("counting does not panic") += 1;
        WANTED.notify_one();
        Ticking(())
    }
}

impl Drop for Ticking {
    fn drop(&mut self) {
        *HOLDERS.lock().expect("counting does not panic") -= 1;
    }
}

fn tick() {
    loop {
        let holders = HOLDERS.lock().expect("counting does not panic");
        drop(WANTED.wait_while(holders, |holders| *holders == 0).expect("counting does not panic"));
        std::thread::sleep(TICK);
        engine().increment_epoch();
    }
}

static HOLDERS: Mutex<usize> = Mutex::new(0);
static WANTED: Condvar = Condvar::new();
const TICK: Duration = Duration::from_millis(10);

//! From a file to a component that can be instantiated, and the words for what can be wrong with the file.

use std::collections::HashMap;
use std::env;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::SystemTime;

use wasmtime::component::Component;

use crate::cache::Slot;
use crate::engine::engine;

/// A component ready to be instantiated.
#[derive(Clone)]
pub struct Loaded {
    /// The compiled component.
    pub component: Component,
    /// Whether it had to be compiled now; false if it came from the cache.
    pub compiled: bool,
}

impl fmt::Debug for Loaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loaded").field("compiled", &self.compiled).finish_non_exhaustive()
    }
}

/// Why a file is not a component that can run.
#[derive(Debug)]
pub enum LoadError {
    /// There is no such file.
    Missing(PathBuf),
    /// The file cannot be read.
    Unreadable(PathBuf, io::Error),
    /// The file is a core module, which has none of the interfaces of WASI 0.2.
    CoreModule(PathBuf),
    /// The file is not WebAssembly.
    NotWebAssembly(PathBuf),
    /// The file is damaged, or uses what this wasmtime does not know.
    Invalid(PathBuf, wasmtime::Error),
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LoadError::Missing(path) => {
                write!(f, "{}: no such file: build the component first, or correct the path", path.display())
            }
            LoadError::Unreadable(path, error) => {
                write!(f, "{}: cannot be read: {error}: correct its permissions, or the path", path.display())
            }
            LoadError::CoreModule(path) => write!(
                f,
                "{}: is a core module, not a component: build for wasm32-wasip2 (cargo build --target wasm32-wasip2)",
                path.display()
            ),
            LoadError::NotWebAssembly(path) => {
                write!(f, "{}: is not WebAssembly: give a component built for wasm32-wasip2", path.display())
            }
            LoadError::Invalid(path, error) => {
                // The first line names the fault; the rest is context for wasmtime's developers.
                let text = format!("{error:#}");
                let fault = text.lines().next().unwrap_or_default();
                write!(f, "{}: is not a valid component: {fault}: build it again for wasm32-wasip2", path.display())
            }
        }
    }
}

impl std::error::Error for LoadError {}

/// Loads a component, from the cache if this machine has compiled it before.
///
/// Calls `compiling` when it is not cached, just before compiling, which takes seconds for a large component.
///
/// # Errors
///
/// A [`LoadError`] that names the file, the cause and the remedy.
pub fn load(path: &Path, compiling: impl FnOnce()) -> Result<Loaded, LoadError> {
    let bytes = fs::read(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => LoadError::Missing(path.into()),
        _ => LoadError::Unreadable(path.into(), error),
    })?;
    match bytes.get(..8) {
        Some(header) if header == COMPONENT => {}
        Some(header) if header == CORE_MODULE => return Err(LoadError::CoreModule(path.into())),
        _ => return Err(LoadError::NotWebAssembly(path.into())),
    }
    let slot = Slot::of(&bytes);
    if let Some(component) = slot.get() {
        return Ok(Loaded { component, compiled: false });
    }
    let _lock = slot.lock();
    // Whoever held the lock before us may have compiled just this.
    if let Some(component) = slot.get() {
        return Ok(Loaded { component, compiled: false });
    }
    compiling();
    let invalid = |error| LoadError::Invalid(path.into(), error);
    let component = Component::from_binary(engine(), &bytes).map_err(invalid)?;
    slot.put(&component.serialize().map_err(invalid)?);
    Ok(Loaded { component, compiled: true })
}

/// Loads a component once per process and state of its file.
pub(crate) fn load_shared(path: &Path) -> Result<Component, LoadError> {
    type File = (PathBuf, Option<SystemTime>);
    type Place = Arc<Mutex<Option<Component>>>;
    static LOADED: OnceLock<Mutex<HashMap<File, Place>>> = OnceLock::new();

    let modified = fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
    let place = LOADED
        .get_or_init(Mutex::default)
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .entry((path.into(), modified))
        .or_default()
        .clone();
    // Tests that start together wait here for the first of them.
    let mut place = place.lock().unwrap_or_else(PoisonError::into_inner);
    match &*place {
        Some(component) => Ok(component.clone()),
        None => Ok(place.insert(load(path, || {})?.component).clone()),
    }
}

/// The folder with the components that tests run: `WASI_STREAMS_COMPONENTS`, else `target/components`.
pub fn components_dir() -> PathBuf {
    match env::var_os("WASI_STREAMS_COMPONENTS") {
        Some(folder) if !folder.is_empty() => folder.into(),
        _ => Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/components"),
    }
}

const COMPONENT: [u8; 8] = *b"\0asm\x0d\0\x01\0";
const CORE_MODULE: [u8; 8] = *b"\0asm\x01\0\0\0";

//! Compiled components on disk, so that a component is compiled once per machine and starts in milliseconds after.
//!
//! A file is named after the component's bytes and everything in the engine that shapes machine code. It is written
//! under another name and renamed, so concurrent processes see a whole file or none; a lock keeps them from compiling
//! the same thing twice. The cache only ever saves time: whatever is wrong with it, we compile.

use std::env;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process;
use std::time::SystemTime;

use sha2::{Digest, Sha256};
use wasmtime::component::Component;

use crate::engine::engine;

/// One component's place in the cache.
#[derive(Debug)]
pub(crate) struct Slot {
    /// None if no folder can be had that is ours alone.
    path: Option<PathBuf>,
}

impl Slot {
    pub(crate) fn of(component: &[u8]) -> Self {
        let mut hasher = DefaultHasher::new();
        engine().precompile_compatibility_hash().hash(&mut hasher);
        let key = format!("{:x}-{:016x}", Sha256::digest(component), hasher.finish());
        let path = own_folder().ok().map(|folder| folder.join(key + ".cwasm"));
        Slot { path }
    }

    /// The compiled component, if it is there and whole.
    pub(crate) fn get(&self) -> Option<Component> {
        let path = self.path.as_ref().filter(|path| path.exists())?;
        deserialize(path).ok()
    }

    /// Keeps other processes from compiling until the lock is dropped.
    pub(crate) fn lock(&self) -> Option<File> {
        let path = self.path.as_ref()?.with_file_name("lock");
        let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path).ok()?;
        file.lock().ok()?;
        Some(file)
    }

    /// Keeps a compiled component, replacing a damaged one.
    pub(crate) fn put(&self, compiled: &[u8]) {
        let Some(path) = &self.path else { return };
        let temporary = path.with_extension(format!("{}.tmp", process::id()));
        let written = write_new(&temporary, compiled).and_then(|()| fs::rename(&temporary, path));
        if written.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        if let Some(folder) = path.parent() {
            prune(folder, path);
        }
    }
}

#[expect(unsafe_code, reason = "wasmtime maps machine code from a file only on our word that we made it")]
fn deserialize(path: &Path) -> wasmtime::Result<Component> {
    // SAFETY: the file lies in a folder that `own_folder` found to belong to this user and to be writable by nobody
    // else; only `put` writes there, only what this engine compiled from the very bytes that the name is the hash of,
    // and files appear there complete, by renaming. Headers of a damaged file are checked by wasmtime.
    unsafe { Component::deserialize_file(engine(), path) }
}

/// The cache folder, made if need be; an error unless it is this user's and only this user can write to it.
fn own_folder() -> io::Result<PathBuf> {
    let folder = folder();
    DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
    let metadata = fs::metadata(&folder)?;
    // Whom we are: the owner of our own /proc entry, for want of getuid in std.
    let ours = fs::metadata("/proc/self").map_or(true, |process| process.uid() == metadata.uid());
    if !ours || metadata.permissions().mode() & 0o022 != 0 {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    Ok(folder)
}

fn folder() -> PathBuf {
    let named = |variable: &str| env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(folder) = named("WASI_STREAMS_CACHE") {
        return folder;
    }
    let user = named("XDG_CACHE_HOME").or_else(|| named("HOME").map(|home| home.join(".cache")));
    if let Some(folder) = user.map(|cache| cache.join("wasi-streams"))
        && fs::create_dir_all(folder.parent().unwrap_or(&folder)).is_ok()
    {
        return folder;
    }
    let owner = fs::metadata("/proc/self").map_or(0, |process| process.uid());
    env::temp_dir().join(format!("wasi-streams-{owner}"))
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(path)?;
    file.write_all(bytes)
}

/// Deletes the oldest components while there are too many, never the one just written.
fn prune(folder: &Path, keep: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let mut files: Vec<(SystemTime, u64, PathBuf)> = entries
        .flatten()
        .filter(|entry| entry.path() != keep && entry.path().extension().is_some_and(|e| e == "cwasm"))
        .filter_map(|entry| {
            let metadata = entry.metadata().ok()?;
            Some((metadata.modified().ok()?, metadata.len(), entry.path()))
        })
        .collect();
    files.sort();
    let mut total: u64 = files.iter().map(|(_, size, _)| size).sum();
    for (_, size, path) in files {
        if total <= LARGEST_CACHE {
            break;
        }
        // Processes that run it keep their mapping.
        if fs::remove_file(path).is_ok() {
            total -= size;
        }
    }
}

const LARGEST_CACHE: u64 = 512 << 20;

//! Platform-specific extensions.

#[cfg(all(target_os = "wasi", target_env = "p2"))]
pub mod wasi;

//! The tests of wasi-streams inside a host: each module is one topic, and all are one binary, because each binary
//! links wasmtime.

mod harness;
mod peers;
mod policy;
mod runner;

//! The tests of wasi-streams inside a host: each module is one topic, and all are one binary, because each binary
//! links wasmtime.

mod certificates;
mod churn;
mod denials;
mod examples;
mod examples_tls;
mod export_connect;
mod export_read;
mod export_serve;
mod export_support;
mod export_write;
mod eyeballs;
mod freeze;
mod half_close;
mod harness;
mod imports;
mod livelock;
mod loopback;
mod no_loss;
mod peers;
mod platform;
mod policy;
mod python;
mod runner;
mod stdio;
mod support;
mod traps;

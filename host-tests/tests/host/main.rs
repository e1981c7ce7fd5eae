//! The tests of wasi-streams inside a host: each module is one topic, and all are one binary, because each binary
//! links wasmtime.

mod certificates;
mod churn;
mod denials;
mod examples;
mod examples_tls;
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
mod tls_bad_input;
mod tls_certificates;
mod tls_curl_nginx;
mod tls_endings;
mod tls_features;
mod tls_flood;
mod tls_openssl;
mod tls_python;
mod tls_relay;
mod tls_starttls;
mod tls_storm;
mod tls_support;
mod traps;

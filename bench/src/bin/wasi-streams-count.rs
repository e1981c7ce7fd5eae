//! The runner, counting what the component calls of the host: wasmtime's bindings trace every call, and counting takes longer than many
//! of them, so it is a program of its own. For each line of standard input it answers with one line: names and numbers so far.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io::{Write, stdin, stdout};
use std::path::Path;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::thread;

use anyhow::{Context, Result};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};
use wasi_streams_host::{Guest, Policy, Stdio, load};

static CALLS: LazyLock<Mutex<BTreeMap<String, u64>>> = LazyLock::new(Mutex::default);

/// Counts the spans that wasmtime opens, one for each call of a component.
struct Counter;

/// The field that has the name of the function.
struct Name(String);

impl Visit for Name {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "function" {
            value.clone_into(&mut self.0);
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn Debug) {}
}

impl Subscriber for Counter {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_span() && metadata.name() == "wit-bindgen import"
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut name = Name(String::new());
        span.record(&mut name);
        *CALLS.lock().unwrap_or_else(PoisonError::into_inner).entry(name.0).or_default() += 1;
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, _: &Event<'_>) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

fn answer_questions() -> Result<()> {
    for line in stdin().lines() {
        line?;
        let calls = CALLS.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let calls: Vec<String> = calls.iter().map(|(name, count)| format!("{name}={count}")).collect();
        writeln!(stdout(), "{}", calls.join(" "))?;
    }
    Ok(())
}

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().context("usage: wasi-streams-count COMPONENT [ARGS...]")?;
    tracing::subscriber::set_global_default(Counter)?;
    thread::spawn(answer_questions);
    let component = load(Path::new(&path), || ())?.component;
    let guest = Guest::compiled(component, &path).args(arguments).policy(Policy::everything()).deadline(None);
    let runtime = tokio::runtime::Builder::new_current_thread().event_interval(1).enable_all().build()?;
    runtime.block_on(guest.stdio(Stdio::Inherited).run())?;
    Ok(())
}

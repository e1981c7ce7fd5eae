//! A host of its own: wasmtime and wasi-streams-host, one component, a policy and limits. At the end it says what it has refused.

use std::{env, process::ExitCode, time::Duration};

use anyhow::{Context, Result};
use wasi_streams_host::enforce::{self, Enforcement, PolicyView};
use wasi_streams_host::{
    Denial, Limits, Policy, Ticking, Verdict, block_on, engine, explain_missing, load, unix::UnixPerms,
};
use wasmtime::Store;
use wasmtime::component::{Linker, ResourceTable};
use wasmtime_wasi::{I32Exit, WasiCtx, WasiCtxView, WasiView, p2, p2::bindings::Command};

struct State {
    wasi: WasiCtx,
    table: ResourceTable,
    enforcement: Enforcement,
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl PolicyView for State {
    fn policy(&mut self) -> (&mut Enforcement, WasiCtxView<'_>) {
        (&mut self.enforcement, WasiCtxView { ctx: &mut self.wasi, table: &mut self.table })
    }
}

async fn run(arguments: &[String]) -> Result<u8> {
    let path = arguments.first().filter(|path| !path.starts_with('-'));
    let path = path.context("usage: embed COMPONENT [ARGS...]; its /run is the current folder")?;
    let policy = Policy::loopback().allow("*.example.org:443")?.allow("10.0.0.0/8:8000-8999")?;
    let policy = policy.allow_unix("/run", env::current_dir()?, UnixPerms::ALL);
    let policy = policy.hook(|denial| match denial {
        Denial::Connect(peer) if peer.port() == 25 => Verdict::Deny, // whatever the rules say, nobody sends mail
        _ => Verdict::Rules,
    });
    let limits = Limits::default().memory_bytes(64 << 20).sockets(20).resources(1000);
    let enforcement = Enforcement::new(policy, limits)?;
    let denials = enforcement.denials().clone();

    let mut wasi = WasiCtx::builder();
    enforcement.configure(wasi.inherit_stdio().args(arguments));
    let mut store = Store::new(engine(), State { wasi: wasi.build(), table: ResourceTable::new(), enforcement });
    enforce::limit(&mut store);
    let mut linker = Linker::new(engine());
    p2::add_to_linker_async(&mut linker)?;
    enforce::add_to_linker(&mut linker)?;

    let component = load(path.as_ref(), || eprintln!("embed: compiling, once ..."))?.component;
    let command = Command::instantiate_async(&mut store, &component, &linker).await;
    let command = command.map_err(|error| explain_missing(&component, error))?;
    let _ticking = Ticking::start();
    let ended = tokio::time::timeout(Duration::from_secs(5), command.wasi_cli_run().call_run(&mut store)).await;
    denials.list().iter().for_each(|denial| eprintln!("embed: {denial}"));
    match ended.context("it has run for five seconds, which is as long as it may")? {
        Ok(result) => Ok(result.is_err().into()),
        Err(error) => match error.downcast_ref::<I32Exit>() {
            Some(I32Exit(status)) => Ok(u8::try_from(*status).unwrap_or(1)),
            None => Err(anyhow::Error::from(error).context("the component trapped")),
        },
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    block_on(run(&arguments)).map(ExitCode::from).unwrap_or_else(|error| {
        eprintln!("embed: {error:#}");
        ExitCode::from(2)
    })
}

//! A host of its own: wasmtime and wasi-streams-host, one component, a policy and limits. At the end it says what it has refused.

mod options;

use std::process::ExitCode;

use anyhow::Result;
use options::{Options, Request};
use wasi_streams_host::enforce::{self, Enforcement, PolicyView};
use wasi_streams_host::unix::{self, UnixCtx, UnixCtxView, UnixPerms, UnixView};
use wasi_streams_host::{Denial, Policy, Ticking, Verdict, block_on, engine, explain_missing, load};
use wasmtime::component::{Linker, ResourceTable};
use wasmtime::{Store, StoreLimits, StoreLimitsBuilder};
use wasmtime_wasi::p2::bindings::Command;
use wasmtime_wasi::{I32Exit, WasiCtx, WasiCtxView, WasiView};

/// What the store holds for the component.
struct State {
    wasi: WasiCtx,
    table: ResourceTable,
    unix: UnixCtx,
    enforcement: Enforcement,
    limits: StoreLimits,
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl UnixView for State {
    fn unix(&mut self) -> UnixCtxView<'_> {
        UnixCtxView { ctx: &self.unix, table: &mut self.table }
    }
}

impl PolicyView for State {
    fn policy(&mut self) -> (&mut Enforcement, WasiCtxView<'_>) {
        (&mut self.enforcement, WasiCtxView { ctx: &mut self.wasi, table: &mut self.table })
    }
}

/// Loopback, what the options name, and nobody sends mail whatever they say.
fn policy(options: &Options) -> Result<Policy> {
    let mut policy = Policy::loopback();
    for host in &options.allow {
        policy = policy.allow(host)?;
    }
    if let Some((guest, folder)) = &options.unix {
        policy = policy.allow_unix(guest, folder, UnixPerms::ALL);
    }
    Ok(policy.hook(|denial| match denial {
        Denial::Connect(peer) if peer.port() == 25 => Verdict::Deny,
        _ => Verdict::Rules,
    }))
}

fn store(options: &Options, enforcement: Enforcement) -> Result<Store<State>> {
    let mut wasi = WasiCtx::builder();
    wasi.inherit_stdio().arg(options.component.to_string_lossy()).args(&options.arguments);
    enforcement.configure(&mut wasi);
    let mut table = ResourceTable::new();
    table.set_max_capacity(options.max_resources);
    let limits = StoreLimitsBuilder::new().memory_size(options.max_memory).build();
    let state = State { wasi: wasi.build(), table, unix: enforcement.unix()?, enforcement, limits };
    let mut store = Store::new(engine(), state);
    store.limiter(|state| &mut state.limits);
    // It gives way every 10 ms, so that the time limit below holds in loops without end, too.
    store.set_epoch_deadline(1);
    store.epoch_deadline_async_yield_and_update(1);
    Ok(store)
}

fn linker() -> Result<Linker<State>> {
    let mut linker = Linker::new(engine());
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    enforce::add_to_linker(&mut linker)?;
    unix::add_to_linker(&mut linker)?;
    Ok(linker)
}

async fn run(options: Options) -> Result<u8> {
    let component = load(&options.component, || eprintln!("embed: compiling, once ..."))?.component;
    let enforcement = Enforcement::new(policy(&options)?).max_sockets(options.max_sockets);
    let denials = enforcement.denials().clone();
    let mut store = store(&options, enforcement)?;
    let command = Command::instantiate_async(&mut store, &component, &linker()?).await;
    let command = command.map_err(|error| explain_missing(&component, error))?;

    let _ticking = Ticking::start();
    let ended = tokio::time::timeout(options.timeout, command.wasi_cli_run().call_run(&mut store)).await;
    for denial in denials.list() {
        eprintln!("embed: {denial}");
    }
    match ended {
        Err(_) => {
            eprintln!("embed: ended it after {:?}", options.timeout);
            Ok(124)
        }
        Ok(Ok(result)) => Ok(result.is_err().into()),
        Ok(Err(error)) => match error.downcast_ref::<I32Exit>() {
            Some(I32Exit(status)) => Ok(u8::try_from(*status).unwrap_or(1)),
            None => Err(anyhow::Error::from(error).context("the component trapped")),
        },
    }
}

fn main() -> ExitCode {
    let result = match options::parse() {
        Ok(Request::Help) => {
            print!("{}", options::HELP);
            return ExitCode::SUCCESS;
        }
        Ok(Request::Run(options)) => block_on(run(options)),
        Err(error) => Err(error),
    };
    result.map(ExitCode::from).unwrap_or_else(|error| {
        eprintln!("embed: {error:#}");
        ExitCode::from(2)
    })
}

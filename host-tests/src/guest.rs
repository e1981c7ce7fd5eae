//! Building one run of a component: what it is given, what it may do, and how long.

use std::ffi::OsStr;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::io::DuplexStream;
use tokio::sync::watch;
use wasmtime::Store;
use wasmtime::component::{Component, ResourceTable};
use wasmtime_wasi::cli::AsyncStdinStream;
use wasmtime_wasi::p2::bindings::Command;
use wasmtime_wasi::p2::bindings::sockets::network::ErrorCode;
use wasmtime_wasi::p2::pipe::MemoryInputPipe;
use wasmtime_wasi::{FsPerms, WasiCtx};

use crate::capture::{Reader, capture};
use crate::component::{components_dir, load_shared};
use crate::enforce::{self, Enforcement};
use crate::engine::engine;
use crate::faults::Faults;
use crate::instrument::linker;
use crate::limits::Limits;
use crate::missing::explain_missing;
use crate::names::Names;
use crate::policy::Policy;
use crate::running::{Ends, Outcome, Running};
use crate::state::{Numbers, State};

/// A component about to run; its output is captured, its network is [`Policy::loopback`], its deadline 60 seconds.
#[derive(Debug, Clone)]
pub struct Guest {
    source: Source,
    name: String,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    folders: Vec<(PathBuf, String)>,
    stdio: Stdio,
    policy: Policy,
    names: Names,
    limits: Limits,
    faults: Faults,
}

/// Where a guest's standard input comes from and its output goes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stdio {
    /// Captured output; standard input holds these bytes, and ends after them.
    Captured(Vec<u8>),
    /// Captured output; standard input is a pipe that [`Running`] writes to and closes.
    Piped,
    /// This process's own.
    Inherited,
}

#[derive(Clone)]
enum Source {
    File(PathBuf),
    /// A component of `components_dir`, which `make components` builds.
    Built(PathBuf),
    Compiled(Component),
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Source::File(path) | Source::Built(path) => path.fmt(f),
            Source::Compiled(_) => f.write_str("compiled"),
        }
    }
}

impl Guest {
    /// Runs the component in this file.
    pub fn new(component: impl AsRef<Path>) -> Self {
        let path = component.as_ref();
        let name = path.file_name().map(OsStr::to_string_lossy).unwrap_or_default().into_owned();
        Guest::with(Source::File(path.into()), name)
    }

    /// Runs `NAME.wasm` of [`components_dir`].
    pub fn named(name: &str) -> Self {
        let file = format!("{name}.wasm");
        Guest::with(Source::Built(components_dir().join(&file)), file)
    }

    /// Runs a component that [`load`](crate::load) has loaded; `name` is its first argument.
    pub fn compiled(component: Component, name: &str) -> Self {
        Guest::with(Source::Compiled(component), name.into())
    }

    /// Adds an argument; the first one, the program's name, is there already.
    pub fn arg(mut self, argument: impl Into<String>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Adds arguments.
    pub fn args(mut self, arguments: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// Sets an environment variable; there are no others.
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Lets the guest read and write this folder, under this name.
    pub fn dir(mut self, host: impl Into<PathBuf>, guest: impl Into<String>) -> Self {
        self.folders.push((host.into(), guest.into()));
        self
    }

    /// Chooses standard input and output; captured, with no input, unless chosen.
    pub fn stdio(mut self, stdio: Stdio) -> Self {
        self.stdio = stdio;
        self
    }

    /// Gives the guest this input, and then its end.
    pub fn stdin(self, input: impl Into<Vec<u8>>) -> Self {
        self.stdio(Stdio::Captured(input.into()))
    }

    /// Gives the guest input while it runs: [`Running::write_stdin`], [`Running::close_stdin`].
    pub fn piped_stdin(self) -> Self {
        self.stdio(Stdio::Piped)
    }

    /// Chooses the network that the guest may use.
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// Gives a name these addresses, in this order, whatever the system's resolver says. Whether the guest may look it up
    /// is the policy's to say.
    pub fn host(mut self, name: &str, addresses: impl IntoIterator<Item = impl Into<IpAddr>>) -> Self {
        self.names.add(name, addresses.into_iter().map(Into::into));
        self
    }

    /// Lets every lookup of a name fail like this, for what this machine's resolver does not say.
    pub fn failing_host(mut self, name: &str, code: ErrorCode) -> Self {
        self.names.add_failure(name, code);
        self
    }

    /// Chooses how long the guest may run; without a deadline it may run for ever.
    pub fn deadline(mut self, deadline: impl Into<Option<Duration>>) -> Self {
        self.limits.deadline = deadline.into();
        self
    }

    /// Limits how many resources of the host the guest may have at once; creating more traps.
    pub fn max_resources(mut self, most: usize) -> Self {
        self.limits.resources = Some(most);
        self
    }

    /// Sets all limits at once, the deadline among them.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Lets the guest's network misbehave.
    pub fn faults(mut self, faults: Faults) -> Self {
        self.faults = faults;
        self
    }

    /// Starts the guest and waits for its end.
    ///
    /// # Errors
    ///
    /// As [`start`](Guest::start). A guest that fails is an [`Outcome`], not an error.
    pub async fn run(self) -> Result<Outcome> {
        Ok(self.start().await?.finish().await)
    }

    /// Starts the guest, as a task of the current tokio runtime.
    ///
    /// # Errors
    ///
    /// If the component cannot be loaded, wants imports that this host lacks, or a folder cannot be opened.
    pub async fn start(self) -> Result<Running> {
        let (name, deadline) = (self.name.clone(), self.limits.deadline);
        let (mut store, component, ends) = self.prepare().await?;
        let linker = linker().map_err(anyhow::Error::from)?;
        let command = Command::instantiate_async(&mut store, &component, linker)
            .await
            .map_err(|error| anyhow::Error::from(explain_missing(&component, error)))
            .with_context(|| format!("{name}: cannot be started"))?;
        Ok(Running::spawn(name, store, command, deadline, ends))
    }

    /// The component, a store with everything that it may have, and our ends of that.
    pub(crate) async fn prepare(self) -> Result<(Store<State>, Component, Ends)> {
        let component = self.load().await?;
        let (stdin, stdout, stderr, wasi) = self.context()?;
        // The runner passes output through, and nobody looks at its numbers.
        let watched = self.stdio != Stdio::Inherited;
        let (sender, snapshots) = watch::channel(Default::default());
        let enforcement = Enforcement::new(self.policy, self.limits)?.with_names(self.names).faults(self.faults);
        let denials = enforcement.denials().clone();
        let mut store = Store::new(
            engine(),
            State {
                wasi: wasi(&enforcement),
                table: ResourceTable::new(),
                enforcement,
                numbers: Numbers::new(watched.then_some(sender)),
            },
        );
        enforce::limit(&mut store);
        Ok((store, component, Ends { stdin, stdout, stderr, snapshots, denials }))
    }

    fn with(source: Source, name: String) -> Self {
        Guest {
            source,
            name,
            arguments: Vec::new(),
            environment: Vec::new(),
            folders: Vec::new(),
            stdio: Stdio::Captured(Vec::new()),
            policy: Policy::loopback(),
            names: Names::default(),
            limits: Limits::default().deadline(DEADLINE),
            faults: Faults::default(),
        }
    }

    async fn load(&self) -> Result<Component> {
        let path = match &self.source {
            Source::Compiled(component) => return Ok(component.clone()),
            Source::Built(path) if !path.exists() => {
                bail!("{}: is not built: run make components", path.display())
            }
            Source::Built(path) | Source::File(path) => path.clone(),
        };
        Ok(tokio::task::spawn_blocking(move || load_shared(&path)).await??)
    }

    /// The guest's view of WASI, but for the network, and our ends of it.
    #[expect(clippy::type_complexity, reason = "four things that are made together and parted at once")]
    fn context(&self) -> Result<(Option<DuplexStream>, Reader, Reader, impl FnOnce(&Enforcement) -> WasiCtx + use<>)> {
        let mut builder = WasiCtx::builder();
        builder.arg(&self.name).args(&self.arguments).envs(&self.environment);
        for (host, guest) in &self.folders {
            builder
                .preopened_dir(host, guest, FsPerms::ReadWrite)
                .map_err(anyhow::Error::from)
                .with_context(|| format!("cannot open the folder {}", host.display()))?;
        }
        let (stdout, stdout_reader) = capture();
        let (stderr, stderr_reader) = capture();
        let mut writer = None;
        match &self.stdio {
            Stdio::Captured(input) => {
                builder.stdin(MemoryInputPipe::new(input.clone())).stdout(stdout).stderr(stderr);
            }
            Stdio::Piped => {
                let (ours, theirs) = tokio::io::duplex(PIPE);
                writer = Some(ours);
                builder.stdin(AsyncStdinStream::new(theirs)).stdout(stdout).stderr(stderr);
            }
            Stdio::Inherited => {
                builder.inherit_stdio();
            }
        }
        let network = move |enforcement: &Enforcement| {
            enforcement.configure(&mut builder);
            builder.build()
        };
        Ok((writer, stdout_reader, stderr_reader, network))
    }
}

const DEADLINE: Duration = Duration::from_secs(60);
const PIPE: usize = 64 * 1024;

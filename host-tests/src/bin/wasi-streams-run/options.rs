//! The runner's command line, parsed once into what the run needs.
//!
//! Everything after the component belongs to the guest, options included.

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use lexopt::{Arg, Parser};
use wasi_streams_host::unix::UnixPerms;
use wasi_streams_host::{Limits, Policy, PolicyError};

/// What the command line asks for.
#[derive(Debug)]
pub(crate) enum Request {
    Help,
    Version,
    Run(Box<Options>),
}

/// One run.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) component: PathBuf,
    pub(crate) arguments: Vec<String>,
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) folders: Vec<(PathBuf, String)>,
    pub(crate) policy: Policy,
    pub(crate) limits: Limits,
}

/// Why a command line cannot be used; one line that says what to do.
#[derive(Debug)]
pub(crate) struct Misuse(String);

impl fmt::Display for Misuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<lexopt::Error> for Misuse {
    fn from(error: lexopt::Error) -> Self {
        Misuse(format!("{error}: see --help"))
    }
}

impl From<PolicyError> for Misuse {
    fn from(error: PolicyError) -> Self {
        Misuse(error.to_string())
    }
}

pub(crate) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Request, Misuse> {
    let mut parser = Parser::from_args(arguments);
    let mut network = Network::default();
    let mut environment = Vec::new();
    let mut folders = Vec::new();
    let mut limits = Limits::default();
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Short('h') | Arg::Long("help") => return Ok(Request::Help),
            Arg::Short('V') | Arg::Long("version") => return Ok(Request::Version),
            Arg::Long("net") => network.all = true,
            Arg::Long("no-net") => network.none = true,
            Arg::Long("dns") => network.dns = true,
            Arg::Long("allow") => network.peers.push(text(parser.value()?)?),
            Arg::Long("allow-listen") => network.listeners.push(text(parser.value()?)?),
            Arg::Long("unix") => network.unix.push(unix_folder(&text(parser.value()?)?)?),
            Arg::Long("unix-abstract") => network.names.push(abstract_name(text(parser.value()?)?)?),
            Arg::Long("env") => environment.extend(variable(&text(parser.value()?)?)?),
            Arg::Long("dir") => folders.push(folder(&text(parser.value()?)?)),
            Arg::Long("timeout") => limits = limits.deadline(duration(&text(parser.value()?)?)?),
            Arg::Long("max-memory") => limits = limits.memory_bytes(size(&text(parser.value()?)?)?),
            Arg::Long("max-sockets") => limits = limits.sockets(count("--max-sockets", &text(parser.value()?)?)?),
            Arg::Long("max-resources") => limits = limits.resources(count("--max-resources", &text(parser.value()?)?)?),
            Arg::Value(component) => {
                return Ok(Request::Run(Box::new(Options {
                    component: component.into(),
                    arguments: parser.raw_args()?.map(text).collect::<Result<_, _>>()?,
                    environment,
                    folders,
                    policy: network.policy()?,
                    limits,
                })));
            }
            Arg::Short(_) | Arg::Long(_) => return Err(argument.unexpected().into()),
        }
    }
    Err(Misuse("no component given: wasi-streams-run [OPTIONS] COMPONENT [ARGS...], see --help".into()))
}

/// The options about the network, before their order stops mattering.
#[derive(Debug, Default)]
struct Network {
    all: bool,
    none: bool,
    dns: bool,
    peers: Vec<String>,
    listeners: Vec<String>,
    unix: Vec<(String, PathBuf)>,
    names: Vec<String>,
}

impl Network {
    fn policy(self) -> Result<Policy, Misuse> {
        let opened = self.all || self.dns || !self.peers.is_empty() || !self.listeners.is_empty();
        if self.none && opened {
            return Err(Misuse(
                "--no-net forbids what --net, --dns, --allow or --allow-listen allows: drop one".into(),
            ));
        }
        let mut policy = match (self.none, self.all) {
            (true, _) => Policy::none(),
            (_, true) => Policy::everything(),
            _ => Policy::loopback(),
        };
        for peer in &self.peers {
            policy = policy.allow(peer)?;
        }
        for listener in &self.listeners {
            policy = policy.allow_listen(listener)?;
        }
        for (guest, host) in self.unix {
            policy = policy.allow_unix(&guest, host, UnixPerms::ALL);
        }
        for name in &self.names {
            policy = policy.allow_unix_abstract(name, UnixPerms::ALL);
        }
        Ok(policy.dns(self.dns))
    }
}

fn text(value: OsString) -> Result<String, Misuse> {
    value.into_string().map_err(|value| Misuse(format!("{value:?} is not UTF-8, which is all that WASI can pass on")))
}

/// `K=V`, or `K` for our own value; nothing if we have none.
fn variable(text: &str) -> Result<Option<(String, String)>, Misuse> {
    match text.split_once('=') {
        Some(("", _)) => Err(Misuse(format!("--env {text}: the name is empty: give NAME or NAME=VALUE"))),
        Some((name, value)) => Ok(Some((name.into(), value.into()))),
        None => Ok(env::var(text).ok().map(|value| (text.into(), value))),
    }
}

/// `GUEST_DIR=HOST_DIR`.
fn unix_folder(text: &str) -> Result<(String, PathBuf), Misuse> {
    match text.split_once('=') {
        Some((guest, host)) if !guest.is_empty() && !host.is_empty() => Ok((guest.into(), host.into())),
        _ => Err(Misuse(format!("--unix {text}: give GUEST_DIR=HOST_DIR, as in /run=/tmp/sockets"))),
    }
}

fn abstract_name(name: String) -> Result<String, Misuse> {
    if name.is_empty() {
        return Err(Misuse("--unix-abstract: the name is empty: give NAME, NAME* or *".into()));
    }
    Ok(name)
}

/// `HOST`, or `HOST::GUEST`.
fn folder(text: &str) -> (PathBuf, String) {
    let (host, guest) = text.split_once("::").unwrap_or((text, text));
    (host.into(), guest.into())
}

/// Bytes, or a number with a unit.
fn size(text: &str) -> Result<usize, Misuse> {
    let misuse = || Misuse(format!("--max-memory {text}: give bytes, or a number with a unit, as in 512K, 64M or 1G"));
    let (number, unit) = match text.as_bytes().last() {
        Some(b'K') => (&text[..text.len() - 1], 1 << 10),
        Some(b'M') => (&text[..text.len() - 1], 1 << 20),
        Some(b'G') => (&text[..text.len() - 1], 1 << 30),
        _ => (text, 1),
    };
    let number = positive(number).ok_or_else(misuse)?;
    number.checked_mul(unit).ok_or_else(misuse)
}

fn count(option: &str, text: &str) -> Result<usize, Misuse> {
    positive(text).ok_or_else(|| Misuse(format!("{option} {text}: give a number from 1")))
}

/// Digits alone: the parser of integers takes a sign, too.
fn positive(text: &str) -> Option<usize> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| digits && *number > 0)
}

fn duration(text: &str) -> Result<Duration, Misuse> {
    let misuse = || Misuse(format!("--timeout {text}: give a number with a unit, as in 500ms, 10s or 2m"));
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(misuse)?;
    let (number, unit) = text.split_at(digits);
    let unit = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(misuse()),
    };
    let number: f64 = number.parse().map_err(|_| misuse())?;
    match Duration::try_from_secs_f64(number * unit) {
        Ok(duration) if !duration.is_zero() => Ok(duration),
        _ => Err(misuse()),
    }
}

pub(crate) const HELP: &str = "\
Runs a WASI 0.2 command component.

Usage: wasi-streams-run [OPTIONS] COMPONENT [ARGS...]

Everything after COMPONENT goes to the component. Without options it may connect to and listen on loopback
(127.0.0.0/8 and ::1), sees no files and no environment, and may run for ever.

Network:
      --allow HOST[:PORT]     may connect to HOST: an address, a network (10.0.0.0/8), a name, or all names below
                              another (*.example.org), which it may then look up too; ports as 443 or 8000-8999;
                              repeatable
      --allow-listen IP:PORT  may listen there; port 0 is any port, 0.0.0.0 and [::] any interface; repeatable
      --net                   may connect and listen everywhere; does not include --dns
      --dns                   may look up every name
      --no-net                no sockets at all, loopback neither
      --unix GUEST_DIR=HOST_DIR
                              may connect to and listen on Unix sockets below the folder HOST_DIR, which it sees as
                              GUEST_DIR; repeatable
      --unix-abstract NAME    the same at a name in Linux' abstract namespace, at all that begin so with NAME*; repeatable

Limits, none of which is there unless given:
      --timeout DURATION      ends it after 500ms, 10s, 2m ...
      --max-memory SIZE       so much linear memory, in bytes or as 512K, 64M, 1G; who needs more traps
      --max-sockets NUMBER    so many TCP sockets at once, and as many Unix sockets; connecting beyond that fails with
                              \"too many open files\", and who connects to it waits
      --max-resources NUMBER  so many resources of the host at once (sockets, streams, pollables ...); one more traps

Other:
      --env NAME[=VALUE]      sets an environment variable, to ours without VALUE; repeatable
      --dir HOST[::GUEST]     may read and write the folder HOST, which it sees as GUEST; repeatable
  -h, --help                  shows this
  -V, --version               shows the version

Exit status: the component's own; 1 if it fails without one, 2 if it cannot be started, 124 after the timeout,
134 if it traps, 130 after Ctrl-C, 143 after kill. What it was denied is listed on standard error, with the option that allows it.

Compiled components are kept in $WASI_STREAMS_CACHE, else $XDG_CACHE_HOME/wasi-streams, else ~/.cache/wasi-streams.
";

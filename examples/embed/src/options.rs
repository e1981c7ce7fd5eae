//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use lexopt::{Arg, Parser, ValueExt};

pub(crate) const HELP: &str = "\
Runs a WASI 0.2 component under a policy and within limits: an example of wasi-streams-host.

Usage: embed [OPTIONS] COMPONENT [ARGS...]

  --allow HOST[:PORT]      may connect to HOST beside loopback: an address, a network (10.0.0.0/8), a name, or all
                           names below one (*.example.org); repeatable
  --unix GUEST_DIR=FOLDER  may use Unix sockets below FOLDER, which it knows as GUEST_DIR
  --timeout SECONDS        ends it after so long (10)
  --max-memory BYTES       so much memory (67108864)
  --max-sockets NUMBER     so many TCP sockets, and as many Unix sockets (100)
  --max-resources NUMBER   so many resources of the host (1000)
  --help                   shows this

Exit status: the component's own; 124 if its time is over, 2 if it cannot be started, or traps.
";

pub(crate) enum Request {
    Help,
    Run(Options),
}

pub(crate) struct Options {
    pub(crate) component: PathBuf,
    pub(crate) arguments: Vec<String>,
    pub(crate) allow: Vec<String>,
    pub(crate) unix: Option<(String, PathBuf)>,
    pub(crate) timeout: Duration,
    pub(crate) max_memory: usize,
    pub(crate) max_sockets: usize,
    pub(crate) max_resources: usize,
}

pub(crate) fn parse() -> Result<Request> {
    let mut parser = Parser::from_env();
    let (mut allow, mut unix, mut timeout) = (Vec::new(), None, Duration::from_secs(10));
    let (mut max_memory, mut max_sockets, mut max_resources) = (64 << 20, 100, 1000);
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("help") => return Ok(Request::Help),
            Arg::Long("allow") => allow.push(parser.value()?.string()?),
            Arg::Long("unix") => {
                let text = parser.value()?.string()?;
                let (guest, folder) = text.split_once('=').with_context(|| format!("{text}: give GUEST_DIR=FOLDER"))?;
                unix = Some((guest.into(), folder.into()));
            }
            Arg::Long("timeout") => timeout = Duration::try_from_secs_f64(parser.value()?.parse()?)?,
            Arg::Long("max-memory") => max_memory = parser.value()?.parse()?,
            Arg::Long("max-sockets") => max_sockets = parser.value()?.parse()?,
            Arg::Long("max-resources") => max_resources = parser.value()?.parse()?,
            Arg::Value(component) => {
                let arguments = parser.raw_args()?.map(|value| value.string()).collect::<Result<_, _>>()?;
                let component = component.into();
                return Ok(Request::Run(Options {
                    component,
                    arguments,
                    allow,
                    unix,
                    timeout,
                    max_memory,
                    max_sockets,
                    max_resources,
                }));
            }
            other => return Err(other.unexpected().into()),
        }
    }
    bail!("no component given: see --help")
}

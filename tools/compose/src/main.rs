//! `wasi-streams-compose`: the tools of `make compose` that no package registry has prebuilt.

mod c;
mod compose;
mod strip;
mod wit;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use lexopt::prelude::*;

const HELP: &str = "\
Composes components, checks WIT packages, and makes C programs components.

Usage: wasi-streams-compose COMMAND

  plug COMPONENT --plug COMPONENT… -o FILE
          gives COMPONENT what it imports and the plugs export, as `wac plug` does
  compose COMPONENT… -o FILE
          the same with more than two floors: each component gets what it imports from the nearest one before it
          that exports it; the result exports what the last one exports
  wit-check WIT [--released FOLDER] [--ours WORLD]…
          checks the WIT package in the folder WIT, and that it is compatible with each released version of it in a
          subfolder of FOLDER; a world is one that others implement unless it is named by --ours
  strip COMPONENT -o FILE
          leaves out the names of its parts, which the linker writes in any case
  c-bindings WIT --world WORLD -o FOLDER
          writes the C bindings of that world
  c-component MODULE -o FILE
          makes a component of a module that was linked with such bindings for wasm32-wasi (preview 1), a command
  -h, --help
          shows this
";

/// The command line, with the options that any command has.
#[derive(Debug, Default)]
struct Arguments {
    paths: Vec<PathBuf>,
    plugs: Vec<PathBuf>,
    output: Option<PathBuf>,
    released: Option<PathBuf>,
    ours: Vec<String>,
    world: Option<String>,
}

impl Arguments {
    fn parse(parser: &mut lexopt::Parser) -> Result<Self> {
        let mut arguments = Self::default();
        while let Some(argument) = parser.next()? {
            match argument {
                Value(path) => arguments.paths.push(path.into()),
                Long("plug") => arguments.plugs.push(parser.value()?.into()),
                Short('o') | Long("output") => arguments.output = Some(parser.value()?.into()),
                Long("released") => arguments.released = Some(parser.value()?.into()),
                Long("ours") => arguments.ours.push(parser.value()?.string()?),
                Long("world") => arguments.world = Some(parser.value()?.string()?),
                other => return Err(other.unexpected().into()),
            }
        }
        Ok(arguments)
    }

    /// The only path.
    fn path(&self) -> Result<&Path> {
        match self.paths.as_slice() {
            [path] => Ok(path),
            paths => bail!("{} files or folders are named, not one", paths.len()),
        }
    }

    fn output(&self) -> Result<&Path> {
        self.output.as_deref().context("-o is missing")
    }
}

fn run(command: &str, parser: &mut lexopt::Parser) -> Result<()> {
    let arguments = Arguments::parse(parser)?;
    match command {
        "plug" => {
            let mut floors = arguments.plugs.clone();
            floors.push(arguments.path()?.to_path_buf());
            write(arguments.output()?, &compose::compose(&floors)?)
        }
        "compose" => write(arguments.output()?, &compose::compose(&arguments.paths)?),
        "wit-check" => wit::check(arguments.path()?, arguments.released.as_deref(), &arguments.ours),
        "strip" => write(arguments.output()?, &strip::names(&read(arguments.path()?)?)?),
        "c-bindings" => {
            let world = arguments.world.as_deref().context("--world is missing")?;
            c::bindings(arguments.path()?, world, arguments.output()?)
        }
        "c-component" => write(arguments.output()?, &c::component(arguments.path()?)?),
        _ => bail!("there is no command {command}; see --help"),
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    std::fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

fn main_result() -> Result<()> {
    let mut parser = lexopt::Parser::from_env();
    match parser.next()? {
        Some(Value(command)) => run(&command.to_string_lossy(), &mut parser),
        Some(Short('h') | Long("help")) => {
            print!("{HELP}");
            Ok(())
        }
        Some(other) => Err(other.unexpected().into()),
        None => bail!("no command; see --help"),
    }
}

fn main() -> ExitCode {
    match main_result() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("wasi-streams-compose: {error:#}");
            ExitCode::FAILURE
        }
    }
}

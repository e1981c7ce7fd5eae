//! Measures wasi-streams beside its peers, all in one run and in turns; `make bench` builds what it needs first.

mod certificates;
mod docs;
mod footprint;
mod load;
mod measure;
mod native;
mod peers;
mod plots;
mod report;
mod targets;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result};
use lexopt::prelude::*;

use footprint::footprints;
use measure::{Clients, Measured, Plan, Row, attempt_wstd, measure};
use peers::Places;
use targets::{Test, tests};

const USAGE: &str = "
Measures wasi-streams beside its peers and prints a table with targets; target/bench has the rest.

Usage: wasi-streams-bench [OPTIONS]

      --quick        fewer and shorter rounds
      --only TEXT    only the tests whose name begins with TEXT; repeatable
      --list         print the names of the tests
      --docs         write docs/benchmarks.md as well
      --help         show this

`wasi-streams-bench serve MODE` is the native peer.
";

/// Above this load other programs are in the figures.
const BUSY: f64 = 0.7;

#[derive(Default)]
struct Options {
    quick: bool,
    only: Vec<String>,
    list: bool,
    docs: bool,
    help: bool,
    serve: Option<Vec<String>>,
}

fn parse(mut parser: lexopt::Parser) -> Result<Options> {
    let mut options = Options::default();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("quick") => options.quick = true,
            Long("only") => options.only.push(parser.value()?.string()?),
            Long("list") => options.list = true,
            Long("docs") => options.docs = true,
            Long("help") => options.help = true,
            Value(command) if command == "serve" => {
                options.serve = Some(parser.raw_args()?.map(|argument| argument.string()).collect::<Result<_, _>>()?);
            }
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(options)
}

impl Options {
    fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| name.starts_with(only.as_str()))
    }
}

/// A thousand connections are more than most systems allow by default.
fn allow_many_connections() -> Result<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let now = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: now.maximum, maximum: now.maximum }).context("open files")
}

fn bench(options: &Options) -> Result<()> {
    allow_many_connections()?;
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().context("the folder of the workspace")?.to_owned();
    let certificates = root.join("target/bench/certificates");
    let clients = Clients::new(&certificates::make(&certificates)?)?;
    let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".into());
    let places = Places { root, python, certificates };
    let plan = Plan::new(options.quick);
    let (begin, load) = (Instant::now(), docs::load_of_machine());
    if let Some(load) = load.filter(|load| *load > BUSY) {
        eprintln!("the machine is busy with something else (load {load}): expect noise");
    }

    let (mut rows, mut kept) = (Vec::new(), Vec::new());
    for test in tests() {
        if !options.wants(test.name) || (plan.quick && test.only_full) {
            continue;
        }
        if let Some(missing) = test.peers().into_iter().find(|peer| !places.has(*peer)) {
            eprintln!("{:<24}left out: {} is not built", test.name, missing.name());
            continue;
        }
        let measured = run(&test, &places, &clients, plan, &mut rows)?;
        kept.push((test, measured));
    }
    for footprint in footprints().iter().filter(|footprint| options.wants(footprint.name)) {
        rows.extend(footprint.run(&places, plan)?);
    }

    let mut stdout = std::io::stdout();
    stdout.write_all(report::table(&rows).as_bytes())?;
    let out = places.root.join("target/bench");
    report::write(&out.join("results.json"), &format!("{:#}\n", report::json(&rows)))?;
    let plots = plots::draw(&out, &kept)?;
    if options.docs {
        docs::write(&places, plan, &rows, &plots, load)?;
    }
    let seconds = begin.elapsed().as_secs_f64();
    Ok(writeln!(stdout, "{}, {seconds:.0} s; more in {}", report::summary(&rows), out.display())?)
}

fn run(test: &Test, places: &Places, clients: &Clients, plan: Plan, rows: &mut Vec<Row>) -> Result<Measured> {
    let measured = measure(test, places, clients, plan)?;
    rows.extend(test.pairs.iter().filter_map(|pair| Row::of(test, pair, &measured)));
    if test.name == "ping 1000" {
        rows.push(attempt_wstd(places, clients, plan)?);
    }
    Ok(measured)
}

fn main() -> ExitCode {
    let result = parse(lexopt::Parser::from_env()).and_then(|options| match &options.serve {
        _ if options.help => {
            print!("{}", USAGE.trim_start());
            Ok(())
        }
        Some(arguments) => native::serve(arguments),
        None if options.list => {
            tests().iter().for_each(|test| println!("{}", test.name));
            footprints().iter().for_each(|test| println!("{}", test.name));
            Ok(())
        }
        None => bench(&options),
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

//! Measures wasi-streams beside its peers, all in one run and in turns; `make bench` builds what it needs first.

mod certificates;
mod docs;
mod footprint;
mod hang;
mod load;
mod measure;
mod native;
mod options;
mod peers;
mod plots;
mod report;
mod row;
mod targets;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use footprint::footprints;
use measure::{Clients, Measured, Plan, measure};
use options::{Options, USAGE};
use peers::Places;
use report::Report;
use targets::{Test, tests};

/// Above this load other programs are in the figures.
const BUSY: f64 = 0.7;
/// Descriptors that a process needs beside those of its connections.
const RESERVE: u64 = 100;

/// A thousand connections are more than most systems allow by default. Gives how many are possible at once, for the servers too, which
/// inherit the limit.
fn allow_many_connections() -> Result<u64> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let now = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: now.maximum, maximum: now.maximum }).context("open files")?;
    Ok(now.maximum.map_or(u64::MAX, |maximum| maximum.saturating_sub(RESERVE)))
}

/// The names of everything that there is to run, in this order.
fn names() -> Vec<&'static str> {
    let tests = tests().into_iter().map(|test| test.name);
    tests.chain(footprints().into_iter().map(|footprint| footprint.name)).collect()
}

fn places() -> Result<Places> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().context("the folder of the workspace")?.to_owned();
    let certificates = root.join("target/bench/certificates");
    Ok(Places { root, python: std::env::var("PYTHON").unwrap_or_else(|_| "python3".into()), certificates })
}

/// One run: everything that is chosen.
struct Bench {
    places: Places,
    clients: Clients,
    plan: Plan,
    chosen: Vec<&'static str>,
    /// How many connections can be open at once.
    possible: u64,
    report: Report,
    kept: Vec<(Test, Measured)>,
}

impl Bench {
    fn run(&mut self) {
        for test in tests() {
            if self.takes_part(test.name, test.only_full, test.load.connections()) {
                self.test(test);
            }
        }
        for footprint in footprints() {
            if self.takes_part(footprint.name, footprint.only_full, footprint.connections) {
                eprintln!("{}", footprint.name);
                self.report.rows.extend(footprint.run(&self.places, self.plan));
            }
        }
    }

    fn takes_part(&mut self, name: &str, only_full: bool, connections: usize) -> bool {
        let wanted = self.chosen.contains(&name) && !(only_full && self.plan.quick && self.chosen.len() > 1);
        if wanted && connections as u64 > self.possible {
            let note = format!(
                "{name}: left out, a process may have no more than {} open files here",
                self.possible + RESERVE
            );
            eprintln!("{note}");
            self.report.notes.push(note);
            return false;
        }
        wanted
    }

    fn test(&mut self, test: Test) {
        let measured = measure(&test, &self.places, &self.clients, self.plan);
        self.report.rows.extend(test.pairs.iter().map(|pair| measure::row(&test, pair, &measured)));
        if test.name == "ping 1000" {
            eprintln!("{:<24}wstd, with an end to it", test.name);
            self.report.rows.push(hang::row(&self.places, self.plan));
        }
        self.kept.push((test, measured));
    }
}

fn bench(options: &Options) -> Result<()> {
    let (begin, load) = (Instant::now(), docs::load_of_machine());
    let chosen = options.choose(&names())?;
    let possible = allow_many_connections()?;
    let places = places()?;
    let clients = Clients::new(&certificates::make(&places.certificates)?)?;
    let plan = Plan::new(options.quick);
    if let Some(load) = load.filter(|load| *load > BUSY) {
        eprintln!("the machine is busy with something else (load {load}): expect noise");
    }
    let report = Report::default();
    let mut bench = Bench { places, clients, plan, chosen, possible, report, kept: Vec::new() };
    bench.run();

    let Bench { places, report, kept, .. } = bench;
    let mut stdout = std::io::stdout();
    write!(stdout, "{}\n{}", report.table(), report.notes())?;
    let out = places.root.join("target/bench");
    report::write(&out.join("results.json"), &format!("{:#}\n", report.json()))?;
    let plots = plots::draw(&out, &kept)?;
    if options.docs {
        docs::write(&places, plan, &report, &plots, load)?;
    }
    let seconds = begin.elapsed().as_secs_f64();
    writeln!(stdout, "{}, {seconds:.0} s; more in {}", report.summary(), out.display())?;
    ensure!(report.ours_completed(), "not everything of ours completed");
    Ok(())
}

fn main() -> ExitCode {
    let result = options::parse(lexopt::Parser::from_env()).and_then(|options| match &options.serve {
        _ if options.help => {
            print!("{USAGE}");
            Ok(())
        }
        Some(arguments) => native::serve(arguments),
        None if options.list => {
            names().iter().for_each(|name| println!("{name}"));
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

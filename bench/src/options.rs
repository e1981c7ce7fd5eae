//! The command line.

use anyhow::{Result, ensure};
use lexopt::prelude::*;

pub(crate) const USAGE: &str = "\
Measures wasi-streams beside its peers: prints a table with targets and verdicts, and writes target/bench/results.json and plots.
`make bench` builds what it needs first, and passes its variables on.

Usage: wasi-streams-bench [OPTIONS]

      --quick        fewer and shorter rounds, and only what has a target or a plot           (make bench QUICK=1)
      --only NAME    the test of that name, or all whose names begin so; repeatable           (make bench ONLY=NAME)
      --docs         write docs/benchmarks.md with its plots as well                          (make bench DOCS=1)
      --list         print the names of the tests
      --help         show this

PYTHON is the interpreter that runs asyncio, python3 unless set. Nothing but loopback is used.

Exit status: 0 when everything of ours completed, whether or not targets are met and peers complete; otherwise 1.

`wasi-streams-bench serve MODE` is the native peer.
";

#[derive(Debug, Default, PartialEq)]
pub(crate) struct Options {
    pub(crate) quick: bool,
    pub(crate) only: Vec<String>,
    pub(crate) list: bool,
    pub(crate) docs: bool,
    pub(crate) help: bool,
    pub(crate) serve: Option<Vec<String>>,
}

pub(crate) fn parse(mut parser: lexopt::Parser) -> Result<Options> {
    let mut options = Options::default();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("quick") => options.quick = true,
            Long("only") => options.only.push(parser.value()?.string()?),
            Long("list") => options.list = true,
            Long("docs") => options.docs = true,
            Long("help") | Short('h') => options.help = true,
            Value(command) if command == "serve" => {
                options.serve = Some(parser.raw_args()?.map(|argument| argument.string()).collect::<Result<_, _>>()?);
            }
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(options)
}

impl Options {
    /// Which of `names` are wanted: for each `--only` the one of that name, or else all that begin so.
    pub(crate) fn choose<'a>(&self, names: &[&'a str]) -> Result<Vec<&'a str>> {
        if self.only.is_empty() {
            return Ok(names.to_vec());
        }
        let mut chosen = Vec::new();
        for only in &self.only {
            let exact = names.iter().filter(|name| *name == only);
            let mut found: Vec<&str> = exact.copied().collect();
            if found.is_empty() {
                found = names.iter().filter(|name| name.starts_with(only.as_str())).copied().collect();
            }
            ensure!(
                !found.is_empty(),
                "no test is called {only:?}, or begins so; there are:\n  {}",
                names.join("\n  ")
            );
            chosen.append(&mut found);
        }
        Ok(chosen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 4] = ["ping 1", "ping 10", "churn", "bulk 1"];

    fn choose(only: &[&str]) -> Result<Vec<&'static str>> {
        Options { only: only.iter().map(|text| (*text).to_owned()).collect(), ..Options::default() }.choose(&NAMES)
    }

    #[test]
    fn a_whole_name_is_one_test_and_a_beginning_all_of_them() {
        assert_eq!(choose(&["ping 1"]).unwrap(), ["ping 1"]);
        assert_eq!(choose(&["ping"]).unwrap(), ["ping 1", "ping 10"]);
        assert_eq!(choose(&["bulk", "churn"]).unwrap(), ["bulk 1", "churn"]);
        assert_eq!(choose(&[]).unwrap(), NAMES);
    }

    #[test]
    fn a_name_that_nothing_has_is_answered_with_those_that_there_are() {
        let error = choose(&["churn", "pong"]).unwrap_err().to_string();
        assert!(error.contains("\"pong\"") && NAMES.iter().all(|name| error.contains(name)), "{error}");
    }

    #[test]
    fn options_are_those_of_the_usage() {
        let arguments = ["--quick", "--docs", "--list", "--only", "ping", "--only=churn"];
        let options = parse(lexopt::Parser::from_args(arguments)).unwrap();
        let only = vec!["ping".to_owned(), "churn".to_owned()];
        assert_eq!(options, Options { quick: true, docs: true, list: true, only, ..Options::default() });
        assert!(parse(lexopt::Parser::from_args(["--fast"])).is_err());
        assert!(
            arguments
                .iter()
                .all(|argument| USAGE.contains(argument.split('=').next().unwrap_or("")) || *argument == "ping")
        );
    }
}

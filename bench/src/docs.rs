//! `docs/benchmarks.md`: one run with machine, versions and date.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};

use crate::measure::Plan;
use crate::peers::Places;
use crate::report::{self, Report};

/// Peers whose version is in the lock file.
const CRATES: [&str; 5] = ["wstd", "tokio", "tokio-rustls", "rustls", "wasmtime"];

/// Writes the page, and the plots beside it.
pub(crate) fn write(places: &Places, plan: Plan, report: &Report, plots: &[&str], load: Option<f64>) -> Result<()> {
    let folder = places.root.join("docs");
    fs::create_dir_all(folder.join("benchmarks"))?;
    let mut images = String::new();
    for plot in plots {
        fs::copy(places.root.join("target/bench").join(plot), folder.join("benchmarks").join(plot))?;
        images += &format!("![{plot}](benchmarks/{plot})\n\n");
    }
    let text = format!(
        "<!-- Written by `make bench DOCS=1`; do not edit. -->\n# Benchmarks\n\n{}\n{}\n{}\n{}.\n\n{}\n{images}{}",
        include_str!("docs/before.md"),
        environment(places, plan, load)?,
        report.table(),
        report.summary(),
        report.notes(),
        include_str!("docs/after.md"),
    );
    report::write(&folder.join("benchmarks.md"), &text)
}

fn environment(places: &Places, plan: Plan, load: Option<f64>) -> Result<String> {
    let lock = fs::read_to_string(places.root.join("Cargo.lock"))?;
    let crates = CRATES.map(|name| format!("{name} {}", locked(&lock, name).unwrap_or("?")));
    let rustc = output("rustc", &["--version"])?;
    let python = output(&places.python, &["--version"])?;
    let openssl = output(&places.python, &["-c", "import ssl; print(ssl.OPENSSL_VERSION)"])?;
    let cores = std::thread::available_parallelism()?;
    Ok(format!(
        "- date: {}\n- machine: {cores} × {}, {}\n- versions: {rustc}; {}; {python}, {openssl}\n- {} rounds of {:?} each; load of the machine before: {}\n",
        date()?,
        processor().unwrap_or_else(|| std::env::consts::ARCH.into()),
        kernel().unwrap_or_else(|| std::env::consts::OS.into()),
        crates.join(", "),
        plan.rounds,
        plan.span.measure,
        load.map_or_else(|| "unknown".into(), |load| load.to_string()),
    ))
}

/// How many programs wanted to run on the average of the last minute.
pub(crate) fn load_of_machine() -> Option<f64> {
    fs::read_to_string("/proc/loadavg").ok()?.split(' ').next()?.parse().ok()
}

/// The version of a crate; the newest when there are several.
fn locked<'a>(lock: &'a str, name: &str) -> Option<&'a str> {
    let entry = format!("name = \"{name}\"\nversion = \"");
    let at = lock.rfind(&entry)? + entry.len();
    lock[at..].split('"').next()
}

fn output(program: &str, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program).args(arguments).output().with_context(|| program.to_owned())?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn processor() -> Option<String> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    Some(text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "))?.1.to_owned())
}

fn kernel() -> Option<String> {
    let release = fs::read_to_string(Path::new("/proc/sys/kernel/osrelease")).ok()?;
    Some(format!("Linux {}", release.trim()))
}

/// Today in UTC.
fn date() -> Result<String> {
    let days = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs() / 86_400;
    let (year, month, day) = civil(days as i64);
    Ok(format!("{year}-{month:02}-{day:02}"))
}

/// The date so many days after 1970-01-01. Years begin in March here, so that the leap day is their last.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let of_era_year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * of_era_year + of_era_year / 4 - of_era_year / 100);
    let march_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    (of_era_year + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        assert_eq!(civil(0), (1970, 1, 1));
        assert_eq!(civil(19_782), (2024, 2, 29));
        assert_eq!(civil(20_779), (2026, 11, 22));
    }

    #[test]
    fn the_newest_version_of_the_lock_file() {
        let lock = "name = \"a\"\nversion = \"1.0\"\n\nname = \"a\"\nversion = \"2.0\"\n";
        assert_eq!(locked(lock, "a"), Some("2.0"));
        assert_eq!(locked(lock, "b"), None);
    }
}

//! What comes out: the table with its notes, and `results.json`.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::row::{Failed, Row};
use crate::targets::Target;

/// Headings of the table.
const HEADINGS: [&str; 9] = ["test", "peer", "ours", "peer's", "ratio", "by CPU", "µs CPU each", "target", "verdict"];
const DASH: &str = "–";

/// Everything that a run gave.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) rows: Vec<Row>,
    /// What belongs to no row.
    pub(crate) notes: Vec<String>,
}

impl Report {
    /// The table in columns, as Markdown that is readable as it is.
    pub(crate) fn table(&self) -> String {
        let mut lines = vec![HEADINGS.map(str::to_owned)];
        lines.extend(self.rows.iter().map(cells));
        let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
        let widths: [usize; HEADINGS.len()] = std::array::from_fn(width);
        let mut text = String::new();
        for (index, line) in lines.iter().enumerate() {
            for (cell, width) in line.iter().zip(widths) {
                let _ = write!(text, "| {cell:<width$} ");
            }
            text.push_str("|\n");
            if index == 0 {
                widths.iter().for_each(|width| text.push_str(&format!("|{}", "-".repeat(width + 2))));
                text.push_str("|\n");
            }
        }
        text
    }

    /// What the table has no place for, as a list.
    pub(crate) fn notes(&self) -> String {
        let of_row = |row: &Row| -> Vec<String> {
            let name = format!("{}, {}", row.test, row.peer);
            let failed = row.failed.as_ref().map(|failed| match failed {
                Failed::Ours(why) => format!("{name}: OURS did not complete: {why}"),
                Failed::Peer(why) => format!("{name}: did not complete: {why}"),
            });
            failed.into_iter().chain(row.note.as_ref().map(|note| format!("{name}: {note}"))).collect()
        };
        let notes = self.rows.iter().flat_map(of_row).chain(self.notes.iter().cloned());
        notes.map(|note| format!("- {note}\n")).collect()
    }

    /// `{ test, peer, ratio, spread, target, met }` of each row, and what else is known. Where somebody did not complete there is no
    /// ratio and no spread.
    pub(crate) fn json(&self) -> Value {
        let bound = |target: Target| match target {
            Target::AtLeast(_) => "at least",
            Target::AtMost(_) => "at most",
            Target::Completes => "completes",
        };
        self.rows
            .iter()
            .map(|row| {
                json!({
                    "test": row.test,
                    "peer": row.peer,
                    "ratio": row.ratio,
                    "spread": row.spread,
                    "target": row.target.map(Target::bound),
                    "bound": row.target.map(bound),
                    "met": row.met(),
                    "verdict": verdict(row),
                    "unit": row.unit,
                    "values": row.values,
                    "ratio_by_cpu": row.by_cpu,
                    "cpu_micros_each": row.micros,
                    "note": row.note,
                })
            })
            .collect()
    }

    /// How many of the targets are met.
    pub(crate) fn summary(&self) -> String {
        let met: Vec<bool> = self.rows.iter().filter_map(Row::met).collect();
        format!("{} of {} targets met", met.iter().filter(|met| **met).count(), met.len())
    }

    pub(crate) fn ours_completed(&self) -> bool {
        !self.rows.iter().any(|row| matches!(row.failed, Some(Failed::Ours(_))))
    }
}

fn number(value: f64) -> String {
    let digits = if value.abs() >= 100.0 { 0 } else { 2 };
    format!("{value:.digits$}")
}

fn cells(row: &Row) -> [String; HEADINGS.len()] {
    let or_dash = |value: Option<f64>| value.map_or_else(|| DASH.to_owned(), number);
    let ratio = |ratio: f64| match row.spread {
        Some(spread) => format!("{} ±{}", number(ratio), number(spread / 2.0)),
        None => number(ratio),
    };
    [
        row.test.clone(),
        row.peer.clone(),
        row.values[0]
            .map_or_else(|| DASH.to_owned(), |value| format!("{} {}", number(value), row.unit).trim_end().to_owned()),
        or_dash(row.values[1]),
        row.ratio.map_or_else(|| DASH.to_owned(), ratio),
        or_dash(row.by_cpu),
        match row.micros {
            [Some(ours), Some(theirs)] => format!("{} : {}", number(ours), number(theirs)),
            _ => DASH.into(),
        },
        match row.target {
            Some(Target::AtLeast(least)) => format!("≥ {least}"),
            Some(Target::AtMost(most)) => format!("≤ {most}"),
            Some(Target::Completes) => "completes".into(),
            None => DASH.into(),
        },
        verdict(row).into(),
    ]
}

fn verdict(row: &Row) -> &'static str {
    match (&row.failed, row.met()) {
        (Some(Failed::Ours(_)), _) => "OURS DID NOT COMPLETE",
        (Some(Failed::Peer(_)), _) => "peer did not complete",
        (None, Some(true)) => "met",
        (None, Some(false)) => "MISSED",
        (None, None) => DASH,
    }
}

/// Writes a file and the folder it is in.
pub(crate) fn write(path: &Path, text: &str) -> Result<()> {
    let folder = path.parent().context("a path without a folder")?;
    fs::create_dir_all(folder).and_then(|()| fs::write(path, text)).with_context(|| path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(target: Option<Target>, ours: Result<&[f64], &str>, theirs: Result<&[f64], &str>) -> Row {
        let row = Row { test: "ping 1".into(), peer: "wstd".into(), unit: "k requests/s", target, ..Row::default() };
        row.compare(ours, theirs)
    }

    fn report(rows: Vec<Row>) -> Report {
        Report { rows, notes: Vec::new() }
    }

    #[test]
    fn results_have_the_promised_shape() {
        let rows = vec![
            row(Some(Target::AtLeast(1.5)), Ok(&[3.0, 4.0]), Ok(&[1.0, 2.0])),
            row(Some(Target::AtMost(1.0)), Ok(&[2.0]), Ok(&[1.0])),
            row(Some(Target::Completes), Ok(&[2.0]), Ok(&[1.0])),
            row(None, Ok(&[2.0]), Ok(&[1.0])),
        ];
        let json = report(rows).json();
        let rows = json.as_array().unwrap();
        for row in rows {
            assert!(row["test"].is_string() && row["peer"].is_string());
            assert!(row["ratio"].is_number() && row["spread"].is_number());
            assert_eq!(row["target"].is_null(), row["met"].is_null(), "a verdict where there is a target: {row}");
        }
        let of =
            |index: usize| (rows[index]["ratio"].clone(), rows[index]["target"].clone(), rows[index]["met"].clone());
        assert_eq!(of(0), (json!(2.5), json!(1.5), json!(true)));
        assert_eq!(of(1), (json!(2.0), json!(1.0), json!(false)));
        assert_eq!(of(2), (json!(2.0), json!(1.0), json!(true)));
        assert_eq!(of(3), (json!(2.0), json!(null), json!(null)));
    }

    #[test]
    fn a_missing_peer_is_told_and_not_met_and_no_failure_of_ours() {
        let report = report(vec![row(Some(Target::AtLeast(1.5)), Ok(&[3.0]), Err("no such file"))]);
        let json = &report.json()[0];
        assert_eq!((&json["ratio"], &json["met"]), (&json!(null), &json!(false)));
        assert_eq!(json["verdict"], "peer did not complete");
        assert!(report.table().contains("peer did not complete"));
        assert_eq!(report.notes(), "- ping 1, wstd: did not complete: no such file\n");
        assert_eq!(report.summary(), "0 of 1 targets met");
        assert!(report.ours_completed());
    }

    #[test]
    fn if_ours_fails_the_run_does() {
        let report = report(vec![row(None, Err("trapped"), Ok(&[1.0]))]);
        assert!(!report.ours_completed());
        assert!(report.table().contains("OURS DID NOT COMPLETE") && report.notes().contains("trapped"));
    }

    #[test]
    fn the_table_is_aligned() {
        let rows = vec![
            row(Some(Target::AtLeast(1.5)), Ok(&[3.0, 4.0]), Ok(&[1.0, 2.0])),
            row(None, Ok(&[2000.0]), Err("gone")),
        ];
        let table = report(rows).table();
        let widths: Vec<usize> = table.lines().map(|line| line.chars().count()).collect();
        assert!(widths.len() == 4 && widths.windows(2).all(|two| two[0] == two[1]), "{table}");
        assert!(table.contains("2.50 ±0.25") && table.contains("≥ 1.5") && table.contains("| met"), "{table}");
    }
}

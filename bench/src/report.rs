//! What comes out: the table, `results.json`, `docs/benchmarks.md`.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::measure::Row;
use crate::targets::Target;

/// Headings of the table.
const HEADINGS: [&str; 8] = ["test", "peer", "ours", "peer's", "ratio", "by CPU", "target", "verdict"];

fn number(value: f64) -> String {
    let digits = if value.abs() >= 100.0 { 0 } else { 2 };
    format!("{value:.digits$}")
}

fn cells(row: &Row) -> [String; 8] {
    let dash = || "–".to_owned();
    let ratio = |ratio: f64| match row.spread {
        Some(spread) => format!("{} ±{}", number(ratio), number(spread / 2.0)),
        None => number(ratio),
    };
    [
        row.test.clone(),
        row.peer.clone(),
        format!("{} {}", number(row.values.0), row.unit),
        row.values.1.map_or_else(dash, number),
        row.ratio.map_or_else(dash, ratio),
        row.by_cpu.map_or_else(dash, number),
        match row.target {
            Some(Target::AtLeast(least)) => format!("≥ {least}"),
            Some(Target::AtMost(most)) => format!("≤ {most}"),
            Some(Target::Completes) => "completes".into(),
            None => dash(),
        },
        match row.met() {
            Some(true) => "met".into(),
            Some(false) => "MISSED".into(),
            None => dash(),
        },
    ]
}

/// The table in columns, as Markdown that is readable as it is.
pub(crate) fn table(rows: &[Row]) -> String {
    let mut lines = vec![HEADINGS.map(str::to_owned)];
    lines.extend(rows.iter().map(cells));
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; 8] = std::array::from_fn(width);
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

/// `{ test, peer, ratio, spread, target, met }` of each row.
pub(crate) fn json(rows: &[Row]) -> Value {
    let target = |target: Option<Target>| match target {
        Some(Target::AtLeast(bound) | Target::AtMost(bound)) => json!(bound),
        Some(Target::Completes) => json!("completes"),
        None => Value::Null,
    };
    rows.iter()
        .map(|row| {
            json!({
                "test": row.test,
                "peer": row.peer,
                "ratio": row.ratio,
                "spread": row.spread,
                "target": target(row.target),
                "met": row.met(),
            })
        })
        .collect()
}

/// How many of the targets are met.
pub(crate) fn summary(rows: &[Row]) -> String {
    let met: Vec<bool> = rows.iter().filter_map(Row::met).collect();
    format!("{} of {} targets met", met.iter().filter(|met| **met).count(), met.len())
}

/// Writes a file and the folder it is in.
pub(crate) fn write(path: &Path, text: &str) -> Result<()> {
    let folder = path.parent().context("a path without a folder")?;
    fs::create_dir_all(folder).and_then(|()| fs::write(path, text)).with_context(|| path.display().to_string())
}

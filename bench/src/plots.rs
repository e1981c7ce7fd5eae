//! The plots: throughput against connections, latency percentiles, cost against idle connections.

use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::prelude::*;

use crate::load::PERCENTILES;
use crate::measure::Measured;
use crate::peers::Peer;
use crate::row::median;
use crate::targets::{Load, Test};

/// Who is drawn, and how.
const DRAWN: [(Peer, RGBColor); 6] = [
    (Peer::Ours, RGBColor(213, 62, 79)),
    (Peer::Raw, RGBColor(50, 136, 189)),
    (Peer::RawOneTier, RGBColor(153, 112, 171)),
    (Peer::Wstd, RGBColor(230, 150, 40)),
    (Peer::Asyncio, RGBColor(90, 174, 97)),
    (Peer::Tokio, RGBColor(70, 70, 70)),
];
const SIZE: (u32, u32) = (800, 480);

type Series = Vec<(Peer, Vec<(f64, f64)>)>;

struct Plot {
    file: &'static str,
    title: &'static str,
    x: &'static str,
    y: &'static str,
    series: Series,
}

/// Draws what was measured into `folder`; what has fewer than two points is left out. Gives the names of the files.
pub(crate) fn draw(folder: &Path, tests: &[(Test, Measured)]) -> Result<Vec<&'static str>> {
    let mut files = Vec::new();
    std::fs::create_dir_all(folder)?;
    for mut plot in [throughput(tests), latency(tests), cost(tests)] {
        plot.series.retain(|(_, points)| points.len() > 1);
        if !plot.series.is_empty() {
            plot.draw(&folder.join(plot.file)).map_err(|error| anyhow!("{}: {error}", plot.file))?;
            files.push(plot.file);
        }
    }
    Ok(files)
}

fn throughput(tests: &[(Test, Measured)]) -> Plot {
    let series = series(tests, |test, peer| match (test.load, peer) {
        (Load::Ping(count), peer) => Some((count as f64, median(&peer.rates)? / 1e3)),
        _ => None,
    });
    Plot {
        file: "throughput.svg",
        title: "Ping-pong of 64 bytes: throughput",
        x: "connections",
        y: "thousand requests a second",
        series,
    }
}

fn cost(tests: &[(Test, Measured)]) -> Plot {
    let series = series(tests, |test, peer| match test.load {
        Load::Idle(count) => Some((count as f64, median(&peer.costs)? * 1e6)),
        Load::Ping(1) => Some((1.0, median(&peer.costs)? * 1e6)),
        _ => None,
    });
    Plot {
        file: "idle.svg",
        title: "One active connection beside idle ones: cost",
        x: "idle connections (1: none)",
        y: "microseconds of processor time for each request",
        series,
    }
}

fn latency(tests: &[(Test, Measured)]) -> Plot {
    let at_100 = tests.iter().filter(|(test, _)| matches!(test.load, Load::Ping(100)));
    let mut series = Series::new();
    for (_, measured) in at_100 {
        for (peer, _) in DRAWN {
            let Some(rounds) = measured.get(&peer).map(|series| &series.latencies) else { continue };
            let middle =
                |index: usize| median(&rounds.iter().map(|of| of[index].as_secs_f64() * 1e6).collect::<Vec<_>>());
            // Nines: 1 is 90 %, 2 is 99 %. The axis has no place for none, so half is where one out of two is.
            let points = PERCENTILES.iter().enumerate();
            let points = points.filter_map(|(index, percent)| Some((100.0 / (100.0 - percent), middle(index)?)));
            series.push((peer, points.collect()));
        }
    }
    Plot {
        file: "latency.svg",
        title: "Ping-pong at 100 connections: latency",
        x: "the slowest one of … requests (2: median, 100: 99th percentile)",
        y: "microseconds, at most",
        series,
    }
}

fn series(tests: &[(Test, Measured)], point: impl Fn(&Test, &crate::measure::Series) -> Option<(f64, f64)>) -> Series {
    let of = |peer: Peer| {
        let points = tests.iter().filter_map(|(test, measured)| point(test, measured.get(&peer)?));
        let mut points: Vec<_> = points.collect();
        points.sort_by(|one, other| one.0.total_cmp(&other.0));
        points
    };
    DRAWN.iter().map(|(peer, _)| (*peer, of(*peer))).collect()
}

impl Plot {
    /// Both axes are logarithmic: who is a hundred times as slow is in the picture too.
    fn draw(&self, path: &Path) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let all = || self.series.iter().flat_map(|(_, points)| points);
        let range = |of: fn(&(f64, f64)) -> f64| {
            let (low, high) = all().map(of).fold((f64::MAX, f64::MIN), |(low, high), v| (low.min(v), high.max(v)));
            low..high
        };
        let (x, y) = (range(|point| point.0), range(|point| point.1));
        let root = SVGBackend::new(path, SIZE).into_drawing_area();
        root.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&root)
            .caption(self.title, ("sans-serif", 20))
            .margin(12)
            .x_label_area_size(42)
            .y_label_area_size(64)
            .build_cartesian_2d((x.start..x.end).log_scale(), (y.start * 0.8..y.end * 1.2).log_scale())?;
        let label = |value: &f64| format!("{value}");
        chart
            .configure_mesh()
            .x_desc(self.x)
            .y_desc(self.y)
            .x_label_formatter(&label)
            .y_label_formatter(&label)
            .light_line_style(WHITE)
            .draw()?;
        for (peer, points) in &self.series {
            let color = DRAWN.iter().find(|(drawn, _)| drawn == peer).map_or(BLACK, |(_, color)| *color);
            let width = if *peer == Peer::Ours { 3 } else { 2 };
            chart
                .draw_series(LineSeries::new(points.iter().copied(), color.stroke_width(width)).point_size(3))?
                .label(peer.name())
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], color.stroke_width(width)));
        }
        chart.configure_series_labels().background_style(WHITE.mix(0.85)).border_style(BLACK.mix(0.3)).draw()?;
        Ok(root.present()?)
    }
}

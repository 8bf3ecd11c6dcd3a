//! Measurements together: a document for programs, and a table for people.

use std::fmt::Write;

use serde::Serialize;

use super::measure::{Measurement, Stage};
use super::workload::WORKLOADS;
use crate::plan::Bytes;
use crate::plot::{self, Bar};
use crate::report::number::{count, grouped};

/// All measurements of a benchmark.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BenchReport {
    /// `shortfall.bench`.
    pub schema: &'static str,
    /// Grows when a field changes its meaning or goes.
    pub schema_version: u32,
    /// What was measured.
    pub shortfall_version: &'static str,
    /// Whether the workloads have fewer paths than they should.
    pub quick: bool,
    /// In the order of workloads, then engines.
    pub measurements: Vec<Entry>,
}

/// A measurement and how it compares.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Entry {
    /// The measurement.
    #[serde(flatten)]
    pub measurement: Measurement,
    /// Time of the CPU engine in f32 for one path over this engine's: 2 is twice as fast as it.
    /// None where the CPU engine was not measured.
    pub speed_to_cpu: Option<f64>,
}

impl BenchReport {
    /// Puts measurements together.
    pub fn new(quick: bool, measurements: Vec<Measurement>) -> Self {
        let of_cpu = |workload: &str| {
            let is_cpu = |m: &&Measurement| m.workload == workload && m.engine == "cpu";
            measurements.iter().find(is_cpu).map(seconds_per_path)
        };
        let entries = measurements.iter().map(|measurement| Entry {
            speed_to_cpu: of_cpu(&measurement.workload).map(|cpu| cpu / seconds_per_path(measurement)),
            measurement: measurement.clone(),
        });
        Self {
            schema: "shortfall.bench",
            schema_version: 1,
            shortfall_version: env!("CARGO_PKG_VERSION"),
            quick,
            measurements: entries.collect(),
        }
    }

    /// The document for programs.
    pub fn to_json(&self) -> String {
        let mut json = serde_json::to_string_pretty(self).expect("plain fields become JSON");
        json.push('\n');
        json
    }

    /// A bar chart of the speeds, as SVG.
    pub fn to_svg(&self) -> String {
        let speeds: Vec<(String, f64)> = self
            .measurements
            .iter()
            .filter_map(|entry| {
                let m = &entry.measurement;
                Some((format!("{} on {}", m.workload, m.engine), entry.speed_to_cpu?))
            })
            .collect();
        let bars: Vec<Bar<'_>> =
            speeds.iter().map(|(name, speed)| Bar { name, value: *speed, error: 0.0 }).collect();
        let title = if self.quick { "speed, from a quick look" } else { "speed" };
        plot::bars(title, "paths in a second; 1 is the CPU engine in f32", &bars)
    }

    /// A table for people.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        if self.quick {
            text.push_str(
                "quick: fewer paths than the workloads have; rates are about right, totals are not\n\n",
            );
        }
        for name in WORKLOADS {
            let entries: Vec<&Entry> =
                self.measurements.iter().filter(|e| e.measurement.workload == name.as_str()).collect();
            if entries.is_empty() {
                continue;
            }
            let _ = writeln!(text, "{name}: {}", name.description());
            table(&entries, &mut text);
            text.push('\n');
        }
        text.push_str(LEGEND);
        text
    }
}

const LEGEND: &str = "\
total: pilot, paths, figures; fastest of the repetitions, slowest in brackets. vs cpu: speed for one path.
simulate: million path-step-assets/s; revalue: million revaluations/s; net+tail: million account-paths/s, and
the stage's time (on the CPU that of all threads over their number). error: Expected Shortfall against f64 on the same
paths, largest of all accounts, in standard errors of the run. memory: largest resident set of the process.
";

const TITLES: [&str; 12] = [
    "engine", "on", "paths", "total", "cpu time", "vs cpu", "pilot", "simulate", "revalue", "net+tail",
    "error", "memory",
];

fn table(entries: &[&Entry], text: &mut String) {
    let mut rows: Vec<[String; 12]> = vec![TITLES.map(str::to_owned)];
    rows.extend(entries.iter().map(|entry| cells(entry)));
    let widths: Vec<usize> = (0..TITLES.len())
        .map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0))
        .collect();
    for row in rows {
        text.push_str("  ");
        for (column, (cell, &width)) in row.iter().zip(&widths).enumerate() {
            // Names to the left, numbers to the right.
            let _ =
                if column < 2 { write!(text, "{cell:<width$}  ") } else { write!(text, "{cell:>width$}  ") };
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
    }
}

fn cells(entry: &Entry) -> [String; 12] {
    let m = &entry.measurement;
    let none = || "–".to_owned();
    let total = if m.repetitions > 1 {
        format!("{} ({})", seconds(m.total_seconds), seconds(m.slowest_seconds))
    } else {
        seconds(m.total_seconds)
    };
    [
        m.engine.clone(),
        format!("{} {}", m.device.name, m.device.detail).trim().to_owned(),
        count(m.paths),
        total,
        m.cpu_seconds.map_or_else(none, seconds),
        entry.speed_to_cpu.map_or_else(none, |ratio| format!("{ratio:.2}")),
        seconds(m.pilot_seconds),
        m.stages.map_or_else(none, |stages| rate(&stages.simulate)),
        m.stages.map_or_else(none, |stages| rate(&stages.revalue)),
        m.stages.map_or_else(none, |stages| rate(&stages.net_and_tail)),
        format!("{:.4}", m.check.largest_in_standard_errors),
        m.peak_memory_bytes.map_or_else(none, |bytes| Bytes(bytes).to_string()),
    ]
}

/// Wall seconds of one path.
pub fn seconds_per_path(measurement: &Measurement) -> f64 {
    measurement.total_seconds / measurement.paths as f64
}

fn rate(stage: &Stage) -> String {
    let millions = stage.per_second / 1e6;
    format!("{} ({})", grouped(millions, if millions < 10.0 { 1 } else { 0 }), seconds(stage.seconds))
}

fn seconds(seconds: f64) -> String {
    match seconds {
        s if s >= 99.5 => format!("{s:.0} s"),
        s if s >= 9.995 => format!("{s:.1} s"),
        s if s >= 0.995 => format!("{s:.2} s"),
        s if s >= 0.0995 => format!("{s:.3} s"),
        s => format!("{:.1} ms", s * 1e3),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short() {
        assert_eq!(
            [seconds(123.4), seconds(12.3456), seconds(0.5), seconds(0.01234)],
            ["123 s", "12.3 s", "0.500 s", "12.3 ms"]
        );
    }
}

//! The folder of a run, read back: what a page shows of it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::engine::DeviceReport;
use crate::fault::{Fault, Faults};
use crate::report::attribution::{AttributionResult, WorstPathResult};
use crate::report::document::{
    self, DistributionResult, DriverResult, FailedAccountResult, Levels, TailResult, Totals,
};
use crate::report::manifest;
use crate::shard::FileHash;

/// A summary of a hundred thousand accounts in ten cases is about a gigabyte.
const MAX_BYTES: u64 = 4 << 30;
/// Columns of a distribution that a page can draw.
const MAX_COLUMNS: usize = 1_000;

/// A run's folder.
#[derive(Debug)]
pub struct Saved {
    /// `summary.json`.
    pub summary: Summary,
    /// `manifest.json`.
    pub manifest: SavedManifest,
    /// `comparison.json`, as `shortfall compare --json` prints it, if it is there.
    pub comparison: Option<Comparison>,
    /// `procyclicality.json`, as `shortfall procyclicality --json` prints it, if it is there.
    pub procyclicality: Option<Procyclicality>,
}

/// The result; see [`document::Document`] for its fields.
#[derive(Debug, Deserialize)]
pub struct Summary {
    schema: String,
    schema_version: u32,
    pub scenario: String,
    pub as_of: String,
    pub currency: String,
    pub precision: String,
    pub seed: u64,
    pub tolerance: Option<f64>,
    pub levels: Levels,
    pub elapsed_seconds: f64,
    pub cases: Vec<SavedCase>,
}

/// A case; see [`document::CaseResult`].
#[derive(Debug, Deserialize)]
pub struct SavedCase {
    pub name: String,
    pub paths: u64,
    pub steps: u32,
    pub repaired_accounts: u64,
    pub failure: Option<String>,
    #[serde(default)]
    pub failed_accounts: Vec<FailedAccountResult>,
    pub totals: Totals,
    pub accounts: Vec<SavedAccount>,
}

/// An account; see [`document::AccountResult`].
#[derive(Debug, Deserialize)]
pub struct SavedAccount {
    pub account: String,
    pub description: String,
    pub market_value: f64,
    pub equity: f64,
    pub gross_notional: f64,
    pub stress_profit: f64,
    pub maintenance: TailResult,
    pub initial: TailResult,
    pub maintenance_margin: f64,
    pub initial_margin: f64,
    #[serde(default)]
    pub maintenance_components: BTreeMap<String, f64>,
    #[serde(default)]
    pub initial_components: BTreeMap<String, f64>,
    pub health: Option<f64>,
    pub state: String,
    pub worst_driver: Option<DriverResult>,
    pub distribution: Option<DistributionResult>,
    pub attribution: Option<AttributionResult>,
    #[serde(default)]
    pub worst_paths: Vec<WorstPathResult>,
}

/// What made the run; see [`manifest::Manifest`].
#[derive(Debug, Deserialize)]
pub struct SavedManifest {
    schema: String,
    schema_version: u32,
    pub run_id: String,
    pub shortfall_version: String,
    pub shaders_blake3: Option<String>,
    pub started: String,
    pub finished: String,
    pub device: DeviceReport,
    pub configuration: Value,
    pub configuration_blake3: String,
    pub planned_peak_memory_bytes: u64,
    pub inputs: Vec<FileHash>,
    #[serde(default)]
    pub outputs: Vec<FileHash>,
}

/// Books under every architecture.
#[derive(Debug, Deserialize)]
pub struct Comparison {
    pub level: String,
    pub currency: String,
    pub accounts: Vec<ComparedAccount>,
}

/// A book under every architecture.
#[derive(Debug, Deserialize)]
pub struct ComparedAccount {
    pub account: String,
    pub architectures: Vec<Architecture>,
}

/// An architecture's margin, or why there is none.
#[derive(Debug, Deserialize)]
pub struct Architecture {
    pub architecture: String,
    pub note: String,
    pub margin: Option<f64>,
    pub standard_error: Option<f64>,
    pub ratio_to_portfolio_es: Option<f64>,
    pub why_not: Option<String>,
}

/// Margins over time under the tools against procyclicality.
#[derive(Debug, Deserialize)]
pub struct Procyclicality {
    pub within_days: u32,
    pub treatments: Vec<Treatment>,
}

/// A history of margins under some tools.
#[derive(Debug, Deserialize)]
pub struct Treatment {
    pub name: String,
    pub days: u64,
    pub mean: f64,
    pub peak_to_trough: Option<f64>,
    pub largest_rise: Option<f64>,
    pub largest_call: f64,
    pub deviation: Option<f64>,
    pub margins: Vec<ChargedDay>,
}

/// A day's margin.
#[derive(Debug, Deserialize)]
pub struct ChargedDay {
    pub date: jiff::civil::Date,
    pub margin: f64,
}

/// Reads the folder of a run. What it holds must be what its manifest says.
pub fn read(folder: &Path) -> Result<Saved, Faults> {
    let mut faults = Faults::default();
    let manifest: Option<SavedManifest> = json(folder, "manifest.json", &mut faults);
    if let Some(manifest) = &manifest {
        let known = (manifest::SCHEMA, manifest::SCHEMA_VERSION);
        check_schema(
            folder,
            "manifest.json",
            (&manifest.schema, manifest.schema_version),
            known,
            &mut faults,
        );
        check_outputs(folder, &manifest.outputs, &mut faults);
    }
    let summary: Option<Summary> = json(folder, "summary.json", &mut faults);
    if let Some(summary) = &summary {
        let known = (document::SCHEMA, document::SCHEMA_VERSION);
        check_schema(folder, "summary.json", (&summary.schema, summary.schema_version), known, &mut faults);
        check_summary(folder, summary, &mut faults);
    }
    let comparison = optional(folder, "comparison.json", &mut faults);
    let procyclicality = optional(folder, "procyclicality.json", &mut faults);
    match (summary, manifest) {
        (Some(summary), Some(manifest)) if faults.is_empty() => {
            Ok(Saved { summary, manifest, comparison, procyclicality })
        }
        _ => Err(faults),
    }
}

fn fault(folder: &Path, name: &str, field: &str, found: &str, expected: &str) -> Fault {
    Fault { field: field.to_owned(), ..Fault::of_file(folder.join(name).display(), found, expected) }
}

fn json<T: DeserializeOwned>(folder: &Path, name: &str, faults: &mut Faults) -> Option<T> {
    const EXPECTED: &str = "a file of `shortfall run --out`";
    let path = folder.join(name);
    let size = match fs::metadata(&path) {
        Ok(metadata) if metadata.is_file() => metadata.len(),
        Ok(_) => {
            faults.push(fault(folder, name, "", "no plain file", EXPECTED));
            return None;
        }
        Err(error) => {
            faults.push(fault(folder, name, "", &error.to_string(), EXPECTED));
            return None;
        }
    };
    if size > MAX_BYTES {
        faults.push(fault(folder, name, "", &format!("{size} bytes"), &format!("at most {MAX_BYTES}")));
        return None;
    }
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) => {
            faults.push(fault(folder, name, "", &error.to_string(), EXPECTED));
            return None;
        }
    };
    match serde_json::from_slice(&text) {
        Ok(value) => Some(value),
        Err(error) => {
            let mut fault = fault(folder, name, "", &error.to_string(), EXPECTED);
            (fault.line, fault.column) = (error.line() as u64, error.column() as u64);
            faults.push(fault);
            None
        }
    }
}

fn optional<T: DeserializeOwned>(folder: &Path, name: &str, faults: &mut Faults) -> Option<T> {
    if folder.join(name).exists() { json(folder, name, faults) } else { None }
}

fn check_schema(folder: &Path, name: &str, found: (&str, u32), known: (&str, u32), faults: &mut Faults) {
    if found != known {
        let said = |(schema, version): (&str, u32)| format!("{schema} {version}");
        faults.push(fault(folder, name, "schema, schema_version", &said(found), &said(known)));
    }
}

/// A file that is not what the manifest says was changed after the run, or damaged.
fn check_outputs(folder: &Path, outputs: &[FileHash], faults: &mut Faults) {
    if !outputs.iter().any(|output| output.path == "summary.json") {
        faults.push(fault(folder, "manifest.json", "outputs", "no summary.json", "the files of the run"));
    }
    for wanted in outputs {
        let plain = Path::new(&wanted.path).file_name().is_some_and(|name| name == wanted.path.as_str());
        if !plain {
            faults.push(fault(
                folder,
                "manifest.json",
                "outputs",
                &wanted.path,
                "the name of a file beside it",
            ));
            continue;
        }
        match FileHash::of(&folder.join(&wanted.path), wanted.path.clone()) {
            Ok(found) if found == *wanted => {}
            Ok(found) => {
                let expected =
                    format!("{} bytes, BLAKE3 {}: the file of the run", wanted.bytes, wanted.blake3);
                let found = format!("{} bytes, BLAKE3 {}", found.bytes, found.blake3);
                faults.push(fault(folder, &wanted.path, "", &found, &expected));
            }
            Err(error) => {
                let found = error.to_string();
                faults.push(fault(folder, &wanted.path, "", &found, "a file that the manifest names"));
            }
        }
    }
}

fn check_summary(folder: &Path, summary: &Summary, faults: &mut Faults) {
    let mut wrong = |field: &str, found: &str, expected: &str| {
        faults.push(fault(folder, "summary.json", field, found, expected));
    };
    if summary.cases.is_empty() {
        wrong("cases", "none", "the base case at least");
    }
    for (index, case) in summary.cases.iter().enumerate() {
        for account in &case.accounts {
            let Some(distribution) = &account.distribution else { continue };
            let columns = distribution.counts.len();
            if !((1..=MAX_COLUMNS).contains(&columns) && distribution.low < distribution.high) {
                let field = format!("cases[{index}], account {}, distribution", account.account);
                let expected = format!("from 1 to {MAX_COLUMNS} columns between low and high");
                wrong(&field, &format!("{columns} columns"), &expected);
            }
        }
    }
}

impl SavedAccount {
    /// Health, extended to accounts without a margin; see [`document::AccountResult::need`].
    pub fn need(&self) -> f64 {
        document::need(self.health, self.equity)
    }
}

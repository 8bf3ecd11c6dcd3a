//! `shortfall compare`: the same books under every architecture.

use std::path::{Path, PathBuf};

use clap::Args;
use shortfall::compare::{self, report};
use shortfall::scenario::DeviceChoice;

use super::exit::{Failure, exit_codes};
use super::progress::Progress;
use super::{device, output, overrides};

/// Margin the same books under every architecture, side by side
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct Arguments {
    /// What to compare, a YAML file
    pub comparison: PathBuf,
    /// Print the whole result as JSON
    #[arg(long)]
    pub json: bool,
    /// Write a bar chart of each account to a new folder, as 001-ACCOUNT.svg
    #[arg(long, value_name = "DIR")]
    pub plots: Option<PathBuf>,
    /// Simulate so many paths; the file's own without it
    #[arg(long, value_name = "N", value_parser = overrides::paths)]
    pub paths: Option<u64>,
    /// Where to simulate: auto, cpu, gpu or gpu:NAME
    #[arg(long, value_name = "DEVICE", value_parser = overrides::device)]
    pub device: Option<DeviceChoice>,
}

const AFTER_HELP: &str = concat!(
    "\
Rows: static and cross percentages of notional, Expected Shortfall of each asset alone, recorded
crises, historical and filtered historical simulation, SPAN, rulebooks of venues, and the Monte Carlo
Expected Shortfall of the whole account, to which all others are compared. A row without a margin
says why. docs/compare.md explains each.

Examples:
  shortfall compare scenarios/compare.yaml
  shortfall compare scenarios/compare.yaml --json | jq '.accounts[0].architectures'
  shortfall compare scenarios/compare.yaml --plots charts

",
    exit_codes!()
);

/// Compares.
pub fn compare(arguments: &Arguments) -> Result<(), Failure> {
    let mut comparison = compare::read(&arguments.comparison)?;
    let simulation = &mut comparison.scenario.simulation;
    simulation.paths = arguments.paths.unwrap_or(simulation.paths);
    simulation.device = arguments.device.clone().unwrap_or_else(|| simulation.device.clone());
    let mut engine = device::choose(&simulation.device, simulation.precision)?;
    let mut progress = Progress::new(true);
    let compared = compare::compare(&comparison, engine.as_mut(), &mut progress);
    progress.finish();
    let compared = compared?;
    if let Some(folder) = &arguments.plots {
        write_plots(folder, &compared)?;
    }
    match arguments.json {
        true => output::print(&report::json(&comparison, &compared)),
        false => output::print(&report::text(&comparison, &compared)),
    }
}

/// Charts in a folder that must not exist yet.
fn write_plots(folder: &Path, compared: &[compare::Compared]) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::Io(format!("{}: {error}", folder.display()));
    std::fs::create_dir(folder).map_err(failed)?;
    for (index, account) in compared.iter().enumerate() {
        // Names of accounts come from outside: only what is safe in a file name is kept.
        let safe = |c: char| if c.is_ascii_alphanumeric() || "-_".contains(c) { c } else { '_' };
        let name: String = account.account.chars().take(60).map(safe).collect();
        let path = folder.join(format!("{:03}-{name}.svg", index + 1));
        std::fs::write(path, report::bars(account)).map_err(failed)?;
    }
    Ok(())
}

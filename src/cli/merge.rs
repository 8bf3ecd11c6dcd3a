//! `shortfall merge`: the result of a plan whose shards are done.

use std::path::PathBuf;

use clap::Args;
use shortfall::report::Folder;
use shortfall::run;
use shortfall::scenario::{DeviceChoice, Selection};
use shortfall::shard::Shards;

use super::exit::{Failure, exit_codes};
use super::fail_if::Threshold;
use super::progress::Progress;
use super::run::Reporting;
use super::{device, overrides, plan};

/// Make the result of a plan from its shards
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct Arguments {
    /// The plan's folder
    pub folder: PathBuf,
    /// Where to simulate again the few accounts whose tail lies where the first look had not
    /// expected it
    #[arg(long, value_name = "DEVICE", value_parser = overrides::device)]
    pub device: Option<DeviceChoice>,
    /// The scenario, where it does not lie where it was planned
    #[arg(long, value_name = "FILE")]
    pub scenario: Option<PathBuf>,
    /// Accounts whose margin is taken apart, instead of those of the plan; see `shortfall run`
    #[arg(long, value_name = "ACCOUNTS", value_parser = overrides::selection, allow_hyphen_values = true)]
    pub attribution: Option<Selection>,
    /// Exit with code 10 if an account breaches a threshold, as in `shortfall run`; may be repeated
    #[arg(long, value_name = "EXPRESSION", allow_hyphen_values = true)]
    pub fail_if: Vec<Threshold>,
    /// Print the whole result as JSON on standard output instead of the table
    #[arg(long, help_heading = "Output")]
    pub json: bool,
    /// Write results.csv, results.parquet, summary.json and manifest.json to a new folder
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    pub out: Option<PathBuf>,
    /// Replace an earlier result in the folder of --out
    #[arg(long, requires = "out", help_heading = "Output")]
    pub force: bool,
    /// No table and no progress bar; faults and breaches are still shown
    #[arg(long, short, help_heading = "Output")]
    pub quiet: bool,
}

const AFTER_HELP: &str = concat!(
    "\
Examples:
  shortfall merge work --out results/today
  shortfall merge work --quiet --fail-if 'health < 1' || alert

Tails are taken apart here, not in the shards: --attribution, or what was planned, simulates the
tail paths of the selected accounts again.

Missing shards are named (code 75). Shards of other inputs, another seed or version, and damaged
ones are refused and named (code 65).

",
    exit_codes!()
);

/// Merges it.
pub fn merge(arguments: &Arguments) -> Result<(), Failure> {
    let reporting = Reporting { fail_if: &arguments.fail_if, json: arguments.json, quiet: arguments.quiet };
    let (plan, mut scenario, started) = plan::planned(&arguments.folder, arguments.scenario.as_ref())?;
    overrides::select(&mut scenario, arguments.attribution.as_ref())?;
    reporting.check(&scenario)?;
    let folder = arguments.out.as_ref().map(|place| Folder::check(place, arguments.force)).transpose()?;
    let mut shards = Shards::open(&arguments.folder, &plan)?;
    let choice = arguments.device.as_ref().unwrap_or(&scenario.simulation.device);
    let mut engine = device::choose(choice, scenario.simulation.precision)?;
    let mut progress = Progress::new(!arguments.quiet);
    let outcome = run::run_from(&scenario, &mut shards, engine.as_mut(), &mut progress);
    progress.finish();
    let mut outcome = outcome?;
    outcome.device = shards.device();
    reporting.report(&scenario, &outcome, started, folder)
}

//! `shortfall liquidation`: who is liquidated at which prices, and what it costs.

use std::path::PathBuf;

use clap::Args;
use shortfall::liquidation::{self, Options};
use shortfall::{report, scenario, units};

use super::exit::{Failure, exit_codes};
use super::output;
use super::progress::Spinner;

/// Show warning ladder, liquidation prices, losses beyond collateral, insurance fund and cascades
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct Arguments {
    /// The scenario file
    pub scenario: PathBuf,
    /// The case that is looked at: a stress of the scenario, or base
    #[arg(long, value_name = "NAME", default_value = "base")]
    pub case: String,
    /// Paths of each margin after a move of prices, and of accounts along paths
    #[arg(long, value_name = "N", default_value_t = 8192, value_parser = clap::value_parser!(u64).range(256..=1 << 24))]
    pub paths: u64,
    /// Recalculations within the horizon of the maintenance margin
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub checks: u32,
    /// Neediest accounts that get liquidation prices and trades
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(0..=1000))]
    pub top: u32,
    /// Health that trades restore
    #[arg(long, value_name = "HEALTH", default_value = "1", value_parser = health)]
    pub target_health: f64,
    /// Falls of all prices that may set off a cascade
    #[arg(long, value_name = "FALLS", value_delimiter = ',', default_value = "10%,20%,30%,40%", value_parser = fall)]
    pub falls: Vec<f64>,
    /// Account with a surface of health over the two assets of its largest deltas
    #[arg(long, value_name = "ACCOUNT")]
    pub surface: Option<String>,
    /// Print the whole result as JSON, and nothing else
    #[arg(long)]
    pub json: bool,
}

const AFTER_HELP: &str = concat!(
    "\
Examples:
  shortfall liquidation scenarios/margins.yaml
  shortfall liquidation scenarios/margins.yaml --surface foundation --top 0
  shortfall liquidation scenarios/margins.yaml --checks 32 --json
  shortfall liquidation scenarios/quickstart.yaml --case 'volatility up'

Everything runs on the CPU. docs/liquidation.md has definitions and formulas.

",
    exit_codes!()
);

fn between(text: &str, low: f64, high: f64) -> Result<f64, String> {
    units::fraction(text)
        .filter(|x| (low..=high).contains(x))
        .ok_or_else(|| format!("expected a number from {low} to {high}"))
}

fn health(text: &str) -> Result<f64, String> {
    between(text, 1.0, 100.0)
}

fn fall(text: &str) -> Result<f64, String> {
    between(text, 0.0, 0.95)
}

/// Analyses and shows.
pub fn liquidation(arguments: &Arguments) -> Result<(), Failure> {
    let scenario = scenario::read(&arguments.scenario)?;
    let accounts = &scenario.portfolio.accounts;
    let index = |name: &String| {
        let found = accounts.binary_search_by(|account| account.name.as_str().cmp(name));
        found.map_err(|_| Failure::Usage(format!("--surface {name}: no such account")))
    };
    let stress = scenario.stresses.iter().position(|stress| stress.name == arguments.case);
    if stress.is_none() && arguments.case != "base" {
        return Err(Failure::Usage(format!("--case {}: no such stress", arguments.case)));
    }
    let options = Options {
        case: stress,
        paths: arguments.paths,
        checks: arguments.checks,
        top: arguments.top as usize,
        target_health: arguments.target_health,
        falls: arguments.falls.clone(),
        surface: arguments.surface.as_ref().map(index).transpose()?,
    };
    let spinner = Spinner::new("reading");
    let analysis = liquidation::analyse(&scenario, &options, &mut |stage| spinner.stage(stage));
    spinner.finish();
    let analysis = analysis?;
    if arguments.json {
        let text = serde_json::to_string_pretty(&analysis).expect("plain fields become JSON");
        return output::print(&format!("{text}\n"));
    }
    output::print(&report::liquidation::render(&analysis))
}

//! `shortfall generate`: a synthetic night of any size.

use std::path::PathBuf;

use clap::Args;
use shortfall::generate::{self, Night};
use shortfall::scenario;

use super::exit::{Failure, exit_codes};
use super::output;

/// Write a synthetic night: a market and a book of any size, to measure with
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct Arguments {
    /// A new or empty folder
    pub folder: PathBuf,
    /// Number of accounts
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = limits(generate::MAX_ACCOUNTS))]
    pub accounts: u64,
    /// Number of positions over all accounts, about [default: 20 for each account]
    #[arg(long, value_name = "P", value_parser = limits(generate::MAX_POSITIONS))]
    pub positions: Option<u64>,
    /// Number of instruments
    #[arg(long, value_name = "M", default_value_t = 200, value_parser = limits(generate::MAX_INSTRUMENTS))]
    pub instruments: u64,
    /// Number of assets
    #[arg(long, value_name = "A", default_value_t = 10, value_parser = limits(generate::MAX_ASSETS))]
    pub assets: u64,
    /// Seed: the same seed gives the same files
    #[arg(long, value_name = "S", default_value_t = 1, value_parser = clap::value_parser!(u64).range(0..=scenario::MAX_SEED))]
    pub seed: u64,
    /// Paths that the scenario asks for
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = limits(scenario::MAX_PATHS))]
    pub paths: u64,
}

const AFTER_HELP: &str = concat!(
    "\
Examples:
  shortfall generate small
  shortfall generate night --accounts 100000 --instruments 1000 --assets 50 --paths 1000000
  shortfall run night/scenario.yaml --quiet --out result

A few market makers hold most positions, as on a real venue.

",
    exit_codes!()
);

fn limits(most: u64) -> clap::builder::RangedU64ValueParser {
    clap::value_parser!(u64).range(1..=most)
}

/// Writes it.
pub fn generate(arguments: &Arguments) -> Result<(), Failure> {
    let &Arguments { accounts, positions, instruments, assets, seed, paths, .. } = arguments;
    let positions = positions.unwrap_or(20 * accounts).min(generate::MAX_POSITIONS);
    let night = Night { accounts, positions, instruments, assets, seed, paths };
    let made =
        generate::generate(&night, &arguments.folder).map_err(|fault| Failure::Io(fault.to_string()))?;
    output::say(&format!(
        "wrote {} accounts with {} positions in {} instruments on {assets} assets; next: shortfall run {}",
        accounts,
        made.positions,
        made.instruments,
        arguments.folder.join("scenario.yaml").display()
    ));
    Ok(())
}

//! `shortfall validate`: compare engines path by path, or price a table of options.

use std::path::PathBuf;

use clap::Args;
use shortfall::scenario::DeviceChoice;

use super::exit::Failure;

/// Compare the engines on a scenario, or price a table of European options
#[derive(Debug, Args)]
pub struct Arguments {
    /// The scenario to compare the engines on
    #[arg(required_unless_present = "prices", conflicts_with = "prices")]
    pub scenario: Option<PathBuf>,
    /// Price this table of European options by closed form and by Monte Carlo
    #[arg(long, value_name = "FILE.csv")]
    pub prices: Option<PathBuf>,
    /// Write the priced table there instead of to standard output
    #[arg(long, value_name = "FILE", requires = "prices")]
    pub out: Option<PathBuf>,
    /// Print the comparison as JSON
    #[arg(long)]
    pub json: bool,
    /// Where to run: auto, cpu, gpu or gpu:NAME
    #[arg(long, value_name = "DEVICE", value_parser = super::overrides::device)]
    pub device: Option<DeviceChoice>,
}

/// Validates.
pub fn validate(_arguments: &Arguments) -> Result<(), Failure> {
    Err(Failure::Usage("validate is not in this build".to_owned()))
}

//! `shortfall predict`: forecasters of volatility against each other.

use std::path::PathBuf;

use clap::Args;
use shortfall::backtest::{self, predict};

use super::exit::{Failure, exit_codes};
use super::output;
use super::progress::Spinner;

/// Compare forecasters of volatility on a history: EWMA against GARCH, HAR and boosted trees
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct Arguments {
    /// A backtest, whose history, variances, lookback, refit and decay are used
    pub backtest: PathBuf,
    /// Write the forecasts of challengers that have won, for the key `forecasts` of a market file
    #[arg(long, value_name = "FILE.csv")]
    pub out: Option<PathBuf>,
    /// Print scores and forecasts as JSON
    #[arg(long)]
    pub json: bool,
}

const AFTER_HELP: &str = concat!(
    "\
Examples:
  shortfall predict scenarios/backtest.yaml
  shortfall predict scenarios/backtest.yaml --out forecasts.csv

A forecast sees the returns before its day and no others. docs/backtest.md explains the
forecasters, and docs/scenario.md what a market makes of `forecasts`.

",
    exit_codes!()
);

/// Compares and reports.
pub fn predict(arguments: &Arguments) -> Result<(), Failure> {
    let backtest = backtest::read(&arguments.backtest)?;
    let spinner = Spinner::new("forecasting");
    let prediction = predict::predict(&backtest, &mut |what| spinner.stage(what));
    spinner.finish();
    if let Some(path) = &arguments.out {
        let io = |error: std::io::Error| Failure::Io(format!("{}: {error}", path.display()));
        std::fs::write(path, predict::forecasts_csv(&prediction)).map_err(io)?;
    }
    if arguments.json {
        let document =
            serde_json::to_string_pretty(&prediction).map_err(|error| Failure::Io(error.to_string()))?;
        return output::print(&format!("{document}\n"));
    }
    output::print(&predict::text(&prediction))
}

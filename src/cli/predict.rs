//! `shortfall predict`: forecasters of volatility against each other.

use std::path::PathBuf;

use clap::Args;
use shortfall::backtest::{self, predict};

use super::exit::{Failure, exit_codes};
use super::output;
use super::progress::Spinner;

/// Compare forecasters of volatility on a history: EWMA against GARCH, GJR-GARCH and HAR
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct Arguments {
    /// A backtest, whose history, lookback, refit and decay are used
    pub backtest: PathBuf,
    /// Print the scores as JSON
    #[arg(long)]
    pub json: bool,
}

const AFTER_HELP: &str = concat!(
    "\
Examples:
  shortfall predict scenarios/backtest.yaml

A forecast sees the returns before its day and no others.

",
    exit_codes!()
);

/// Compares and reports.
pub fn predict(arguments: &Arguments) -> Result<(), Failure> {
    let backtest = backtest::read(&arguments.backtest)?;
    let spinner = Spinner::new("forecasting");
    let scores = predict::predict(&backtest, &mut |what| spinner.stage(what));
    spinner.finish();
    if arguments.json {
        let document =
            serde_json::to_string_pretty(&scores).map_err(|error| Failure::Io(error.to_string()))?;
        return output::print(&format!("{document}\n"));
    }
    output::print(&predict::text(&backtest.name, &scores))
}

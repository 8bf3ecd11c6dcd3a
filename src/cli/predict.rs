//! `shortfall predict`: forecasters of volatility against each other.

use std::path::PathBuf;

use clap::Args;
use jiff::civil::Date;
use shortfall::backtest::{self, predict};

use super::exit::{Failure, exit_codes};
use super::output;
use super::progress::Progress;

/// Compare forecasters of volatility on a history: EWMA against GARCH, HAR and boosted trees
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct Arguments {
    /// A backtest, whose history, variances, lookback, refit and decay are used
    pub backtest: PathBuf,
    /// Look at these assets only, such as BTC,ETH
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub assets: Option<Vec<String>>,
    /// Know what was known when this day began, and no more [default: the whole history]
    #[arg(long, value_name = "DATE")]
    pub as_of: Option<Date>,
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
  shortfall predict scenarios/backtest.yaml --assets BTC,ETH,SOL --as-of 2026-02-04 --out forecasts.csv

A market takes forecasts of its own assets and of its own day. A forecast sees the returns before
its day and no others. docs/backtest.md explains the forecasters, and docs/scenario.md what a
market makes of `forecasts`.

",
    exit_codes!()
);

/// Compares and reports.
pub fn predict(arguments: &Arguments) -> Result<(), Failure> {
    let mut backtest = backtest::read(&arguments.backtest)?;
    if let Some(date) = arguments.as_of {
        let none = || Failure::Usage(format!("the history has no two prices before {date}"));
        backtest = backtest.known_on(date).ok_or_else(none)?;
    }
    let names = &backtest.history.assets;
    if let Some(name) = arguments.assets.iter().flatten().find(|name| !names.contains(name)) {
        return Err(Failure::Usage(format!("no asset {name}; there are {}", names.join(", "))));
    }
    let mut progress = Progress::new(true);
    let prediction =
        predict::predict(&backtest, arguments.assets.as_deref(), &mut |what, part| progress.part(what, part));
    progress.finish();
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

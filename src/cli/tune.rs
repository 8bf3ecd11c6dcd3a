//! `shortfall tune`: settings of a margin model, tried on history.

use std::path::PathBuf;

use clap::Args;
use shortfall::backtest::{self, tune};

use super::exit::{Failure, exit_codes};
use super::output;
use super::progress::Progress;

/// Try lookbacks, decays, confidences, models and buffers on a history, and recommend one
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct Arguments {
    /// A backtest with a section `tune`, such as scenarios/backtest.yaml
    pub backtest: PathBuf,
    /// Write the chart of coverage against cost there, as SVG
    #[arg(long, value_name = "FILE.svg")]
    pub chart: Option<PathBuf>,
    /// Print all settings as JSON
    #[arg(long)]
    pub json: bool,
}

const AFTER_HELP: &str = concat!(
    "\
Examples:
  shortfall tune scenarios/backtest.yaml --chart frontier.svg

A setting is chosen on the days before `held_back_from`, and judged on those after it.
docs/backtest.md explains the keys.

",
    exit_codes!()
);

/// Tries the grid and reports.
pub fn tune(arguments: &Arguments) -> Result<(), Failure> {
    let backtest = backtest::read(&arguments.backtest)?;
    let Some(grid) = &backtest.tune else {
        let file = arguments.backtest.display();
        return Err(Failure::Usage(format!("{file} has no section `tune`; docs/backtest.md explains it")));
    };
    let mut progress = Progress::new(true);
    let tuned = tune::tune(&backtest, grid, &mut |what, part| progress.part(what, part));
    progress.finish();
    if let Some(path) = &arguments.chart {
        let io = |error: std::io::Error| Failure::Io(format!("{}: {error}", path.display()));
        std::fs::write(path, tune::chart(&tuned)).map_err(io)?;
    }
    if arguments.json {
        let document =
            serde_json::to_string_pretty(&tuned).map_err(|error| Failure::Io(error.to_string()))?;
        return output::print(&format!("{document}\n"));
    }
    output::print(&tune::text(&tuned))
}

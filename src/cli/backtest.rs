//! `shortfall backtest`: margins through history against what then happened.

use std::path::{Path, PathBuf};

use clap::Args;
use shortfall::backtest::{self, Outcome, chain, report};

use super::device;
use super::exit::{Failure, exit_codes};
use super::output;
use super::progress::Progress;

/// Walk through a price history: would each day's margin have covered what then happened?
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct Arguments {
    /// The backtest, a YAML file such as scenarios/backtest.yaml
    pub backtest: PathBuf,
    /// Show the crises of this book [default: the first]
    #[arg(long, value_name = "NAME")]
    pub book: Option<String>,
    /// Print the summaries and crises as JSON
    #[arg(long)]
    pub json: bool,
    /// Write daily.csv, summary.json and a chart of every book to a new folder
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

const AFTER_HELP: &str = concat!(
    "\
Examples:
  shortfall backtest scenarios/backtest.yaml
  shortfall backtest scenarios/backtest_sp500.yaml --out sp500
  shortfall backtest scenarios/backtest.yaml --book 'short BTC straddle'
  shortfall backtest scenarios/backtest_options.yaml   # real marks of options, days later

A forecast sees the prices before its day and no others. docs/backtest.md explains models, books,
horizons, tests and columns.

",
    exit_codes!()
);

/// Runs it and reports.
pub fn backtest(arguments: &Arguments) -> Result<(), Failure> {
    if chain::is_revaluation(&arguments.backtest) {
        return revalue(arguments);
    }
    if let Some(folder) = arguments.out.as_ref().filter(|folder| folder.exists()) {
        return Err(Failure::Usage(format!("{} exists; name a new folder", folder.display())));
    }
    let backtest = backtest::read(&arguments.backtest)?;
    let mut progress = Progress::new(true);
    let outcome = backtest::run(&backtest, &mut |what, part| progress.part(what, part));
    progress.finish();
    if let Some(book) =
        arguments.book.as_ref().filter(|name| !outcome.summaries.iter().any(|s| s.book == **name))
    {
        let mut names: Vec<&str> = outcome.summaries.iter().map(|s| s.book.as_str()).collect();
        names.dedup();
        return Err(Failure::Usage(format!("no book {book}; there are {}", names.join(", "))));
    }
    if let Some(folder) = &arguments.out {
        write(&outcome, folder)?;
    }
    if arguments.json {
        return output::print(&format!("{}\n", json(&outcome)?));
    }
    output::print(&report::text(&outcome, arguments.book.as_deref()))
}

/// Books on a real chain, valued again later.
fn revalue(arguments: &Arguments) -> Result<(), Failure> {
    if arguments.out.is_some() || arguments.book.is_some() {
        let file = arguments.backtest.display();
        return Err(Failure::Usage(format!("{file} has the key `marks`: it takes neither --out nor --book")));
    }
    let revaluation = chain::read(&arguments.backtest)?;
    let simulation = &revaluation.scenario.simulation;
    let mut engine = device::choose(&simulation.device, simulation.precision)?;
    let mut progress = Progress::new(true);
    let revalued = chain::run(&revaluation, engine.as_mut(), &mut progress);
    progress.finish();
    let revalued = revalued?;
    if arguments.json {
        return output::print(&format!("{}\n", json(&revalued)?));
    }
    output::print(&chain::text(&revalued))
}

fn json(outcome: &impl serde::Serialize) -> Result<String, Failure> {
    serde_json::to_string_pretty(outcome).map_err(|error| Failure::Io(error.to_string()))
}

/// Beside its place first, so that a folder of this name is whole.
fn write(outcome: &Outcome, folder: &Path) -> Result<(), Failure> {
    let mut name = folder.as_os_str().to_owned();
    name.push(".partial");
    let partial = PathBuf::from(name);
    let io = |error: std::io::Error| Failure::Io(format!("{}: {error}", folder.display()));
    std::fs::create_dir(&partial).map_err(io)?;
    let fill = || {
        std::fs::write(partial.join("daily.csv"), report::daily_csv(&outcome.tracks)).map_err(io)?;
        std::fs::write(partial.join("summary.json"), json(outcome)?).map_err(io)?;
        for of_book in outcome.summaries.chunk_by(|a, b| (&a.book, a.horizon) == (&b.book, b.horizon)) {
            let (book, horizon) = (&of_book[0].book, of_book[0].horizon);
            let chart = report::chart(outcome, book, horizon);
            std::fs::write(partial.join(report::chart_file(book, horizon)), chart).map_err(io)?;
        }
        std::fs::rename(&partial, folder).map_err(io)
    };
    fill().inspect_err(|_| {
        // What is left there is of no use to anybody.
        let _ = std::fs::remove_dir_all(&partial);
    })
}

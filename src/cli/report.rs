//! `shortfall report`: a run's folder as a page to read.

use std::fs;
use std::path::PathBuf;

use clap::Args;
use shortfall::report::page;

use super::exit::{Failure, exit_codes};
use super::output;

/// Turn the folder of a run into one page for a risk committee
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct Arguments {
    /// The folder of `run --out`
    pub folder: PathBuf,
    /// Where the page goes [default: standard output]
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Markdown for a chat instead of HTML
    #[arg(long)]
    pub markdown: bool,
}

const AFTER_HELP: &str = concat!(
    "\
Examples:
  shortfall run scenarios/nightly.yaml --attribution top:5 --out result
  shortfall report result --out night.html
  shortfall report result --markdown

The page stands alone: no scripts, nothing from elsewhere. Two more files are shown where they lie in
the folder: comparison.json (of `compare --json`) and procyclicality.json (of `procyclicality --json`).

",
    exit_codes!()
);

/// Writes the page.
pub fn report(arguments: &Arguments) -> Result<(), Failure> {
    let saved = page::read(&arguments.folder)?;
    let page = if arguments.markdown { page::markdown(&saved) } else { page::html(&saved) };
    let Some(path) = &arguments.out else { return output::print(&page) };
    fs::write(path, page).map_err(|error| Failure::Io(format!("{}: {error}", path.display())))?;
    output::say(&format!("wrote {}", path.display()));
    Ok(())
}

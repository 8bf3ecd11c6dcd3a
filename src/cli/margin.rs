//! `shortfall margin`: one book under one rulebook.

use std::path::{Path, PathBuf};

use clap::Args;
use jiff::civil::Date;
use shortfall::report::rulebook;
use shortfall::rulebook::{self as rules, ShelfFault};

use super::exit::{Failure, exit_codes};
use super::output;

/// Margin one book under a venue's rulebook, every component shown
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct Arguments {
    /// The rulebook: a name (--list shows them), or the path of a file
    #[arg(long, value_name = "NAME", required_unless_present = "list")]
    pub rulebook: Option<String>,
    /// The book, as JSON
    #[arg(value_name = "BOOK.json", required_unless_present = "list")]
    pub book: Option<PathBuf>,
    /// The day whose version of the rulebook holds; the latest without it
    #[arg(long, value_name = "DATE")]
    pub as_of: Option<Date>,
    /// Print the whole result as JSON, with every scenario and position
    #[arg(long)]
    pub json: bool,
    /// List the rulebooks that come with the program
    #[arg(long, conflicts_with_all = ["rulebook", "book", "as_of", "json"])]
    pub list: bool,
}

const AFTER_HELP: &str = concat!(
    "\
Marks, forwards, volatilities, discount factors and times are taken as the book gives them. Margins
are requirements, so positive; profits of scenarios and the venue's own balances keep their signs.
docs/rulebooks.md describes books and rulebooks, with a complete example for each venue.

Examples:
  shortfall margin --list
  shortfall margin --rulebook derive-pm2 book.json
  shortfall margin --rulebook deribit-pm --as-of 2024-07-01 book.json --json
  shortfall margin --rulebook ./mine.yaml book.json

",
    exit_codes!()
);

/// Margins a book.
pub fn margin(arguments: &Arguments) -> Result<(), Failure> {
    let (Some(name), Some(path)) = (&arguments.rulebook, &arguments.book) else {
        return output::print(&list());
    };
    let rulebook = rules::open(name, arguments.as_of).map_err(|fault| match fault {
        ShelfFault::File(faults) => Failure::Input(faults),
        fault => Failure::Usage(fault.to_string()),
    })?;
    let file = path.display().to_string();
    let book = rules::read_book(&file, &rules::read_file(Path::new(path))?, &rulebook)?;
    let result = rulebook.margin(&book).map_err(|fault| {
        Failure::Data(format!(
            "{file}: {} of {} cannot margin it: {fault}",
            rulebook.name, rulebook.effective
        ))
    })?;
    match arguments.json {
        true => output::print(&rulebook::json(&rulebook, &book, &result)),
        false => output::print(&rulebook::text(&rulebook, &book, &result)),
    }
}

fn list() -> String {
    let names = rules::names();
    let width = names.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    names.iter().map(|(name, dates)| format!("{name:width$}  in force from {}\n", dates.join(", "))).collect()
}

//! `shortfall reverse`: the likeliest move that exhausts an account or the insurance fund.

use std::path::PathBuf;

use clap::Args;
use shortfall::reverse::{self, Options, Until};
use shortfall::{report, scenario, units};

use super::exit::{Failure, exit_codes};
use super::output;
use super::progress::Spinner;

/// Find the likeliest move that exhausts an account or the insurance fund, and what prevents it
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct Arguments {
    /// The scenario file
    pub scenario: PathBuf,
    /// The case that is looked at: a stress of the scenario, or base
    #[arg(long, value_name = "NAME", default_value = "base")]
    pub case: String,
    /// An account to look at; may be given several times
    #[arg(long = "account", value_name = "NAME")]
    pub accounts: Vec<String>,
    /// Size of the insurance fund, which bears the losses of all accounts beyond what they are worth
    #[arg(long, value_name = "MONEY", value_parser = money)]
    pub fund: Option<f64>,
    /// Neediest accounts that are looked at where neither --account nor --fund is given
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub top: u32,
    /// Where an account is exhausted: a market value, or `maintenance` for today's maintenance margin
    #[arg(long, value_name = "WHERE", default_value = "0", allow_negative_numbers = true, value_parser = until)]
    pub until: Until,
    /// Probability of being exhausted that a deposit or hedge leaves
    #[arg(long, value_name = "PROBABILITY", default_value = "0.1%", value_parser = target)]
    pub target: f64,
    /// Instruments that may be traded as a hedge; those of the portfolio and perpetuals without it
    #[arg(long = "hedge", value_name = "INSTRUMENT", value_delimiter = ',')]
    pub hedges: Vec<String>,
    /// Simulated paths
    #[arg(long, value_name = "N", default_value_t = 65_536, value_parser = clap::value_parser!(u64).range(256..=1 << 22))]
    pub paths: u64,
    /// Print the whole result as JSON, and nothing else
    #[arg(long)]
    pub json: bool,
}

const AFTER_HELP: &str = concat!(
    "\
Examples:
  shortfall reverse scenarios/quickstart.yaml
  shortfall reverse scenarios/quickstart.yaml --account covered-call --until maintenance
  shortfall reverse scenarios/quickstart.yaml --account short-strangle --hedge BTC_USDC-PERPETUAL
  shortfall reverse scenarios/nightly.yaml --fund 5000000 --target 0.05% --json

Everything runs on the CPU. docs/reverse.md says which density is maximised, and how.

",
    exit_codes!()
);

fn money(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|x| (0.0..=1e15).contains(x));
    number.ok_or_else(|| "expected an amount from 0 to 10^15".to_owned())
}

fn until(text: &str) -> Result<Until, String> {
    if text == "maintenance" {
        return Ok(Until::Maintenance);
    }
    let number = text.parse().ok().filter(|x: &f64| x.abs() <= 1e15);
    number.map(Until::Worth).ok_or_else(|| "expected an amount such as 0, or `maintenance`".to_owned())
}

fn target(text: &str) -> Result<f64, String> {
    let number = units::fraction(text).filter(|x| (0.0..=0.5).contains(x));
    number.ok_or_else(|| "expected a probability from 0 to 50%, such as 0.1%".to_owned())
}

/// Searches and shows.
pub fn reverse(arguments: &Arguments) -> Result<(), Failure> {
    let scenario = scenario::read(&arguments.scenario)?;
    let known = &scenario.portfolio.accounts;
    let index = |name: &String| known.binary_search_by(|account| account.name.as_str().cmp(name));
    let unknown: Vec<&str> =
        arguments.accounts.iter().filter(|name| index(name).is_err()).map(String::as_str).collect();
    if !unknown.is_empty() {
        return Err(Failure::Usage(format!("--account {}: no such account", unknown.join(", "))));
    }
    let stress = scenario.stresses.iter().position(|stress| stress.name == arguments.case);
    if stress.is_none() && arguments.case != "base" {
        return Err(Failure::Usage(format!("--case {}: no such stress", arguments.case)));
    }
    let options = Options {
        case: stress,
        paths: arguments.paths,
        accounts: arguments.accounts.iter().filter_map(|name| index(name).ok()).collect(),
        fund: arguments.fund,
        top: arguments.top as usize,
        until: arguments.until,
        target: arguments.target,
        hedges: arguments.hedges.clone(),
    };
    let spinner = Spinner::new("reading");
    let analysis = reverse::analyse(&scenario, &options, &mut |stage| spinner.stage(stage));
    spinner.finish();
    let analysis = analysis?;
    if arguments.json {
        let text = serde_json::to_string_pretty(&analysis).expect("plain fields become JSON");
        return output::print(&format!("{text}\n"));
    }
    output::print(&report::reverse::render(&analysis))
}

//! `shortfall oracle`: one price from several sources, and what it takes to push it.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde::Serialize;
use shortfall::oracle::{self, Attack, Method, Price, Rules, Target};
use shortfall::units::{self, Years};

use super::exit::{Failure, exit_codes};
use super::output;

/// Aggregate prices of several sources, and show what pushing them costs
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct Arguments {
    /// A table asset,source,price,age[,confidence]: .csv, .json or .parquet
    pub quotes: PathBuf,
    /// What becomes of quotes that are fresh and agree
    #[arg(long, value_name = "METHOD", default_value = "median")]
    pub method: MethodName,
    /// Older quotes are dropped
    #[arg(long, value_name = "DURATION", default_value = "1m", value_parser = duration)]
    pub most_age: Years,
    /// Quotes further than this from the median are dropped
    #[arg(long, value_name = "FRACTION", default_value = "2%", value_parser = |t: &str| between(t, 0.0, 1.0))]
    pub most_deviation: f64,
    /// Sources that have to be left
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub least_sources: u32,
    /// Move of the oracle's price that an attacker wants, such as one to a liquidation price
    #[arg(long, value_name = "MOVE", requires = "pool", allow_negative_numbers = true, allow_hyphen_values = true, value_parser = |t: &str| between(t, -0.99, 100.0))]
    pub attack: Option<f64>,
    /// Dollars on either side of the constant-product pool that is pushed
    #[arg(long, value_name = "USD", value_parser = |t: &str| between(t, 1.0, 1e15))]
    pub pool: Option<f64>,
    /// Window of the time-weighted mean; 0s for a price as it is
    #[arg(long, value_name = "DURATION", default_value = "30m", value_parser = duration)]
    pub window: Years,
    /// Time in which others push the pool's price back
    #[arg(long, value_name = "DURATION", default_value = "12s", value_parser = duration)]
    pub reset: Years,
    /// Print the result as JSON, and nothing else
    #[arg(long)]
    pub json: bool,
}

/// What becomes of quotes.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum MethodName {
    /// Their median
    Median,
    /// The lowest: the worse one for who holds the asset
    Lowest,
    /// The highest: the worse one for who owes it
    Highest,
}

const AFTER_HELP: &str = concat!(
    "\
Examples:
  shortfall oracle quotes.csv
  shortfall oracle quotes.csv --method lowest --attack -20% --pool 5000000

confidence and staleness of a price are what the key `oracle` of an asset in a market takes.
docs/oracle.md has the formulas.

",
    exit_codes!()
);

fn between(text: &str, low: f64, high: f64) -> Result<f64, String> {
    units::fraction(text)
        .filter(|x| (low..=high).contains(x))
        .ok_or_else(|| format!("expected a number from {low} to {high}"))
}

fn duration(text: &str) -> Result<Years, String> {
    Years::parse(text).ok_or_else(|| "expected a duration such as 12s or 30m".to_owned())
}

#[derive(Serialize)]
struct Document {
    schema: &'static str,
    schema_version: u32,
    prices: Vec<AssetPrice>,
    attacks: Vec<Attack>,
}

#[derive(Serialize)]
struct AssetPrice {
    asset: String,
    price: Option<Price>,
    failure: Option<String>,
}

/// Aggregates and shows. An asset without a price is shown as such, and is wrong input.
pub fn oracle(arguments: &Arguments) -> Result<(), Failure> {
    let rules = Rules {
        most_age: arguments.most_age,
        most_deviation: arguments.most_deviation,
        least_sources: arguments.least_sources as usize,
        method: match arguments.method {
            MethodName::Median => Method::Median,
            MethodName::Lowest => Method::Lowest,
            MethodName::Highest => Method::Highest,
        },
    };
    let priced = |quotes: oracle::AssetQuotes| {
        let price = oracle::aggregate(&quotes.quotes, &rules);
        let failure = price.as_ref().err().map(ToString::to_string);
        AssetPrice { asset: quotes.asset, price: price.ok(), failure }
    };
    let prices: Vec<AssetPrice> = oracle::read(&arguments.quotes)?.into_iter().map(priced).collect();
    let document = Document {
        schema: "shortfall.oracle",
        schema_version: 1,
        attacks: attacks(arguments, &rules),
        prices,
    };
    if arguments.json {
        let text = serde_json::to_string_pretty(&document).expect("plain fields become JSON");
        output::print(&format!("{text}\n"))?;
    } else {
        output::print(&table(&document))?;
    }
    let failed = document.prices.iter().find_map(|p| Some((&p.asset, p.failure.as_ref()?)));
    failed.map_or(Ok(()), |(asset, reason)| Err(Failure::Data(format!("{asset} has no price: {reason}"))))
}

/// Attacks of a reset time, and of parts of the window.
fn attacks(arguments: &Arguments, rules: &Rules) -> Vec<Attack> {
    let (Some(oracle_move), Some(pool)) = (arguments.attack, arguments.pool) else { return Vec::new() };
    let seconds = |years: Years| years.days() * 86_400.0;
    let (window, reset) = (seconds(arguments.window), seconds(arguments.reset).max(1e-3));
    // A median moves when more than half of its sources do; an extreme with one of them.
    let sources = match rules.method {
        Method::Median => rules.least_sources / 2 + 1,
        Method::Lowest | Method::Highest => 1,
    };
    let target = Target { oracle_move, window_seconds: window, pool, reset_seconds: reset, sources };
    let mut durations = vec![reset];
    durations
        .extend([0.1, 0.25, 0.5, 0.75, 1.0].map(|part| part * window).into_iter().filter(|t| *t > reset));
    durations.into_iter().filter_map(|t| oracle::attack(&target, t)).collect()
}

fn table(document: &Document) -> String {
    let mut text = format!(
        "  {:<12} {:>16} {:>12} {:>12} {:>6}  dropped\n",
        "asset", "price", "confidence", "age", "used"
    );
    for asset in &document.prices {
        let name = asset.asset.escape_debug();
        match (&asset.price, &asset.failure) {
            (Some(price), _) => {
                let dropped = price.dropped.iter();
                let dropped: Vec<String> = dropped
                    .map(|d| format!("{} ({:?})", d.source.escape_debug(), d.reason).to_lowercase())
                    .collect();
                text.push_str(&format!(
                    "  {name:<12} {:>16.6} {:>10.4} % {:>10.1} s {:>6}  {}\n",
                    price.price,
                    100.0 * price.confidence,
                    price.staleness_days * 86_400.0,
                    price.used,
                    dropped.join(", ")
                ));
            }
            (None, failure) => {
                text.push_str(&format!(
                    "  {name:<12} {:>16}  {}\n",
                    "no price",
                    failure.as_deref().unwrap_or_default()
                ));
            }
        }
    }
    if !document.attacks.is_empty() {
        text.push_str(&format!(
            "\n  {:>12} {:>12} {:>18} {:>18}\n",
            "held for", "deviation", "capital, USD", "cost, USD"
        ));
    }
    for attack in &document.attacks {
        text.push_str(&format!(
            "  {:>10.0} s {:>10.2} % {:>18.0} {:>18.0}\n",
            attack.seconds,
            100.0 * attack.deviation,
            attack.capital,
            attack.cost
        ));
    }
    text
}

//! `shortfall whatif`: ask a running service what orders would change.

use std::path::PathBuf;

use clap::Args;
use shortfall::service::api::{Balance, Book, Position, WhatIf};
use shortfall::service::client::Client;
use shortfall::service::text;

use super::exit::{Failure, exit_codes};
use super::output;

/// Name of the variable that may hold the key.
const KEY_VARIABLE: &str = "SHORTFALL_KEY";

/// Ask a running service what orders would change in an account's margin
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct Arguments {
    /// Instruments and how many units of each to buy (+) or sell (-)
    #[arg(value_name = "INSTRUMENT QUANTITY", required = true, num_args = 2.., allow_negative_numbers = true)]
    pub orders: Vec<String>,
    /// Address of the service
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    pub server: String,
    /// The account; without it, an empty one
    #[arg(long, value_name = "NAME")]
    pub account: Option<String>,
    /// Cash that moves with the orders, such as USD=-1250 for what an option costs; may be repeated
    #[arg(long, value_name = "ASSET=AMOUNT", value_parser = balance)]
    pub cash: Vec<Balance>,
    /// File of the API key; otherwise the variable SHORTFALL_KEY, if it is set
    #[arg(long, value_name = "FILE", help_heading = "Security")]
    pub key_file: Option<PathBuf>,
    /// Certificate of the service or its authority, PEM, for https
    #[arg(long, value_name = "FILE", help_heading = "Security")]
    pub trust: Option<PathBuf>,
    /// Print the answer as JSON
    #[arg(long)]
    pub json: bool,
}

const AFTER_HELP: &str = concat!(
    "\
Examples:
  shortfall whatif --account market-maker BTC-27MAR26-80000-C +10 --cash BTC=-0.4
  shortfall whatif --account market-maker BTC-27MAR26-80000-C -5 BTC-PERPETUAL 20000 --json
  SHORTFALL_KEY=$(cat key.txt) shortfall whatif --server https://margin.example --trust ca.pem BTC 1

Nothing is changed by it. A key is never taken from the command line, which others may see.

",
    exit_codes!()
);

fn balance(text: &str) -> Result<Balance, String> {
    let expected = || "expected ASSET=AMOUNT, such as USD=-1250".to_owned();
    let (asset, amount) = text.split_once('=').ok_or_else(expected)?;
    let amount = amount.parse().ok().filter(|amount: &f64| amount.is_finite()).ok_or_else(expected)?;
    Ok(Balance { asset: asset.to_owned(), amount })
}

/// Asks it.
pub fn whatif(arguments: &Arguments) -> Result<(), Failure> {
    let client = Client::new(&arguments.server, key(arguments)?, arguments.trust.as_deref())?;
    let answer = client.what_if(&WhatIf {
        account: arguments.account.clone(),
        hypothetical: arguments.account.is_none().then(Book::default),
        orders: orders(&arguments.orders)?,
        balances: arguments.cash.clone(),
    })?;
    if arguments.json {
        let json = serde_json::to_string_pretty(&answer).expect("plain fields become JSON");
        return output::print(&format!("{json}\n"));
    }
    let mut shown = text::what_if(&answer);
    if let Some(account) = &arguments.account
        && let Some(driver) = client.margin(account, false)?.worst_driver
    {
        shown.push_str(&format!("\nworst driver without the orders, part of loss: {driver}\n"));
    }
    if arguments.cash.is_empty() {
        shown.push_str("\nthe orders pay nothing here: what options or coins cost goes into --cash\n");
    }
    output::print(&shown)
}

fn orders(words: &[String]) -> Result<Vec<Position>, Failure> {
    let order = |pair: &[String]| {
        let wrong = || Failure::Usage(format!("found `{}`; expected INSTRUMENT QUANTITY", pair.join(" ")));
        let [instrument, quantity] = pair else { return Err(wrong()) };
        let quantity = quantity.parse().ok().filter(|q: &f64| q.is_finite()).ok_or_else(wrong)?;
        Ok(Position { instrument: instrument.clone(), quantity, entry_price: None, implied_volatility: None })
    };
    words.chunks(2).map(order).collect()
}

fn key(arguments: &Arguments) -> Result<Option<String>, Failure> {
    let key = match &arguments.key_file {
        Some(path) => {
            let text = std::fs::read_to_string(path);
            Some(text.map_err(|error| Failure::Io(format!("{}: {error}", path.display())))?)
        }
        None => std::env::var(KEY_VARIABLE).ok(),
    };
    Ok(key.map(|key| key.trim().to_owned()).filter(|key| !key.is_empty()))
}

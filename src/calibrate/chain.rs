//! An option chain: forwards and quotes in the form that a market file names.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::Timestamp;

use super::history::parse_time;
use crate::fault::Faults;
use crate::table::{Table, optional, required};

/// One quote.
#[derive(Clone, Debug)]
pub struct Quote {
    /// Ticker.
    pub asset: String,
    /// When it expires.
    pub expiry: Timestamp,
    /// Strike in US dollars.
    pub strike: f64,
    /// Implied volatilities, bid and ask.
    pub volatilities: (f64, f64),
}

/// A chain as read.
#[derive(Clone, Debug, Default)]
pub struct Chain {
    /// Quotes in the order of the file, one for each asset, expiry and strike.
    pub quotes: Vec<Quote>,
    /// The median forward of each asset and expiry.
    pub forwards: BTreeMap<(String, Timestamp), f64>,
    /// The median spot of each asset, where the chain has one.
    pub spots: BTreeMap<String, f64>,
    /// Rows that are no quote: one side is missing or at zero.
    pub one_sided: u64,
}

/// Reads a table with the columns `asset`, `expiry`, `strike`, `forward`, `bid_volatility` and
/// `ask_volatility` (0.6 is 60 %), and `spot` if there is one. A strike quoted by a call and a put
/// keeps the one out of the money: the later row where `forward` decides so.
pub fn read(path: &Path, as_of: Timestamp) -> Result<Chain, Faults> {
    let table = Table::read(path)?;
    let needed = ["asset", "expiry", "strike", "forward", "bid_volatility", "ask_volatility"].map(required);
    let columns: Vec<_> = needed.into_iter().chain(["spot", "kind"].map(optional)).collect();
    let mut chain = Chain::default();
    let mut forwards: BTreeMap<(String, Timestamp), Vec<f64>> = BTreeMap::new();
    let mut spots: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    table.rows(&columns, |row| {
        let price = |column| row.number(column, "a price above zero", |x| x > 0.0 && x < 1e12);
        let side = |column| {
            row.optional_number(column, "a volatility from 0 to 20, or nothing", |x| {
                (0.0..=20.0).contains(&x)
            })
        };
        let asset = row.text("asset").map(str::to_owned);
        let expiry = row.parsed("expiry", "an instant such as 2026-03-27T08:00:00Z", parse_time);
        let (strike, forward) = (price("strike"), price("forward"));
        let spot = row.optional_number("spot", "a price above zero", |x| x > 0.0);
        let kind = row.parsed("kind", "C, P or nothing", |text| {
            matches!(text, "" | "C" | "P").then(|| text.to_owned())
        });
        let (bid, ask) = (side("bid_volatility"), side("ask_volatility"));
        let (asset, expiry, strike, forward, kind) = (asset?, expiry?, strike?, forward?, kind?);
        if expiry <= as_of {
            return row.fault(
                "expiry",
                format!("{expiry}, already expired"),
                format!("an instant after {as_of}"),
            );
        }
        spots.entry(asset.clone()).or_default().extend(spot?);
        forwards.entry((asset.clone(), expiry)).or_default().push(forward);
        let is_in_the_money = (kind == "C" && strike < forward) || (kind == "P" && strike >= forward);
        match (bid?, ask?) {
            _ if is_in_the_money => {}
            (Some(bid), Some(ask)) if bid > 0.0 && ask >= bid => {
                chain.quotes.push(Quote { asset, expiry, strike, volatilities: (bid, ask) });
            }
            _ => chain.one_sided += 1,
        }
        Some(())
    })?;
    chain.forwards = forwards.into_iter().map(|(key, values)| (key, median(values))).collect();
    chain.spots =
        spots.into_iter().filter(|(_, v)| !v.is_empty()).map(|(key, values)| (key, median(values))).collect();
    Ok(chain)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

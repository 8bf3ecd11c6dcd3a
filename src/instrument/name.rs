//! The grammar of instrument names.
//!
//! ```text
//! BTC                        spot
//! BTC-PERPETUAL              inverse perpetual        (quantity in US dollars)
//! SOL_USDC-PERPETUAL         linear perpetual         (quantity in coins)
//! BTC-27MAR26                inverse dated future     (quantity in US dollars)
//! ETH_USDC-27MAR26           linear dated future      (quantity in coins)
//! BTC-27MAR26-80000-C        option paid in the coin  (quantity in coins)
//! BTC_USDC-27MAR26-80000-P   option paid in dollars   (quantity in coins)
//! XRP_USDC-27MAR26-1d35-C    a strike of 1.35
//! ```
//! Everything expires at 08:00 UTC of its day.

use std::fmt;

use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::{Instrument, Kind, OptionTerms, Right, Settlement};

/// Why a name is not an instrument of this market.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NameFault {
    /// The asset is not in the market.
    UnknownAsset(String),
    /// The name does not follow the grammar.
    Grammar,
}

impl fmt::Display for NameFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownAsset(asset) => {
                write!(f, "an instrument of an asset of the market, not of `{asset}`")
            }
            Self::Grammar => {
                write!(
                    f,
                    "a name such as BTC, BTC-PERPETUAL, SOL_USDC-PERPETUAL, BTC-27MAR26 or BTC-27MAR26-80000-C"
                )
            }
        }
    }
}

/// Hour (UTC) at which dated instruments expire.
const EXPIRY_HOUR: i8 = 8;
const MONTHS: [&str; 12] =
    ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];

/// Reads a name; `asset_index` finds an asset of the market.
pub fn parse(name: &str, asset_index: impl Fn(&str) -> Option<usize>) -> Result<Instrument, NameFault> {
    let mut parts = name.split('-');
    let base = parts.next().unwrap_or_default();
    let parts: Vec<&str> = parts.collect();
    let (ticker, settlement) = match base.split_once('_') {
        None => (base, Settlement::Inverse),
        Some((ticker, "USD" | "USDC" | "USDT")) => (ticker, Settlement::Linear),
        Some(_) => return Err(NameFault::Grammar),
    };
    let kind = match parts.as_slice() {
        [] if settlement == Settlement::Inverse => Kind::Spot,
        ["PERPETUAL"] => Kind::Perpetual(settlement),
        [date] => Kind::Future(settlement, expiry(date).ok_or(NameFault::Grammar)?),
        [date, strike, right @ ("C" | "P")] => Kind::Option(OptionTerms {
            right: if *right == "C" { Right::Call } else { Right::Put },
            strike: parse_strike(strike).ok_or(NameFault::Grammar)?,
            expiry: expiry(date).ok_or(NameFault::Grammar)?,
            settlement,
            volatility_annual: None,
        }),
        _ => return Err(NameFault::Grammar),
    };
    let asset = asset_index(ticker).ok_or_else(|| NameFault::UnknownAsset(ticker.to_owned()))?;
    Ok(Instrument { name: name.to_owned(), asset, kind })
}

fn parse_strike(text: &str) -> Option<f64> {
    let plain = text.bytes().all(|b| b.is_ascii_digit() || b == b'.' || b == b'd');
    let strike: f64 = text.replacen('d', ".", 1).parse().ok()?;
    (plain && strike > 0.0 && strike < 1e12).then_some(strike)
}

fn expiry(date: &str) -> Option<jiff::Timestamp> {
    if !date.is_ascii() || !(6..=7).contains(&date.len()) {
        return None;
    }
    let (rest, year) = date.split_at(date.len() - 2);
    let (day, month) = rest.split_at(rest.len() - 3);
    let digits =
        |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse::<i8>().ok()).flatten();
    let month = MONTHS.iter().position(|name| *name == month)? as i8 + 1;
    let date = Date::new(2000 + i16::from(digits(year)?), month, digits(day)?).ok()?;
    Some(date.at(EXPIRY_HOUR, 0, 0, 0).to_zoned(TimeZone::UTC).ok()?.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str) -> Result<Instrument, NameFault> {
        parse(name, |asset| ["BTC", "SOL"].iter().position(|a| *a == asset))
    }

    #[test]
    fn venue_names_are_read() {
        assert_eq!(read("SOL").unwrap().kind, Kind::Spot);
        assert_eq!(read("BTC-PERPETUAL").unwrap().kind, Kind::Perpetual(Settlement::Inverse));
        assert_eq!(read("SOL_USDC-PERPETUAL").unwrap().asset, 1);
        let Kind::Option(terms) = read("BTC_USDC-6FEB26-1d35-P").unwrap().kind else { panic!("an option") };
        assert_eq!((terms.strike, terms.right, terms.settlement), (1.35, Right::Put, Settlement::Linear));
        assert_eq!(terms.expiry.to_string(), "2026-02-06T08:00:00Z");
    }

    #[test]
    fn other_names_are_refused() {
        for bad in [
            "",
            "-",
            "BTC-",
            "BTC_EUR",
            "BTC_USDC",
            "BTC-31FEB26",
            "BTC-27MAR26-0-C",
            "BTC-27MAR26--5-C",
            "BTC-27MAR26-80000-X",
            "BTC-27MAR26-1d3d5-C",
            "BTC-é7MAR26",
            "btc",
            "BTC-27MAR26-nan-C",
            "BTC-+7MAR26",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
        assert_eq!(read("XYZ-PERPETUAL"), Err(NameFault::UnknownAsset("XYZ".to_owned())));
    }
}

//! One price from several sources: what is stale or an outlier is dropped, the rest becomes one.

use serde::Serialize;

use super::Quote;
use crate::market::PriceQuality;
use crate::units::Years;

/// How quotes become one price.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rules {
    /// Older quotes are dropped.
    pub most_age: Years,
    /// Quotes further than this from the median of the fresh ones are dropped: 0.02 is 2 %.
    pub most_deviation: f64,
    /// Quotes that have to be left.
    pub least_sources: usize,
    /// What becomes of them.
    pub method: Method,
}

/// What becomes of the quotes that are left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Their median.
    Median,
    /// The lowest: the worse one for whoever holds the asset.
    Lowest,
    /// The highest: the worse one for whoever owes it.
    Highest,
}

/// A price and how far it can be trusted.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Price {
    /// The price.
    pub price: f64,
    /// Half-width of an interval that holds every interval of the quotes used, as a fraction.
    pub confidence: f64,
    /// Age of the oldest quote used, in days.
    pub staleness_days: f64,
    /// Quotes used.
    pub used: usize,
    /// Quotes that were dropped.
    pub dropped: Vec<Dropped>,
}

/// A quote that was dropped.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Dropped {
    /// Its source.
    pub source: String,
    /// Why.
    pub reason: Reason,
}

/// Why a quote was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Too old.
    Stale,
    /// Too far from the others.
    Outlier,
}

/// Why there is no price.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{left} of {all} sources are left, and {needed} are needed")]
pub struct OracleFault {
    /// Quotes that are fresh and agree.
    pub left: usize,
    /// All quotes.
    pub all: usize,
    /// What the rules ask for.
    pub needed: usize,
}

impl Rules {
    /// Sources that an attacker has to push: a median needs more than half of the least number of them,
    /// the lowest or highest price one.
    pub fn pushed_sources(&self) -> usize {
        match self.method {
            Method::Median => self.least_sources / 2 + 1,
            Method::Lowest | Method::Highest => 1,
        }
    }
}

impl Price {
    /// As the oracle charge of a margin takes it.
    pub fn quality(&self) -> PriceQuality {
        let staleness = Years::from_days(self.staleness_days).expect("an age that was read");
        PriceQuality { confidence: self.confidence, staleness }
    }
}

/// One price from quotes.
///
/// # Errors
/// Fewer sources left than the rules need: there is no price then, rather than a doubtful one.
pub fn aggregate(quotes: &[Quote], rules: &Rules) -> Result<Price, OracleFault> {
    let is_fresh = |quote: &&Quote| quote.age <= rules.most_age;
    let fresh: Vec<&Quote> = quotes.iter().filter(is_fresh).collect();
    let middle = median(fresh.iter().map(|quote| quote.price).collect());
    let agrees =
        |quote: &Quote| middle.is_some_and(|m| (quote.price / m - 1.0).abs() <= rules.most_deviation);
    let used: Vec<&Quote> = fresh.iter().copied().filter(|quote| agrees(quote)).collect();
    let dropped = quotes.iter().filter_map(|quote| {
        let reason = match (is_fresh(&quote), agrees(quote)) {
            (false, _) => Reason::Stale,
            (true, false) => Reason::Outlier,
            (true, true) => return None,
        };
        Some(Dropped { source: quote.source.clone(), reason })
    });
    let prices = || used.iter().map(|quote| quote.price);
    let price = match rules.method {
        Method::Median => median(prices().collect()),
        Method::Lowest => prices().reduce(f64::min),
        Method::Highest => prices().reduce(f64::max),
    };
    let needed = rules.least_sources.max(1);
    let fault = OracleFault { left: used.len(), all: quotes.len(), needed };
    let price = price.filter(|_| used.len() >= needed).ok_or(fault)?;
    let reach = |quote: &&Quote| (quote.price / price - 1.0).abs() + quote.confidence * quote.price / price;
    Ok(Price {
        price,
        confidence: used.iter().map(reach).fold(0.0, f64::max),
        staleness_days: used.iter().map(|quote| quote.age.days()).fold(0.0, f64::max),
        used: used.len(),
        dropped: dropped.collect(),
    })
}

/// The middle number, the mean of the two middle ones; `None` of none.
fn median(mut numbers: Vec<f64>) -> Option<f64> {
    numbers.sort_by(f64::total_cmp);
    let middle = numbers.len() / 2;
    match numbers.len() {
        0 => None,
        n if n % 2 == 1 => Some(numbers[middle]),
        _ => Some(0.5 * (numbers[middle - 1] + numbers[middle])),
    }
}

/// Mean price over the `window` before `now`, each price holding until the next one. Times in any one
/// unit, ascending; `None` where no price is known at the window's start.
pub fn time_weighted(observations: &[(f64, f64)], now: f64, window: f64) -> Option<f64> {
    let start = now - window;
    let first = observations.iter().rposition(|(time, _)| *time <= start)?;
    if !(window > 0.0) {
        return observations.iter().rev().find(|(time, _)| *time <= now).map(|(_, price)| *price);
    }
    let ends = observations[first + 1..].iter().map(|(time, _)| time.min(now)).chain([now]);
    let mut from = start;
    let mut sum = 0.0;
    for ((_, price), end) in observations[first..].iter().zip(ends) {
        sum += price * (end - from).max(0.0);
        from = from.max(end);
    }
    Some(sum / window)
}

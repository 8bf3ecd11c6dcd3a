//! The same books under every architecture of margining, in one table.
//!
//! Every row is a requirement in US dollars at one level of the scenario, maintenance or initial, and
//! its ratio to the Expected Shortfall of the portfolio simulation. `docs/compare.md` says how each
//! architecture is computed.

mod book;
mod history;
mod position_based;
mod read;
pub mod report;
mod simulate;

pub use book::book_of;
pub use history::Historical;
pub use read::read;

use crate::engine::{Engine, EngineFault};
use crate::instrument::UnitValue;
use crate::portfolio::Account;
use crate::rulebook::{Level, Rulebook};
use crate::run::Monitor;
use crate::scenario::{Replay, Scenario};

/// What to compare, checked.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// Its name.
    pub name: String,
    /// The market, the accounts to compare, and how to simulate.
    pub scenario: Scenario,
    /// Which margin.
    pub level: MarginLevel,
    /// Part of notional that static margins take: 0.1 is 10 %.
    pub static_rate: f64,
    /// Ranges of the SPAN rows.
    pub span: SpanRanges,
    /// Recorded crises.
    pub crises: Option<Vec<Replay>>,
    /// A history of closing prices.
    pub historical: Option<Historical>,
    /// Rulebooks, SPAN's first.
    pub venues: Vec<Venue>,
}

/// Which margin is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MarginLevel {
    /// The maintenance margin.
    Maintenance,
    /// The initial margin.
    Initial,
}

/// What a clearing house would set for SPAN.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SpanRanges {
    /// Price scan range, a part of the spot price.
    pub scan_range: f64,
    /// Volatility scan range, in annual volatility: 0.1 is ten points.
    pub volatility_range: f64,
    /// Charge for each delta of a spread between expiries, a part of the spot price.
    pub spread_charge: f64,
    /// Least margin of an option sold, a part of the spot price.
    pub short_option_minimum: f64,
    /// Credit for underlyings that offset each other: part of the price risk of both.
    pub intercommodity_credit: f64,
}

/// A rulebook and what it asks for.
#[derive(Clone, Debug)]
pub struct Venue {
    /// The rulebook.
    pub rulebook: Rulebook,
    /// Its inputs, by name, the same for every underlying, expiry and position.
    pub inputs: Vec<(String, f64)>,
    /// Whether its ranges are those of [`Comparison::span`].
    pub is_span: bool,
}

/// One account under every architecture.
#[derive(Clone, Debug, PartialEq)]
pub struct Compared {
    /// The account; `all accounts` for the sums.
    pub account: String,
    /// One row for each architecture, in the same order for every account.
    pub rows: Vec<Row>,
}

/// One architecture.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Its name.
    pub architecture: String,
    /// How it was computed, in a few words.
    pub note: String,
    /// The margin and, where it is an estimate, its standard error; or why there is none.
    pub margin: Result<Estimate, String>,
    /// Margin over the Expected Shortfall of the simulation.
    pub ratio: Option<f64>,
}

/// A margin in US dollars.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The requirement, zero or more.
    pub value: f64,
    /// One standard error, where it is an estimate.
    pub error: Option<f64>,
}

impl Estimate {
    fn exact(value: f64) -> Self {
        Self { value, error: None }
    }
}

/// Name of the row that all others are compared with.
pub const SHORTFALL: &str = "portfolio ES";

/// Margins every account under every architecture; the sums come last where there are several
/// accounts.
///
/// # Errors
/// A fault of the device.
pub fn compare(
    comparison: &Comparison,
    engine: &mut dyn Engine,
    monitor: &mut dyn Monitor,
) -> Result<Vec<Compared>, EngineFault> {
    let scenario = &comparison.scenario;
    let value = |instrument| {
        UnitValue::new(&scenario.market, instrument)
            .map_err(|fault| EngineFault::Device(format!("{}: {fault}", instrument.name)))
    };
    let units: Vec<UnitValue> = scenario.portfolio.instruments.iter().map(value).collect::<Result<_, _>>()?;
    let simulated = simulate::simulate(comparison, engine, monitor)?;
    let accounts = scenario.portfolio.accounts.iter().zip(simulated);
    let mut all: Vec<Compared> = accounts
        .map(|(account, simulated)| {
            let mut rows = position_based::rows(comparison, account, &units);
            rows.push(simulated.isolated);
            rows.extend(history::rows(comparison, account, &units));
            rows.extend(venues(comparison, account, &units));
            rows.push(simulated.portfolio);
            Compared { account: account.name.clone(), rows: with_ratios(rows) }
        })
        .collect();
    if all.len() > 1 {
        all.push(sums(&all));
    }
    Ok(all)
}

fn venues(comparison: &Comparison, account: &Account, units: &[UnitValue]) -> Vec<Row> {
    let margin = |venue: &Venue| {
        let rulebook = &venue.rulebook;
        let input = |level: Level, name: &str, spot: f64| {
            if rulebook.input_level(name) != Some(level) {
                return None;
            }
            let own = venue.inputs.iter().find(|(known, _)| known == name).map(|(_, value)| *value);
            if venue.is_span { span_input(&comparison.span, name, spot) } else { own }
        };
        let mut book = book_of(&comparison.scenario, account, units, input, &rulebook.inputs());
        book.name.clone_from(&account.name);
        let margin = rulebook.margin(&book).map_err(|fault| fault.to_string());
        let margin = margin.map(|result| match comparison.level {
            MarginLevel::Maintenance => result.maintenance,
            MarginLevel::Initial => result.initial,
        });
        Row {
            architecture: rulebook.name.clone(),
            note: format!("{}, in force from {}", rulebook.title, rulebook.effective),
            margin: margin.map(|value| Estimate::exact(value.max(0.0))),
            ratio: None,
        }
    };
    comparison.venues.iter().map(margin).collect()
}

/// An input of the SPAN rulebooks, from parts of the spot price.
fn span_input(span: &SpanRanges, name: &str, spot: f64) -> Option<f64> {
    match name {
        "scan_range" => Some(span.scan_range * spot),
        "volatility_range" => Some(span.volatility_range),
        "spread_charge" => Some(span.spread_charge * spot),
        "short_option_minimum" => Some(span.short_option_minimum * spot),
        "intercommodity_credit" => Some(span.intercommodity_credit),
        _ => None,
    }
}

fn with_ratios(mut rows: Vec<Row>) -> Vec<Row> {
    let shortfall = rows.iter().find(|row| row.architecture == SHORTFALL);
    let shortfall = shortfall.and_then(|row| row.margin.as_ref().ok()).map(|margin| margin.value);
    let Some(shortfall) = shortfall.filter(|value| *value > 0.0) else { return rows };
    for row in &mut rows {
        row.ratio = row.margin.as_ref().ok().map(|margin| margin.value / shortfall);
    }
    rows
}

/// Sums over accounts. An architecture that cannot margin one of them has no sum.
fn sums(all: &[Compared]) -> Compared {
    let rows = all[0].rows.iter().enumerate().map(|(index, first)| {
        let margins = all.iter().map(|compared| (&compared.account, &compared.rows[index].margin));
        let without: Vec<&str> = margins
            .clone()
            .filter(|(_, margin)| margin.is_err())
            .map(|(account, _)| account.as_str())
            .collect();
        let margin = if without.is_empty() {
            let found: Vec<Estimate> =
                margins.filter_map(|(_, margin)| margin.as_ref().ok().copied()).collect();
            let estimated = found.iter().any(|margin| margin.error.is_some());
            // Accounts share their paths: the sum of their errors is the most that theirs can be.
            let error = estimated.then(|| found.iter().filter_map(|margin| margin.error).sum());
            Ok(Estimate { value: found.iter().map(|margin| margin.value).sum(), error })
        } else {
            Err(format!("none for {}", without.join(", ")))
        };
        Row { architecture: first.architecture.clone(), note: first.note.clone(), margin, ratio: None }
    });
    Compared { account: "all accounts".to_owned(), rows: with_ratios(rows.collect()) }
}

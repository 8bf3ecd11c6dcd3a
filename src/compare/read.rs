//! A comparison from its YAML file. Keys are exactly those of the file.

use std::path::Path;

use jiff::civil::Date;

use super::{Comparison, Historical, MarginLevel, SpanRanges, Venue};
use crate::calibrate::{ewma, history};
use crate::fault::Faults;
use crate::rulebook::{self, ShelfFault};
use crate::scenario::{self, Scenario};
use crate::units::fraction;
use crate::yaml::{self, At, Mapping};

/// Days of history where the file does not say: two years.
const DAYS: usize = 730;
const MAX_DAYS: u64 = 100_000;
/// The rulebooks of the SPAN rows.
const SPAN: [&str; 2] = ["span", "span-cme"];

/// Reads and checks a comparison and every file that it names. All faults are reported together.
pub fn read(path: &Path) -> Result<Comparison, Faults> {
    yaml::read_file(path, "a readable comparison; scenarios/compare.yaml is one", read_comparison)
}

fn read_comparison(m: &Mapping<'_>, folder: &Path) -> Option<Comparison> {
    let name = m.required("name", |at| at.text().map(str::to_owned));
    let scenario = m.required("scenario", |at| {
        let path = folder.join(at.text()?);
        let scenario = scenario::read(&path).map_err(|faults| at.document().append(faults)).ok()?;
        match scenario.reporting_asset {
            None => Some(scenario),
            Some(_) => at.fault_found(
                format!("a scenario in {}", scenario.reporting_currency()),
                "one whose reporting_currency is USD",
            ),
        }
    });
    let accounts = m.optional("accounts", |at| at.list(|at| read_account(at, scenario.as_ref()?)));
    let paths = m.optional("paths", |at| at.integer(1..=scenario::MAX_PATHS));
    let level = m.optional("level", |at| at.one_of(&["maintenance", "initial"]));
    let static_rate = m.required("static_rate", part);
    let span = m.required("span", |at| at.mapping(read_span));
    let crises = m.optional("crises", |at| {
        let path = folder.join(at.text()?);
        let market = &scenario.as_ref()?.market;
        scenario::read_replays(&path, market).map_err(|faults| at.document().append(faults)).ok()
    });
    let historical = m.optional("history", |at| at.mapping(|m| read_history(m, folder)));
    let as_of =
        m.optional("as_of", |at| at.parsed("a date such as 2026-02-04", |text| text.parse::<Date>().ok()));
    let as_of = as_of?;
    let venues = m.required("rulebooks", |at| at.entries(|name, at| read_venue(name, at, folder, as_of)));
    let span_venue = |name: &&str| match rulebook::open(name, None) {
        Ok(rulebook) => Some(Venue { rulebook, inputs: Vec::new(), is_span: true }),
        Err(fault) => m.at().fault_found(fault.to_string(), "a shipped rulebook"),
    };
    let span_venues: Option<Vec<Venue>> = SPAN.iter().map(span_venue).collect();
    let named = venues?.into_iter().map(|(_, venue)| venue);
    let mut scenario = scenario?;
    if let Some(accounts) = accounts? {
        scenario.portfolio.accounts.retain(|account| accounts.contains(&account.name));
    }
    scenario.simulation.paths = paths?.unwrap_or(scenario.simulation.paths);
    Some(Comparison {
        name: name?,
        scenario,
        level: if level? == Some(1) { MarginLevel::Initial } else { MarginLevel::Maintenance },
        static_rate: static_rate?,
        span: span?,
        crises: crises?,
        historical: historical?,
        venues: span_venues?.into_iter().chain(named).collect(),
    })
}

fn part(at: At<'_>) -> Option<f64> {
    let read = |text: &str| fraction(text).filter(|x| (0.0..=10.0).contains(x));
    at.parsed("a part from 0 to 10, such as 0.1 or 10%", read)
}

fn read_account(at: At<'_>, scenario: &Scenario) -> Option<String> {
    let name = at.word()?;
    let known = scenario.portfolio.accounts.iter().any(|account| account.name == name);
    if known { Some(name) } else { at.fault("an account of the scenario") }
}

fn read_span(m: &Mapping<'_>) -> Option<SpanRanges> {
    let scan_range = m.required("scan_range", part);
    let volatility_range = m.required("volatility_range", part);
    let spread_charge = m.optional("spread_charge", part);
    let short_option_minimum = m.optional("short_option_minimum", part);
    let credit = m.optional("intercommodity_credit", part);
    Some(SpanRanges {
        scan_range: scan_range?,
        volatility_range: volatility_range?,
        spread_charge: spread_charge?.unwrap_or(0.0),
        short_option_minimum: short_option_minimum?.unwrap_or(0.0),
        intercommodity_credit: credit?.unwrap_or(0.0),
    })
}

fn read_history(m: &Mapping<'_>, folder: &Path) -> Option<Historical> {
    let history = m.required("prices", |at| {
        let path = folder.join(at.text()?);
        let history = history::read(&[path]).map_err(|faults| at.document().append(faults)).ok()?;
        let daily = history.step_seconds == 86_400;
        if daily { Some(history) } else { at.fault("a table of daily closing prices") }
    });
    let days = m.optional("days", |at| at.integer(1..=MAX_DAYS));
    let decay = m.optional("decay", |at| at.number("a decay in [0.5, 1)", |x| (0.5..1.0).contains(&x)));
    Some(Historical {
        history: history?,
        days: days?.map_or(DAYS, |days| days as usize),
        decay: decay?.unwrap_or(ewma::DECAY),
    })
}

/// A rulebook by its name or path, and its inputs.
fn read_venue(name: &str, at: At<'_>, folder: &Path, as_of: Option<Date>) -> Option<Venue> {
    let path = folder.join(name).display().to_string();
    let is_path = name.contains('/') || name.ends_with(".yaml");
    let rulebook = match rulebook::open(if is_path { &path } else { name }, as_of) {
        Ok(rulebook) => rulebook,
        Err(ShelfFault::File(faults)) => {
            at.document().append(faults);
            return None;
        }
        Err(fault) => return at.fault_found(fault.to_string(), "a rulebook"),
    };
    let inputs = at.entries(|input, at| {
        if rulebook.input_level(input).is_none() {
            return at.fault(format!("an input of {name}: {}", rulebook.inputs().join(", ")));
        }
        at.number("a number of at most 1e15 in size", |x| x.abs() <= 1e15)
    })?;
    Some(Venue { rulebook, inputs, is_span: false })
}

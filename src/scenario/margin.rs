//! The margin rules of a scenario file.

use std::path::{Path, PathBuf};

use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::oracle::read_oracle;
use crate::margin::{
    AddOns, Basis, Buffer, Charge, Level, Liquidation, MarginRules, ShortOptions, StressedWeight, Version,
    WrongWay,
};
use crate::market::{Asset, Market};
use crate::portfolio::{Portfolio, STABLECOINS};
use crate::units::{Confidence, Years};
use crate::yaml::{At, Mapping};

/// Longest horizon.
const MAX_HORIZON_DAYS: f64 = 366.0;
/// Share of the buffer and weight of stressed observations in EMIR RTS 153/2013, article 28.
const QUARTER: f64 = 0.25;

/// Reads the `margin` mapping; a file that it names, relative to the folder, comes with it.
pub(super) fn read_margin(
    m: &Mapping<'_>,
    market: Option<&Market>,
    folder: &Path,
) -> Option<(MarginRules, Option<PathBuf>)> {
    let version = read_version(m, market);
    let maintenance = m.required("maintenance", |at| at.mapping(read_level));
    let initial = m.required("initial", |at| at.mapping(read_level));
    let charge = read_charge(m);
    let floor = m.optional("floor", fraction);
    let haircuts = m.optional("haircuts", |at| by_asset(at, market?));
    let add_ons = read_add_ons(m, market, folder);
    let mut by_asset = vec![0.0; market.map_or(0, |market| market.assets.len())];
    for (asset, haircut) in haircuts?.unwrap_or_default() {
        by_asset[asset] = haircut;
    }
    let (add_ons, file) = add_ons?;
    let rules = MarginRules {
        version: version?,
        maintenance: maintenance?,
        initial: initial?,
        charge: charge?,
        floor: floor?.unwrap_or(0.0),
        haircuts: by_asset,
        add_ons,
    };
    Some((rules, file))
}

/// Checks that what the rules name is there: stresses and accounts.
pub(super) fn check_names(
    at: At<'_>,
    rules: &MarginRules,
    stresses: &[&str],
    portfolio: &Portfolio,
) -> Option<()> {
    let mut all = Some(());
    for case in rules.add_ons.cases().into_iter().flatten().filter(|case| !stresses.contains(case)) {
        all = at.fault_found(
            format!("the unknown stress `{case}` in the margin rules"),
            format!("one of the scenario's stresses ({})", stresses.join(", ")),
        );
    }
    let own_tokens = rules.add_ons.wrong_way.iter().flat_map(|rule| &rule.own_tokens);
    for (account, _) in own_tokens {
        // Accounts are in the order of their names.
        if portfolio.accounts.binary_search_by(|known| known.name.as_str().cmp(account)).is_err() {
            all = at.fault_found(
                format!("the unknown account `{account}` in margin.wrong_way.own_tokens"),
                "an account of the portfolio",
            );
        }
    }
    all
}

pub(super) fn fraction(at: At<'_>) -> Option<f64> {
    at.number("a fraction in [0, 1]", |x| (0.0..=1.0).contains(&x))
}

pub(super) fn multiple(at: At<'_>) -> Option<f64> {
    at.number("a number in [0, 100]", |x| (0.0..=100.0).contains(&x))
}

fn by_asset(at: At<'_>, market: &Market) -> Option<Vec<(usize, f64)>> {
    let entries = at.entries(|name, at| {
        let asset = market.asset_index(name);
        if asset.is_none() {
            return at.fault_found(format!("the unknown asset `{name}`"), "an asset of the market");
        }
        Some((asset?, fraction(at)?))
    })?;
    Some(entries.into_iter().map(|(_, entry)| entry).collect())
}

fn read_version(m: &Mapping<'_>, market: Option<&Market>) -> Option<Version> {
    let name = m.optional("name", |at| at.text().map(str::to_owned));
    let effective = m.optional("effective", |at| {
        let date = at.parsed("a date such as 2026-02-01", |text| text.parse::<Date>().ok())?;
        let market = market?;
        let today = market.as_of.to_zoned(TimeZone::UTC).date();
        if date > today {
            return at.fault_found(
                format!("rules that hold from {date}"),
                format!("a date not after the market's, {today}"),
            );
        }
        Some(date)
    });
    Some(Version { name: name?, effective: effective? })
}

fn read_level(m: &Mapping<'_>) -> Option<Level> {
    let confidence = m.required("confidence", read_confidence);
    let horizon = m.required("horizon", |at| {
        at.parsed("a duration above zero and up to 366d, such as 1d or 8h", |t| {
            Years::parse(t).filter(|years| years.get() > 0.0 && years.days() <= MAX_HORIZON_DAYS)
        })
    });
    Some(Level { confidence: confidence?, horizon: horizon? })
}

fn read_confidence(at: At<'_>) -> Option<Confidence> {
    let in_range = |x: f64| Confidence::new(x).is_some();
    at.number("a confidence from 0.5 to 0.9999, such as 0.99", in_range).and_then(Confidence::new)
}

fn read_charge(m: &Mapping<'_>) -> Option<Charge> {
    let charge = m.optional("charge", |at| at.one_of(&["estimate", "upper_bound"]));
    let confidence = m.optional("charge_confidence", read_confidence);
    match (charge?.unwrap_or(0), confidence?) {
        (0, None) => Some(Charge::Estimate),
        (1, Some(confidence)) => Some(Charge::UpperBound(confidence)),
        (0, Some(_)) => m.at().fault_found("a charge_confidence", "charge: upper_bound beside it"),
        _ => m.at().fault_found("charge: upper_bound alone", "a charge_confidence beside it, such as 0.95"),
    }
}

/// What is added to the model's risk, and a file that it names.
fn read_add_ons(
    m: &Mapping<'_>,
    market: Option<&Market>,
    folder: &Path,
) -> Option<(AddOns, Option<PathBuf>)> {
    let short_options = m.optional("short_options", |at| {
        at.mapping(|m| {
            let notional = m.optional("notional", fraction);
            let premium = m.optional("premium", multiple);
            Some(ShortOptions { notional: notional?.unwrap_or(0.0), premium: premium?.unwrap_or(0.0) })
        })
    });
    let liquidation = m.optional("liquidation", |at| {
        every_asset_has(at, market, "liquidity", |asset| asset.liquidity.is_some())?;
        at.mapping(read_liquidation)
    });
    let basis = m.optional("basis", |at| at.mapping(read_basis));
    let wrong_way = m.optional("wrong_way", |at| at.mapping(|m| read_wrong_way(m, market?)));
    let stablecoins = m.optional("stablecoins", |at| {
        at.mapping(|m| {
            let depegs = STABLECOINS.map(|coin| m.optional(coin, fraction));
            let [first, second] = depegs;
            Some([first?.unwrap_or(0.0), second?.unwrap_or(0.0)])
        })
    });
    let oracle = m.optional("oracle", |at| at.mapping(|m| read_oracle(m, market?, folder)));
    let procyclicality = m.optional("anti_procyclicality", |at| at.mapping(read_anti_procyclicality));
    let (stressed, lookback, buffer) = procyclicality?.unwrap_or_default();
    let (oracle, file) = oracle?.map_or((None, None), |(rule, file)| (Some(rule), file));
    let add_ons = AddOns {
        short_options: short_options?,
        liquidation: liquidation?,
        basis: basis?,
        wrong_way: wrong_way?,
        stablecoins: stablecoins?,
        oracle,
        stressed,
        lookback,
        buffer,
    };
    Some((add_ons, file))
}

/// A rule that needs a key of the market needs it of every asset: no charge is none by default.
pub(super) fn every_asset_has(
    at: At<'_>,
    market: Option<&Market>,
    key: &str,
    has: fn(&Asset) -> bool,
) -> Option<()> {
    let without = market?.assets.iter().filter(|asset| !has(asset));
    let without: Vec<&str> = without.map(|asset| asset.name.as_str()).collect();
    if without.is_empty() {
        return Some(());
    }
    at.fault_found(
        format!("assets without `{key}`: {}", without.join(", ")),
        format!("the key `{key}` at every asset of the market"),
    )
}

fn read_liquidation(m: &Mapping<'_>) -> Option<Liquidation> {
    let participation =
        m.optional("participation", |at| at.number("a fraction in (0, 1]", |x| x > 0.0 && x <= 1.0));
    let impact = m.optional("impact", multiple);
    Some(Liquidation { participation: participation?.unwrap_or(0.1), impact: impact?.unwrap_or(1.0) })
}

fn read_basis(m: &Mapping<'_>) -> Option<Basis> {
    let shift = m.optional("shift", |at| at.number("a shift in [0, 3]", |x| (0.0..=3.0).contains(&x)));
    let perpetual = m.optional("perpetual", fraction);
    Some(Basis { shift: shift?.unwrap_or(0.0), perpetual: perpetual?.unwrap_or(0.0) })
}

fn read_wrong_way(m: &Mapping<'_>, market: &Market) -> Option<WrongWay> {
    let collateral = m.optional("collateral", fraction);
    let own_tokens = m.optional("own_tokens", |at| {
        at.entries(|_, at| at.parsed("an asset of the market", |name| market.asset_index(name)))
    });
    Some(WrongWay { collateral: collateral?.unwrap_or(0.0), own_tokens: own_tokens?.unwrap_or_default() })
}

type AntiProcyclicality = (Option<StressedWeight>, Option<String>, Option<Buffer>);

fn read_anti_procyclicality(m: &Mapping<'_>) -> Option<AntiProcyclicality> {
    let stressed = m.optional("stressed", |at| {
        at.mapping(|m| {
            let case = m.required("case", |at| at.text().map(str::to_owned));
            let weight = m.optional("weight", fraction);
            Some(StressedWeight { case: case?, weight: weight?.unwrap_or(QUARTER) })
        })
    });
    let lookback =
        m.optional("lookback", |at| at.mapping(|m| m.required("case", |at| at.text().map(str::to_owned))));
    let buffer = m.optional("buffer", |at| {
        at.mapping(|m| {
            let share = m.optional("fraction", fraction);
            let level = m.optional("level", fraction);
            Some(Buffer { fraction: share?.unwrap_or(QUARTER), level: level?.unwrap_or(1.0) })
        })
    });
    Some((stressed?, lookback?, buffer?))
}

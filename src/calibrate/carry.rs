//! What a position costs to carry: the basis of dated futures and the funding of perpetuals.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::history::{Notes, parse_time};
use super::optimise::Parameter;
use crate::fault::Faults;
use crate::table::{Row, Table, required};
use crate::units::Years;

/// Tenor of the basis: far enough that an asynchronous quote of the spot does not move it much.
const TENOR_DAYS: f64 = 50.0;
/// Nearer expiries are left out: a cent of the forward is a point of their annualised basis.
const NEAREST_DAYS: f64 = 5.0;
/// Changes of the basis are taken over so many days: over shorter ones they are noise of the quotes.
const LAG_DAYS: f64 = 5.0;
/// A pair of times is a lag apart if it is to so many days.
const LAG_SLACK_DAYS: f64 = 0.5;
/// Fewest changes, and fewest rates of funding.
const LEAST: usize = 20;
/// The market takes the mean of the funding of so many days.
const RECENT_DAYS: f64 = 7.0;
/// A step longer than so many usual ones is a gap.
const GAP_STEPS: f64 = 1.5;

/// What a history of forwards says of an asset's basis, annualised, at a tenor of 50 days.
#[derive(Clone, Debug, Serialize)]
pub struct BasisFit {
    /// Ticker.
    pub asset: String,
    /// Times with a basis.
    pub times: usize,
    /// Changes over five days, overlapping.
    pub changes: usize,
    /// Mean level, annualised.
    pub mean: f64,
    /// Volatility of the annualised basis over one year, from changes over five days.
    pub volatility_annual: Parameter,
    /// Speed of its return to its mean, a year; the market has no key for it.
    pub mean_reversion_annual: Parameter,
}

/// What a history of rates says of an asset's funding; annual, what longs pay.
#[derive(Clone, Debug, Serialize)]
pub struct FundingFit {
    /// Ticker.
    pub asset: String,
    /// Rates used.
    pub rates: usize,
    /// Hours from one rate to the next.
    pub interval_hours: f64,
    /// Mean of the last week, which the market takes.
    pub recent: Parameter,
    /// Mean of all.
    pub mean: Parameter,
    /// Deviation of a rate about the mean.
    pub deviation: f64,
    /// Correlation of a rate with the one before.
    pub persistence: Parameter,
}

type Series<T> = BTreeMap<String, BTreeMap<Timestamp, T>>;

/// Reads a table with the columns `time`, `asset`, `expiry`, `spot` and `forward`, and fits every asset
/// with twenty changes up to `as_of`.
pub fn read_basis(path: &Path, as_of: Timestamp, notes: &mut Notes) -> Result<Vec<BasisFit>, Faults> {
    let table = Table::read(path)?;
    let columns = ["time", "asset", "expiry", "spot", "forward"].map(required);
    let mut all: Series<BTreeMap<Timestamp, f64>> = BTreeMap::new();
    let mut repeated = 0;
    table.rows(&columns, |row| {
        let price = |column| row.number(column, "a price above zero", |x| x > 0.0 && x < 1e12);
        let (time, expiry) = (instant(row, "time"), instant(row, "expiry"));
        let (asset, spot, forward) = (row.text("asset")?.to_owned(), price("spot"), price("forward"));
        let (time, expiry, log_basis) = (time?, expiry?, (forward? / spot?).ln());
        if expiry <= time {
            return row.fault("expiry", format!("{expiry}, not after {time}"), "an instant after the time");
        }
        if time <= as_of {
            let at = all.entry(asset).or_default().entry(time).or_default();
            repeated += once(row, "forward", at.insert(expiry, log_basis), log_basis)?;
        }
        Some(())
    })?;
    note_repeated(notes, path, repeated);
    Ok(all.into_iter().filter_map(|(asset, times)| fit_basis(asset, &times)).collect())
}

/// Reads a table with the columns `time`, `asset` and `rate` (what longs paid at that time for the
/// interval before it, 0.0001 is 0.01 %), and fits every asset with twenty rates up to `as_of`.
pub fn read_funding(path: &Path, as_of: Timestamp, notes: &mut Notes) -> Result<Vec<FundingFit>, Faults> {
    let table = Table::read(path)?;
    let columns = ["time", "asset", "rate"].map(required);
    let mut all: Series<f64> = BTreeMap::new();
    let mut repeated = 0;
    table.rows(&columns, |row| {
        let rate = row.number("rate", "a rate of one interval within 0.2", |x| x.abs() <= 0.2);
        let (asset, time, rate) = (row.text("asset")?.to_owned(), instant(row, "time")?, rate?);
        if time <= as_of {
            repeated += once(row, "rate", all.entry(asset).or_default().insert(time, rate), rate)?;
        }
        Some(())
    })?;
    note_repeated(notes, path, repeated);
    Ok(all.into_iter().filter_map(|(asset, rates)| fit_funding(asset, &rates, as_of, notes)).collect())
}

fn instant(row: &Row<'_>, column: &str) -> Option<Timestamp> {
    row.parsed(column, "an instant such as 2026-02-04T08:00:00Z", parse_time)
}

/// 1 for a value that was there already, the same; a fault for another one.
fn once(row: &Row<'_>, column: &str, before: Option<f64>, value: f64) -> Option<u64> {
    match before {
        None => Some(0),
        Some(before) if before == value => Some(1),
        Some(_) => row.fault(column, "another value of the same asset and time", "one value at a time"),
    }
}

fn note_repeated(notes: &mut Notes, path: &Path, repeated: u64) {
    if repeated > 0 {
        notes.0.push(format!("{}: {repeated} equal rows were counted once", path.display()));
    }
}

fn fit_basis(asset: String, times: &BTreeMap<Timestamp, BTreeMap<Timestamp, f64>>) -> Option<BasisFit> {
    let levels: Vec<(Timestamp, f64)> =
        times.iter().filter_map(|(time, curve)| Some((*time, annual_basis(*time, curve)?))).collect();
    let days = |from: Timestamp, to: Timestamp| Years::between(from, to).map_or(f64::NAN, Years::days);
    let mut changes: Vec<(f64, f64)> = Vec::new();
    for (index, (time, level)) in levels.iter().enumerate() {
        let later = levels[index..].iter().find(|(then, _)| days(*time, *then) >= LAG_DAYS - LAG_SLACK_DAYS);
        if let Some((then, next)) = later.filter(|(then, _)| days(*time, *then) <= LAG_DAYS + LAG_SLACK_DAYS)
        {
            // As of a lag exactly: a random walk's change grows with the root of time.
            changes.push((*level, (next - level) * (LAG_DAYS / days(*time, *then)).sqrt()));
        }
    }
    if changes.len() < LEAST {
        return None;
    }
    let n = changes.len() as f64;
    let lag = Years::from_days(LAG_DAYS)?.get();
    // Overlapping changes know no more than those that lie end to end.
    let apart = (days(levels[0].0, levels[levels.len() - 1].0) / LAG_DAYS).clamp(1.0, n);
    let volatility = (changes.iter().map(|(_, change)| change * change).sum::<f64>() / n / lag).sqrt();
    Some(BasisFit {
        asset,
        times: levels.len(),
        changes: changes.len(),
        mean: levels.iter().map(|(_, level)| level).sum::<f64>() / levels.len() as f64,
        volatility_annual: Parameter {
            name: "volatility",
            estimate: volatility,
            standard_error: Some(volatility / (2.0 * apart).sqrt()),
        },
        mean_reversion_annual: speed(&changes, lag, apart),
    })
}

/// Linear in `ln(F/S)` between the expiries around the tenor; `None` where they do not surround it.
fn annual_basis(time: Timestamp, curve: &BTreeMap<Timestamp, f64>) -> Option<f64> {
    let points = curve.iter().filter_map(|(expiry, log)| Some((Years::between(time, *expiry)?.days(), *log)));
    let points: Vec<(f64, f64)> = points.filter(|(days, _)| *days >= NEAREST_DAYS).collect();
    let after = points.iter().position(|(days, _)| *days >= TENOR_DAYS)?;
    let (d1, y1) = points[after];
    let (d0, y0) = points[after.checked_sub(1)?];
    let log = y0 + (y1 - y0) * (TENOR_DAYS - d0) / (d1 - d0);
    Some(log / Years::from_days(TENOR_DAYS)?.get())
}

/// Regression of the change on the level: the slope is `exp(-speed * lag) - 1`.
fn speed(changes: &[(f64, f64)], lag: f64, apart: f64) -> Parameter {
    let n = changes.len() as f64;
    let (x, y) = (changes.iter().map(|c| c.0).sum::<f64>() / n, changes.iter().map(|c| c.1).sum::<f64>() / n);
    let xx: f64 = changes.iter().map(|c| (c.0 - x).powi(2)).sum();
    let slope = changes.iter().map(|c| (c.0 - x) * (c.1 - y)).sum::<f64>() / xx;
    let rest: f64 = changes.iter().map(|c| (c.1 - y - slope * (c.0 - x)).powi(2)).sum();
    let error = (rest / (n - 2.0) / xx).sqrt() * (n / apart).sqrt();
    let kept = 1.0 + slope.clamp(-0.99, 0.0);
    let standard_error = Some(error / kept / lag).filter(|e| e.is_finite());
    Parameter { name: "mean_reversion", estimate: -kept.ln() / lag, standard_error }
}

fn fit_funding(
    asset: String,
    rates: &BTreeMap<Timestamp, f64>,
    as_of: Timestamp,
    notes: &mut Notes,
) -> Option<FundingFit> {
    let times: Vec<Timestamp> = rates.keys().copied().collect();
    let mut steps: Vec<i64> =
        times.windows(2).map(|pair| pair[1].as_second() - pair[0].as_second()).collect();
    steps.sort_unstable();
    let step = *steps.get(steps.len() / 2)?;
    if rates.len() < LEAST || step <= 0 {
        return None;
    }
    let gaps = steps.iter().filter(|s| **s as f64 > GAP_STEPS * step as f64).count();
    if gaps > 0 {
        notes
            .0
            .push(format!("funding of {asset} has {gaps} gaps: rates on their two sides are not compared"));
    }
    let year = Years::new(1.0)?.days() * 86_400.0;
    let annual: Vec<f64> = rates.values().map(|rate| rate * year / step as f64).collect();
    let mean = annual.iter().sum::<f64>() / annual.len() as f64;
    let square = annual.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / annual.len() as f64;
    let pairs = times.windows(2).zip(annual.windows(2));
    let next_to =
        pairs.filter(|(t, _)| (t[1].as_second() - t[0].as_second()) as f64 <= GAP_STEPS * step as f64);
    let products: Vec<f64> = next_to.map(|(_, x)| (x[0] - mean) * (x[1] - mean)).collect();
    let pair_count = products.len() as f64;
    let persistence = (products.iter().sum::<f64>() / pair_count / square).clamp(-0.999, 0.999);
    // A mean of n values that remember each other has the error of fewer.
    let memory = (1.0 + persistence) / (1.0 - persistence);
    let error = |n: f64| Some((square * memory.min(n) / n).sqrt()).filter(|e| e.is_finite());
    let since = as_of - SignedDuration::from_secs_f64(RECENT_DAYS * 86_400.0);
    let recent: Vec<f64> =
        times.iter().zip(&annual).filter(|(time, _)| **time > since).map(|(_, x)| *x).collect();
    if recent.is_empty() {
        notes.0.push(format!("funding of {asset} ends a week or more before the market's instant: left out"));
        return None;
    }
    let count = recent.len() as f64;
    Some(FundingFit {
        asset,
        rates: annual.len(),
        interval_hours: step as f64 / 3600.0,
        recent: Parameter {
            name: "last_week",
            estimate: recent.iter().sum::<f64>() / count,
            standard_error: error(count),
        },
        mean: Parameter { name: "mean", estimate: mean, standard_error: error(annual.len() as f64) },
        deviation: square.sqrt(),
        persistence: Parameter {
            name: "persistence",
            estimate: persistence,
            standard_error: Some(((1.0 - persistence * persistence) / pair_count).sqrt())
                .filter(|e| e.is_finite()),
        },
    })
}

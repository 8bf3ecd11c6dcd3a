//! Price histories: read, put in order, and turned into log returns on one clock.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Weekday};
use jiff::tz::TimeZone;
use serde::Serialize;

use crate::fault::{Fault, Faults};
use crate::market::{MAX_ASSETS, is_ticker};
use crate::table::{Row, Table, quoted};
use crate::units::DAYS_PER_YEAR;

/// Names of the column of times; the first that the table has is it.
const TIME_COLUMNS: [&str; 3] = ["date", "time", "time_utc"];
/// Fewest prices of an asset.
const LEAST_PRICES: usize = 30;
/// Most prices of an asset: a century of hours.
const MOST_PRICES: usize = 900_000;
/// A step longer than so many usual ones is a gap, whose return is left out.
const GAP_STEPS: f64 = 1.5;
/// The same for a series that rests at weekends, of hours also at nights: closures of an exchange have
/// lasted twelve days, and whoever held through one bore its return, which is that of one step.
const WEEKDAY_GAP_SECONDS: i64 = 14 * 86_400;
const DAY_SECONDS: i64 = 86_400;
const HOUR_SECONDS: i64 = 3_600;

/// What was found in the files beside prices, in words.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Notes(pub Vec<String>);

/// Closing prices of several assets on one clock.
#[derive(Clone, Debug)]
pub struct History {
    /// Instants, ascending; a daily bar carries the instant of its date.
    pub times: Vec<Timestamp>,
    /// Tickers, in the order of the files.
    pub assets: Vec<String>,
    /// Prices in US dollars, `[asset][time]`; NaN where an asset has none.
    pub prices: Vec<Vec<f64>>,
    /// Usual seconds from one time to the next: 86,400 or 3,600.
    pub step_seconds: i64,
    /// Whether the series rests at weekends.
    pub has_weekends_off: bool,
    /// What was put right, and what is missing.
    pub notes: Notes,
}

/// Reads tables of closing prices; all faults of all files together.
///
/// A table has a column `date`, `time` or `time_utc` and either a column `close` (one asset, named by
/// the file up to its first `_`, `-` or `.`; other columns are not read) or one column for each
/// ticker, empty where there is no price. Rows out of order are sorted and equal ones counted once,
/// both with a note; one instant with two prices is a fault.
pub fn read(files: &[impl AsRef<Path>]) -> Result<History, Faults> {
    let mut faults = Faults::default();
    let mut notes = Notes::default();
    let mut series: Vec<(String, BTreeMap<Timestamp, f64>)> = Vec::new();
    for file in files {
        match read_file(file.as_ref(), &mut notes) {
            Ok(found) => {
                for (name, prices) in found {
                    if series.iter().any(|(other, _)| *other == name) {
                        faults.push(whole_file(
                            file.as_ref(),
                            format!("the asset {name} a second time"),
                            "each asset in one file",
                        ));
                    }
                    series.push((name, prices));
                }
            }
            Err(found) => faults.append(found),
        }
    }
    let first = files.first().map_or(Path::new(""), AsRef::as_ref);
    if series.len() > MAX_ASSETS {
        faults.push(whole_file(first, format!("{} assets", series.len()), "at most 64 over all files"));
    }
    for (name, prices) in &series {
        if prices.len() < LEAST_PRICES {
            faults.push(whole_file(first, format!("{} prices of {name}", prices.len()), "at least 30"));
        }
        if prices.len() > MOST_PRICES {
            faults.push(whole_file(first, format!("{} prices of {name}", prices.len()), "at most 900000"));
        }
    }
    let steps: Vec<i64> = series.iter().map(|(_, prices)| usual_step(prices)).collect();
    // One without two prices has none, and its fault.
    let step = steps.iter().copied().find(|step| *step > 0).unwrap_or(0);
    if let Some(at) = steps.iter().position(|other| *other > 0 && *other != step) {
        let first_of = steps.iter().position(|other| *other == step).unwrap_or(0);
        let found =
            format!("{} every {} s and {} every {} s", series[first_of].0, step, series[at].0, steps[at]);
        faults.push(whole_file(first, found, "histories of one step"));
    } else if step > 0 && step != DAY_SECONDS && step != HOUR_SECONDS {
        faults.push(whole_file(first, format!("prices every {step} s"), "daily or hourly prices"));
    }
    let history = faults.is_empty().then(|| History::assemble(series, step, notes));
    faults.into_result(history)
}

impl History {
    fn assemble(series: Vec<(String, BTreeMap<Timestamp, f64>)>, step_seconds: i64, notes: Notes) -> Self {
        let mut times: Vec<Timestamp> =
            series.iter().flat_map(|(_, prices)| prices.keys().copied()).collect();
        times.sort_unstable();
        times.dedup();
        let has_weekends_off = rests_at_weekends(times.iter());
        let prices = series
            .iter()
            .map(|(_, prices)| {
                times.iter().map(|time| prices.get(time).copied().unwrap_or(f64::NAN)).collect()
            })
            .collect();
        let assets = series.into_iter().map(|(name, _)| name).collect();
        let mut history = Self { times, assets, prices, step_seconds, has_weekends_off, notes };
        history.note_extents();
        history
    }

    /// Log returns by the same clock: entry `t` is the return from the time before to time `t`, NaN
    /// where either price is missing or the time between is a gap. The first entry is NaN.
    pub fn log_returns(&self, asset: usize) -> Vec<f64> {
        let prices = &self.prices[asset];
        let mut returns = vec![f64::NAN; prices.len()];
        for t in 1..prices.len() {
            if !self.is_gap(t) {
                returns[t] = (prices[t] / prices[t - 1]).ln();
            }
        }
        returns
    }

    /// Steps in a year: 365 days or 8760 hours for prices at all times; where weekends are off as many as
    /// the history has in one, about 252 days of an exchange.
    pub fn steps_per_year(&self) -> f64 {
        let seconds = (self.times[self.times.len() - 1].as_second() - self.times[0].as_second()) as f64;
        let whole = DAYS_PER_YEAR * DAY_SECONDS as f64 / self.step_seconds as f64;
        if self.has_weekends_off && seconds > 0.0 {
            (self.times.len() - 1) as f64 / seconds * DAYS_PER_YEAR * DAY_SECONDS as f64
        } else {
            whole
        }
    }

    fn is_gap(&self, t: usize) -> bool {
        let seconds = self.times[t].as_second() - self.times[t - 1].as_second();
        if self.has_weekends_off {
            seconds > WEEKDAY_GAP_SECONDS
        } else {
            seconds as f64 > GAP_STEPS * self.step_seconds as f64
        }
    }

    fn note_extents(&mut self) {
        let start = self.times[0];
        let end = self.times[self.times.len() - 1];
        for (name, prices) in self.assets.iter().zip(&self.prices) {
            let (Some(first), Some(last)) =
                (prices.iter().position(|p| p.is_finite()), prices.iter().rposition(|p| p.is_finite()))
            else {
                continue;
            };
            if self.times[first] > start {
                self.notes.0.push(format!("{name} starts on {}", day(self.times[first])));
            }
            if self.times[last] < end {
                self.notes.0.push(format!("{name} ends on {}", day(self.times[last])));
            }
            let missing = prices[first..=last].iter().filter(|p| !p.is_finite()).count();
            if missing > 0 {
                self.notes
                    .0
                    .push(format!("{name} misses {missing} prices inside: returns over them are left out"));
            }
        }
        self.note_rests();
        let gaps: Vec<usize> = (1..self.times.len()).filter(|t| self.is_gap(*t)).collect();
        if let Some(t) = gaps.first() {
            let (from, to) = (self.times[t - 1], self.times[*t]);
            let text = format!(
                "{} gaps on all series, the first from {from} to {to}: returns over them are left out",
                gaps.len()
            );
            self.notes.0.push(text);
        }
    }

    /// An asset that rests at weekends beside others that do not loses its returns over them.
    fn note_rests(&mut self) {
        if self.has_weekends_off {
            return;
        }
        for (name, prices) in self.assets.iter().zip(&self.prices) {
            let known = self.times.iter().zip(prices).filter(|(_, price)| price.is_finite());
            if rests_at_weekends(known.map(|(time, _)| time)) {
                self.notes.0.push(format!(
                    "{name} rests at weekends and other assets do not: its returns over them are left out, and its \
                     volatility is annualised as theirs; calibrate it alone for its own year"
                ));
            }
        }
    }
}

/// The date of an instant, UTC.
pub fn day(time: Timestamp) -> Date {
    time.to_zoned(TimeZone::UTC).date()
}

/// Reads `2026-02-04`, `2026-02-04 18:00`, `2026-02-04T18:00:00` (UTC all) and RFC 3339.
pub fn parse_time(text: &str) -> Option<Timestamp> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Some(time);
    }
    let civil = match text.len() {
        10 => text.parse::<Date>().ok()?.at(0, 0, 0, 0),
        16 => format!("{text}:00").parse::<DateTime>().ok()?,
        _ => text.parse::<DateTime>().ok()?,
    };
    Some(civil.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

/// Whether no time of a week or more falls on a weekend.
fn rests_at_weekends<'a>(times: impl Iterator<Item = &'a Timestamp>) -> bool {
    let (mut first, mut last, mut is_off) = (None, None, true);
    for time in times {
        first.get_or_insert(*time);
        last = Some(*time);
        is_off &= !is_weekend(*time);
    }
    let seconds = last.zip(first).map_or(0, |(last, first)| last.as_second() - first.as_second());
    is_off && seconds >= 7 * DAY_SECONDS
}

fn is_weekend(time: Timestamp) -> bool {
    matches!(day(time).weekday(), Weekday::Saturday | Weekday::Sunday)
}

type Prices = Vec<(String, BTreeMap<Timestamp, f64>)>;

fn read_file(path: &Path, notes: &mut Notes) -> Result<Prices, Faults> {
    let table = Table::read(path)?;
    let Some(time_column) = TIME_COLUMNS.iter().find(|name| table.header().iter().any(|h| h == *name)) else {
        return Err(whole_file(
            path,
            format!("the columns {}", table.header().join(", ")),
            "a column date, time or time_utc",
        )
        .into());
    };
    let columns = price_columns(path, &table, time_column)?;
    let mut series: Prices = columns.iter().map(|(name, _)| (name.clone(), BTreeMap::new())).collect();
    let (mut last, mut unordered, mut repeated) = (None, 0_u64, 0_u64);
    table.rows_any(|row| {
        let time =
            row.parsed(time_column, "a date or an instant such as 2026-02-04T21:00:00Z", parse_time)?;
        unordered += u64::from(last.is_some_and(|last| time < last));
        last = Some(time);
        let mut is_repeated = false;
        for ((_, prices), (_, column)) in series.iter_mut().zip(&columns) {
            is_repeated |= add_price(row, column, time, prices)?;
        }
        repeated += u64::from(is_repeated);
        Some(())
    })?;
    for (count, what) in
        [(unordered, "rows out of order were sorted"), (repeated, "equal rows were counted once")]
    {
        if count > 0 {
            notes.0.push(format!("{}: {count} {what}", path.display()));
        }
    }
    Ok(series)
}

/// Adds the price of a cell; whether it was there already. `None` after a fault.
fn add_price(
    row: &Row<'_>,
    column: &str,
    time: Timestamp,
    prices: &mut BTreeMap<Timestamp, f64>,
) -> Option<bool> {
    if row.cell(column).is_empty() && column != "close" {
        return Some(false);
    }
    let price = row.number(column, "a price above zero, or nothing", |x| x > 0.0 && x < 1e12)?;
    match prices.insert(time, price) {
        None => Some(false),
        Some(before) if before == price => Some(true),
        Some(before) => {
            row.fault(column, format!("{price} at a time that has {before}"), "one price at a time")
        }
    }
}

/// Names of assets and their columns.
fn price_columns(path: &Path, table: &Table, time_column: &str) -> Result<Vec<(String, String)>, Faults> {
    let ticker = |name: &str, what: &str| {
        if is_ticker(name) {
            Ok(name.to_owned())
        } else {
            let expected = "a ticker of capital letters and digits, such as BTC";
            Err(Faults::from(whole_file(path, format!("{what} {}", quoted(name)), expected)))
        }
    };
    if table.header().iter().any(|name| name == "close") {
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        let name = stem.split(['_', '-', '.']).next().unwrap_or_default();
        return Ok(vec![(ticker(name, "the file name")?, "close".to_owned())]);
    }
    let mut columns = Vec::new();
    for name in table.header().iter().filter(|name| *name != time_column) {
        let name = ticker(name, "the column")?;
        if columns.iter().any(|(other, _)| *other == name) {
            return Err(whole_file(path, format!("the column {name} twice"), "each column once").into());
        }
        columns.push((name.clone(), name));
    }
    if columns.is_empty() {
        return Err(whole_file(
            path,
            "no column of prices".to_owned(),
            "a column close, or one for each ticker",
        )
        .into());
    }
    Ok(columns)
}

/// The most frequent step, in seconds.
fn usual_step(prices: &BTreeMap<Timestamp, f64>) -> i64 {
    let times: Vec<i64> = prices.keys().map(|time| time.as_second()).collect();
    let mut counts: BTreeMap<i64, usize> = BTreeMap::new();
    for pair in times.windows(2) {
        *counts.entry(pair[1] - pair[0]).or_default() += 1;
    }
    counts.into_iter().max_by_key(|(_, count)| *count).map_or(0, |(step, _)| step)
}

fn whole_file(path: &Path, found: String, expected: &str) -> Fault {
    Fault::of_file(path.display(), found, expected)
}

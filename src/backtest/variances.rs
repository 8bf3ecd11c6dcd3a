//! Variances of days from prices within them.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::Timestamp;
use jiff::civil::Date;

use crate::calibrate::history::{self, History, day, parse_time};
use crate::fault::Faults;
use crate::table::Table;

/// Seconds of an hourly bar.
const HOUR: i64 = 3_600;
/// Hours of a day whose returns must be there for its sum of squares.
const LEAST_HOURS: usize = 20;
const HOURS: usize = 24;

/// Variances by ticker and day.
pub type Variances = BTreeMap<String, BTreeMap<Date, f64>>;

/// Reads one table; which of three kinds it is follows from its columns and its step:
///
/// - hourly closes: the sum of squared log returns of a day, for days with at least 20 hours, scaled to 24;
/// - daily with columns `open`, `high`, `low`, `close` (one asset, named by the file): Garman and Klass (1980);
/// - a daily table with a column for each ticker: the variances themselves.
pub fn read(path: &Path) -> Result<Variances, Faults> {
    let table = Table::read(path)?;
    let history = history::read(&[path])?;
    let has = |name: &str| table.header().iter().any(|column| column == name);
    if history.step_seconds != HOUR && ["open", "high", "low", "close"].into_iter().all(has) {
        return read_ranges(&history.assets[0], &table);
    }
    let by_asset = |(asset, name): (usize, &String)| {
        let of_asset = if history.step_seconds == HOUR {
            realised(&history, asset)
        } else {
            let known = history.times.iter().zip(&history.prices[asset]).filter(|(_, v)| v.is_finite());
            known.map(|(time, variance)| (day(*time), *variance)).collect()
        };
        (name.clone(), of_asset)
    };
    Ok(history.assets.iter().enumerate().map(by_asset).collect())
}

/// Variances of several tables by the assets and times of a history, `[asset][time]`; NaN where there is none.
/// A table before another comes first.
pub fn aligned(tables: &[Variances], history: &History) -> Vec<Vec<f64>> {
    let of_asset = |name: &String| {
        let columns: Vec<&BTreeMap<Date, f64>> = tables.iter().filter_map(|table| table.get(name)).collect();
        let at = |time: &Timestamp| columns.iter().find_map(|column| column.get(&day(*time)).copied());
        history.times.iter().map(|time| at(time).unwrap_or(f64::NAN)).collect()
    };
    history.assets.iter().map(of_asset).collect()
}

/// Variance of a day from its range, in squared log return: `(ln H/L)^2 / 2 - (2 ln 2 - 1) (ln C/O)^2`.
pub fn garman_klass(open: f64, high: f64, low: f64, close: f64) -> f64 {
    let weight = 2.0 * std::f64::consts::LN_2 - 1.0;
    0.5 * (high / low).ln().powi(2) - weight * (close / open).ln().powi(2)
}

/// A bar is stamped at its open, so a day has the returns to the closes stamped 00:00 to 23:00.
fn realised(history: &History, asset: usize) -> BTreeMap<Date, f64> {
    let returns = history.log_returns(asset);
    let mut days: BTreeMap<Date, (usize, f64)> = BTreeMap::new();
    for (time, r) in history.times.iter().zip(returns).filter(|(_, r)| r.is_finite()) {
        let (count, sum) = days.entry(day(*time)).or_default();
        (*count, *sum) = (*count + 1, *sum + r * r);
    }
    let whole = days.into_iter().filter(|(_, (count, sum))| *count >= LEAST_HOURS && *sum > 0.0);
    whole.map(|(date, (count, sum))| (date, sum * HOURS as f64 / count as f64)).collect()
}

fn read_ranges(name: &str, table: &Table) -> Result<Variances, Faults> {
    let time = ["date", "time", "time_utc"].into_iter().find(|name| table.header().iter().any(|h| h == name));
    let time = time.unwrap_or("date");
    let rows = table.rows_any(|row| {
        let at = row.parsed(time, "a date such as 2026-02-04", parse_time);
        let price = |name| row.number(name, "a price above zero", |x| x > 0.0 && x < 1e12);
        let [open, high, low, close] = ["open", "high", "low", "close"].map(price);
        let (at, open, high, low, close) = (at?, open?, high?, low?, close?);
        if !(low <= open.min(close) && high >= open.max(close)) {
            return row.fault("high,low", format!("{high}, {low}"), "a range with open and close inside");
        }
        Some((day(at), garman_klass(open, high, low, close)))
    })?;
    // A day without a range says nothing of its variance.
    let known = rows.into_iter().filter(|(_, variance)| *variance > 0.0).collect();
    Ok(BTreeMap::from([(name.to_owned(), known)]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_by_hand() {
        // ln(110/100) = 0.0953102, ln(105/104) = 0.0095694: 0.00454201 - 0.386294 * 0.0000915736.
        assert!((garman_klass(104.0, 110.0, 100.0, 105.0) - 0.004_506_64).abs() < 1e-7);
        assert_eq!(garman_klass(5.0, 5.0, 5.0, 5.0), 0.0);
    }

    #[test]
    fn hours_make_days() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hours.csv");
        let mut text = "time_utc,AAA\n".to_owned();
        // Two days and a half: moves of 1 % up and down, and one hour missing on the second.
        for hour in (0..60).filter(|hour| *hour != 30) {
            let price = if hour % 2 == 0 { 100.0 } else { 100.0 * f64::exp(0.01) };
            text += &format!("2026-01-{:02} {:02}:00,{price}\n", 1 + hour / 24, hour % 24);
        }
        std::fs::write(&path, text).unwrap();
        let days = &read(&path).unwrap()["AAA"];
        // The first day lacks the return to its first close, the second the two beside the missing hour.
        assert_eq!(days.len(), 2);
        for variance in days.values() {
            assert!((variance - 24.0 * 1e-4).abs() < 1e-12, "{days:?}");
        }
    }
}

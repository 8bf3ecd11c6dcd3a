//! A history of margins from its table.

use std::path::Path;

use jiff::civil::Date;

use super::procyclicality::Day;
use crate::fault::Faults;
use crate::table::{Table, optional, required};

/// Largest margin.
const MAX_MARGIN: f64 = 1e15;

/// Reads a table `date,margin[,stressed_margin][,lookback_margin]` of ascending days. All faults are
/// reported together.
pub fn read(path: &Path) -> Result<Vec<Day>, Faults> {
    let table = Table::read(path)?;
    let columns =
        [required("date"), required("margin"), optional("stressed_margin"), optional("lookback_margin")];
    let right = |x: f64| (0.0..=MAX_MARGIN).contains(&x);
    let expected = "a margin from 0 to 10^15";
    let mut last: Option<Date> = None;
    table.rows(&columns, |row| {
        let date = row.parsed("date", "a date such as 2026-02-04", |text| text.parse::<Date>().ok());
        let margin = row.number("margin", expected, right);
        let stressed = row.optional_number("stressed_margin", expected, right);
        let lookback = row.optional_number("lookback_margin", expected, right);
        let date = date?;
        if let Some(before) = last.replace(date).filter(|before| *before >= date) {
            return row.fault("date", format!("{date} after {before}"), "each day once, in ascending order");
        }
        Some(Day { date, margin: margin?, stressed: stressed?, lookback: lookback? })
    })
}

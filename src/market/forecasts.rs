//! Forecast volatilities in place of those of the market file.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::read::{MAX_VOLATILITY, asset_of};
use super::{Asset, Jumps};
use crate::fault::Faults;
use crate::table::{Table, optional, required};

/// The diffusion keeps at least this part of the forecast variance where jumps would take more, as in the
/// shipped markets.
const LEAST_DIFFUSION: f64 = 0.5;

/// Oldest forecast that a market takes, in days before its instant: a closure of an exchange.
const OLDEST_DAYS: i32 = 7;

/// Forecasts by asset: annual volatility of the whole return, jumps included; each asset once. Where the table
/// says for which day a forecast was made, it must be one that the market could know, and not a stale one.
pub(super) fn read(table: &Table, assets: &[Asset], as_of: Timestamp) -> Result<Vec<(usize, f64)>, Faults> {
    let today = as_of.to_zoned(TimeZone::UTC).date();
    let mut seen = Vec::new();
    table.rows(&[required("asset"), required("volatility"), optional("as_of")], |row| {
        let asset = asset_of(row, assets);
        let expected = "an annual volatility above 0, up to 20 (0.6 is 60 %)";
        let volatility = row.number("volatility", expected, |x| x > 0.0 && x <= MAX_VOLATILITY);
        let is_timely = |made: Date| {
            let age = today.since(made).ok()?.get_days();
            (0..=OLDEST_DAYS).contains(&age).then_some(())
        };
        let is_dated = !row.cell("as_of").is_empty();
        let timely = if is_dated {
            let expected = format!("a day of the week up to the market's, {today}");
            row.parsed("as_of", &expected, |text| is_timely(text.parse().ok()?))
        } else {
            Some(())
        };
        let (asset, volatility, ()) = (asset?, volatility?, timely?);
        if seen.contains(&asset) {
            return row.fault("asset", "the same asset twice", "each once");
        }
        seen.push(asset);
        Some((asset, volatility))
    })
}

/// Sets the diffusion so that it and the jumps together have the variance that was forecast.
pub(super) fn apply(forecasts: &[(usize, f64)], assets: &mut [Asset], common: Option<&Jumps>) {
    for (index, volatility) in forecasts {
        let asset = &mut assets[*index];
        let power = |jumps: &Jumps| jumps.intensity_annual * jumps.size.second_moment();
        let shared = common.map_or(0.0, power) * asset.common_jump_loading.powi(2);
        let jumps = asset.own_jumps.as_ref().map_or(0.0, power) + shared;
        let variance = volatility * volatility;
        asset.volatility_annual = (variance - jumps).max(LEAST_DIFFUSION * variance).sqrt();
    }
}

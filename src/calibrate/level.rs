//! How the level of implied volatility moves: from a history of it beside the spot.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::Timestamp;
use serde::Serialize;

use super::history::parse_time;
use super::optimise::Parameter;
use crate::fault::Faults;
use crate::table::{Table, required};
use crate::units::Years;

/// Fewest moves of an asset.
const LEAST_MOVES: usize = 20;
/// Moves over longer spans are left out, in years: three days.
const LONGEST: f64 = 3.0 / 365.0;

/// What a history of an asset's level says.
#[derive(Clone, Debug, Serialize)]
pub struct LevelFit {
    /// Ticker.
    pub asset: String,
    /// Moves used.
    pub moves: usize,
    /// Volatility of the log level, annual.
    pub volatility_annual: Parameter,
    /// Correlation of its moves with the spot's.
    pub spot_correlation: Parameter,
    /// Log move of the level for a log move of one of the spot.
    pub slope: Parameter,
    /// Speed of return to its mean, annual; its error is large in a short history.
    pub mean_reversion_annual: Parameter,
}

/// Reads a table with the columns `time`, `asset`, `spot` and `volatility` (at the money, of one
/// constant tenor, 0.6 is 60 %), uses its rows up to `as_of`, and fits every asset in it.
pub fn read(path: &Path, as_of: Timestamp) -> Result<Vec<LevelFit>, Faults> {
    let table = Table::read(path)?;
    let columns = ["time", "asset", "spot", "volatility"].map(required);
    let mut levels: BTreeMap<String, BTreeMap<Timestamp, (f64, f64)>> = BTreeMap::new();
    table.rows(&columns, |row| {
        let time = row.parsed("time", "an instant such as 2026-02-04T21:00:00Z", parse_time);
        let spot = row.number("spot", "a price above zero", |x| x > 0.0);
        let level = row.number("volatility", "a volatility above 0, at most 20", |x| x > 0.0 && x <= 20.0);
        let (asset, time, pair) = (row.text("asset")?.to_owned(), time?, (spot?, level?));
        if time <= as_of && levels.entry(asset).or_default().insert(time, pair).is_some() {
            return row.fault("time", "the same asset and time twice", "each once");
        }
        Some(())
    })?;
    Ok(levels.into_iter().filter_map(|(asset, levels)| fit(asset, &levels)).collect())
}

fn fit(asset: String, levels: &BTreeMap<Timestamp, (f64, f64)>) -> Option<LevelFit> {
    let points: Vec<(&Timestamp, &(f64, f64))> = levels.iter().collect();
    let moves: Vec<Move> = points
        .windows(2)
        .filter_map(|pair| {
            let years = Years::between(*pair[0].0, *pair[1].0)?.get();
            let (before, after) = (pair[0].1, pair[1].1);
            let level = (after.1 / before.1).ln();
            (years <= LONGEST).then(|| Move {
                years,
                spot: (after.0 / before.0).ln(),
                level,
                from: before.1.ln(),
            })
        })
        .collect();
    if moves.len() < LEAST_MOVES {
        return None;
    }
    let n = moves.len() as f64;
    let sum = |f: &dyn Fn(&Move) -> f64| moves.iter().map(f).sum::<f64>();
    let years = sum(&|m| m.years);
    let volatility = (sum(&|m| m.level * m.level) / years).sqrt();
    let (xx, yy, xy) = (sum(&|m| m.spot * m.spot), sum(&|m| m.level * m.level), sum(&|m| m.spot * m.level));
    let correlation = xy / (xx * yy).sqrt();
    let slope = xy / xx;
    let rest = sum(&|m| (m.level - slope * m.spot).powi(2)) / (n - 1.0);
    let parameter = |name, estimate: f64, error: f64| Parameter {
        name,
        estimate,
        standard_error: Some(error).filter(|e| e.is_finite()),
    };
    Some(LevelFit {
        asset,
        moves: moves.len(),
        volatility_annual: parameter("volatility", volatility, volatility / (2.0 * n).sqrt()),
        spot_correlation: parameter(
            "spot_correlation",
            correlation,
            (1.0 - correlation * correlation) / n.sqrt(),
        ),
        slope: parameter("slope", slope, (rest / xx).sqrt()),
        mean_reversion_annual: mean_reversion(&moves, years / n),
    })
}

struct Move {
    years: f64,
    spot: f64,
    level: f64,
    from: f64,
}

/// Regression of the move on the level: the slope is `exp(-speed * step) - 1`.
fn mean_reversion(moves: &[Move], step_years: f64) -> Parameter {
    let n = moves.len() as f64;
    let (mean_x, mean_y) =
        (moves.iter().map(|m| m.from).sum::<f64>() / n, moves.iter().map(|m| m.level).sum::<f64>() / n);
    let xx: f64 = moves.iter().map(|m| (m.from - mean_x).powi(2)).sum();
    let xy: f64 = moves.iter().map(|m| (m.from - mean_x) * (m.level - mean_y)).sum();
    let slope = xy / xx;
    let rest: f64 = moves.iter().map(|m| (m.level - mean_y - slope * (m.from - mean_x)).powi(2)).sum();
    let error = (rest / (n - 2.0) / xx).sqrt();
    let estimate = -slope.clamp(-0.99, 0.0).ln_1p() / step_years;
    let error = error / (1.0 + slope.clamp(-0.99, 0.0)) / step_years;
    Parameter { name: "mean_reversion", estimate, standard_error: Some(error).filter(|e| e.is_finite()) }
}

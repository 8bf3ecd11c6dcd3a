//! Margins from recorded moves: crises, historical and filtered historical simulation.

use super::{Comparison, Estimate, MarginLevel, Row};
use crate::calibrate::ewma;
use crate::calibrate::history::History;
use crate::instrument::UnitValue;
use crate::portfolio::Account;
use crate::risk::exact;
use crate::scenario::{Replay, Scenario, Shock, Stress};

/// Fewest joint moves for a tail.
const LEAST_MOVES: usize = 100;
/// Days over which a filtered variance finds its level.
const WARM_UP: usize = 60;

/// A history of closing prices.
#[derive(Clone, Debug)]
pub struct Historical {
    /// The prices, daily.
    pub history: History,
    /// The last so many days are used.
    pub days: usize,
    /// Decay of the filter's exponentially weighted variance.
    pub decay: f64,
}

/// Rows of the recorded moves that there are.
pub(super) fn rows(comparison: &Comparison, account: &Account, units: &[UnitValue]) -> Vec<Row> {
    let book = Holdings { scenario: &comparison.scenario, account, units };
    let mut rows = Vec::new();
    if let Some(crises) = &comparison.crises {
        rows.push(worst_crisis(&book, crises));
    }
    if let Some(historical) = &comparison.historical {
        let level = match comparison.level {
            MarginLevel::Maintenance => comparison.scenario.margin.maintenance,
            MarginLevel::Initial => comparison.scenario.margin.initial,
        };
        // Daily prices know no shorter horizon than a day.
        let horizon = level.horizon.days().round().max(1.0) as usize;
        for filtered in [false, true] {
            let moves = moves(&book, historical, horizon, filtered);
            let margin = moves.and_then(|moves| {
                let mut losses = moves
                    .iter()
                    .map(|log_returns| book.loss(log_returns.clone(), None))
                    .collect::<Result<Vec<_>, _>>()?;
                let tail = exact(&mut losses, level.confidence);
                // Overlapping windows are not independent: their error would be too small.
                let error = (horizon == 1).then_some(tail.expected_shortfall_error);
                Ok(Estimate { value: tail.expected_shortfall.max(0.0), error })
            });
            let (architecture, how) = match filtered {
                false => ("historical ES", "recorded"),
                true => ("filtered historical ES", "rescaled to today's volatility"),
            };
            let note = format!("{} days, moves over {horizon}d {how}", historical.days);
            rows.push(Row { architecture: architecture.to_owned(), note, margin, ratio: None });
        }
    }
    rows
}

fn worst_crisis(book: &Holdings<'_>, crises: &[Replay]) -> Row {
    let losses: Result<Vec<f64>, String> = crises
        .iter()
        .map(|crisis| book.loss(crisis.log_returns.clone(), Some(crisis.volatility_shifts.clone())))
        .collect();
    let worst = losses.map(|losses| {
        let worst = losses.iter().copied().enumerate().max_by(|a, b| a.1.total_cmp(&b.1));
        worst.map_or((String::new(), 0.0), |(index, loss)| (crises[index].crisis.clone(), loss))
    });
    let note = match &worst {
        Ok((name, _)) => format!("worst of {} recorded crises: {name}", crises.len()),
        Err(_) => format!("worst of {} recorded crises", crises.len()),
    };
    let margin = worst.map(|(_, loss)| Estimate::exact(loss.max(0.0)));
    Row { architecture: "worst crisis".to_owned(), note, margin, ratio: None }
}

/// What an account holds, ready to be revalued.
struct Holdings<'a> {
    scenario: &'a Scenario,
    account: &'a Account,
    units: &'a [UnitValue],
}

impl Holdings<'_> {
    /// Loss when the market moves at once by a log return of each asset, and a log shift of its
    /// implied volatility.
    fn loss(&self, log_returns: Vec<f64>, volatility_shifts: Option<Vec<f64>>) -> Result<f64, String> {
        let volatility_shifts = volatility_shifts.unwrap_or_else(|| vec![0.0; log_returns.len()]);
        let replay = Replay { crisis: String::new(), log_returns, volatility_shifts };
        let stress = Stress { name: String::new(), shocks: vec![Shock::Replay(replay)] };
        let market = stress.apply(&self.scenario.market);
        let mut profit = 0.0;
        for holding in &self.account.holdings {
            let index = holding.instrument as usize;
            let instrument = &self.scenario.portfolio.instruments[index];
            let moved = UnitValue::new(&market, instrument)
                .map_err(|fault| format!("{}: {fault}", instrument.name))?;
            profit += holding.quantity * self.units[index].profit_to(&moved);
        }
        Ok(-profit)
    }

    /// Indices of the assets that the account holds.
    fn assets(&self) -> Vec<usize> {
        let instruments = &self.scenario.portfolio.instruments;
        let held = self.account.holdings.iter().map(|h| instruments[h.instrument as usize].asset);
        let mut assets: Vec<usize> = held.collect();
        assets.sort_unstable();
        assets.dedup();
        assets
    }
}

/// Joint log returns over the horizon, one entry for each asset of the market, zero for those that
/// the account does not hold. Filtered: each day's return over the deviation forecast for that day,
/// times today's forecast.
fn moves(
    book: &Holdings<'_>,
    historical: &Historical,
    horizon: usize,
    filtered: bool,
) -> Result<Vec<Vec<f64>>, String> {
    let market = &book.scenario.market;
    let history = &historical.history;
    // What the market cannot know is left out: a day's close comes when the day is over.
    let as_of = market.as_of.as_second();
    let end = history.times.partition_point(|time| time.as_second() + history.step_seconds <= as_of);
    let start = end.saturating_sub(historical.days);
    let mut series: Vec<(usize, Vec<f64>)> = Vec::new();
    for asset in book.assets() {
        let name = &market.assets[asset].name;
        let column = history.assets.iter().position(|known| known == name);
        let column = column.ok_or_else(|| format!("no prices of {name} in the history"))?;
        let mut returns = history.log_returns(column);
        returns.truncate(end);
        series.push((asset, if filtered { rescaled(&returns, historical.decay) } else { returns }));
    }
    let mut moves = Vec::new();
    for last in start..end {
        let Some(first) = (last + 1).checked_sub(horizon).filter(|first| *first >= start) else { continue };
        let mut log_returns = vec![0.0; market.assets.len()];
        for (asset, returns) in &series {
            log_returns[*asset] = returns[first..=last].iter().sum();
        }
        if log_returns.iter().all(|sum| sum.is_finite()) {
            moves.push(log_returns);
        }
    }
    match moves.len() {
        LEAST_MOVES.. => Ok(moves),
        found => Err(format!("{found} joint moves in the history; at least {LEAST_MOVES} are needed")),
    }
}

/// Returns over the deviation forecast the day before, times the last forecast; NaN in the warm-up.
fn rescaled(returns: &[f64], decay: f64) -> Vec<f64> {
    let variances = ewma::variances(returns, decay);
    let today = variances.last().copied().unwrap_or(f64::NAN).sqrt();
    let first = returns.iter().position(|r| r.is_finite()).unwrap_or(returns.len());
    let score = |t: usize| match t >= first + WARM_UP {
        true => returns[t] / variances[t - 1].sqrt() * today,
        false => f64::NAN,
    };
    (0..returns.len()).map(score).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rescaled_returns_have_the_last_deviation() {
        // A calm half and a wild half that ends it: calm moves are scaled up to the wild ones.
        let calm = (0..200).map(|t| if t % 2 == 0 { 0.01 } else { -0.01 });
        let wild = (0..200).map(|t| if t % 2 == 0 { 0.05 } else { -0.05 });
        let returns: Vec<f64> = calm.chain(wild).collect();
        let rescaled = rescaled(&returns, 0.94);
        assert!(rescaled[..WARM_UP].iter().all(|r| r.is_nan()));
        assert!((rescaled[150].abs() - 0.05).abs() < 1e-5, "{}", rescaled[150]);
        assert!((rescaled[399].abs() - 0.05).abs() < 1e-5, "{}", rescaled[399]);
        // The first wild day came out of the blue.
        assert!(rescaled[200].abs() > 0.2);
    }
}

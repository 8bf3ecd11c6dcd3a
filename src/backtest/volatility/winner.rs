//! The forecaster that has won so far.

use super::{Forecaster, Series};
use crate::backtest::predict::{diebold_mariano, qlike};

/// Forecasts that a challenger is judged on before it may be used.
pub const LEAST_JUDGED: usize = 250;
/// Significance at which it has won.
pub const SIGNIFICANCE: f64 = 0.05;

/// Variances of the forecaster that has won by the time of each fit: of the challengers whose QLIKE is lower
/// than the champion's on the steps before, significantly by the test of Diebold and Mariano, the one with the
/// lowest; the champion where there is none. From the first step of a series to the one after the last.
pub fn best_variances(series: &Series, forecasts: &[(Forecaster, Vec<f64>)]) -> Vec<f64> {
    let returns = &series.returns[series.first()..];
    let losses: Vec<Vec<f64>> = forecasts.iter().map(|(_, v)| qlike(v, returns)).collect();
    let mut best = 0;
    let choose = |k: usize| {
        if k.is_multiple_of(series.refit) {
            best = winner(&losses, k);
        }
        forecasts[best].1[k]
    };
    (0..=returns.len()).map(choose).collect()
}

/// The forecaster that has won by the end of a series.
pub fn winner_now(series: &Series, forecasts: &[(Forecaster, Vec<f64>)]) -> usize {
    let returns = &series.returns[series.first()..];
    let losses: Vec<Vec<f64>> = forecasts.iter().map(|(_, v)| qlike(v, returns)).collect();
    winner(&losses, returns.len())
}

/// Which of the forecasters has won on the first `judged` steps; the champion is the first.
fn winner(losses: &[Vec<f64>], judged: usize) -> usize {
    if judged < LEAST_JUDGED {
        return 0;
    }
    let champion = &losses[0][..judged];
    let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
    let has_won = |index: &usize| {
        let (statistic, p_value) = diebold_mariano(&losses[*index][..judged], champion);
        statistic < 0.0 && p_value < SIGNIFICANCE
    };
    let challengers = (1..losses.len()).filter(has_won);
    let of = |index: &usize| mean(&losses[*index][..judged]);
    challengers.min_by(|a, b| of(a).total_cmp(&of(b))).unwrap_or(0)
}

//! VaR and ES of equally likely losses.

use crate::closed_form::TailFigures;

/// Losses in the tail: `ceil(n (1 - confidence))`, at least one.
pub fn tail_count(losses: usize, confidence: f64) -> usize {
    // 250 (1 - 0.99) is 2.5000000000000022: a count that is whole must not round up.
    let exact = losses as f64 * (1.0 - confidence);
    ((exact - 1e-9).ceil() as usize).clamp(1, losses.max(1))
}

/// VaR is the `k`-th largest loss, ES the mean of the `k` largest, `k = ceil(n (1 - confidence))`:
/// the historical-simulation convention of Open Source Risk Engine. Reorders `losses`, which must
/// not be empty.
pub fn empirical_tail(losses: &mut [f64], confidence: f64) -> TailFigures {
    let count = tail_count(losses.len(), confidence);
    let (largest, value_at_risk, _) = losses.select_nth_unstable_by(count - 1, |a, b| b.total_cmp(a));
    let value_at_risk = *value_at_risk;
    // Summed in descending order: the same bits whatever order the losses came in.
    largest.sort_unstable_by(|a, b| b.total_cmp(a));
    let sum = largest.iter().sum::<f64>() + value_at_risk;
    TailFigures { value_at_risk, expected_shortfall: sum / count as f64 }
}

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
    empirical_tails(losses, &[confidence])[0]
}

/// The same at several confidences, of which there must be one: the largest losses are sorted once.
pub fn empirical_tails(losses: &mut [f64], confidences: &[f64]) -> Vec<TailFigures> {
    let counts: Vec<usize> = confidences.iter().map(|level| tail_count(losses.len(), *level)).collect();
    let most = counts.iter().copied().max().expect("a confidence");
    losses.select_nth_unstable_by(most - 1, |a, b| b.total_cmp(a));
    let largest = &mut losses[..most];
    // Summed in descending order: the same bits whatever order the losses came in.
    largest.sort_unstable_by(|a, b| b.total_cmp(a));
    let figures = |count: &usize| TailFigures {
        value_at_risk: largest[count - 1],
        expected_shortfall: largest[..*count].iter().sum::<f64>() / *count as f64,
    };
    counts.iter().map(figures).collect()
}

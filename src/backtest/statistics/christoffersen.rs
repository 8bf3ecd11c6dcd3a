//! Christoffersen (1998): do exceptions come in clusters?

use serde::Serialize;

use super::kupiec::proportion_of_failures;
use super::{LikelihoodRatio, log_power};

/// The tests of a sequence of days.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Christoffersen {
    /// Transitions `[from][to]`, 0 a calm day and 1 an exception.
    pub transitions: [[u64; 2]; 2],
    /// Independence of one day from the day before; chi-squared(1).
    pub independence: LikelihoodRatio,
    /// Conditional coverage, the sum with Kupiec's ratio on all days; chi-squared(2).
    pub conditional_coverage: LikelihoodRatio,
}

/// Tests a sequence, `true` for an exception, against a first-order Markov chain; `tail` in (0, 1).
pub fn christoffersen(exceptions: &[bool], tail: f64) -> Christoffersen {
    let mut n = [[0_u64; 2]; 2];
    for pair in exceptions.windows(2) {
        n[usize::from(pair[0])][usize::from(pair[1])] += 1;
    }
    let share = |part: u64, of: u64| if of == 0 { 0.0 } else { part as f64 / of as f64 };
    let after_calm = share(n[0][1], n[0][0] + n[0][1]);
    let after_exception = share(n[1][1], n[1][0] + n[1][1]);
    let any = share(n[0][1] + n[1][1], n.iter().flatten().sum());
    let independent = log_power(1.0 - any, n[0][0] + n[1][0]) + log_power(any, n[0][1] + n[1][1]);
    let chained = log_power(1.0 - after_calm, n[0][0])
        + log_power(after_calm, n[0][1])
        + log_power(1.0 - after_exception, n[1][0])
        + log_power(after_exception, n[1][1]);
    let independence = LikelihoodRatio::chi_squared(2.0 * (chained - independent), 1);
    let count = exceptions.iter().filter(|is_exception| **is_exception).count() as u64;
    let coverage = proportion_of_failures(exceptions.len() as u64, count, tail);
    Christoffersen {
        transitions: n,
        independence,
        conditional_coverage: LikelihoodRatio::chi_squared(coverage.statistic + independence.statistic, 2),
    }
}

//! Kupiec (1995): is the number of exceptions right?

use super::{LikelihoodRatio, log_power};

/// The proportion-of-failures test of `exceptions` among `observations` days; `tail` in (0, 1).
///
/// `LR = -2 ln[(1-p)^(T-x) p^x / ((1-x/T)^(T-x) (x/T)^x)]`, chi-squared with one degree of freedom.
pub fn proportion_of_failures(observations: u64, exceptions: u64, tail: f64) -> LikelihoodRatio {
    let calm = observations - exceptions;
    let rate = if observations == 0 { 0.0 } else { exceptions as f64 / observations as f64 };
    let expected = log_power(1.0 - tail, calm) + log_power(tail, exceptions);
    let observed = log_power(1.0 - rate, calm) + log_power(rate, exceptions);
    LikelihoodRatio::chi_squared(2.0 * (observed - expected), 1)
}

/// The counts of exceptions, first and last, that the test does not reject at 5 %; `None` where it
/// rejects every count.
pub fn non_rejection_region(observations: u64, tail: f64) -> Option<(u64, u64)> {
    let passes = |x: &u64| proportion_of_failures(observations, *x, tail).p_value > 0.05;
    // The ratio grows on both sides of the expected count.
    let expected = (observations as f64 * tail).round() as u64;
    let first = (0..=expected).find(passes)?;
    let last = (expected..=observations).take_while(passes).last()?;
    Some((first, last))
}

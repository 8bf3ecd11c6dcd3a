//! Does a margin cover what then happened? The tests of a sequence of forecasts and losses.
//!
//! An *exception* is a day whose loss exceeds the VaR forecast for it. `tail` is the probability of
//! one under a right forecast: 0.01 for a confidence of 99 %.

mod acerbi_szekely;
mod christoffersen;
mod historical;
mod kupiec;
mod traffic_light;

pub use acerbi_szekely::{NullDistribution, Scores, TailShape, scores};
pub use christoffersen::{Christoffersen, christoffersen};
pub use historical::{empirical_tail, empirical_tails, tail_count};
pub use kupiec::{non_rejection_region, proportion_of_failures};
pub use traffic_light::{TrafficLight, Zone, traffic_light};

use serde::Serialize;
use statrs::distribution::{ChiSquared, ContinuousCDF};

/// A likelihood-ratio test: the statistic, and the probability of one at least as large if the
/// forecasts are right.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct LikelihoodRatio {
    /// Zero or more; grows with the distance from the hypothesis.
    pub statistic: f64,
    /// In [0, 1]; below 0.05 rejects at 5 %.
    pub p_value: f64,
}

impl LikelihoodRatio {
    /// Chi-squared with so many degrees of freedom.
    fn chi_squared(statistic: f64, degrees_of_freedom: u32) -> Self {
        // Rounding may leave a ratio of likelihoods just above one.
        let statistic = statistic.max(0.0);
        let law = ChiSquared::new(f64::from(degrees_of_freedom)).expect("a whole number above zero");
        Self { statistic, p_value: law.sf(statistic) }
    }
}

/// `count * ln(probability)`, with `0 ln 0 = 0`.
fn log_power(probability: f64, count: u64) -> f64 {
    if count == 0 { 0.0 } else { count as f64 * probability.ln() }
}

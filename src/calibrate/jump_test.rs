//! Did a day jump? The test of Barndorff-Nielsen and Shephard (2004, 2006) on intraday returns.

use serde::Serialize;

/// The test of one day.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct JumpTest {
    /// Realised variance, the sum of squared returns.
    pub realised_variance: f64,
    /// Bipower variation, which jumps leave alone.
    pub bipower_variation: f64,
    /// Tripower quarticity, which scales the test.
    pub tripower_quarticity: f64,
    /// Ratio statistic with the maximum adjustment (Huang and Tauchen 2005); standard normal without a
    /// jump, above 2.33 in one day out of a hundred.
    pub z: f64,
    /// Part of the variance that is jumps, negative by chance.
    pub relative_jump: f64,
}

/// `E|Z|^(4/3)` of a standard normal, `2^(2/3) Gamma(7/6) / Gamma(1/2)`.
const FOUR_THIRDS_MOMENT: f64 = 0.830_860_925_029_559_2;

/// Tests the log returns of one day, at least three and not all zero; else `None`.
///
/// `BV = mu_1^-2 n/(n-1) sum |r_i||r_{i-1}|`, `TQ = n mu_{4/3}^-3 n/(n-2) sum (|r_i||r_{i-1}||r_{i-2}|)^{4/3}`,
/// `z = (1 - BV/RV) / sqrt(((pi/2)^2 + pi - 5)/n max(1, TQ/BV^2))`.
pub fn jump_test(log_returns: &[f64]) -> Option<JumpTest> {
    use std::f64::consts::PI;
    let n = log_returns.len() as f64;
    if log_returns.len() < 3 {
        return None;
    }
    let sizes: Vec<f64> = log_returns.iter().map(|r| r.abs()).collect();
    let realised_variance: f64 = sizes.iter().map(|r| r * r).sum();
    let pairs: f64 = sizes.windows(2).map(|w| w[0] * w[1]).sum();
    let bipower_variation = PI / 2.0 * n / (n - 1.0) * pairs;
    let triples: f64 = sizes.windows(3).map(|w| (w[0] * w[1] * w[2]).powf(4.0 / 3.0)).sum();
    let tripower_quarticity = n * FOUR_THIRDS_MOMENT.powi(-3) * n / (n - 2.0) * triples;
    let relative_jump = 1.0 - bipower_variation / realised_variance;
    let spread = (PI / 2.0).powi(2) + PI - 5.0;
    let ratio = (tripower_quarticity / bipower_variation.powi(2)).max(1.0);
    let z = relative_jump / (spread / n * ratio).sqrt();
    let test = JumpTest { realised_variance, bipower_variation, tripower_quarticity, z, relative_jump };
    (realised_variance > 0.0 && z.is_finite()).then_some(test)
}

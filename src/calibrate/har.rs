//! The heterogeneous autoregression of volatility (Corsi 2009) on absolute returns of one step.
//!
//! `E|r_{t+1}| = c + b1 |r_t| + b5 mean of 5 + b22 mean of 22`, by least squares. Without prices within a
//! step, the absolute return stands for realised volatility.

use nalgebra::{DMatrix, DVector};

/// Steps of the three means.
const SPANS: [usize; 3] = [1, 5, 22];
/// Longest of them.
pub const REACH: usize = 22;
/// A forecast is at least this part of the mean absolute return.
const LEAST: f64 = 0.1;

/// A fitted regression.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Har {
    /// Constant and the weights of 1, 5 and 22 steps.
    pub weights: [f64; 4],
    /// Mean squared return over mean squared forecast: turns a mean absolute return into a variance.
    variance_ratio: f64,
    floor: f64,
}

impl Har {
    /// Fits it to finite returns, at least a hundred; `None` where they do not move.
    pub fn fit(returns: &[f64]) -> Option<Self> {
        let n = returns.len().checked_sub(REACH).filter(|n| *n >= 100 - REACH)?;
        let design = DMatrix::from_fn(n, 4, |t, j| regressors(&returns[..t + REACH])[j]);
        let target = DVector::from_fn(n, |t, _| returns[t + REACH].abs());
        let square = design.transpose() * &design;
        let weights = square.cholesky()?.solve(&(design.transpose() * &target));
        let weights = [weights[0], weights[1], weights[2], weights[3]];
        let floor = LEAST * target.mean();
        let mut har = Self { weights, variance_ratio: 1.0, floor };
        let forecasts = (REACH..returns.len()).map(|t| har.next_variance(&returns[..t]));
        let sum: f64 = forecasts.sum();
        har.variance_ratio = returns[REACH..].iter().map(|r| r * r).sum::<f64>() / sum;
        (har.variance_ratio > 0.0 && har.variance_ratio.is_finite()).then_some(har)
    }

    /// Variance of the step after `past`, which has at least 22 returns.
    pub fn next_variance(&self, past: &[f64]) -> f64 {
        let x = regressors(past);
        let size: f64 = self.weights.iter().zip(x).map(|(w, x)| w * x).sum();
        self.variance_ratio * size.max(self.floor).powi(2)
    }
}

fn regressors(past: &[f64]) -> [f64; 4] {
    let mean = |span: usize| past[past.len() - span..].iter().map(|r| r.abs()).sum::<f64>() / span as f64;
    [1.0, mean(SPANS[0]), mean(SPANS[1]), mean(SPANS[2])]
}

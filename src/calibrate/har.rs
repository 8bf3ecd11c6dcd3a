//! The heterogeneous autoregression of volatility (Corsi 2009).
//!
//! `E v_{t+1} = c + b1 v_t + b5 mean of 5 + b22 mean of 22`, by least squares. `v` is the size of a step: its
//! realised volatility, or the absolute return where there are no prices within a step.

use nalgebra::{DMatrix, DVector};

/// Steps of the three means.
const SPANS: [usize; 3] = [1, 5, 22];
/// Longest of them.
pub const REACH: usize = 22;
/// A forecast is at least this part of the mean size.
const LEAST: f64 = 0.1;

/// A fitted regression.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Har {
    /// Constant and the weights of 1, 5 and 22 steps.
    pub weights: [f64; 4],
    /// Mean squared return over mean squared forecast: turns a mean size into a variance of the return.
    variance_ratio: f64,
    floor: f64,
}

impl Har {
    /// Fits it to the sizes and returns of steps, equally many, finite, at least a hundred; `None` where they do
    /// not move.
    pub fn fit(sizes: &[f64], returns: &[f64]) -> Option<Self> {
        let n = sizes.len().checked_sub(REACH).filter(|n| *n >= 100 - REACH)?;
        let design = DMatrix::from_fn(n, 4, |t, j| regressors(&sizes[..t + REACH])[j]);
        let target = DVector::from_fn(n, |t, _| sizes[t + REACH]);
        let square = design.transpose() * &design;
        let weights = square.cholesky()?.solve(&(design.transpose() * &target));
        let weights = [weights[0], weights[1], weights[2], weights[3]];
        let floor = LEAST * target.mean();
        let mut har = Self { weights, variance_ratio: 1.0, floor };
        let forecasts = (REACH..sizes.len()).map(|t| har.next_variance(&sizes[..t]));
        let sum: f64 = forecasts.sum();
        har.variance_ratio = returns[REACH..].iter().map(|r| r * r).sum::<f64>() / sum;
        (har.variance_ratio > 0.0 && har.variance_ratio.is_finite()).then_some(har)
    }

    /// Variance of the return of the step after those of the sizes `past`, at least 22.
    pub fn next_variance(&self, past: &[f64]) -> f64 {
        let x = regressors(past);
        let size: f64 = self.weights.iter().zip(x).map(|(w, x)| w * x).sum();
        self.variance_ratio * size.max(self.floor).powi(2)
    }
}

fn regressors(past: &[f64]) -> [f64; 4] {
    let mean = |span: usize| past[past.len() - span..].iter().sum::<f64>() / span as f64;
    [1.0, mean(SPANS[0]), mean(SPANS[1]), mean(SPANS[2])]
}

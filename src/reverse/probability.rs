//! How probable it is that a move fails: simulated, and by importance sampling around the likeliest one.

use nalgebra::DVector;
use rand::Rng;
use serde::Serialize;

use super::law::Law;
use super::search::Gap;
use crate::closed_form::special::normal_upper_quantile;
use crate::numeric::PhiloxRng;

/// Draws of importance sampling, and the multiplications that they may take all together.
const DRAWS: usize = 8192;
const LEAST_DRAWS: usize = 1024;
const MULTIPLICATIONS: usize = 4_000_000_000;
/// Moves whose values are asked for together.
const BATCH: usize = 1024;

/// Probability of being exhausted at the horizon.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Probability {
    /// Part of the simulated paths that fail.
    pub simulated: f64,
    /// Its standard error.
    pub simulated_error: f64,
    /// Where no path fails: what holds the probability with 95 % confidence.
    pub upper_bound: Option<f64>,
    /// By importance sampling of the density around the likeliest failing move.
    pub sampled: Option<f64>,
    /// Its standard error.
    pub sampled_error: Option<f64>,
}

impl Probability {
    /// Of `failures` in `paths`.
    ///
    /// # Formula
    /// Where none of `n` fails, `1 - 0.05^(1/n)`, about `3 / n`.
    pub(super) fn simulated(failures: u64, paths: u64) -> Self {
        let n = paths as f64;
        let part = failures as f64 / n;
        Self {
            simulated: part,
            simulated_error: (part * (1.0 - part) / n).sqrt(),
            upper_bound: (failures == 0).then(|| -(0.05f64.ln() / n).exp_m1()),
            sampled: None,
            sampled_error: None,
        }
    }
}

/// Probability and standard error that a move fails under a law.
///
/// # Formula
/// Half of the draws come from the law `p`, half from `s`, the likeliest component of each segment
/// moved to the failing move: the mean of `p / (p/2 + s/2)` over draws that fail. No weight exceeds 2.
pub(super) fn sampled(law: &Law, gap: &Gap<'_>, likeliest: &DVector<f64>, seed: u64) -> (f64, f64) {
    let draws = (MULTIPLICATIONS / law.multiplications().max(1)).clamp(LEAST_DRAWS, DRAWS);
    let around = law.around(likeliest);
    let mut random = Normals { random: PhiloxRng::new(seed, 1 << 32) };
    let (mut sum, mut square) = (0.0, 0.0);
    let mut left = draws;
    while left > 0 {
        let count = left.min(BATCH);
        let draw = |k: usize| if k.is_multiple_of(2) { law.draw(&mut random) } else { around.draw(&mut random) };
        let moves: Vec<DVector<f64>> = (0..count).map(draw).collect();
        for (z, gap) in moves.iter().zip(gap(&moves)) {
            if !(gap > 0.0) {
                let ratio = (around.log_density(z) - law.log_density(z)).exp();
                let weight = 2.0 / (1.0 + ratio);
                sum += weight;
                square += weight * weight;
            }
        }
        left -= count;
    }
    let n = draws as f64;
    let mean = sum / n;
    (mean, ((square / n - mean * mean).max(0.0) / n).sqrt())
}

/// Numbers at random.
pub(super) struct Normals {
    random: PhiloxRng,
}

impl Normals {
    /// Uniform, in (0, 1).
    pub fn uniform(&mut self) -> f64 {
        (f64::from(self.random.next_u32()) + 0.5) / 4_294_967_296.0
    }

    /// So many standard normals.
    pub fn vector(&mut self, n: usize) -> DVector<f64> {
        DVector::from_fn(n, |_, _| normal_upper_quantile(self.uniform()))
    }
}

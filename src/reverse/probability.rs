//! How probable it is that a move fails: simulated, and by importance sampling around those that were found.

use std::collections::BTreeMap;

use nalgebra::DVector;
use rand::Rng;
use serde::Serialize;

use super::law::Law;
use super::search::{Found, Gap};
use crate::closed_form::special::normal_upper_quantile;
use crate::numeric::PhiloxRng;

/// Draws of importance sampling, and the multiplications that they may take all together.
const DRAWS: usize = 16_384;
const LEAST_DRAWS: usize = 4096;
const MULTIPLICATIONS: usize = 20_000_000_000;
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
    /// By importance sampling of the density around the failing moves that were found.
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

/// What importance sampling says.
pub(super) struct Sampled {
    pub probability: f64,
    pub error: f64,
    /// Parts of the probability by pattern of jumps.
    pub patterns: BTreeMap<String, f64>,
}

/// The probability that a move fails under a law, sampled around failing moves.
///
/// # Formula
/// Half of the draws come from the law `p`, half from `s`, in turn the likeliest component of each of
/// the failing moves, moved there: the mean of `p / (p/2 + s/2)` over draws that fail. No weight exceeds 2.
pub(super) fn sampled(law: &Law, gap: &Gap<'_>, found: &[Found], seed: u64) -> Sampled {
    let draws = (MULTIPLICATIONS / law.multiplications().max(1)).clamp(LEAST_DRAWS, DRAWS);
    let around: Vec<Law> = found.iter().map(|found| law.around(&found.z)).collect();
    let mut random = Normals { random: PhiloxRng::new(seed, 1 << 32) };
    let (mut sum, mut square) = (0.0, 0.0);
    let mut patterns = BTreeMap::new();
    let mut done = 0;
    while done < draws {
        let count = (draws - done).min(BATCH);
        let draw = |k: usize| match k.is_multiple_of(2) {
            true => law.draw(&mut random),
            false => around[k / 2 % around.len()].draw(&mut random),
        };
        let moves: Vec<DVector<f64>> = (done..done + count).map(draw).collect();
        for (z, gap) in moves.iter().zip(gap(&moves)) {
            if !(gap > 0.0) {
                let here = law.log_density(z);
                let ratios = around.iter().map(|around| (around.log_density(z) - here).exp());
                let weight = 2.0 / (1.0 + ratios.sum::<f64>() / around.len() as f64);
                sum += weight;
                square += weight * weight;
                for (pattern, part) in law.patterns(z) {
                    *patterns.entry(pattern).or_insert(0.0) += weight * part;
                }
            }
        }
        done += count;
    }
    patterns.values_mut().for_each(|part| *part /= sum);
    let n = draws as f64;
    let mean = sum / n;
    Sampled { probability: mean, error: ((square / n - mean * mean).max(0.0) / n).sqrt(), patterns }
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

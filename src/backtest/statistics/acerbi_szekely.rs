//! Acerbi and Szekely (2014): is the Expected Shortfall right?
//!
//! Both scores are zero on average for right forecasts and negative where risk is underestimated.
//! Their critical values depend on the confidence and the number of days, so they are simulated for
//! the ones in use; published values hold for 97.5 % and 250 days.

use rand::RngExt;
use serde::Serialize;

use crate::closed_form::expected_shortfall::TailLaw;
use crate::closed_form::{ClosedFormError, special};
use crate::numeric::PhiloxRng;

/// The two scores of a sequence.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Scores {
    /// `Z1 = 1 - mean(L / ES | L > VaR)`; without an exception there is none.
    pub z1: Option<f64>,
    /// `Z2 = 1 - sum(L / ES 1{L > VaR}) / (T (1 - confidence))`.
    pub z2: f64,
}

/// Scores of the ratios `L / ES` of the exceptions among `observations` days.
pub fn scores(ratios: &[f64], observations: u64, tail: f64) -> Scores {
    let sum: f64 = ratios.iter().sum();
    Scores {
        z1: (!ratios.is_empty()).then(|| 1.0 - sum / ratios.len() as f64),
        z2: 1.0 - sum / (observations as f64 * tail),
    }
}

/// The law of P&L under the hypothesis: `location` plus a standard variable.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TailShape {
    /// Degrees of freedom of a Student-t of unit scale, above 1; normal without it.
    pub degrees_of_freedom: Option<f64>,
    /// Mean P&L in units of the scale.
    pub location: f64,
}

/// Points of the table of the tail's losses.
const TABLE: usize = 4096;
/// The table reaches down to this part of the tail; rarer draws are taken as its end, which moves a
/// mean by less than one part in ten thousand even for three degrees of freedom.
const RAREST: f64 = 1e-9;

/// Scores as they come out when the forecasts are right, ascending.
#[derive(Clone, Debug)]
pub struct NullDistribution {
    z1: Vec<f64>,
    z2: Vec<f64>,
}

impl NullDistribution {
    /// Simulates `simulations` sequences of `observations` days at the confidence `1 - tail`.
    ///
    /// Only exceptions are drawn: their number is binomial, and given that there is one, its tail
    /// probability is uniform below `tail`.
    ///
    /// # Errors
    /// A confidence or degrees of freedom outside their range.
    pub fn simulate(
        shape: TailShape,
        observations: u64,
        tail: f64,
        simulations: u32,
        seed: u64,
    ) -> Result<Self, ClosedFormError> {
        let ratios = RatioTable::new(shape, tail)?;
        let mut rng = PhiloxRng::new(seed, 0);
        let (mut z1, mut z2) = (Vec::new(), Vec::with_capacity(simulations as usize));
        for _ in 0..simulations {
            let count = binomial(&mut rng, observations, tail);
            let sum: f64 = (0..count).map(|_| ratios.at(rng.random::<f64>())).sum();
            if count > 0 {
                z1.push(1.0 - sum / count as f64);
            }
            z2.push(1.0 - sum / (observations as f64 * tail));
        }
        z1.sort_unstable_by(f64::total_cmp);
        z2.sort_unstable_by(f64::total_cmp);
        Ok(Self { z1, z2 })
    }

    /// The value of Z1 that right forecasts fall below with probability `significance`.
    pub fn z1_critical(&self, significance: f64) -> f64 {
        quantile(&self.z1, significance)
    }

    /// The value of Z2 that right forecasts fall below with probability `significance`.
    pub fn z2_critical(&self, significance: f64) -> f64 {
        quantile(&self.z2, significance)
    }

    /// Probability of a Z1 at or below `score` if the forecasts are right.
    pub fn z1_p_value(&self, score: f64) -> f64 {
        share_below(&self.z1, score)
    }

    /// Probability of a Z2 at or below `score` if the forecasts are right.
    pub fn z2_p_value(&self, score: f64) -> f64 {
        share_below(&self.z2, score)
    }
}

fn quantile(sorted: &[f64], probability: f64) -> f64 {
    let index = (probability * sorted.len() as f64) as usize;
    sorted.get(index.min(sorted.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
}

fn share_below(sorted: &[f64], score: f64) -> f64 {
    // The simulated and the observed score together, so that no probability is zero.
    (sorted.partition_point(|z| *z <= score) + 1) as f64 / (sorted.len() + 1) as f64
}

/// Exceptions among `observations` days, by the gaps between them: as many draws as exceptions.
fn binomial(rng: &mut PhiloxRng, observations: u64, tail: f64) -> u64 {
    let log_calm = (-tail).ln_1p();
    let (mut day, mut count) = (0.0, 0);
    loop {
        let gap = ((1.0 - rng.random::<f64>()).ln() / log_calm).floor();
        day += gap + 1.0;
        if !(day <= observations as f64) {
            return count;
        }
        count += 1;
    }
}

/// `L / ES` of an exception by its place in the tail: linear between points equally spaced in the
/// logarithm of the probability, on which a power-law tail is straight in the logarithm of the loss.
struct RatioTable {
    values: Vec<f64>,
}

impl RatioTable {
    fn new(shape: TailShape, tail: f64) -> Result<Self, ClosedFormError> {
        let law = match shape.degrees_of_freedom {
            Some(nu) => TailLaw::Student { nu },
            None => TailLaw::Normal,
        };
        let shortfall = law.tail(1.0 - tail)?.expected_shortfall - shape.location;
        let quantile = |probability: f64| match shape.degrees_of_freedom {
            Some(nu) => special::student_upper_quantile(probability, nu),
            None => special::normal_upper_quantile(probability),
        };
        let step = RAREST.ln() / (TABLE - 1) as f64;
        let value = |i: usize| (quantile(tail * (step * i as f64).exp()) - shape.location) / shortfall;
        Ok(Self { values: (0..TABLE).map(value).collect() })
    }

    fn at(&self, uniform: f64) -> f64 {
        let place = (uniform.max(RAREST).ln() / RAREST.ln() * (TABLE - 1) as f64).min((TABLE - 1) as f64);
        let below = (place as usize).min(TABLE - 2);
        let weight = place - below as f64;
        self.values[below] * (1.0 - weight) + self.values[below + 1] * weight
    }
}

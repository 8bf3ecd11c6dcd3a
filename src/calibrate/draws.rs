//! Random numbers of known laws, to simulate returns in which an estimator has to find its parameters
//! again. From the project's generator, so that a seed means the same draws everywhere.

use rand::RngExt;

use crate::closed_form::special::{normal_upper_quantile, student_upper_quantile};
use crate::numeric::PhiloxRng;

/// Draws of one seed, in their order.
pub struct Draws(PhiloxRng);

impl Draws {
    /// The draws of a seed.
    pub fn new(seed: u64) -> Self {
        Self(PhiloxRng::new(seed, 0))
    }

    /// Uniform in [1e-15, 1).
    pub fn uniform(&mut self) -> f64 {
        self.0.random::<f64>().max(1e-15)
    }

    /// Standard normal.
    pub fn normal(&mut self) -> f64 {
        normal_upper_quantile(self.uniform())
    }

    /// Student-t of `nu` > 2 degrees of freedom, scaled to unit variance.
    pub fn student(&mut self, nu: f64) -> f64 {
        student_upper_quantile(self.uniform(), nu) * ((nu - 2.0) / nu).sqrt()
    }

    /// Sum of the jumps of a step, whose number is Poisson of mean `intensity`.
    pub fn jumps(&mut self, intensity: f64, mut size: impl FnMut(&mut Self) -> f64) -> f64 {
        let (mut left, mut sum) = ((-intensity).exp(), 0.0);
        loop {
            left /= self.uniform();
            if left >= 1.0 {
                return sum;
            }
            sum += size(self);
        }
    }
}

//! Distances in standard errors.

use std::fmt::Display;

use crate::tolerance::SIGMAS;

/// Collects distances between estimates and truths; all misses are reported together.
pub struct Scores {
    name: &'static str,
    misses: Vec<String>,
    worst: f64,
    squares: f64,
    count: usize,
}

impl Scores {
    pub fn new(name: &'static str) -> Self {
        Self { name, misses: Vec::new(), worst: 0.0, squares: 0.0, count: 0 }
    }

    pub fn add(&mut self, place: impl Display, estimate: f64, error: f64, truth: f64) {
        self.add_rounded(place, estimate, error, truth, 0.0);
    }

    /// With an allowance for rounding beside the standard errors.
    pub fn add_rounded(&mut self, place: impl Display, estimate: f64, error: f64, truth: f64, rounding: f64) {
        let distance = ((estimate - truth).abs() - rounding).max(0.0);
        // Without an error of its own an estimate must be right to the allowance.
        let z = if distance == 0.0 { 0.0 } else { distance / error };
        self.count += 1;
        self.squares += z * z;
        self.worst = if z > self.worst { z } else { self.worst };
        if !within(estimate, error, truth, rounding) {
            self.misses.push(format!("{place}: {estimate:e} +- {error:e}, truth {truth:e}, z {z:.2}"));
        }
    }

    pub fn finish(self) {
        let rms = (self.squares / self.count as f64).sqrt();
        println!("{}: {} figures, worst {:.2} s.e., rms {rms:.2}", self.name, self.count, self.worst);
        assert!(self.count > 0, "{}: nothing was compared", self.name);
        assert!(self.misses.is_empty(), "{}:\n{}", self.name, self.misses.join("\n"));
    }

    /// For a negative control: something must have missed.
    pub fn finish_wrong(self) {
        assert!(!self.misses.is_empty(), "{}: a wrong answer passed (worst {:.2})", self.name, self.worst);
    }
}

/// `|estimate - truth| <= 5 error + rounding`; false for NaN.
pub fn within(estimate: f64, error: f64, truth: f64, rounding: f64) -> bool {
    (estimate - truth).abs() <= SIGMAS * error + rounding
}

/// Mean and standard error of a sample.
#[derive(Clone, Copy, Default)]
pub struct Sample {
    n: f64,
    sum: f64,
    square: f64,
}

impl Sample {
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut sample = Self::default();
        for value in values {
            sample.n += 1.0;
            sample.sum += value;
            sample.square += value * value;
        }
        sample
    }

    pub fn mean(&self) -> f64 {
        self.sum / self.n
    }

    pub fn error(&self) -> f64 {
        ((self.square / self.n - self.mean() * self.mean()).max(0.0) / self.n).sqrt()
    }
}

#[test]
fn scores_refuse_what_is_wrong() {
    assert!(within(1.0, 0.1, 1.4, 0.0));
    assert!(!within(1.0, 0.1, 1.6, 0.0));
    assert!(within(1.0, 0.1, 1.6, 0.2));
    for (estimate, error, truth) in
        [(f64::NAN, 1.0, 0.0), (0.0, f64::NAN, 0.0), (0.0, 1.0, f64::NAN), (0.0, 0.0, 1e-300)]
    {
        assert!(!within(estimate, error, truth, 0.0));
        let mut scores = Scores::new("poison");
        scores.add("here", estimate, error, truth);
        scores.finish_wrong();
    }
}

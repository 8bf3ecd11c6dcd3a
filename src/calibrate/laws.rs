//! Laws of one step's return: normal, Student-t, Merton and Kou jumps with the diffusion, by maximum
//! likelihood.
//!
//! The diffusion of step `t` has the deviation `scale * d_t`, where `d_t` comes from a volatility filter
//! (all equal for a constant volatility); jumps do not grow with it.

use serde::Serialize;

use super::garch::log_constant;
use super::optimise::{LogProduct, OUTSIDE, Parameter, criteria, minimise, standard_errors};
use crate::closed_form::special::{normal_cdf, student_survival};

/// Returns beyond so many deviations are the first guess at the jumps.
const THRESHOLD: f64 = 3.5;
/// Most jumps of one step that Merton's series counts; beyond, at the intensities allowed, are fewer
/// than one in a million.
const MOST_JUMPS: usize = 8;
/// Expected jumps of a step, at most: more of them are a diffusion.
const MOST_INTENSITY: f64 = 0.5;
/// A jump's mean size is at least this part of the diffusion's deviation, else it is none.
const LEAST_SIZE: f64 = 0.2;
/// The diffusion keeps at least this part of the filter's deviation.
const LEAST_SCALE: f64 = 0.1;

/// Returns of steps, and the filter's deviation of each; equally long.
#[derive(Clone, Copy, Debug)]
pub struct Sample<'a> {
    /// Log returns, finite.
    pub returns: &'a [f64],
    /// Deviations, above zero.
    pub deviations: &'a [f64],
}

/// A law of jumps or tails beside the diffusion; sizes in log return, intensities per step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(tag = "law", rename_all = "lowercase")]
pub enum Law {
    /// Diffusion alone.
    Normal,
    /// Student-t of unit variance in place of the normal.
    Student {
        /// Degrees of freedom, above 2.
        nu: f64,
    },
    /// Compound Poisson with normal sizes.
    Merton {
        /// Jumps a step.
        intensity: f64,
        /// Mean size.
        mean: f64,
        /// Deviation of the size.
        sd: f64,
    },
    /// Compound Poisson with double exponential sizes, at most one a step.
    Kou {
        /// Jumps a step.
        intensity: f64,
        /// Probability that one goes up.
        up_probability: f64,
        /// Inverse of the mean size upwards.
        up_rate: f64,
        /// Inverse of the mean size downwards.
        down_rate: f64,
    },
}

impl Law {
    /// `student`, `merton` and so on.
    pub fn name(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Student { .. } => "student",
            Self::Merton { .. } => "merton",
            Self::Kou { .. } => "kou",
        }
    }
}

/// Which law to fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Diffusion alone.
    Normal,
    /// Student-t.
    Student,
    /// Merton.
    Merton,
    /// Kou.
    Kou,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Normal, Self::Student, Self::Merton, Self::Kou];
}

/// A fit.
#[derive(Clone, Debug, Serialize)]
pub struct LawFit {
    /// Mean of the diffusion, in deviations of the filter.
    pub drift: f64,
    /// The diffusion's deviation as a part of the filter's.
    pub scale: f64,
    /// The law.
    pub law: Law,
    /// All parameters with standard errors.
    pub parameters: Vec<Parameter>,
    /// Log-likelihood at the maximum.
    pub log_likelihood: f64,
    /// Akaike's criterion.
    pub aic: f64,
    /// Bayes's criterion.
    pub bic: f64,
    /// Whether the search ended at a maximum.
    pub has_converged: bool,
}

impl Kind {
    /// Fits this law; `None` with fewer than 30 returns.
    pub fn fit(self, sample: Sample<'_>) -> Option<LawFit> {
        let n = sample.returns.len();
        if n < 30 {
            return None;
        }
        // In units of the usual deviation, so that all parameters are of the order of one.
        let unit = (sample.deviations.iter().map(|d| d.ln()).sum::<f64>() / n as f64).exp();
        let returns: Vec<f64> = sample.returns.iter().map(|r| r / unit).collect();
        let deviations: Vec<f64> = sample.deviations.iter().map(|d| d / unit).collect();
        let scaled = Sample { returns: &returns, deviations: &deviations };
        let cost = |at: &[f64]| -self.model(at).log_likelihood(scaled);
        let found = minimise(&cost, &self.first_guess(scaled), &self.first_steps());
        let model = self.model(&found.at);
        let natural = model.naturals();
        let at: Vec<f64> = natural.iter().map(|(_, x)| *x).collect();
        let scales: Vec<f64> = at.iter().map(|x| x.abs().max(0.02)).collect();
        let errors = standard_errors(&|at| -self.natural_model(at).log_likelihood(scaled), &at, &scales);
        let parameters: Vec<Parameter> = natural
            .iter()
            .zip(errors)
            .map(|((name, x), error)| {
                let unit = unit_of(name, unit);
                Parameter { name, estimate: x * unit, standard_error: error.map(|e| e * unit) }
            })
            .collect();
        let log_likelihood = -found.value - n as f64 * unit.ln();
        let (aic, bic) = criteria(log_likelihood, parameters.len(), n);
        let Model { drift, scale, law } = model;
        let law = law.in_units_of(unit);
        Some(LawFit {
            drift,
            scale,
            law,
            parameters,
            log_likelihood,
            aic,
            bic,
            has_converged: found.has_converged,
        })
    }

    /// From the returns beyond a threshold, in coordinates without bounds: drift, ln scale, then the law's.
    fn first_guess(self, sample: Sample<'_>) -> Vec<f64> {
        let scores = sample.returns.iter().zip(sample.deviations).map(|(r, d)| (*r, r / d));
        let (jumps, calm): (Vec<_>, Vec<_>) = scores.partition(|(_, z)| z.abs() > THRESHOLD);
        let diffusion =
            (calm.iter().map(|(_, z)| z * z).sum::<f64>() / calm.len().max(1) as f64).sqrt().max(0.2);
        let count = jumps.len().max(2) as f64;
        let intensity = (count / sample.returns.len() as f64).min(0.5 * MOST_INTENSITY);
        let mean = jumps.iter().map(|(r, _)| r).sum::<f64>() / count;
        let size = (jumps.iter().map(|(r, _)| r.abs()).sum::<f64>() / count).max(3.0);
        let up = (jumps.iter().filter(|(r, _)| *r > 0.0).count() as f64 + 1.0) / (count + 2.0);
        let odds = (up / (1.0 - up)).ln();
        let (scale, tail) = match self {
            Self::Normal => (1.0, vec![]),
            Self::Student => (1.0, vec![3.0_f64.ln()]),
            Self::Merton => (diffusion, vec![intensity.ln(), mean, size.ln()]),
            Self::Kou => (diffusion, vec![intensity.ln(), odds, size.ln(), size.ln()]),
        };
        [0.0, scale.ln()].into_iter().chain(tail).collect()
    }

    fn first_steps(self) -> Vec<f64> {
        let count = match self {
            Self::Normal => 0,
            Self::Student => 1,
            Self::Merton => 3,
            Self::Kou => 4,
        };
        [0.05, 0.1].into_iter().chain(std::iter::repeat_n(0.4, count)).collect()
    }

    fn model(self, at: &[f64]) -> Model {
        let law = match self {
            Self::Normal => Law::Normal,
            Self::Student => Law::Student { nu: 2.0 + at[2].exp() },
            Self::Merton => Law::Merton { intensity: at[2].exp(), mean: at[3], sd: at[4].exp() },
            Self::Kou => Law::Kou {
                intensity: at[2].exp(),
                up_probability: 1.0 / (1.0 + (-at[3]).exp()),
                up_rate: (-at[4]).exp(),
                down_rate: (-at[5]).exp(),
            },
        };
        Model { drift: at[0], scale: at[1].exp(), law }
    }

    fn natural_model(self, at: &[f64]) -> Model {
        let law = match self {
            Self::Normal => Law::Normal,
            Self::Student => Law::Student { nu: at[2] },
            Self::Merton => Law::Merton { intensity: at[2], mean: at[3], sd: at[4] },
            Self::Kou => {
                Law::Kou { intensity: at[2], up_probability: at[3], up_rate: at[4], down_rate: at[5] }
            }
        };
        Model { drift: at[0], scale: at[1], law }
    }
}

/// A parameter's unit when returns are in units of `unit`.
fn unit_of(name: &str, unit: f64) -> f64 {
    match name {
        "jump_mean" | "jump_sd" => unit,
        "up_rate" | "down_rate" => 1.0 / unit,
        _ => 1.0,
    }
}

impl Law {
    fn in_units_of(self, unit: f64) -> Self {
        match self {
            Self::Normal | Self::Student { .. } => self,
            Self::Merton { intensity, mean, sd } => {
                Self::Merton { intensity, mean: mean * unit, sd: sd * unit }
            }
            Self::Kou { intensity, up_probability, up_rate, down_rate } => {
                Self::Kou { intensity, up_probability, up_rate: up_rate / unit, down_rate: down_rate / unit }
            }
        }
    }
}

impl LawFit {
    /// Probability of a return at or below `log_return` in a step of the filter's `deviation`.
    pub fn probability(&self, log_return: f64, deviation: f64) -> f64 {
        let (x, sd) = (log_return - self.drift * deviation, self.scale * deviation);
        match self.law {
            Law::Normal => normal_cdf(x / sd),
            Law::Student { nu } => {
                let t = x / sd * (nu / (nu - 2.0)).sqrt();
                if t > 0.0 { 1.0 - student_survival(t, nu) } else { student_survival(-t, nu) }
            }
            Law::Merton { intensity, mean, sd: jump_sd } => {
                let each = poisson(intensity).into_iter().enumerate().map(|(n, weight)| {
                    let n = n as f64;
                    weight * normal_cdf((x - n * mean) / (sd * sd + n * jump_sd * jump_sd).sqrt())
                });
                each.sum::<f64>().min(1.0)
            }
            Law::Kou { intensity, up_probability, up_rate, down_rate } => {
                let jump = -(-intensity).exp_m1();
                let below = |x: f64, rate: f64| normal_cdf(x / sd) - modified(x, sd, rate) / rate;
                let up = below(x, up_rate);
                let down = 1.0 - below(-x, down_rate);
                (1.0 - jump) * normal_cdf(x / sd)
                    + jump * (up_probability * up + (1.0 - up_probability) * down)
            }
        }
    }
}

/// A law with its diffusion.
struct Model {
    drift: f64,
    scale: f64,
    law: Law,
}

impl Model {
    fn naturals(&self) -> Vec<(&'static str, f64)> {
        let mut all = vec![("drift", self.drift), ("scale", self.scale)];
        match self.law {
            Law::Normal => {}
            Law::Student { nu } => all.push(("nu", nu)),
            Law::Merton { intensity, mean, sd } => {
                all.extend([("jump_intensity", intensity), ("jump_mean", mean), ("jump_sd", sd)]);
            }
            Law::Kou { intensity, up_probability, up_rate, down_rate } => all.extend([
                ("jump_intensity", intensity),
                ("up_probability", up_probability),
                ("up_rate", up_rate),
                ("down_rate", down_rate),
            ]),
        }
        all
    }

    /// Far below any likelihood where a parameter is out of its range.
    fn log_likelihood(&self, sample: Sample<'_>) -> f64 {
        if !self.is_right() {
            return -OUTSIDE;
        }
        let steps = sample.returns.iter().zip(sample.deviations);
        match self.law {
            Law::Normal => self.standard(f64::INFINITY, steps),
            Law::Student { nu } => self.standard(nu, steps),
            Law::Merton { intensity, mean, sd } => {
                let weights = poisson(intensity);
                steps
                    .map(|(r, d)| merton_density(r - self.drift * d, self.scale * d, &weights, mean, sd).ln())
                    .sum()
            }
            Law::Kou { intensity, .. } => {
                let jump = -(-intensity).exp_m1();
                let density = |(r, d): (&f64, &f64)| {
                    let (x, sd) = (r - self.drift * d, self.scale * d);
                    (1.0 - jump) * normal_density(x, sd) + jump * self.kou_density(x, sd)
                };
                steps.map(|step| density(step).max(f64::MIN_POSITIVE).ln()).sum()
            }
        }
    }

    fn is_right(&self) -> bool {
        let has_diffusion = self.scale >= LEAST_SCALE && self.scale < 1e3;
        let is_rare = |intensity: f64| intensity > 0.0 && intensity <= MOST_INTENSITY;
        let is_jump = |size: f64| (LEAST_SIZE..1e3).contains(&size);
        has_diffusion
            && match self.law {
                Law::Normal => true,
                Law::Student { nu } => nu > 2.001 && nu < 1e3,
                Law::Merton { intensity, mean, sd } => is_rare(intensity) && is_jump(sd) && mean.abs() < 1e3,
                Law::Kou { intensity, up_probability, up_rate, down_rate } => {
                    let is_probability = (0.0..=1.0).contains(&up_probability);
                    is_rare(intensity) && is_probability && is_jump(1.0 / up_rate) && is_jump(1.0 / down_rate)
                }
            }
    }

    /// Student-t of unit variance, or normal.
    fn standard<'a>(&self, nu: f64, steps: impl ExactSizeIterator<Item = (&'a f64, &'a f64)>) -> f64 {
        let constant = steps.len() as f64 * log_constant(nu);
        let (mut deviations, mut tails, mut squares) = (LogProduct::new(), LogProduct::new(), 0.0);
        for (r, d) in steps {
            let sd = self.scale * d;
            let square = ((r - self.drift * d) / sd).powi(2);
            deviations.multiply(sd);
            if nu.is_finite() {
                tails.multiply(1.0 + square / (nu - 2.0));
            } else {
                squares += square;
            }
        }
        let kernel = if nu.is_finite() { 0.5 * (nu + 1.0) * tails.ln() } else { 0.5 * squares };
        constant - deviations.ln() - kernel
    }

    /// Density of the diffusion and one jump: an exponentially modified normal on either side.
    fn kou_density(&self, x: f64, sd: f64) -> f64 {
        let Law::Kou { up_probability, up_rate, down_rate, .. } = self.law else { return 0.0 };
        let side = |x, rate| modified(x, sd, rate);
        up_probability * side(x, up_rate) + (1.0 - up_probability) * side(-x, down_rate)
    }
}

/// Density of a normal and an exponential variable together, upwards.
fn modified(x: f64, sd: f64, rate: f64) -> f64 {
    let score = x / sd - rate * sd;
    // Far on the other side both factors leave the range of numbers; their product is nothing.
    if score < -30.0 { 0.0 } else { rate * (0.5 * (rate * sd).powi(2) - rate * x).exp() * normal_cdf(score) }
}

fn normal_density(x: f64, sd: f64) -> f64 {
    (-0.5 * (x / sd).powi(2)).exp() / (sd * std::f64::consts::TAU.sqrt())
}

/// Probabilities of 0, 1, ... jumps, down to those that do not matter.
fn poisson(intensity: f64) -> Vec<f64> {
    let mut weights = vec![(-intensity).exp()];
    while weights.len() <= MOST_JUMPS && weights[weights.len() - 1] > 1e-14 {
        weights.push(weights[weights.len() - 1] * intensity / weights.len() as f64);
    }
    weights
}

fn merton_density(x: f64, sd: f64, weights: &[f64], mean: f64, jump_sd: f64) -> f64 {
    let mut density = 0.0;
    for (n, weight) in weights.iter().enumerate() {
        let n = n as f64;
        density += weight * normal_density(x - n * mean, (sd * sd + n * jump_sd * jump_sd).sqrt());
    }
    density.max(f64::MIN_POSITIVE)
}

//! GARCH(1,1) and GJR-GARCH(1,1) with a constant mean, by maximum likelihood.
//!
//! `r_t = mu + e_t`, `e_t = sqrt(h_t) z_t`, `h_{t+1} = omega + (alpha + gamma 1{e_t < 0}) e_t^2 + beta h_t`
//! (Bollerslev 1986; Glosten, Jagannathan and Runkle 1993), `z` standard normal or a Student-t of unit
//! variance (Bollerslev 1987). Fits are made on returns divided by their own deviation, so that any
//! unit will do.

use serde::Serialize;
use statrs::function::gamma::ln_gamma;

use super::optimise::{LogProduct, Minimum, OUTSIDE, Parameter, criteria, minimise, standard_errors};

/// Law of the innovations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Innovations {
    /// Standard normal.
    Normal,
    /// Student-t of unit variance.
    Student,
}

/// The variance of the first return.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// The mean squared residual itself.
    MeanSquare,
    /// `omega + (alpha + gamma/2 + beta)` times the mean squared residual (Fiorentini, Calzolari and
    /// Panattoni 1996), the convention of the published benchmark.
    Presample,
    /// As before, with the first 75 squared residuals about the sample mean, weighted by 0.94^t, in
    /// place of the mean square (the Python package `arch`).
    Backcast,
}

/// Which model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Form {
    /// Whether falls weigh differently (GJR).
    pub is_asymmetric: bool,
    /// Law of the innovations.
    pub innovations: Innovations,
    /// The first variance.
    pub start: Start,
}

/// Parameters, in the unit of the returns; `omega` in its square.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Garch {
    /// Mean return of a step.
    pub mu: f64,
    /// Constant of the variance; above zero.
    pub omega: f64,
    /// Weight of the last squared residual; at least zero.
    pub alpha: f64,
    /// Further weight where the residual was negative; `alpha + gamma` is at least zero.
    pub gamma: f64,
    /// Weight of the last variance; at least zero.
    pub beta: f64,
    /// Degrees of freedom, above 2; infinite for normal innovations.
    pub nu: f64,
}

/// A fit.
#[derive(Clone, Debug)]
pub struct GarchFit {
    /// What was fitted.
    pub form: Form,
    /// The estimates.
    pub model: Garch,
    /// The same with standard errors, in the order mu, omega, alpha, gamma, beta, nu (those that are free).
    pub parameters: Vec<Parameter>,
    /// Log-likelihood at the maximum, constants included.
    pub log_likelihood: f64,
    /// Akaike's criterion.
    pub aic: f64,
    /// Bayes's criterion.
    pub bic: f64,
    /// Whether the search ended at a maximum.
    pub has_converged: bool,
}

impl Garch {
    /// `alpha + gamma/2 + beta`: how much of a shock to variance is left after a step.
    pub fn persistence(&self) -> f64 {
        self.alpha + 0.5 * self.gamma + self.beta
    }

    /// The variance of the next step.
    pub fn next_variance(&self, log_return: f64, variance: f64) -> f64 {
        let residual = log_return - self.mu;
        let weight = if residual < 0.0 { self.alpha + self.gamma } else { self.alpha };
        self.omega + weight * residual * residual + self.beta * variance
    }

    /// Conditional variances of all returns and of the one after the last, `[n + 1]`.
    pub fn variances(&self, returns: &[f64], start: Start) -> Vec<f64> {
        let mut variance = self.first_variance(start, start_level(returns, self.mu, start));
        let mut all = Vec::with_capacity(returns.len() + 1);
        for r in returns {
            all.push(variance);
            variance = self.next_variance(*r, variance);
        }
        all.push(variance);
        all
    }

    /// Log-likelihood of returns, constants included.
    pub fn log_likelihood(&self, returns: &[f64], start: Start) -> f64 {
        self.log_likelihood_from(returns, self.first_variance(start, start_level(returns, self.mu, start)))
    }

    fn first_variance(&self, start: Start, level: f64) -> f64 {
        match start {
            Start::MeanSquare => level,
            Start::Presample | Start::Backcast => self.omega + self.persistence() * level,
        }
    }

    fn log_likelihood_from(&self, returns: &[f64], first: f64) -> f64 {
        let mut variance = first;
        let (mut variances, mut tails, mut squares) = (LogProduct::new(), LogProduct::new(), 0.0);
        for r in returns {
            let residual = r - self.mu;
            let square = residual * residual / variance;
            variances.multiply(variance);
            if self.nu.is_finite() {
                tails.multiply(1.0 + square / (self.nu - 2.0));
            } else {
                squares += square;
            }
            variance = self.next_variance(*r, variance);
        }
        let kernel = if self.nu.is_finite() { 0.5 * (self.nu + 1.0) * tails.ln() } else { 0.5 * squares };
        let sum = -0.5 * variances.ln() - kernel;
        sum + returns.len() as f64 * log_constant(self.nu)
    }
}

/// Logarithm of the density at zero of the standardised law.
pub(super) fn log_constant(nu: f64) -> f64 {
    if nu.is_finite() {
        ln_gamma(0.5 * (nu + 1.0)) - ln_gamma(0.5 * nu) - 0.5 * (std::f64::consts::PI * (nu - 2.0)).ln()
    } else {
        -0.5 * std::f64::consts::TAU.ln()
    }
}

fn start_level(returns: &[f64], mu: f64, start: Start) -> f64 {
    let mean_square = |about: f64| mean(returns.iter().map(|r| (r - about).powi(2)));
    match start {
        Start::MeanSquare | Start::Presample => mean_square(mu),
        Start::Backcast => {
            let about = mean(returns.iter().copied());
            let weights: Vec<f64> = (0..returns.len().min(75)).map(|t| 0.94_f64.powi(t as i32)).collect();
            let sum: f64 = weights.iter().zip(returns).map(|(w, r)| w * (r - about).powi(2)).sum();
            sum / weights.iter().sum::<f64>()
        }
    }
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let n = values.len() as f64;
    values.sum::<f64>() / n
}

impl Form {
    /// Its name: `gjr-t`.
    pub fn name(&self) -> &'static str {
        match (self.is_asymmetric, self.innovations) {
            (false, Innovations::Normal) => "garch-normal",
            (false, Innovations::Student) => "garch-t",
            (true, Innovations::Normal) => "gjr-normal",
            (true, Innovations::Student) => "gjr-t",
        }
    }

    /// Fits it to finite returns, from `warm` if an earlier fit is at hand.
    ///
    /// At least 30 returns, not all equal; else `None`.
    pub fn fit(&self, returns: &[f64], warm: Option<&Garch>) -> Option<GarchFit> {
        let (scale, scaled) = standardised(returns)?;
        let (unit, found) = self.search(&scaled, scale, warm)?;
        let log_likelihood = -found.value - returns.len() as f64 * scale.ln();
        let parameters = self.parameters(&scaled, &unit, scale);
        let (aic, bic) = criteria(log_likelihood, parameters.len(), returns.len());
        let (form, model, has_converged) = (*self, unit.scaled(scale), found.has_converged);
        Some(GarchFit { form, model, parameters, log_likelihood, aic, bic, has_converged })
    }

    /// The estimates of [`Form::fit`] alone, without their errors.
    pub fn estimate(&self, returns: &[f64], warm: Option<&Garch>) -> Option<Garch> {
        let (scale, scaled) = standardised(returns)?;
        self.search(&scaled, scale, warm).map(|(unit, _)| unit.scaled(scale))
    }

    fn search(&self, scaled: &[f64], scale: f64, warm: Option<&Garch>) -> Option<(Garch, Minimum)> {
        let start = warm.map_or(self.first_guess(), |garch| garch.scaled(1.0 / scale));
        let level = start_level(scaled, 0.0, self.start);
        let cost = |at: &[f64]| self.cost(scaled, self.inside(at), level);
        let found = minimise(&cost, &self.outside(&start), &self.first_steps());
        Some((self.inside(&found.at)?, found))
    }

    fn cost(&self, scaled: &[f64], garch: Option<Garch>, backcast: f64) -> f64 {
        let Some(garch) = garch else { return OUTSIDE };
        let level = match self.start {
            // About the sample mean, so the same for all parameters.
            Start::Backcast => backcast,
            other => start_level(scaled, garch.mu, other),
        };
        -garch.log_likelihood_from(scaled, garch.first_variance(self.start, level))
    }

    fn first_guess(&self) -> Garch {
        let nu = if self.innovations == Innovations::Student { 6.0 } else { f64::INFINITY };
        let gamma = if self.is_asymmetric { 0.02 } else { 0.0 };
        Garch { mu: 0.0, omega: 0.05, alpha: 0.08, gamma, beta: 0.86, nu }
    }

    fn first_steps(&self) -> Vec<f64> {
        self.free([0.05, 0.7, 0.5, 0.5, 0.5, 0.5])
    }

    /// Of mu, omega, persistence, news, skew, nu those that this form has.
    fn free(&self, all: [f64; 6]) -> Vec<f64> {
        let [mu, omega, persistence, news, skew, nu] = all;
        let mut free = vec![mu, omega, persistence, news];
        free.extend(self.is_asymmetric.then_some(skew));
        free.extend((self.innovations == Innovations::Student).then_some(nu));
        free
    }

    /// Coordinates without bounds: mu, ln omega, logit of the persistence, logit of the news' share of
    /// it, atanh of the news' skew, ln(nu - 2).
    fn outside(&self, garch: &Garch) -> Vec<f64> {
        let logit = |p: f64| (p / (1.0 - p)).ln();
        let inner = |p: f64| p.clamp(1e-6, 1.0 - 1e-6);
        let news = (garch.alpha + 0.5 * garch.gamma).max(1e-9);
        let persistence = inner(garch.persistence());
        let skew = (0.5 * garch.gamma / news).clamp(-0.999, 0.999);
        let nu = if garch.nu.is_finite() { (garch.nu - 2.0).max(1e-3).ln() } else { 0.0 };
        self.free([
            garch.mu,
            garch.omega.ln(),
            logit(persistence),
            logit(inner(news / persistence)),
            skew.atanh(),
            nu,
        ])
    }

    fn inside(&self, at: &[f64]) -> Option<Garch> {
        let logistic = |x: f64| 1.0 / (1.0 + (-x).exp());
        let persistence = logistic(at[2]);
        let news = persistence * logistic(at[3]);
        let skew = if self.is_asymmetric { at[4].tanh() } else { 0.0 };
        let nu = match self.innovations {
            Innovations::Student => 2.0 + at[at.len() - 1].exp(),
            Innovations::Normal => f64::INFINITY,
        };
        let garch = Garch {
            mu: at[0],
            omega: at[1].exp(),
            alpha: news * (1.0 - skew),
            gamma: 2.0 * news * skew,
            beta: persistence - news,
            nu,
        };
        let is_right =
            garch.omega > 1e-12 && garch.omega < 1e6 && persistence < 1.0 && !(nu > 2e3 && nu.is_finite());
        is_right.then_some(garch)
    }

    fn parameters(&self, scaled: &[f64], unit: &Garch, scale: f64) -> Vec<Parameter> {
        let backcast = start_level(scaled, 0.0, self.start);
        let natural = |garch: &Garch| {
            let mut all = vec![garch.mu, garch.omega, garch.alpha];
            all.extend(self.is_asymmetric.then_some(garch.gamma));
            all.push(garch.beta);
            all.extend((self.innovations == Innovations::Student).then_some(garch.nu));
            all
        };
        let from_natural = |at: &[f64]| {
            let mut rest = at[3..].iter().copied();
            let gamma = if self.is_asymmetric { rest.next()? } else { 0.0 };
            let beta = rest.next()?;
            let nu = rest.next().unwrap_or(f64::INFINITY);
            let garch = Garch { mu: at[0], omega: at[1], alpha: at[2], gamma, beta, nu };
            let is_right = garch.omega > 0.0
                && garch.alpha + garch.gamma.min(0.0) > -0.05
                && garch.beta >= 0.0
                && nu > 2.0;
            is_right.then_some(garch)
        };
        let cost = |at: &[f64]| self.cost(scaled, from_natural(at), backcast);
        let at = natural(unit);
        let scales: Vec<f64> = at.iter().map(|x| x.abs().max(0.02)).collect();
        let mut scales = scales;
        scales[1] = at[1];
        let errors = standard_errors(&cost, &at, &scales);
        let names: Vec<&'static str> = match (self.is_asymmetric, self.innovations) {
            (false, Innovations::Normal) => vec!["mu", "omega", "alpha", "beta"],
            (false, Innovations::Student) => vec!["mu", "omega", "alpha", "beta", "nu"],
            (true, Innovations::Normal) => vec!["mu", "omega", "alpha", "gamma", "beta"],
            (true, Innovations::Student) => vec!["mu", "omega", "alpha", "gamma", "beta", "nu"],
        };
        let unit_of = |name: &str| match name {
            "mu" => scale,
            "omega" => scale * scale,
            _ => 1.0,
        };
        let each = names.into_iter().zip(at).zip(errors);
        each.map(|((name, x), error)| Parameter {
            name,
            estimate: x * unit_of(name),
            standard_error: error.map(|e| e * unit_of(name)),
        })
        .collect()
    }
}

impl Garch {
    /// The same model of returns multiplied by `factor`.
    fn scaled(&self, factor: f64) -> Self {
        Self { mu: self.mu * factor, omega: self.omega * factor * factor, ..*self }
    }
}

/// The deviation about zero, and the returns divided by it.
pub(super) fn standardised(returns: &[f64]) -> Option<(f64, Vec<f64>)> {
    const LEAST: usize = 30;
    let scale = mean(returns.iter().map(|r| r * r)).sqrt();
    let is_right = returns.len() >= LEAST && scale > 0.0 && scale.is_finite();
    is_right.then(|| (scale, returns.iter().map(|r| r / scale).collect()))
}

//! Models of the next steps, each seeing the past alone.
//!
//! A forecast for the horizon that begins with step `t` uses returns up to `t - 1`. Parameters are fitted on every `refit`-th step,
//! counted from an asset's first possible one, so that no later price moves an earlier fit.

use rayon::prelude::*;
use serde::Serialize;

use crate::calibrate::garch::{Form, Garch, Innovations, Start};
use crate::calibrate::laws::{Kind, Law, Sample};

/// What a margin is computed by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Model {
    /// The returns of the lookback as they were.
    Historical,
    /// Those returns divided by the EWMA deviation of their day, times today's (filtered historical
    /// simulation).
    EwmaFhs,
    /// The same with a GJR-GARCH(1,1) with Student-t innovations, refitted on the lookback.
    GjrFhs,
    /// Student-t with the EWMA deviation and degrees of freedom refitted on the lookback.
    EwmaT,
    /// Normal with the EWMA deviation: what fat tails cost.
    EwmaNormal,
    /// The engine's jump-diffusion with Student-t tails, see [`super::monte_carlo`].
    MonteCarlo,
}

impl Model {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Historical, Self::EwmaFhs, Self::GjrFhs, Self::EwmaT, Self::EwmaNormal, Self::MonteCarlo];
    /// Their names in a file, in the same order.
    pub const NAMES: [&str; 6] =
        ["historical", "ewma-fhs", "gjr-fhs", "ewma-t", "ewma-normal", "monte-carlo"];

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().position(|model| *model == self).map_or("", |index| Self::NAMES[index])
    }

    /// About how long a walk takes beside the others', for showing progress only.
    pub(super) fn effort(self) -> f64 {
        match self {
            Self::Historical | Self::EwmaFhs | Self::EwmaNormal => 1.0,
            Self::EwmaT => 2.0,
            Self::GjrFhs => 10.0,
            Self::MonteCarlo => 30.0,
        }
    }
}

/// First returns, whose mean square begins an EWMA; no forecast is made from fewer.
const WARM_UP: usize = 20;
/// A window with fewer of its returns than this is not used.
const LEAST_FILLED: f64 = 0.9;

/// What a model knows of one series (an asset's log returns or a book's P&L).
pub struct Filter<'a> {
    returns: &'a [f64],
    /// First step with a forecast: a whole lookback after the first return.
    start: usize,
    lookback: usize,
    /// Deviation known before each step, and before the one after the last: `[n + 1]`.
    deviations: Vec<f64>,
    /// Deviations that forecasts take where they are not those of the fits, likewise.
    floored: Option<Vec<f64>>,
    /// Returns in units of the deviation known before them, where the model has scenarios of them.
    scores: Vec<f64>,
    /// Fits by step: each holds from its step on. Empty where the model has none.
    fits: Vec<(usize, Fit)>,
    model: Model,
}

enum Fit {
    Gjr(Garch),
    /// Degrees of freedom (infinite is normal), and the law's deviation over the EWMA's.
    Tail {
        nu: f64,
        scale: f64,
    },
}

impl<'a> Filter<'a> {
    /// Prepares a series. `deviations` are known before each step, and before the one after the last.
    pub fn new(model: Model, returns: &'a [f64], lookback: usize, deviations: Vec<f64>) -> Self {
        let first = returns.iter().position(|r| r.is_finite()).unwrap_or(returns.len());
        let scores = match model {
            Model::EwmaFhs => returns.iter().zip(&deviations).map(|(r, d)| r / d).collect(),
            _ => Vec::new(),
        };
        let start = first + lookback;
        Self { returns, start, lookback, deviations, floored: None, scores, fits: Vec::new(), model }
    }

    /// The same with forecasts that take these deviations. Fits do not: a floor would look to them like
    /// returns too small for it, and they would undo it.
    pub fn floored(self, deviations: Vec<f64>) -> Self {
        Self { floored: Some(deviations), ..self }
    }

    /// The same with all parameters that will be needed, fitted on every `refit`-th step.
    pub fn fitted(mut self, refit: usize) -> Self {
        let steps: Vec<usize> = (self.start..self.returns.len() + 1).step_by(refit).collect();
        match self.model {
            Model::GjrFhs => {
                // Each from the one before, which it is close to.
                for t in steps {
                    let fit = self.fit(t);
                    self.fits.extend(fit.map(|fit| (t, fit)));
                }
            }
            Model::EwmaT => {
                let fit = |t: &usize| self.fit(*t).map(|fit| (*t, fit));
                self.fits = steps.par_iter().filter_map(fit).collect();
            }
            _ => {}
        }
        self
    }

    fn fit(&self, t: usize) -> Option<Fit> {
        let window = self.window(t)?;
        let used: Vec<usize> =
            window.filter(|s| self.returns[*s].is_finite() && self.deviations[*s] > 0.0).collect();
        let returns: Vec<f64> = used.iter().map(|s| self.returns[*s]).collect();
        if self.model == Model::EwmaT {
            let deviations: Vec<f64> = used.iter().map(|s| self.deviations[*s]).collect();
            let fit = Kind::Student.fit(Sample { returns: &returns, deviations: &deviations })?;
            let Law::Student { nu } = fit.law else { return None };
            return Some(Fit::Tail { nu, scale: fit.scale });
        }
        let form = Form { is_asymmetric: true, innovations: Innovations::Student, start: Start::Presample };
        let warm =
            self.fits.last().and_then(|(_, fit)| if let Fit::Gjr(garch) = fit { Some(garch) } else { None });
        Some(Fit::Gjr(form.estimate(&returns, warm)?))
    }

    fn fit_at(&self, t: usize) -> Option<&Fit> {
        let after = self.fits.partition_point(|(step, _)| *step <= t);
        self.fits.get(after.checked_sub(1)?).map(|(_, fit)| fit)
    }

    /// The steps that a forecast for `t` sees; `None` where the series is too young or too thin.
    pub fn window(&self, t: usize) -> Option<std::ops::Range<usize>> {
        let window = (t >= self.start).then(|| t - self.lookback..t)?;
        let filled = self.returns[window.clone()].iter().filter(|r| r.is_finite()).count();
        (filled as f64 >= LEAST_FILLED * self.lookback as f64).then_some(window)
    }

    /// The first step that a forecast may be for.
    pub fn start(&self) -> usize {
        self.start
    }

    /// Deviation known before step `t`; no number before the first.
    pub fn deviation(&self, t: usize) -> f64 {
        self.deviations[t]
    }

    /// Degrees of freedom of every law that [`Filter::law`] may give.
    pub fn shapes(&self) -> Vec<f64> {
        let nu = |(_, fit): &(usize, Fit)| if let Fit::Tail { nu, .. } = fit { Some(*nu) } else { None };
        match self.model {
            Model::EwmaNormal => vec![f64::INFINITY],
            _ => self.fits.iter().filter_map(nu).collect(),
        }
    }

    /// Deviation that the forecast for step `t` takes.
    pub fn forecast_deviation(&self, t: usize) -> f64 {
        self.floored.as_ref().map_or(self.deviations[t], |floored| floored[t])
    }

    /// Log returns that may come over the `steps` steps from `t` on, equally likely: one for each run of so
    /// many steps in the lookback (NaN where one has no return). For the models that have such a list.
    ///
    /// The variance of the next steps is today's under EWMA, and what GJR-GARCH expects of each.
    pub fn scenarios(&self, t: usize, steps: usize) -> Option<Vec<f64>> {
        let window = self.window(t)?;
        let past = &self.returns[window.clone()];
        let runs = |of: &[f64], each: &dyn Fn(f64) -> f64| -> Vec<f64> {
            of.windows(steps).map(|run| each(run.iter().sum())).collect()
        };
        match self.model {
            Model::Historical => Some(runs(past, &|sum| sum)),
            Model::EwmaFhs => {
                let next = self.deviations[t];
                (next > 0.0).then(|| runs(&self.scores[window], &|sum| sum * next))
            }
            Model::GjrFhs => {
                let Some(Fit::Gjr(garch)) = self.fit_at(t) else { return None };
                let finite: Vec<f64> = past.iter().copied().filter(|r| r.is_finite()).collect();
                let variances = garch.variances(&finite, Start::Presample);
                let next = mean_variance(garch, variances[variances.len() - 1], steps).sqrt();
                let mut deviations = variances.into_iter().map(f64::sqrt);
                let score = |r: &f64| match r.is_finite() {
                    true => deviations.next().map_or(f64::NAN, |d| (r - garch.mu) / d),
                    false => f64::NAN,
                };
                let scores: Vec<f64> = past.iter().map(score).collect();
                Some(runs(&scores, &|sum| steps as f64 * garch.mu + sum * next))
            }
            Model::EwmaT | Model::EwmaNormal | Model::MonteCarlo => None,
        }
    }

    /// Deviation of the `steps` steps from `t` on and degrees of freedom, for the models that are a law: the
    /// deviation grows with the root of the horizon, the tail is taken to stay that of one step.
    pub fn law(&self, t: usize, steps: usize) -> Option<(f64, f64)> {
        self.window(t)?;
        let deviation = self.deviations[t] * (steps as f64).sqrt();
        let (nu, scale) = match (self.model, self.fit_at(t)) {
            (Model::EwmaNormal, _) => (f64::INFINITY, 1.0),
            (Model::EwmaT, Some(Fit::Tail { nu, scale })) => (*nu, *scale),
            _ => return None,
        };
        (deviation > 0.0).then_some((scale * deviation, nu))
    }
}

/// Mean of the variances expected of the next steps: the first is known, and each further one is
/// `omega + persistence` times the one before.
fn mean_variance(garch: &Garch, first: f64, steps: usize) -> f64 {
    let expected = std::iter::successors(Some(first), |v| Some(garch.omega + garch.persistence() * v));
    expected.take(steps).sum::<f64>() / steps as f64
}

/// Deviation known before each step, and before the one after the last: `[n + 1]`.
pub fn ewma_deviations(returns: &[f64], decay: f64) -> Vec<f64> {
    let mut seen = Vec::new();
    let mut variance = f64::NAN;
    let mut all = Vec::with_capacity(returns.len() + 1);
    for r in returns {
        all.push(variance.sqrt());
        if !r.is_finite() {
            continue;
        }
        if seen.len() < WARM_UP {
            seen.push(r * r);
            if seen.len() == WARM_UP {
                variance = seen.iter().sum::<f64>() / WARM_UP as f64;
            }
        } else {
            variance = decay * variance + (1.0 - decay) * r * r;
        }
    }
    all.push(variance.sqrt());
    all
}

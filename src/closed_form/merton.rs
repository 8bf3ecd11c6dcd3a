//! Merton (1976) jump diffusion: the Poisson mixture of normals, and European prices by it.

use super::black::{EuropeanOption, weighted_black};
use super::special::{normal_cdf, normal_density};
use super::{ClosedFormError, ReturnLaw, within};

/// Expected number of jumps over the horizon, under either measure, up to which the series is run.
pub const EXPECTED_JUMPS_MAX: f64 = 1e6;

/// Components dropped from the mixture have together less than `exp(-LOG_NEGLIGIBLE)` probability,
/// 1e-60: below the double-precision rounding of the cheapest option whose price is a normal number
/// beside a spot of one.
const LOG_NEGLIGIBLE: f64 = 138.2;

/// A compensated Merton jump diffusion.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MertonModel {
    /// Diffusive volatility per year, in [0, 100]: 0.6 is 60 %.
    pub volatility: f64,
    /// Jumps per year, zero or more.
    pub intensity: f64,
    /// Mean of the log jump, in [-5, 5]: -0.03 is about -3 % per jump.
    pub mean_log_jump: f64,
    /// Standard deviation of the log jump, in [0, 5].
    pub sd_log_jump: f64,
}

impl MertonModel {
    /// Mean relative jump `k = exp(mean + sd^2/2) - 1`, whose compensator is `-intensity k`.
    pub fn mean_relative_jump(&self) -> f64 {
        (self.mean_log_jump + 0.5 * self.sd_log_jump * self.sd_log_jump).exp_m1()
    }

    /// Refuses NaN, infinities and parameters outside the ranges named at the fields.
    ///
    /// # Errors
    /// [`ClosedFormError::OutOfRange`] naming the first such field.
    pub fn check(&self) -> Result<(), ClosedFormError> {
        within("volatility", self.volatility, 0.0, 100.0, "a volatility per year in [0, 100]")?;
        within("intensity", self.intensity, 0.0, 1e9, "jumps per year in [0, 1e9]")?;
        within("mean_log_jump", self.mean_log_jump, -5.0, 5.0, "a log return in [-5, 5]")?;
        within("sd_log_jump", self.sd_log_jump, 0.0, 5.0, "a log return in [0, 5]")
    }

    /// Price of a European option, in the currency of spot and strike.
    ///
    /// `exp(-rt) sum_n Poisson(n; lambda t) Black(F_n, K, sqrt(sigma^2 t + n delta^2))` with
    /// `F_n = F exp(-lambda k t + n (mu + delta^2/2))` (Merton 1976, eq. 16), the sum run over all
    /// `n` that matter under the money-market and the share measure.
    ///
    /// # Errors
    /// A parameter out of range, or more than [`EXPECTED_JUMPS_MAX`] expected jumps.
    pub fn price(&self, option: &EuropeanOption) -> Result<f64, ClosedFormError> {
        option.check()?;
        Ok(self.law(option.expiry_years)?.price_checked(option))
    }

    /// The law of the driftless log return over `horizon_years`.
    ///
    /// # Errors
    /// A parameter out of range, or more than [`EXPECTED_JUMPS_MAX`] expected jumps.
    pub fn law(&self, horizon_years: f64) -> Result<MertonLaw, ClosedFormError> {
        self.check()?;
        within("horizon_years", horizon_years, 0.0, 100.0, "years in [0, 100]")?;
        let jumps = self.intensity * horizon_years;
        let growth = self.mean_relative_jump();
        let share_jumps = jumps * (1.0 + growth);
        let most = jumps.max(share_jumps);
        if most > EXPECTED_JUMPS_MAX {
            return Err(ClosedFormError::TooManyTerms {
                formula: "the Merton series",
                needed: most,
                limit: EXPECTED_JUMPS_MAX as usize,
                advice: "lower intensity x time or the size of jumps",
            });
        }
        Ok(MertonLaw { horizon_years, components: mixture(self, horizon_years) })
    }
}

/// One normal component of the mixture: `n` jumps happened.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NormalComponent {
    /// Natural logarithm of the probability of the component.
    pub log_weight: f64,
    /// Mean of the log return given the component.
    pub mean: f64,
    /// Standard deviation of the log return given the component; zero is an atom.
    pub sd: f64,
}

impl NormalComponent {
    /// Probability of the component, in [0, 1].
    pub fn weight(&self) -> f64 {
        self.log_weight.exp()
    }

    fn score(&self, x: f64) -> f64 {
        if self.sd > 0.0 {
            (x - self.mean) / self.sd
        } else if x >= self.mean {
            f64::INFINITY
        } else {
            f64::NEG_INFINITY
        }
    }
}

/// The law of the driftless Merton log return over one horizon, `E[exp(X)] = 1`.
#[derive(Debug, Clone, PartialEq)]
pub struct MertonLaw {
    horizon_years: f64,
    components: Vec<NormalComponent>,
}

impl MertonLaw {
    /// The law of a log return without jumps, `N(-sd^2/2, sd^2)`; `sd` over the horizon, which is
    /// taken as one year.
    pub(crate) fn lognormal(sd: f64) -> Self {
        let component = NormalComponent { log_weight: 0.0, mean: -0.5 * sd * sd, sd };
        Self { horizon_years: 1.0, components: vec![component] }
    }

    /// The components, by increasing number of jumps.
    pub fn components(&self) -> &[NormalComponent] {
        &self.components
    }

    /// Price under this law of a European option that expires at its horizon; see [`MertonModel::price`].
    ///
    /// # Errors
    /// An option that [`EuropeanOption::check`] refuses, or one that expires at another time.
    pub fn price(&self, option: &EuropeanOption) -> Result<f64, ClosedFormError> {
        option.check()?;
        let horizon = self.horizon_years;
        within("expiry_years", option.expiry_years, horizon, horizon, "the horizon of the law")?;
        Ok(self.price_checked(option))
    }

    /// Standard deviation of the log return over the horizon, dimensionless.
    pub fn sd(&self) -> f64 {
        let mean = self.mean();
        let variance = self.sum(|c| c.weight() * (c.sd * c.sd + (c.mean - mean) * (c.mean - mean)));
        variance.sqrt()
    }

    /// Density of the continuous components at `x`; atoms (zero volatility, no jump) are left out.
    pub fn density(&self, x: f64) -> f64 {
        self.sum(|c| if c.sd > 0.0 { c.weight() * normal_density(c.score(x)) / c.sd } else { 0.0 })
    }

    pub(crate) fn price_checked(&self, option: &EuropeanOption) -> f64 {
        let log_forward = option.forward().ln();
        let log_strike = option.strike.ln();
        let undiscounted = self.sum(|c| {
            let log_component_forward = log_forward + c.mean + 0.5 * c.sd * c.sd;
            weighted_black(option.kind, c.log_weight + log_component_forward, c.log_weight + log_strike, c.sd)
        });
        option.discount() * undiscounted
    }

    fn sum(&self, term: impl Fn(&NormalComponent) -> f64) -> f64 {
        self.components.iter().map(term).sum()
    }
}

impl ReturnLaw for MertonLaw {
    fn cdf(&self, x: f64) -> f64 {
        self.sum(|c| c.weight() * normal_cdf(c.score(x)))
    }

    fn survival(&self, x: f64) -> f64 {
        self.sum(|c| c.weight() * normal_cdf(-c.score(x)))
    }

    fn exp_moment_below(&self, x: f64) -> f64 {
        self.sum(|c| (c.log_weight + c.mean + 0.5 * c.sd * c.sd).exp() * normal_cdf(c.score(x) - c.sd))
    }

    fn exp_moment_above(&self, x: f64) -> f64 {
        self.sum(|c| (c.log_weight + c.mean + 0.5 * c.sd * c.sd).exp() * normal_cdf(c.sd - c.score(x)))
    }

    fn mean_below(&self, x: f64) -> f64 {
        self.sum(|c| {
            let z = c.score(x);
            c.weight() * (c.mean * normal_cdf(z) - c.sd * normal_density(z))
        })
    }

    fn mean(&self) -> f64 {
        self.sum(|c| c.weight() * c.mean)
    }

    fn support(&self) -> (f64, f64) {
        // 9 standard deviations leave 1e-19; components below 1e-20 together leave less still.
        let likely = self.components.iter().filter(|c| c.log_weight > -46.0);
        likely.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), c| {
            (low.min(c.mean - 9.0 * c.sd), high.max(c.mean + 9.0 * c.sd))
        })
    }
}

/// Components by number of jumps, weights normalised to one by log-sum.
fn mixture(model: &MertonModel, horizon_years: f64) -> Vec<NormalComponent> {
    let jumps = model.intensity * horizon_years;
    let compensator = jumps * model.mean_relative_jump();
    let share_jumps = jumps + compensator;
    let variance = model.volatility * model.volatility * horizon_years;
    let jump_variance = model.sd_log_jump * model.sd_log_jump;
    let compensated = -0.5 * variance - compensator;
    let first = smallest_likely(jumps.min(share_jumps));
    let log_weights = poisson_log_weights(jumps, first, largest_likely(jumps.max(share_jumps)));
    let component = |(i, log_weight): (usize, f64)| {
        let n = (first + i as u64) as f64;
        NormalComponent {
            log_weight,
            mean: compensated + n * model.mean_log_jump,
            sd: (variance + n * jump_variance).sqrt(),
        }
    };
    log_weights.into_iter().enumerate().map(component).collect()
}

/// `ln Poisson(n; mean)` for `first <= n <= last`, by recursion outward from the mode: factorials
/// of large `n` would lose nine digits. `first..=last` holds all probability that matters.
fn poisson_log_weights(mean: f64, first: u64, last: u64) -> Vec<f64> {
    if mean <= 0.0 {
        return vec![0.0];
    }
    let mode = (mean.floor() as u64).clamp(first, last);
    let mut weights = vec![0.0; (last - first + 1) as usize];
    for n in mode + 1..=last {
        let i = (n - first) as usize;
        weights[i] = weights[i - 1] + (mean / n as f64).ln();
    }
    for n in (first..mode).rev() {
        let i = (n - first) as usize;
        weights[i] = weights[i + 1] + ((n + 1) as f64 / mean).ln();
    }
    let log_total = weights.iter().map(|w| w.exp()).sum::<f64>().ln();
    weights.iter_mut().for_each(|w| *w -= log_total);
    weights
}

/// The `n` above which a Poisson variable falls with probability below `exp(-LOG_NEGLIGIBLE)`, by
/// Chernoff: `ln P(N >= n) <= n - mean - n ln(n / mean)`.
fn largest_likely(mean: f64) -> u64 {
    if mean <= 0.0 {
        return 0;
    }
    let mut n = mean.max(1.0);
    while n - mean - n * (n / mean).ln() > -LOG_NEGLIGIBLE {
        n += 1.0 + mean.sqrt() / 16.0;
    }
    n.ceil() as u64
}

/// The mirror of [`largest_likely`] in the lower tail; zero if nothing can be left out.
fn smallest_likely(mean: f64) -> u64 {
    let mut n = mean.floor();
    while n > 0.0 && n - mean - n * (n / mean).ln() > -LOG_NEGLIGIBLE {
        n -= 1.0 + mean.sqrt() / 16.0;
    }
    n.max(0.0) as u64
}

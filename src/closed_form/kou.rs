//! Kou (2002) double-exponential jump diffusion by the COS method (Fang & Oosterlee 2008).
//!
//! The distribution function and its exponential moment are integrated term by term over bounded
//! intervals from below, so nothing grows with the strike; the upper side follows from parity. The
//! interval comes from Chernoff bounds of the tails instead of cumulants, and the number of terms
//! from the Gaussian decay of the characteristic function, so both errors are bounded a priori.

use super::black::{EuropeanOption, OptionKind};
use super::merton::MertonLaw;
use super::{ClosedFormError, ReturnLaw, within};
use std::f64::consts::PI;

/// Most cosine terms; reached at a volatility over the horizon of about 1e-4 beside fat jumps.
pub const COSINE_TERMS_MAX: usize = 1 << 21;

/// Tail probability left out on each side is below `exp(-LOG_TAIL)`, 1e-18.
const LOG_TAIL: f64 = 41.4;

/// Cosine terms are dropped once the characteristic function is below `exp(-LOG_DECAY)`, 1e-19.
const LOG_DECAY: f64 = 43.7;

/// A compensated Kou jump diffusion: a log jump is up with probability `p_up`, exponential with
/// rate `eta_up`, else down, exponential with rate `eta_down`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct KouModel {
    /// Diffusive volatility per year, in [0, 100], above zero where `intensity` is: 0.6 is 60 %.
    pub volatility: f64,
    /// Jumps per year, in [0, 1e6].
    pub intensity: f64,
    /// Probability that a jump is upward, in [0, 1].
    pub p_up: f64,
    /// Rate of upward log jumps, above 1 (so that the price has a mean): 25 is 4 % on average.
    pub eta_up: f64,
    /// Rate of downward log jumps, above 0: 20 is 5 % on average.
    pub eta_down: f64,
}

impl KouModel {
    /// Mean relative jump `p eta1/(eta1-1) + (1-p) eta2/(eta2+1) - 1`.
    pub fn mean_relative_jump(&self) -> f64 {
        self.p_up / (self.eta_up - 1.0) - (1.0 - self.p_up) / (self.eta_down + 1.0)
    }

    /// Refuses NaN, infinities and parameters outside the ranges named at the fields.
    ///
    /// # Errors
    /// [`ClosedFormError::OutOfRange`] naming the first such field.
    pub fn check(&self) -> Result<(), ClosedFormError> {
        within("volatility", self.volatility, 0.0, 100.0, "a volatility per year in [0, 100]")?;
        within("intensity", self.intensity, 0.0, 1e6, "jumps per year in [0, 1e6]")?;
        within("p_up", self.p_up, 0.0, 1.0, "a probability in [0, 1]")?;
        let just_above_one = 1.0 + 1e-6;
        within("eta1", self.eta_up, just_above_one, 1e9, "above 1 (at least 1.000001, at most 1e9)")?;
        within("eta2", self.eta_down, 1e-3, 1e9, "above 0 (at least 0.001, at most 1e9)")?;
        if self.intensity > 0.0 {
            let expected = "above 0 where there are jumps (a pure-jump law has no smooth density)";
            within("volatility", self.volatility, f64::MIN_POSITIVE, 100.0, expected)?;
        }
        Ok(())
    }

    /// Price of a European option, in the currency of spot and strike; error below 1e-13 of the
    /// strike in the parameter range of crypto markets.
    ///
    /// # Errors
    /// A parameter out of range, or more than [`COSINE_TERMS_MAX`] terms needed.
    pub fn price(&self, option: &EuropeanOption) -> Result<f64, ClosedFormError> {
        option.check()?;
        Ok(self.law(option.expiry_years)?.price_checked(option))
    }

    /// The law of the driftless log return over `horizon_years`.
    ///
    /// # Errors
    /// A parameter out of range, or more than [`COSINE_TERMS_MAX`] terms needed.
    pub fn law(&self, horizon_years: f64) -> Result<KouLaw, ClosedFormError> {
        self.check()?;
        within("horizon_years", horizon_years, 0.0, 100.0, "years in [0, 100]")?;
        let sd_diffusive = self.volatility * horizon_years.sqrt();
        if self.intensity * horizon_years == 0.0 || sd_diffusive == 0.0 {
            return Ok(KouLaw { horizon_years, shape: Shape::Normal(MertonLaw::lognormal(sd_diffusive)) });
        }
        let (low, high) = (self.tail_bound(horizon_years, -1.0), self.tail_bound(horizon_years, 1.0));
        let highest_frequency = (2.0 * LOG_DECAY).sqrt() / sd_diffusive;
        let needed = (highest_frequency * (high - low) / PI).max(64.0).ceil();
        if needed > COSINE_TERMS_MAX as f64 {
            return Err(ClosedFormError::TooManyTerms {
                formula: "the Kou cosine series",
                needed,
                limit: COSINE_TERMS_MAX,
                advice: "raise volatility x sqrt(time), or thin the tails (larger eta1, eta2)",
            });
        }
        let coefficients = self.cosine_coefficients(horizon_years, low, high, needed as usize);
        Ok(KouLaw {
            horizon_years,
            shape: Shape::Cosine(Cosine { low, high, mean: self.mean(horizon_years), coefficients }),
        })
    }

    /// Drift of the log return per year that makes the price a martingale.
    fn drift(&self) -> f64 {
        -0.5 * self.volatility * self.volatility - self.intensity * self.mean_relative_jump()
    }

    fn mean(&self, horizon_years: f64) -> f64 {
        let jump = self.p_up / self.eta_up - (1.0 - self.p_up) / self.eta_down;
        horizon_years * (self.drift() + self.intensity * jump)
    }

    /// `x` beyond which, on the side of `sign`, lies less than `exp(-LOG_TAIL)`: the least Chernoff
    /// bound `(t K(theta) + LOG_TAIL) / theta` over exponents in the strip of convergence.
    fn tail_bound(&self, horizon_years: f64, sign: f64) -> f64 {
        let rate = if sign > 0.0 { self.eta_up } else { self.eta_down };
        let bound = |share: f64| {
            let theta = rate * share;
            (horizon_years * self.cumulant_generator(sign * theta) + LOG_TAIL) / theta
        };
        let geometric = (0..500).map(|i| 0.5 * (-0.06 * f64::from(i)).exp());
        let near_pole = (0..500).map(|i| 1.0 - 0.5 * (-0.06 * f64::from(i)).exp());
        sign * geometric.chain(near_pole).map(bound).fold(f64::INFINITY, f64::min)
    }

    /// `ln E[exp(theta X)]` per year, for real `theta` in `(-eta_down, eta_up)`.
    fn cumulant_generator(&self, theta: f64) -> f64 {
        let diffusive = 0.5 * self.volatility * self.volatility * theta * theta;
        let up = self.p_up * theta / (self.eta_up - theta);
        let down = (1.0 - self.p_up) * theta / (self.eta_down + theta);
        theta * self.drift() + diffusive + self.intensity * (up - down)
    }

    /// `2/(b-a) Re[phi(u_j) exp(-i u_j a)]`, `u_j = j pi/(b-a)`, the first halved.
    fn cosine_coefficients(&self, years: f64, low: f64, high: f64, terms: usize) -> Vec<f64> {
        let width = high - low;
        let (up, down) = (self.p_up, 1.0 - self.p_up);
        let coefficient = |j: usize| {
            let u = j as f64 * PI / width;
            let up_norm = self.eta_up * self.eta_up + u * u;
            let down_norm = self.eta_down * self.eta_down + u * u;
            let lost = u * u * (up / up_norm + down / down_norm);
            let log_size = -0.5 * self.volatility * self.volatility * u * u - self.intensity * lost;
            let turn = u * (up * self.eta_up / up_norm - down * self.eta_down / down_norm);
            let phase = years * (u * self.drift() + self.intensity * turn) - u * low;
            let weight = if j == 0 { 1.0 } else { 2.0 };
            weight / width * (years * log_size).exp() * phase.cos()
        };
        (0..terms).map(coefficient).collect()
    }
}

/// The law of the driftless Kou log return over one horizon, `E[exp(X)] = 1`.
#[derive(Debug, Clone, PartialEq)]
pub struct KouLaw {
    horizon_years: f64,
    shape: Shape,
}

#[derive(Debug, Clone, PartialEq)]
enum Shape {
    /// No jumps, or no time: `N(-sd^2/2, sd^2)`.
    Normal(MertonLaw),
    /// The density as a cosine series on an interval.
    Cosine(Cosine),
}

#[derive(Debug, Clone, PartialEq)]
struct Cosine {
    low: f64,
    high: f64,
    mean: f64,
    coefficients: Vec<f64>,
}

impl KouLaw {
    /// Price under this law of a European option that expires at its horizon; see [`KouModel::price`].
    ///
    /// # Errors
    /// An option that [`EuropeanOption::check`] refuses, or one that expires at another time.
    pub fn price(&self, option: &EuropeanOption) -> Result<f64, ClosedFormError> {
        option.check()?;
        let horizon = self.horizon_years;
        within("expiry_years", option.expiry_years, horizon, horizon, "the horizon of the law")?;
        Ok(self.price_checked(option))
    }

    fn price_checked(&self, option: &EuropeanOption) -> f64 {
        match &self.shape {
            Shape::Normal(law) => law.price_checked(option),
            Shape::Cosine(cosine) => {
                let (forward, strike) = (option.forward(), option.strike);
                let put = cosine.put(forward, strike);
                let undiscounted = match option.kind {
                    OptionKind::Put => put,
                    OptionKind::Call => put + (forward - strike),
                };
                option.discount() * undiscounted.max(0.0)
            }
        }
    }
}

impl Cosine {
    /// `E[(K - F exp(X))+]`.
    fn put(&self, forward: f64, strike: f64) -> f64 {
        let edge = (strike / forward).ln();
        if edge >= self.high {
            return strike - forward;
        }
        self.integrate(edge, |u, phase| {
            strike * cosine_mass(u, phase, edge - self.low) - forward * cosine_exp(u, phase, self.low, edge)
        })
    }

    /// Sums the coefficients times the integral of their cosine over `[low, edge]`, which
    /// `integral` gives from the frequency and the sine and cosine at the edge.
    fn integrate(&self, edge: f64, integral: impl Fn(f64, (f64, f64)) -> f64) -> f64 {
        if edge <= self.low {
            return 0.0;
        }
        let step = PI / (self.high - self.low);
        let reach = edge.min(self.high) - self.low;
        let term = |(j, coefficient): (usize, &f64)| {
            let u = j as f64 * step;
            coefficient * integral(u, (u * reach).sin_cos())
        };
        self.coefficients.iter().enumerate().map(term).sum()
    }
}

/// Integral of `cos(u (x - a))` over an interval of length `reach` from `a`.
fn cosine_mass(u: f64, (sine, _): (f64, f64), reach: f64) -> f64 {
    if u == 0.0 { reach } else { sine / u }
}

/// Integral of `exp(x) cos(u (x - a))` over `[a, edge]`.
fn cosine_exp(u: f64, (sine, cosine): (f64, f64), low: f64, edge: f64) -> f64 {
    (edge.exp() * (cosine + u * sine) - low.exp()) / (1.0 + u * u)
}

/// Integral of `x cos(u (x - a))` over `[a, edge]`.
fn cosine_first(u: f64, (sine, cosine): (f64, f64), low: f64, edge: f64) -> f64 {
    if u == 0.0 { 0.5 * (edge * edge - low * low) } else { edge * sine / u + (cosine - 1.0) / (u * u) }
}

impl ReturnLaw for KouLaw {
    fn cdf(&self, x: f64) -> f64 {
        match &self.shape {
            Shape::Normal(law) => law.cdf(x),
            Shape::Cosine(c) if x >= c.high => 1.0,
            Shape::Cosine(c) => c.integrate(x, |u, phase| cosine_mass(u, phase, x - c.low)),
        }
    }

    fn survival(&self, x: f64) -> f64 {
        match &self.shape {
            Shape::Normal(law) => law.survival(x),
            Shape::Cosine(_) => 1.0 - self.cdf(x),
        }
    }

    fn exp_moment_below(&self, x: f64) -> f64 {
        match &self.shape {
            Shape::Normal(law) => law.exp_moment_below(x),
            Shape::Cosine(c) if x >= c.high => 1.0,
            Shape::Cosine(c) => c.integrate(x, |u, phase| cosine_exp(u, phase, c.low, x)),
        }
    }

    fn exp_moment_above(&self, x: f64) -> f64 {
        match &self.shape {
            Shape::Normal(law) => law.exp_moment_above(x),
            Shape::Cosine(_) => 1.0 - self.exp_moment_below(x),
        }
    }

    fn mean_below(&self, x: f64) -> f64 {
        match &self.shape {
            Shape::Normal(law) => law.mean_below(x),
            Shape::Cosine(c) if x >= c.high => c.mean,
            Shape::Cosine(c) => c.integrate(x, |u, phase| cosine_first(u, phase, c.low, x)),
        }
    }

    fn mean(&self) -> f64 {
        match &self.shape {
            Shape::Normal(law) => law.mean(),
            Shape::Cosine(c) => c.mean,
        }
    }

    fn support(&self) -> (f64, f64) {
        match &self.shape {
            Shape::Normal(law) => law.support(),
            Shape::Cosine(c) => (c.low, c.high),
        }
    }
}

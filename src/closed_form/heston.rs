//! Heston (1993) and Bates (1996): stochastic variance, with lognormal jumps.
//!
//! `dS/S = sqrt(v) dW + jumps - compensator`, `dv = kappa (theta - v) dt + sigma sqrt(v) dZ`,
//! `dW dZ = rho dt`. The characteristic function is that of Albrecher, Mayer, Schoutens and Tistaert
//! (2007, "the little Heston trap"), whose logarithm is continuous, written with its cancelling
//! factors multiplied out. Prices are Fourier integrals along a line parallel to the real axis (Lewis
//! 2001), through the saddle point of each option (Lord and Kahl 2007), by the trapezoidal rule: the
//! integrand is analytic in a strip, so that the error falls exponentially, and an option that is
//! worth 1e-16 of its spot keeps its digits.

mod gradient;

use std::convert::Infallible;
use std::f64::consts::PI;

use num_complex::Complex64;

use super::black::{EuropeanOption, OptionKind};
use super::special::golden_section;
use super::{ClosedFormError, within};

/// Most points of an integral.
pub const POINTS_MAX: usize = 1 << 20;
/// The same where many strikes share it.
pub const SHARED_POINTS_MAX: usize = 1 << 13;

/// What the trapezoidal rule and the cut leave out is below `exp(-LOG_ACCURACY)`, 1e-17, of a price.
const LOG_ACCURACY: f64 = 39.0;
/// The same where many strikes share a line, 1e-10: no quote is that exact.
const SHARED_LOG_ACCURACY: f64 = 23.0;
/// Logarithm of the nearest point to a pole that the search for a saddle point looks at, 1e-8 of the farthest.
const LOG_NEAREST: f64 = -18.4;
/// Golden sections of that search: to 4e-6 of the distance. The line need not be more exact, as the integral
/// along any line is the same and the integrand near the saddle point nearly as small.
const SECTIONS: usize = 32;
/// Distances tried for the bound of what the rule repeats.
const REACHES: i32 = 26;
/// Highest moment that a line passes through.
const MOMENT_MAX: f64 = 1e4;

/// Heston's dynamics. Variances are annual: 0.36 is a volatility of 60 %.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HestonModel {
    /// Variance now, in [1e-8, 100].
    pub variance: f64,
    /// Speed `kappa` at which variance returns to its mean, per year, in [1e-6, 1000].
    pub mean_reversion: f64,
    /// Long-run variance `theta`, in [1e-8, 100].
    pub long_variance: f64,
    /// Volatility `sigma` of the variance, in [1e-3, 100].
    pub volatility_of_variance: f64,
    /// Correlation `rho` of variance and price, in [-1, 1].
    pub correlation: f64,
}

/// Heston's dynamics with compensated lognormal jumps.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BatesModel {
    /// The diffusion.
    pub heston: HestonModel,
    /// Jumps per year, in [0, 1e4]; 0 is Heston.
    pub intensity: f64,
    /// Mean of the log jump, in [-10, 10].
    pub mean_log_jump: f64,
    /// Standard deviation of the log jump, in [0, 10].
    pub sd_log_jump: f64,
}

impl HestonModel {
    /// Feller's ratio `2 kappa theta / sigma^2`: variance never reaches zero where it is 1 or more.
    pub fn feller_ratio(&self) -> f64 {
        2.0 * self.mean_reversion * self.long_variance / self.volatility_of_variance.powi(2)
    }

    /// Price of a European option, in the currency of spot and strike.
    ///
    /// # Errors
    /// As [`BatesModel::price`].
    pub fn price(&self, option: &EuropeanOption) -> Result<f64, ClosedFormError> {
        BatesModel::from(*self).price(option)
    }
}

impl From<HestonModel> for BatesModel {
    fn from(heston: HestonModel) -> Self {
        Self { heston, intensity: 0.0, mean_log_jump: 0.0, sd_log_jump: 0.0 }
    }
}

impl BatesModel {
    /// Refuses NaN, infinities and parameters outside the ranges named at the fields.
    ///
    /// # Errors
    /// [`ClosedFormError::OutOfRange`] naming the first such field.
    pub fn check(&self) -> Result<(), ClosedFormError> {
        let h = &self.heston;
        within("variance", h.variance, 1e-8, 100.0, "an annual variance in [1e-8, 100]")?;
        within("mean_reversion", h.mean_reversion, 1e-6, 1e3, "a speed per year in [1e-6, 1000]")?;
        within("long_variance", h.long_variance, 1e-8, 100.0, "an annual variance in [1e-8, 100]")?;
        within("volatility_of_variance", h.volatility_of_variance, 1e-3, 100.0, "in [0.001, 100]")?;
        within("correlation", h.correlation, -1.0, 1.0, "a correlation in [-1, 1]")?;
        within("intensity", self.intensity, 0.0, 1e4, "jumps per year in [0, 1e4]")?;
        within("mean_log_jump", self.mean_log_jump, -10.0, 10.0, "a log jump in [-10, 10]")?;
        within("sd_log_jump", self.sd_log_jump, 0.0, 10.0, "a deviation in [0, 10]")
    }

    /// Price of a European option, in the currency of spot and strike: relative error about 1e-12 for
    /// prices above 1e-20 of the spot.
    ///
    /// # Errors
    /// A parameter out of range, or more than [`POINTS_MAX`] points needed.
    ///
    /// ```
    /// use shortfall::closed_form::{EuropeanOption, HestonModel, OptionKind};
    /// let model = HestonModel {
    ///     variance: 0.04, mean_reversion: 4.0, long_variance: 0.25, volatility_of_variance: 1.0, correlation: -0.5,
    /// };
    /// let option = EuropeanOption {
    ///     kind: OptionKind::Call, spot: 100.0, strike: 120.0, rate: 0.01, dividend_yield: 0.02, expiry_years: 1.0,
    /// };
    /// // Lewis's reference price.
    /// assert!((model.price(&option)? - 9.024913483457836).abs() < 1e-12);
    /// # Ok::<(), shortfall::closed_form::ClosedFormError>(())
    /// ```
    pub fn price(&self, option: &EuropeanOption) -> Result<f64, ClosedFormError> {
        self.check()?;
        option.check()?;
        let forward = option.forward();
        let k = (option.strike / forward).ln();
        if option.expiry_years == 0.0 {
            let sign = if option.kind == OptionKind::Call { 1.0 } else { -1.0 };
            return Ok((sign * (option.spot - option.strike)).max(0.0));
        }
        let law = BatesLaw::new(*self, option.expiry_years)?;
        // The cheaper of call and put; the dearer one by parity.
        let cheaper = if k >= 0.0 { OptionKind::Call } else { OptionKind::Put };
        let value = law.line(cheaper, k, LOG_ACCURACY).integral(k)?;
        let parity = match (option.kind, cheaper) {
            (OptionKind::Call, OptionKind::Put) => -k.exp_m1(),
            (OptionKind::Put, OptionKind::Call) => k.exp_m1(),
            _ => 0.0,
        };
        Ok(option.discount() * forward * (value + parity).max(0.0))
    }
}

/// The law of `X = ln(S_t / F)` at one horizon.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BatesLaw {
    model: BatesModel,
    years: f64,
    /// Moments `E[exp(s X)]` exist for `s` between.
    moments: (f64, f64),
}

impl BatesLaw {
    /// The law at a horizon above zero.
    ///
    /// # Errors
    /// A parameter out of range.
    pub fn new(model: BatesModel, years: f64) -> Result<Self, ClosedFormError> {
        model.check()?;
        within("years", years, 1e-9, 100.0, "years in [1e-9, 100]")?;
        let h = model.heston;
        Ok(Self { model, years, moments: (-last_moment(&h, years, -1.0), last_moment(&h, years, 1.0)) })
    }

    /// Undiscounted prices over the forward of options out of the money at log strikes `k = ln(K/F)`:
    /// calls where `k` is zero or more, puts below. All of a side share one line of integration, so that
    /// each further strike costs little: to 1e-10 of the price at the middle strike, whose line it is; strikes
    /// more than some deviations beyond it lose digits.
    ///
    /// # Errors
    /// More than [`SHARED_POINTS_MAX`] points needed: laws so extreme that no chain asks for them.
    pub fn out_of_the_money(&self, log_strikes: &[f64]) -> Result<Vec<f64>, ClosedFormError> {
        let mut prices = vec![0.0; log_strikes.len()];
        for kind in [OptionKind::Call, OptionKind::Put] {
            let Some((middle, of_side)) = side(log_strikes, kind) else { continue };
            let nodes = self.line(kind, middle, SHARED_LOG_ACCURACY).nodes(middle, SHARED_POINTS_MAX)?;
            for i in of_side {
                prices[i] = nodes.sum(log_strikes[i]).max(0.0);
            }
        }
        Ok(prices)
    }

    /// The line through the saddle point of an option, for an error below `exp(-accuracy)` of its price.
    fn line(&self, kind: OptionKind, k: f64, accuracy: f64) -> Line<'_> {
        // Calls integrate right of the pole at 1, puts left of the one at 0.
        let (pole, end) = match kind {
            OptionKind::Call => (1.0, self.moments.1),
            OptionKind::Put => (0.0, self.moments.0),
        };
        let height = |s: f64| self.height(s, k);
        let at = pole + (end - pole) * lowest(|log| height(pole + (end - pole) * log.exp())).exp();
        let log_height = height(at);
        // The rule repeats the price at log strikes a period apart, damped by the line. By Chernoff's bound
        // a repetition is below `exp(height(at + d) - d period)` for every `d` on its side.
        let period = |end: f64| {
            let distances = (1..=REACHES).map(|i| (end - at) * 0.7_f64.powi(i));
            let each = distances.map(|d| (height(at + d) - log_height + accuracy) / d.abs());
            each.fold(f64::INFINITY, f64::min)
        };
        Line { law: self, at, step: 2.0 * PI / period(pole).max(period(end)), log_height, accuracy }
    }

    /// Logarithm of the integrand where the line crosses the real axis.
    fn height(&self, s: f64, k: f64) -> f64 {
        let value =
            self.log_transform(Complex64::new(s, 0.0)).re - (s - 1.0) * k - (s * (s - 1.0)).abs().ln();
        if value.is_finite() { value } else { f64::INFINITY }
    }

    /// `ln E[exp(s X)]` for complex `s` whose real part has a moment.
    fn log_transform(&self, s: Complex64) -> Complex64 {
        let BatesModel { heston: h, intensity, mean_log_jump: m, sd_log_jump: sd } = self.model;
        let t = self.years;
        let sigma = h.volatility_of_variance;
        let curve = s - s * s;
        let b = h.mean_reversion - h.correlation * sigma * s;
        let d = square_root(b * b + sigma * sigma * curve);
        // b - d cancels where b points along d; its product with b + d is known.
        let less = if b.re >= 0.0 { -sigma * sigma * curve / (b + d) } else { b - d };
        let gone = 1.0 - (-d * t).exp();
        let z = less * gone / (2.0 * d);
        let logarithm = ln_1p(z);
        let diffusion = h.mean_reversion * h.long_variance / (sigma * sigma) * (less * t - 2.0 * logarithm)
            - h.variance * curve * gone / (2.0 * d * (1.0 + z));
        let jumps = if intensity > 0.0 {
            let growth = (m + 0.5 * sd * sd).exp_m1();
            intensity * t * ((s * m + 0.5 * sd * sd * s * s).exp() - 1.0 - s * growth)
        } else {
            Complex64::new(0.0, 0.0)
        };
        diffusion + jumps
    }
}

/// A line of integration.
struct Line<'a> {
    law: &'a BatesLaw,
    /// Its real part.
    at: f64,
    /// From one point to the next.
    step: f64,
    /// Logarithm of the integrand at its real point.
    log_height: f64,
    /// Minus the logarithm of the relative error.
    accuracy: f64,
}

/// The integrand at the points of a line.
struct Nodes {
    at: f64,
    step: f64,
    values: Vec<Complex64>,
}

impl Line<'_> {
    fn integral(&self, k: f64) -> Result<f64, ClosedFormError> {
        Ok(self.nodes(k, POINTS_MAX)?.sum(k))
    }

    /// Points until what is left is too small to matter.
    fn nodes(&self, k: f64, limit: usize) -> Result<Nodes, ClosedFormError> {
        let step = self.step;
        let mut values = Vec::new();
        let top = self.log_height + (self.at - 1.0) * k;
        loop {
            let s = Complex64::new(self.at, step * values.len() as f64);
            let log = self.law.log_transform(s);
            let value = log.exp() / (s * (s - 1.0));
            let falls = top - log.re + (s * (s - 1.0)).norm().ln();
            values.push(value);
            // What is left is at most some thousands of points as large as this one.
            if falls > self.accuracy + 8.0 || !value.re.is_finite() {
                return Ok(Nodes { at: self.at, step, values });
            }
            if values.len() >= limit {
                return Err(ClosedFormError::TooManyTerms {
                    formula: "the Heston integral",
                    needed: f64::INFINITY,
                    limit,
                    advice: "raise the variances, lengthen the time, or lower the volatility of variance",
                });
            }
        }
    }
}

impl Nodes {
    /// `1/pi` times the integral at a log strike.
    fn sum(&self, k: f64) -> f64 {
        let products = phases(self.step * k).zip(&self.values).map(|(phase, value)| (phase * value).re);
        let sum: f64 = products.sum();
        sum * self.step / PI * (-(self.at - 1.0) * k).exp()
    }
}

/// The strikes out of the money on a side, and their middle.
fn side(log_strikes: &[f64], kind: OptionKind) -> Option<(f64, Vec<usize>)> {
    let is_side = |i: &usize| (log_strikes[*i] >= 0.0) == (kind == OptionKind::Call);
    let of_side: Vec<usize> = (0..log_strikes.len()).filter(is_side).collect();
    let middle = of_side.iter().map(|i| log_strikes[*i]).sum::<f64>() / of_side.len() as f64;
    (!of_side.is_empty()).then_some((middle, of_side))
}

/// `exp(-i angle n)` for `n` from zero, the first of them halved as the trapezoidal rule wants it.
fn phases(angle: f64) -> impl Iterator<Item = Complex64> {
    let turn = Complex64::from_polar(1.0, -angle);
    let mut phase = Complex64::new(1.0, 0.0);
    (0_usize..).map(move |index| {
        // A product of turns drifts by its rounding; set right now and then.
        if index % 64 == 0 {
            phase = Complex64::from_polar(1.0, -angle * index as f64);
        }
        let now = if index == 0 { 0.5 * phase } else { phase };
        phase *= turn;
        now
    })
}

/// The root with a real part of zero or more, without the angle that num-complex takes.
fn square_root(z: Complex64) -> Complex64 {
    let larger = (0.5 * (z.norm() + z.re.abs())).sqrt();
    if larger == 0.0 {
        return Complex64::new(0.0, 0.0);
    }
    let smaller = 0.5 * z.im.abs() / larger;
    let (re, im) = if z.re >= 0.0 { (larger, smaller) } else { (smaller, larger) };
    Complex64::new(re, im.copysign(z.im))
}

/// Where a function of the logarithm of a distance, convex in the distance, is lowest between
/// [`LOG_NEAREST`] and zero; far out it may be too large to tell.
fn lowest(height: impl Fn(f64) -> f64) -> f64 {
    let value = |log: f64| Ok::<f64, Infallible>(height(log));
    let Ok([(a, _), (b, _)]) = golden_section((LOG_NEAREST, 0.0), SECTIONS, value, |height| *height);
    0.5 * (a + b)
}

/// `ln(1 + z)` without loss for a small `z`.
fn ln_1p(z: Complex64) -> Complex64 {
    Complex64::new(0.5 * (2.0 * z.re + z.norm_sqr()).ln_1p(), z.im.atan2(1.0 + z.re))
}

/// Distance from zero of the last `s` on a side (`side` is 1 or -1) with `E[exp(s X)]` finite at the
/// horizon, a little inside.
fn last_moment(h: &HestonModel, years: f64, side: f64) -> f64 {
    let is_finite = |distance: f64| explosion_time(h, side * distance) > years;
    let (mut low, mut high) = (if side > 0.0 { 1.0 } else { 0.0 }, 2.0);
    while is_finite(high) && high < MOMENT_MAX {
        (low, high) = (high, 2.0 * high);
    }
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if is_finite(middle) { low = middle } else { high = middle }
    }
    low
}

/// Time until `E[exp(s X)]` is infinite (Andersen and Piterbarg 2007); jumps are normal and change nothing.
fn explosion_time(h: &HestonModel, s: f64) -> f64 {
    let sigma = h.volatility_of_variance;
    let b = h.mean_reversion - h.correlation * sigma * s;
    let square = b * b - sigma * sigma * (s * s - s);
    if s * s - s <= 0.0 || (square >= 0.0 && b > 0.0) {
        f64::INFINITY
    } else if square >= 0.0 {
        let d = square.sqrt();
        ((d - b) / (-b - d)).ln() / d
    } else {
        let d = (-square).sqrt();
        2.0 * d.atan2(-b) / d
    }
}

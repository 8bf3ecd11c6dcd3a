//! Raw SVI: total implied variance of one expiry by log-moneyness (Gatheral 2004).
//!
//! `w(k) = a + b (rho (k - m) + sqrt((k - m)^2 + sigma^2))`, `k = ln(K/F)`.

use std::fmt;

/// One slice. Total variance is volatility squared times years.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SviSlice {
    /// Level.
    pub a: f64,
    /// Slope of the wings; at least 0.
    pub b: f64,
    /// Skew, in (-1, 1).
    pub rho: f64,
    /// Shift in log-moneyness.
    pub m: f64,
    /// Smoothness at the bottom; above 0.
    pub sigma: f64,
}

/// Why a slice cannot be used.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum SliceFault {
    /// A parameter out of its range.
    Parameters,
    /// Total variance is not positive everywhere.
    NotPositive,
    /// A wing steeper than Lee's bound of 2.
    Wings,
    /// Gatheral-Jacquier's `g` is negative at this log-moneyness: a butterfly would cost less than nothing.
    Butterfly(f64),
    /// Total variance falls below that of the expiry before at this log-moneyness.
    Calendar(f64),
}

impl fmt::Display for SliceFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Parameters => write!(f, "SVI parameters out of range (b >= 0, |rho| < 1, sigma > 0)"),
            Self::NotPositive => write!(f, "total variance at or below zero"),
            Self::Wings => write!(f, "a wing steeper than b (1 + |rho|) = 2"),
            Self::Butterfly(k) => write!(f, "butterfly arbitrage at log-moneyness {k:.2}"),
            Self::Calendar(k) => write!(f, "calendar arbitrage at log-moneyness {k:.2}"),
        }
    }
}

/// Log-moneyness checked for arbitrage: 1.5 is a strike at 4.5 times the forward.
const CHECKED_MONEYNESS: f64 = 1.5;
const CHECK_POINTS: i32 = 300;
/// Below this, a negative `g` or a falling variance is rounding of the printed parameters.
const ARBITRAGE_TOLERANCE: f64 = 1e-6;

impl SviSlice {
    /// The same volatility at every strike.
    pub fn flat(volatility_annual: f64, years: f64) -> Self {
        Self { a: volatility_annual * volatility_annual * years, b: 0.0, rho: 0.0, m: 0.0, sigma: 1.0 }
    }

    /// Total variance at log-moneyness `k`.
    pub fn total_variance(&self, k: f64) -> f64 {
        let d = k - self.m;
        self.a + self.b * (self.rho * d + d.hypot(self.sigma))
    }

    /// Implied volatility, annual, at log-moneyness `k` for an expiry in `years`.
    pub fn volatility(&self, k: f64, years: f64) -> f64 {
        (self.total_variance(k) / years).sqrt()
    }

    /// Checks ranges and butterfly arbitrage (Gatheral and Jacquier 2014, `g(k) >= 0`).
    pub fn check(&self) -> Result<(), SliceFault> {
        let all_finite = [self.a, self.b, self.rho, self.m, self.sigma].iter().all(|x| x.is_finite());
        if !(all_finite && self.b >= 0.0 && self.rho.abs() < 1.0 && self.sigma > 0.0) {
            return Err(SliceFault::Parameters);
        }
        let least = self.a + self.b * self.sigma * (1.0 - self.rho * self.rho).sqrt();
        if !(least > 0.0) {
            return Err(SliceFault::NotPositive);
        }
        if !(self.b * (1.0 + self.rho.abs()) <= 2.0) {
            return Err(SliceFault::Wings);
        }
        match grid().find(|&k| !(self.butterfly_density(k) >= -ARBITRAGE_TOLERANCE)) {
            Some(k) => Err(SliceFault::Butterfly(k)),
            None => Ok(()),
        }
    }

    /// Checks calendar arbitrage against the slice of an earlier expiry.
    pub fn check_after(&self, earlier: &Self) -> Result<(), SliceFault> {
        let falls =
            |&k: &f64| !(self.total_variance(k) >= earlier.total_variance(k) * (1.0 - ARBITRAGE_TOLERANCE));
        match grid().find(falls) {
            Some(k) => Err(SliceFault::Calendar(k)),
            None => Ok(()),
        }
    }

    /// `g(k) = (1 - k w'/2w)^2 - w'^2/4 (1/w + 1/4) + w''/2`, the sign of the implied density.
    fn butterfly_density(&self, k: f64) -> f64 {
        let d = k - self.m;
        let root = d.hypot(self.sigma);
        let w = self.total_variance(k);
        let slope = self.b * (self.rho + d / root);
        let curvature = self.b * self.sigma * self.sigma / (root * root * root);
        let first = 1.0 - k * slope / (2.0 * w);
        first * first - slope * slope / 4.0 * (1.0 / w + 0.25) + curvature / 2.0
    }
}

fn grid() -> impl Iterator<Item = f64> {
    (-CHECK_POINTS..=CHECK_POINTS).map(|i| f64::from(i) / f64::from(CHECK_POINTS) * CHECKED_MONEYNESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: SviSlice = SviSlice { a: 0.01, b: 0.1, rho: -0.3, m: 0.02, sigma: 0.15 };

    #[test]
    fn a_good_slice_passes_and_each_fault_is_found() {
        assert_eq!(GOOD.check(), Ok(()));
        assert_eq!(SviSlice { rho: 1.0, ..GOOD }.check(), Err(SliceFault::Parameters));
        assert_eq!(SviSlice { a: f64::NAN, ..GOOD }.check(), Err(SliceFault::Parameters));
        assert_eq!(SviSlice { a: -0.1, ..GOOD }.check(), Err(SliceFault::NotPositive));
        assert_eq!(SviSlice { b: 1.9, ..GOOD }.check(), Err(SliceFault::Wings));
        // Axel Vogt's parameters, the known case of butterfly arbitrage (Gatheral and Jacquier 2014, 5.1).
        let vogt = SviSlice { a: -0.0410, b: 0.1331, rho: 0.3060, m: 0.3586, sigma: 0.4153 };
        assert!(matches!(vogt.check(), Err(SliceFault::Butterfly(_))));
        let later = SviSlice { a: 0.005, ..GOOD };
        assert!(matches!(later.check_after(&GOOD), Err(SliceFault::Calendar(_))));
        assert_eq!(GOOD.check_after(&later), Ok(()));
    }

    #[test]
    fn flat_is_flat() {
        let slice = SviSlice::flat(0.6, 0.25);
        assert_eq!(slice.check(), Ok(()));
        for k in [-1.0, 0.0, 0.7] {
            assert!((slice.volatility(k, 0.25) - 0.6).abs() < 1e-15);
        }
    }
}

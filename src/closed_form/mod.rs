//! Closed forms, series and quadratures in f64: the yardstick by which the Monte Carlo engine is judged.
//!
//! Nothing here knows the engine. Conventions: time in years of 365 days; volatilities, rates and
//! intensities per year; rates continuously compounded; a loss is positive; the confidence `alpha`
//! is the probability of *not* exceeding VaR (0.99, never 0.01); `S_t = S_0 exp((r - q) t + X_t)`
//! with `E[exp(X_t)] = 1`.

pub mod black;
pub mod expected_shortfall;
pub mod heston;
pub mod kou;
pub mod merton;
pub mod special;

pub use black::{EuropeanOption, OptionKind, black_price};
pub use expected_shortfall::TailFigures;
pub use heston::{BatesLaw, BatesModel, HestonModel};
pub use kou::{KouLaw, KouModel};
pub use merton::{MertonLaw, MertonModel};

/// Why a closed form was refused; nothing is ever computed from a parameter outside its range.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ClosedFormError {
    /// A parameter is NaN, infinite or outside the range in which the formula holds.
    #[error("{parameter} is {found}; it must be {expected}")]
    OutOfRange {
        /// Name of the parameter, as in the public structs.
        parameter: &'static str,
        /// What was given.
        found: f64,
        /// The range that would be right, in words.
        expected: &'static str,
    },
    /// The sizes of two arguments do not fit each other.
    #[error("{parameter} has {found} entries; it must have {needed}")]
    WrongLength {
        /// Name of the argument.
        parameter: &'static str,
        /// Entries given.
        found: usize,
        /// Entries needed.
        needed: usize,
    },
    /// The series or quadrature would need more terms than the limit allows.
    #[error("{formula} needs {needed:.0} terms here and the limit is {limit}; {advice}")]
    TooManyTerms {
        /// The formula concerned.
        formula: &'static str,
        /// Terms that the accuracy would need.
        needed: f64,
        /// The limit.
        limit: usize,
        /// What to change.
        advice: &'static str,
    },
}

/// The law of a log return over a fixed time: what tail figures of a linear position need.
///
/// `X` is the driftless log return, so that `E[exp(X)] = 1`.
pub trait ReturnLaw {
    /// `P(X <= x)`.
    fn cdf(&self, x: f64) -> f64;
    /// `P(X > x)`, accurate in the upper tail.
    fn survival(&self, x: f64) -> f64;
    /// `E[exp(X) 1(X <= x)]`.
    fn exp_moment_below(&self, x: f64) -> f64;
    /// `E[exp(X) 1(X > x)]`.
    fn exp_moment_above(&self, x: f64) -> f64;
    /// `E[X 1(X <= x)]`.
    fn mean_below(&self, x: f64) -> f64;
    /// `E[X]`.
    fn mean(&self) -> f64;
    /// An interval outside which `X` falls with probability below 1e-15.
    fn support(&self) -> (f64, f64);
}

/// Checks `low <= value <= high` in the positive sense, so that NaN fails.
pub(crate) fn within(
    parameter: &'static str,
    value: f64,
    low: f64,
    high: f64,
    expected: &'static str,
) -> Result<(), ClosedFormError> {
    if value >= low && value <= high && value.is_finite() {
        Ok(())
    } else {
        Err(ClosedFormError::OutOfRange { parameter, found: value, expected })
    }
}

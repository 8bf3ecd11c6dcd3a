//! Value-at-Risk and Expected Shortfall where they are known exactly or by quadrature.
//!
//! A loss is positive. VaR is the `alpha` quantile of the loss, ES the mean of the worst
//! `1 - alpha` of it: `ES = VaR + E[(L - VaR)+] / (1 - alpha)` (Rockafellar & Uryasev 2000), which
//! is `E[L 1(L > VaR)] / (1 - alpha)` for a continuous law and stays right at atoms.

pub mod book;
pub mod distributions;
pub mod standard_error;

use super::special::bisect;
use super::{ClosedFormError, ReturnLaw, within};

pub use book::{LossGrid, book_tail};
pub use distributions::{TailLaw, elliptical_tail};
pub use standard_error::{TailMoments, TailStandardErrors};

/// VaR and ES of one loss at one confidence, both in the unit of the loss, positive for a loss.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TailFigures {
    /// The `alpha` quantile of the loss.
    pub value_at_risk: f64,
    /// The mean loss in the worst `1 - alpha`; never below `value_at_risk`.
    pub expected_shortfall: f64,
}

impl TailFigures {
    /// The figures of `shift + scale` times the loss; `scale` zero or more.
    #[must_use]
    pub fn scaled(self, shift: f64, scale: f64) -> Self {
        Self {
            value_at_risk: shift + scale * self.value_at_risk,
            expected_shortfall: shift + scale * self.expected_shortfall,
        }
    }
}

/// What is held, per unit of notional, on an underlying with log return `X`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinearPosition {
    /// Loss `1 - exp(X)`.
    Long,
    /// Loss `exp(X) - 1`.
    Short,
    /// Loss `-X`, the log return itself.
    LogLong,
    /// Loss `X`.
    LogShort,
}

/// VaR and ES of a linear position under a law of the log return, per unit of notional.
///
/// The quantile of `X` is found by bisection to neighbouring doubles; ES then follows from the
/// partial (exponential) moment of the law, `1 - E[exp(X); X <= q] / (1 - alpha)` for a long.
///
/// # Errors
/// [`ClosedFormError::OutOfRange`] for a confidence outside [0.5, 1 - 1e-9].
///
/// ```
/// use shortfall::closed_form::{MertonModel, expected_shortfall::{LinearPosition, linear_tail}};
/// let model = MertonModel { volatility: 0.6, intensity: 20.0, mean_log_jump: -0.03, sd_log_jump: 0.08 };
/// let tail = linear_tail(&model.law(2.0 / 365.0)?, LinearPosition::Long, 0.99)?;
/// assert!((tail.expected_shortfall - 0.17860000).abs() < 1e-8);
/// # Ok::<(), shortfall::closed_form::ClosedFormError>(())
/// ```
pub fn linear_tail(
    law: &impl ReturnLaw,
    position: LinearPosition,
    alpha: f64,
) -> Result<TailFigures, ClosedFormError> {
    check_confidence(alpha)?;
    let tail = 1.0 - alpha;
    let (low, high) = law.support();
    let lower_quantile = || bisect(low, high, |x| law.cdf(x) < tail);
    let upper_quantile = || bisect(low, high, |x| law.survival(x) > tail);
    let mean_above = |x: f64| law.mean() - law.mean_below(x);
    // Mass that an atom at the quantile has too much or too little is worth the quantile itself.
    let average = |moment: f64, mass: f64, value: f64| (moment + (tail - mass) * value) / tail;
    Ok(match position {
        LinearPosition::Long => {
            let q = lower_quantile();
            let mean_price = average(law.exp_moment_below(q), law.cdf(q), q.exp());
            TailFigures { value_at_risk: -q.exp_m1(), expected_shortfall: 1.0 - mean_price }
        }
        LinearPosition::Short => {
            let q = upper_quantile();
            let mean_price = average(law.exp_moment_above(q), law.survival(q), q.exp());
            TailFigures { value_at_risk: q.exp_m1(), expected_shortfall: mean_price - 1.0 }
        }
        LinearPosition::LogLong => {
            let q = lower_quantile();
            let mean_return = average(law.mean_below(q), law.cdf(q), q);
            TailFigures { value_at_risk: -q, expected_shortfall: -mean_return }
        }
        LinearPosition::LogShort => {
            let q = upper_quantile();
            let mean_return = average(mean_above(q), law.survival(q), q);
            TailFigures { value_at_risk: q, expected_shortfall: mean_return }
        }
    })
}

/// Confidence is meant as 0.99, not 0.01 and not 99.
pub(crate) fn check_confidence(alpha: f64) -> Result<(), ClosedFormError> {
    within("alpha", alpha, 0.5, 1.0 - 1e-9, "a confidence in [0.5, 1 - 1e-9], such as 0.99")
}

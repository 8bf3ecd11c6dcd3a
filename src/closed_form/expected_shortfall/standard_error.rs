//! Asymptotic standard errors of plain Monte Carlo VaR and ES.

use super::check_confidence;
use crate::closed_form::special::{
    normal_density, normal_upper_quantile, student_density, student_survival, student_upper_quantile,
};
use crate::closed_form::{ClosedFormError, within};

/// Standard errors multiplied by the square root of the number of paths, in the unit of the loss.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TailStandardErrors {
    /// Of VaR: divide by `sqrt(n)`.
    pub value_at_risk_root_n: f64,
    /// Of ES: divide by `sqrt(n)`.
    pub expected_shortfall_root_n: f64,
}

/// What the asymptotic errors need to know of a loss distribution beyond VaR.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TailMoments {
    /// The `alpha` quantile of the loss.
    pub value_at_risk: f64,
    /// `E[L | L > VaR]`.
    pub tail_mean: f64,
    /// `Var[L | L > VaR]`, finite only where the loss has a variance.
    pub tail_variance: f64,
    /// Density of the loss at VaR, above zero.
    pub density_at_var: f64,
}

impl TailMoments {
    /// Tail moments of the standard normal.
    ///
    /// # Errors
    /// [`ClosedFormError::OutOfRange`] for a confidence outside [0.5, 1 - 1e-9].
    pub fn normal(alpha: f64) -> Result<Self, ClosedFormError> {
        check_confidence(alpha)?;
        let z = normal_upper_quantile(1.0 - alpha);
        let density = normal_density(z);
        let mean = density / (1.0 - alpha);
        Ok(Self {
            value_at_risk: z,
            tail_mean: mean,
            tail_variance: 1.0 + z * mean - mean * mean,
            density_at_var: density,
        })
    }

    /// Tail moments of Student's t with unit scale, `nu` above 2.
    ///
    /// The second moment comes from `x^2 = nu ((1 + x^2/nu) - 1)`, whose first part is a t density
    /// with `nu - 2` degrees of freedom:
    /// `E[X^2; X > q] = nu [(nu-1)/(nu-2) P(T_{nu-2} > q sqrt((nu-2)/nu)) - P(T_nu > q)]`.
    ///
    /// # Errors
    /// [`ClosedFormError::OutOfRange`] for `nu` not above 2 or a confidence outside [0.5, 1 - 1e-9].
    pub fn student(nu: f64, alpha: f64) -> Result<Self, ClosedFormError> {
        check_confidence(alpha)?;
        within("nu", nu, 2.0 + 1e-6, 1e6, "degrees of freedom above 2 (the tail needs a variance)")?;
        let tail = 1.0 - alpha;
        let quantile = student_upper_quantile(tail, nu);
        let density = student_density(quantile, nu);
        let mean = density / tail * (nu + quantile * quantile) / (nu - 1.0);
        let rescaled = quantile * ((nu - 2.0) / nu).sqrt();
        let second = nu * ((nu - 1.0) / (nu - 2.0) * student_survival(rescaled, nu - 2.0) / tail - 1.0);
        Ok(Self {
            value_at_risk: quantile,
            tail_mean: mean,
            tail_variance: second - mean * mean,
            density_at_var: density,
        })
    }

    /// `sd(VaR) sqrt(n) = sqrt(alpha (1-alpha)) / f(VaR)` and
    /// `sd(ES) sqrt(n) = sqrt((Var[L | L > VaR] + alpha (ES - VaR)^2) / (1-alpha))`
    /// (Manistre & Hancock 2005; Chen 2008).
    ///
    /// # Errors
    /// [`ClosedFormError::OutOfRange`] for a confidence outside [0.5, 1 - 1e-9], a density that is
    /// not above zero or a negative variance.
    pub fn standard_errors(&self, alpha: f64) -> Result<TailStandardErrors, ClosedFormError> {
        check_confidence(alpha)?;
        within("density_at_var", self.density_at_var, f64::MIN_POSITIVE, f64::MAX, "above zero")?;
        within("tail_variance", self.tail_variance, 0.0, f64::MAX, "zero or more")?;
        let beyond = self.tail_mean - self.value_at_risk;
        let tail = 1.0 - alpha;
        Ok(TailStandardErrors {
            value_at_risk_root_n: (alpha * tail).sqrt() / self.density_at_var,
            expected_shortfall_root_n: ((self.tail_variance + alpha * beyond * beyond) / tail).sqrt(),
        })
    }
}

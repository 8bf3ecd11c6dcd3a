//! VaR and ES of textbook loss distributions and of elliptical linear portfolios.

use super::{TailFigures, check_confidence};
use crate::closed_form::special::{
    normal_cdf, normal_density, normal_upper_quantile, student_density, student_survival,
    student_upper_quantile,
};
use crate::closed_form::{ClosedFormError, within};

/// A loss distribution whose tail is known in closed form; dimensionless, scale with
/// [`TailFigures::scaled`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum TailLaw {
    /// Standard normal.
    Normal,
    /// Student's t with unit scale, variance `nu / (nu - 2)`.
    Student {
        /// Degrees of freedom, above 1 for ES, above 2 for a variance.
        nu: f64,
    },
    /// Student's t scaled to unit variance, by `sqrt((nu - 2) / nu)`.
    StudentUnitVariance {
        /// Degrees of freedom, above 2.
        nu: f64,
    },
    /// Laplace with location 0 and the given scale.
    Laplace {
        /// Scale `b`, above zero; the variance is `2 b^2`.
        scale: f64,
    },
    /// Logistic with location 0 and the given scale.
    Logistic {
        /// Scale `s`, above zero; the variance is `pi^2 s^2 / 3`.
        scale: f64,
    },
    /// Generalised Pareto excess over threshold 0.
    GeneralisedPareto {
        /// Shape, below 1; 0 is the exponential.
        xi: f64,
        /// Scale, above zero.
        beta: f64,
    },
    /// The loss itself is `exp(mu + sd Z)`.
    Lognormal {
        /// Mean of the log loss.
        mu: f64,
        /// Standard deviation of the log loss, above zero.
        sd: f64,
    },
    /// A long position of one unit: loss `1 - exp(mu + sd Z)`.
    OneMinusLognormal {
        /// Mean of the log return.
        mu: f64,
        /// Standard deviation of the log return, above zero.
        sd: f64,
    },
}

impl TailLaw {
    /// VaR and ES at confidence `alpha`, in the unit of the loss, positive for a loss.
    ///
    /// Normal `ES = phi(z)/(1-alpha)`; Student `ES = g(q)/(1-alpha) (nu + q^2)/(nu - 1)`; GPD
    /// `ES = (VaR + beta)/(1 - xi)` (McNeil, Frey & Embrechts 2005, sections 2.2 and 7.2).
    ///
    /// # Errors
    /// [`ClosedFormError::OutOfRange`] for a confidence outside [0.5, 1 - 1e-9] or a parameter
    /// outside the range named at its field.
    ///
    /// ```
    /// use shortfall::closed_form::expected_shortfall::TailLaw;
    /// let tail = TailLaw::Student { nu: 4.0 }.tail(0.975)?;
    /// assert!((tail.value_at_risk - 2.7764451052).abs() < 1e-10);
    /// assert!((tail.expected_shortfall - 3.9935570227).abs() < 1e-10);
    /// # Ok::<(), shortfall::closed_form::ClosedFormError>(())
    /// ```
    pub fn tail(&self, alpha: f64) -> Result<TailFigures, ClosedFormError> {
        check_confidence(alpha)?;
        self.check()?;
        let tail = 1.0 - alpha;
        let (value_at_risk, expected_shortfall) = match *self {
            Self::Normal => {
                let z = normal_upper_quantile(tail);
                (z, normal_density(z) / tail)
            }
            Self::Student { nu } => student_tail(tail, nu),
            Self::StudentUnitVariance { nu } => {
                let (quantile, shortfall) = student_tail(tail, nu);
                let scale = ((nu - 2.0) / nu).sqrt();
                (scale * quantile, scale * shortfall)
            }
            Self::Laplace { scale } => {
                let quantile = -scale * (2.0 * tail).ln();
                (quantile, quantile + scale)
            }
            Self::Logistic { scale } => logistic_tail(tail, scale),
            Self::GeneralisedPareto { xi, beta } => {
                let log_tail = tail.ln();
                let quantile =
                    if xi == 0.0 { -beta * log_tail } else { beta / xi * (-xi * log_tail).exp_m1() };
                (quantile, (quantile + beta) / (1.0 - xi))
            }
            Self::Lognormal { mu, sd } => {
                let z = normal_upper_quantile(tail);
                let mean = (mu + 0.5 * sd * sd).exp() * normal_cdf(sd - z) / tail;
                ((mu + sd * z).exp(), mean)
            }
            Self::OneMinusLognormal { mu, sd } => {
                let z = normal_upper_quantile(tail);
                let mean = (mu + 0.5 * sd * sd).exp() * normal_cdf(-z - sd) / tail;
                (-(mu - sd * z).exp_m1(), 1.0 - mean)
            }
        };
        Ok(TailFigures { value_at_risk, expected_shortfall })
    }

    fn check(&self) -> Result<(), ClosedFormError> {
        const POSITIVE: &str = "above zero, at most 1e6";
        match *self {
            Self::Normal => Ok(()),
            Self::Student { nu } => within("nu", nu, 1.0 + 1e-9, 1e6, "degrees of freedom above 1"),
            Self::StudentUnitVariance { nu } => {
                within("nu", nu, 2.0 + 1e-9, 1e6, "degrees of freedom above 2")
            }
            Self::Laplace { scale } | Self::Logistic { scale } => {
                within("scale", scale, 1e-300, 1e6, POSITIVE)
            }
            Self::GeneralisedPareto { xi, beta } => {
                within("xi", xi, -1e3, 1.0 - 1e-9, "a shape below 1")?;
                within("beta", beta, 1e-300, 1e6, POSITIVE)
            }
            Self::Lognormal { mu, sd } | Self::OneMinusLognormal { mu, sd } => {
                within("mu", mu, -100.0, 100.0, "a log return in [-100, 100]")?;
                within("sd", sd, 1e-300, 20.0, "above zero, at most 20")
            }
        }
    }
}

fn student_tail(tail: f64, nu: f64) -> (f64, f64) {
    let quantile = student_upper_quantile(tail, nu);
    let shortfall = student_density(quantile, nu) / tail * (nu + quantile * quantile) / (nu - 1.0);
    (quantile, shortfall)
}

/// `VaR = s ln(alpha/(1-alpha))`, `ES = -s [alpha ln alpha + (1-alpha) ln(1-alpha)] / (1-alpha)`.
fn logistic_tail(tail: f64, scale: f64) -> (f64, f64) {
    let log_alpha = (-tail).ln_1p();
    let shortfall = -scale * ((1.0 - tail) * log_alpha + tail * tail.ln()) / tail;
    (scale * (log_alpha - tail.ln()), shortfall)
}

/// A linear portfolio of assets with elliptical returns of given covariance: loss `-w . X`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LinearPortfolio<'a> {
    /// Exposure to each asset, in money or as a share of the notional; negative is short.
    pub weights: &'a [f64],
    /// Standard deviation of each return over the horizon, zero or more: 0.05 is 5 %.
    pub horizon_sds: &'a [f64],
    /// Correlation matrix by rows, `weights.len()` squared entries in [-1, 1].
    pub correlation: &'a [f64],
}

impl LinearPortfolio<'_> {
    /// Standard deviation of the profit, `sqrt(w' D R D w)`, in the unit of the weights.
    ///
    /// # Errors
    /// Arguments of unequal length, entries out of range, or a matrix that is not symmetric, has
    /// no unit diagonal, or gives a negative variance to these weights.
    pub fn sd(&self) -> Result<f64, ClosedFormError> {
        self.check()?;
        let count = self.weights.len();
        let exposure = |i: usize| self.weights[i] * self.horizon_sds[i];
        let row =
            |i: usize| -> f64 { (0..count).map(|j| self.correlation[i * count + j] * exposure(j)).sum() };
        let variance: f64 = (0..count).map(|i| exposure(i) * row(i)).sum();
        let gross: f64 = (0..count).map(|i| exposure(i).abs()).sum();
        let rounding = 1e-14 * gross * gross;
        let expected = "zero or more (is the correlation positive semidefinite?)";
        within("portfolio variance", variance, -rounding, f64::MAX, expected)?;
        Ok(variance.max(0.0).sqrt())
    }

    fn check(&self) -> Result<(), ClosedFormError> {
        let count = self.weights.len();
        let length = |parameter, found, needed| {
            if found == needed {
                Ok(())
            } else {
                Err(ClosedFormError::WrongLength { parameter, found, needed })
            }
        };
        length("horizon_sds", self.horizon_sds.len(), count)?;
        length("correlation", self.correlation.len(), count * count)?;
        for (&weight, &sd) in self.weights.iter().zip(self.horizon_sds) {
            within("weight", weight, -1e15, 1e15, "a finite exposure")?;
            within("horizon_sd", sd, 0.0, 100.0, "a standard deviation in [0, 100]")?;
        }
        for i in 0..count {
            within("correlation diagonal", self.correlation[i * count + i], 1.0, 1.0, "exactly 1")?;
            for j in 0..i {
                let (here, mirrored) = (self.correlation[i * count + j], self.correlation[j * count + i]);
                within("correlation", here, -1.0, 1.0, "in [-1, 1]")?;
                within("mirrored correlation", mirrored, here, here, "equal to its transpose")?;
            }
        }
        Ok(())
    }
}

/// VaR and ES of a linear portfolio whose returns are elliptical with the given covariance and
/// unit-variance margins of `margin`, in the unit of the weights.
///
/// An elliptical portfolio is its standard deviation times the standard law (McNeil, Frey &
/// Embrechts 2005, theorem 6.8); use [`TailLaw::Normal`] or [`TailLaw::StudentUnitVariance`].
///
/// # Errors
/// What [`LinearPortfolio::sd`] and [`TailLaw::tail`] refuse; [`ClosedFormError::OutOfRange`] for
/// a margin that is not elliptical with unit variance.
pub fn elliptical_tail(
    portfolio: &LinearPortfolio<'_>,
    margin: TailLaw,
    alpha: f64,
) -> Result<TailFigures, ClosedFormError> {
    if !matches!(margin, TailLaw::Normal | TailLaw::StudentUnitVariance { .. }) {
        return Err(ClosedFormError::OutOfRange {
            parameter: "margin",
            found: f64::NAN,
            expected: "Normal or StudentUnitVariance (an elliptical law of unit variance)",
        });
    }
    Ok(margin.tail(alpha)?.scaled(0.0, portfolio.sd()?))
}

/// Lower-tail dependence of a bivariate t copula, in [0, 1]:
/// `2 t_{nu+1}(-sqrt((nu+1)(1-rho)/(1+rho)))` (McNeil, Frey & Embrechts 2005, eq. 5.31).
///
/// # Errors
/// [`ClosedFormError::OutOfRange`] for `nu` not above zero or `rho` outside (-1, 1].
pub fn t_copula_tail_dependence(nu: f64, rho: f64) -> Result<f64, ClosedFormError> {
    within("nu", nu, 1e-6, 1e6, "degrees of freedom above zero")?;
    within("rho", rho, -1.0 + 1e-12, 1.0, "a correlation in (-1, 1]")?;
    Ok(2.0 * student_survival(((nu + 1.0) * (1.0 - rho) / (1.0 + rho)).sqrt(), nu + 1.0))
}

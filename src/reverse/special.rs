//! The normal law far out in its tail.

use std::f64::consts::TAU;

use crate::closed_form::special::normal_cdf;

/// Where the series takes over: its first neglected term is below 1e-11 of the value.
const FAR: f64 = 30.0;

/// `t^2/2 + ln Phi(t)`: finite where both parts are not.
pub(super) fn log_normal_cdf_scaled(t: f64) -> f64 {
    if t > -FAR { 0.5 * t * t + normal_cdf(t).ln() } else { (mills(-t) / TAU.sqrt()).ln() }
}

/// Mills's ratio `(1 - Phi(x)) / phi(x)`.
pub(super) fn mills(x: f64) -> f64 {
    if x < FAR {
        return normal_cdf(-x) * TAU.sqrt() * (0.5 * x * x).exp();
    }
    let square = 1.0 / (x * x);
    (1.0 - square * (1.0 - square * (3.0 - 15.0 * square))) / x
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_of_the_series_agree() {
        let (near, far) = (mills(FAR - 1e-9), mills(FAR));
        assert!((near / far - 1.0).abs() < 1e-9, "{near} {far}");
        // Mills's ratio lies between x / (1 + x^2) and 1 / x.
        assert!(far > FAR / (1.0 + FAR * FAR) && far < 1.0 / FAR);
        assert!((log_normal_cdf_scaled(0.0) - 0.5f64.ln()).abs() < 1e-15);
        let (near, far) = (log_normal_cdf_scaled(-FAR + 1e-9), log_normal_cdf_scaled(-FAR));
        assert!((near - far).abs() < 1e-8, "{near} {far}");
    }
}

//! Derivatives of many prices by the parameters at once, for least squares (the idea of Cui, del Baño
//! Rollin and Germano 2017): the transform is differentiated under the integral, at the points of the price.

use std::f64::consts::PI;

use num_complex::Complex64;

use super::{BatesLaw, Nodes, SHARED_LOG_ACCURACY, SHARED_POINTS_MAX, phases, square_root};
use crate::closed_form::{ClosedFormError, OptionKind};

/// Parameters in the order of [`BatesLaw::out_of_the_money_gradient`].
pub const PARAMETERS: usize = 8;

impl BatesLaw {
    /// Prices as by [`BatesLaw::out_of_the_money`], and their derivatives by variance, mean reversion, long
    /// variance, volatility of variance, correlation, intensity, mean and deviation of the jumps, in this
    /// order.
    ///
    /// # Errors
    /// As [`BatesLaw::out_of_the_money`].
    pub fn out_of_the_money_gradient(
        &self,
        log_strikes: &[f64],
    ) -> Result<(Vec<f64>, [Vec<f64>; PARAMETERS]), ClosedFormError> {
        let mut prices = vec![0.0; log_strikes.len()];
        let mut gradient: [Vec<f64>; PARAMETERS] = std::array::from_fn(|_| vec![0.0; log_strikes.len()]);
        for kind in [OptionKind::Call, OptionKind::Put] {
            let Some((middle, of_side)) = super::side(log_strikes, kind) else { continue };
            let nodes = self.line(kind, middle, SHARED_LOG_ACCURACY).nodes(middle, SHARED_POINTS_MAX)?;
            let columns = self.columns(&nodes);
            for i in of_side {
                let sums = nodes.sums(&columns, log_strikes[i]);
                prices[i] = sums[PARAMETERS].max(0.0);
                (0..PARAMETERS).for_each(|j| gradient[j][i] = sums[j]);
            }
        }
        Ok((prices, gradient))
    }

    /// The integrand of each derivative at the points of a line, and last that of the price.
    fn columns(&self, nodes: &Nodes) -> Vec<[Complex64; PARAMETERS + 1]> {
        let at = |(index, value): (usize, &Complex64)| {
            let s = Complex64::new(nodes.at, nodes.step * index as f64);
            let logs = self.log_transform_gradient(s);
            std::array::from_fn(|j| if j < PARAMETERS { logs[j] * value } else { *value })
        };
        nodes.values.iter().enumerate().map(at).collect()
    }

    /// Derivatives of [`BatesLaw::log_transform`], which is `kappa theta / sigma^2 A - v B` beside the jumps.
    fn log_transform_gradient(&self, s: Complex64) -> [Complex64; PARAMETERS] {
        let h = self.model.heston;
        let (t, kappa, theta) = (self.years, h.mean_reversion, h.long_variance);
        let (sigma, rho) = (h.volatility_of_variance, h.correlation);
        let curve = s - s * s;
        let b = kappa - rho * sigma * s;
        let d = square_root(b * b + sigma * sigma * curve);
        let less = if b.re >= 0.0 { -sigma * sigma * curve / (b + d) } else { b - d };
        let decay = (-d * t).exp();
        let gone = 1.0 - decay;
        let inverse = d.inv();
        let half = 0.5 * inverse;
        let z = less * gone * half;
        let rest = (1.0 + z).inv();
        let of_theta = less * t - 2.0 * super::ln_1p(z);
        let of_variance = curve * gone * half * rest;
        // By a parameter that moves `b` and, beside it, `sigma^2` by twice `sigma_part`.
        let by = |of_b: Complex64, sigma_part: f64| {
            let of_d = (b * of_b + sigma_part * curve) * inverse;
            let of_less = of_b - of_d;
            let of_gone = t * decay * of_d;
            let of_z = (of_less * gone + less * of_gone) * half - z * of_d * inverse;
            let first = of_less * t - 2.0 * of_z * rest;
            let second = curve * half * rest * (of_gone - gone * (of_d * inverse + of_z * rest));
            kappa * theta / (sigma * sigma) * first - h.variance * second
        };
        let [intensity, mean, sd] = self.jump_gradient(s);
        [
            -of_variance,
            by(Complex64::new(1.0, 0.0), 0.0) + theta / (sigma * sigma) * of_theta,
            kappa / (sigma * sigma) * of_theta,
            by(-rho * s, sigma) - 2.0 * kappa * theta / sigma.powi(3) * of_theta,
            by(-sigma * s, 0.0),
            intensity,
            mean,
            sd,
        ]
    }

    /// By intensity, mean and deviation of `intensity t (exp(s m + s^2 sd^2/2) - 1 - s growth)`.
    fn jump_gradient(&self, s: Complex64) -> [Complex64; 3] {
        let (m, sd) = (self.model.mean_log_jump, self.model.sd_log_jump);
        let moment = (s * m + 0.5 * sd * sd * s * s).exp();
        let growth = (m + 0.5 * sd * sd).exp_m1();
        let size = self.model.intensity * self.years;
        [
            self.years * (moment - 1.0 - s * growth),
            size * s * (moment - (1.0 + growth)),
            size * sd * s * (s * moment - (1.0 + growth)),
        ]
    }
}

impl Nodes {
    /// As [`Nodes::sum`], of several integrands.
    fn sums(&self, columns: &[[Complex64; PARAMETERS + 1]], k: f64) -> [f64; PARAMETERS + 1] {
        let mut sums = [0.0; PARAMETERS + 1];
        for (phase, column) in phases(self.step * k).zip(columns) {
            for (sum, value) in sums.iter_mut().zip(column) {
                *sum += phase.re * value.re - phase.im * value.im;
            }
        }
        sums.map(|sum| sum * self.step / PI * (-(self.at - 1.0) * k).exp())
    }
}

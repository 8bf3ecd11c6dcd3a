//! EWMA, GARCH and the heterogeneous autoregression as plug-ins.

use super::{VarianceForecast, Window};
use crate::calibrate::garch::{Form, Garch, Innovations, Start};
use crate::calibrate::har::Har;

/// Below so many degrees of freedom a Student-t says little of the variance: its mean square then hangs on
/// losses rarer than the window has, and the fitted scale with it.
const LEAST_DEGREES_OF_FREEDOM: f64 = 2.5;

/// The variance that is in the window already.
pub struct Ewma;

impl VarianceForecast for Ewma {
    fn fit(&mut self, _: &Window<'_>) {}

    fn next_variance(&self, window: &Window<'_>) -> Option<f64> {
        window.ewma.last().copied()
    }
}

/// GARCH or GJR-GARCH with Student-t innovations.
pub struct GarchVariance {
    form: Form,
    model: Option<Garch>,
}

impl GarchVariance {
    /// With falls that weigh differently, or without.
    pub fn new(is_asymmetric: bool) -> Self {
        let form = Form { is_asymmetric, innovations: Innovations::Student, start: Start::Presample };
        Self { form, model: None }
    }
}

impl VarianceForecast for GarchVariance {
    fn fit(&mut self, window: &Window<'_>) {
        let warm = self.model.filter(|model| model.nu.is_finite());
        let student = self.form.estimate(window.returns, warm.as_ref());
        // Gaussian quasi-likelihood is consistent for the variance whatever the tail (Bollerslev and
        // Wooldridge 1992).
        let gaussian =
            || Form { innovations: Innovations::Normal, ..self.form }.estimate(window.returns, None);
        let found = student.filter(|model| model.nu >= LEAST_DEGREES_OF_FREEDOM).or_else(gaussian);
        self.model = found.or(self.model);
    }

    fn next_variance(&self, window: &Window<'_>) -> Option<f64> {
        self.model?.variances(window.returns, self.form.start).last().copied()
    }
}

/// The heterogeneous autoregression.
pub struct HarVariance {
    is_on_sizes: bool,
    model: Option<Har>,
}

impl HarVariance {
    /// On absolute returns.
    pub fn on_returns() -> Self {
        Self { is_on_sizes: false, model: None }
    }

    /// On volatility measured within steps.
    pub fn on_sizes() -> Self {
        Self { is_on_sizes: true, model: None }
    }

    fn sizes(&self, window: &Window<'_>) -> Option<Vec<f64>> {
        if self.is_on_sizes {
            return window.sizes.map(<[f64]>::to_vec);
        }
        Some(window.returns.iter().map(|r| r.abs()).collect())
    }
}

impl VarianceForecast for HarVariance {
    fn fit(&mut self, window: &Window<'_>) {
        let found = self.sizes(window).and_then(|sizes| Har::fit(&sizes, window.returns));
        self.model = found.or(self.model);
    }

    fn next_variance(&self, window: &Window<'_>) -> Option<f64> {
        Some(self.model?.next_variance(&self.sizes(window)?))
    }
}

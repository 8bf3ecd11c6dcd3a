//! Maximum likelihood: argmin's Nelder-Mead with restarts, and standard errors from the curvature.

use argmin::core::{CostFunction, Error, Executor, State};
use argmin::solver::neldermead::NelderMead;
use nalgebra::DMatrix;
use serde::Serialize;

/// Cost of a point outside the parameters' range: finite, so that a simplex can shrink away from it.
pub const OUTSIDE: f64 = 1e100;
const ITERATIONS: u64 = 2_000;
/// The best vertices agree in the log-likelihood to this, or to its rounding where it is large.
const TOLERANCE: f64 = 1e-12;
/// A restart that gains less, or less than sixteen roundings, ends the search.
const GAIN: f64 = 1e-9;
const RESTARTS: usize = 12;
/// Step of the second differences, as a part of a parameter's scale. Its square times the curvature
/// stands well above the rounding of a log-likelihood (1e-13 of a few thousand), and well below a
/// standard error, so that the fourth derivative does not matter.
const CURVATURE_STEP: f64 = 1e-4;

/// Where a search ended.
#[derive(Clone, Debug)]
pub struct Minimum {
    /// The point.
    pub at: Vec<f64>,
    /// The cost there.
    pub value: f64,
    /// Whether a restart from it gained nothing.
    pub has_converged: bool,
}

/// A parameter's estimate.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// The estimate.
    pub estimate: f64,
    /// Its standard error; none where the likelihood is flat or the estimate lies on a boundary.
    pub standard_error: Option<f64>,
}

/// The logarithm of a product of many numbers above zero, with one logarithm for eight of them: what a
/// likelihood spends its time on. Each number within 1e-38 to 1e38, so that eight stay in range.
pub(super) struct LogProduct {
    logarithm: f64,
    product: f64,
    count: u32,
}

impl LogProduct {
    /// One.
    pub(super) fn new() -> Self {
        Self { logarithm: 0.0, product: 1.0, count: 0 }
    }

    /// One factor more.
    #[inline]
    pub(super) fn multiply(&mut self, factor: f64) {
        // Two below zero must not make one above it.
        self.product *= if factor > 0.0 { factor } else { f64::NAN };
        self.count += 1;
        if self.count == 8 {
            (self.logarithm, self.product, self.count) = (self.ln(), 1.0, 0);
        }
    }

    /// The logarithm of all.
    pub(super) fn ln(&self) -> f64 {
        self.logarithm + self.product.ln()
    }
}

struct Problem<'a>(&'a dyn Fn(&[f64]) -> f64);

impl CostFunction for Problem<'_> {
    type Param = Vec<f64>;
    type Output = f64;

    fn cost(&self, at: &Vec<f64>) -> Result<f64, Error> {
        let cost = (self.0)(at);
        Ok(if cost.is_finite() { cost } else { OUTSIDE })
    }
}

/// Minimises `cost` from `start`, with a first simplex of `steps`. Restarts at the point found until
/// that gains nothing: a simplex may collapse on the way.
pub fn minimise(cost: &dyn Fn(&[f64]) -> f64, start: &[f64], steps: &[f64]) -> Minimum {
    let mut best = Minimum { at: start.to_vec(), value: cost(start), has_converged: false };
    for restart in 0..RESTARTS {
        let shrink = 0.5_f64.powi(restart.min(4) as i32);
        let sign = if restart % 2 == 0 { shrink } else { -shrink };
        let found = search(cost, &best.at, steps, sign);
        let gain = best.value - found.value;
        if found.value < best.value {
            best = Minimum { has_converged: false, ..found };
        }
        if restart > 0 && !(gain > GAIN.max(16.0 * f64::EPSILON * best.value.abs())) {
            best.has_converged = best.value < OUTSIDE;
            break;
        }
    }
    best
}

fn search(cost: &dyn Fn(&[f64]) -> f64, start: &[f64], steps: &[f64], scale: f64) -> Minimum {
    let mut simplex = vec![start.to_vec()];
    for (i, step) in steps.iter().enumerate() {
        let mut vertex = start.to_vec();
        vertex[i] += scale * step;
        simplex.push(vertex);
    }
    let rounding = f64::EPSILON * cost(start).abs();
    let tolerance = if rounding < 1.0 { TOLERANCE.max(rounding) } else { TOLERANCE };
    let solver = NelderMead::new(simplex).with_sd_tolerance(tolerance).expect("a tolerance above zero");
    let run = Executor::new(Problem(cost), solver)
        .configure(|state| state.max_iters(ITERATIONS))
        .timer(false)
        .run();
    let state = run.expect("the cost is always a number").state;
    Minimum {
        at: state.get_best_param().cloned().unwrap_or_else(|| start.to_vec()),
        value: state.get_best_cost(),
        has_converged: false,
    }
}

/// Standard errors at a minimum of the negative log-likelihood, in its own coordinates: square roots
/// of the diagonal of the inverse Hessian, by central differences. `scales` are the sizes by which a
/// parameter changes noticeably.
pub fn standard_errors(cost: &dyn Fn(&[f64]) -> f64, at: &[f64], scales: &[f64]) -> Vec<Option<f64>> {
    let n = at.len();
    let none = vec![None; n];
    let step: Vec<f64> = scales.iter().map(|scale| scale * CURVATURE_STEP).collect();
    let moved = |moves: &[(usize, f64)]| {
        let mut point = at.to_vec();
        moves.iter().for_each(|(i, by)| point[*i] += by * step[*i]);
        cost(&point)
    };
    let centre = cost(at);
    let mut hessian = DMatrix::<f64>::zeros(n, n);
    for i in 0..n {
        hessian[(i, i)] = (moved(&[(i, 1.0)]) - 2.0 * centre + moved(&[(i, -1.0)])) / (step[i] * step[i]);
        for j in 0..i {
            let both = moved(&[(i, 1.0), (j, 1.0)]) + moved(&[(i, -1.0), (j, -1.0)]);
            let apart = moved(&[(i, 1.0), (j, -1.0)]) + moved(&[(i, -1.0), (j, 1.0)]);
            hessian[(i, j)] = (both - apart) / (4.0 * step[i] * step[j]);
            hessian[(j, i)] = hessian[(i, j)];
        }
    }
    // Scaled to a unit diagonal first: parameters differ by orders of magnitude.
    let size: Vec<f64> = (0..n).map(|i| hessian[(i, i)].abs().sqrt()).collect();
    if !size.iter().all(|x| *x > 0.0 && x.is_finite()) {
        return none;
    }
    let scaled = DMatrix::from_fn(n, n, |i, j| hessian[(i, j)] / (size[i] * size[j]));
    let Some(inverse) = scaled.try_inverse() else { return none };
    (0..n)
        .map(|i| Some(inverse[(i, i)]).filter(|x| *x > 0.0 && x.is_finite()).map(|x| x.sqrt() / size[i]))
        .collect()
}

/// Akaike's and Bayes's information criteria of a fit; lower is better.
pub fn criteria(log_likelihood: f64, parameters: usize, observations: usize) -> (f64, f64) {
    let k = parameters as f64;
    (2.0 * k - 2.0 * log_likelihood, k * (observations as f64).ln() - 2.0 * log_likelihood)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_logarithm_of_a_product_is_the_sum_of_logarithms() {
        for count in [0, 1, 7, 8, 9, 100] {
            let factors: Vec<f64> = (0..count).map(|i| f64::exp(80.0 * f64::sin(f64::from(i)))).collect();
            let mut product = LogProduct::new();
            factors.iter().for_each(|factor| product.multiply(*factor));
            let sum: f64 = factors.iter().map(|factor| factor.ln()).sum();
            // A product of eight has eight roundings.
            assert!((product.ln() - sum).abs() < 1e-12 * (1.0 + 80.0 * f64::from(count)), "{count}");
        }
        let mut product = LogProduct::new();
        [-2.0, -3.0].into_iter().for_each(|factor| product.multiply(factor));
        assert!(product.ln().is_nan(), "two below zero");
    }
}

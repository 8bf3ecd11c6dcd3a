//! Does the law fit? Anderson and Darling's statistic, and quantiles against quantiles.

use serde::Serialize;

use crate::closed_form::special::normal_upper_quantile;
use crate::plot::{Axes, Axis, Scale, Series, Style, xy};

/// The statistic that a right law with known parameters exceeds in one sample out of twenty.
pub const CRITICAL: f64 = 2.492;

/// Points of a chart in each tail, and in between.
const TAIL_POINTS: usize = 60;
const MIDDLE_POINTS: usize = 200;

/// Anderson and Darling's statistic.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Goodness {
    /// `A^2`, which weighs both tails by the inverse of their probability.
    pub anderson_darling: f64,
    /// The lower tail's part of it, which weighs by the inverse of the probability below (Sinclair,
    /// Spurr and Ahmad 1990); 1/2 on average under a right law.
    pub lower_tail: f64,
    /// The upper tail's part, likewise; the two sum to `A^2`.
    pub upper_tail: f64,
    /// Whether it is below 2.492. The parameters are estimated, so that a right law stays below it
    /// more often than in 95 % of samples: above it the law does not fit.
    pub fits: bool,
}

/// Tests probabilities `F(x)`, which are uniform under a right law; sorts them.
pub fn anderson_darling(probabilities: &mut [f64]) -> Goodness {
    probabilities.sort_unstable_by(f64::total_cmp);
    let n = probabilities.len();
    let inner = |u: f64| u.clamp(1e-15, 1.0 - 1e-15);
    // Of one tail: `2 sum u - 3n/2 - sum (2i - 1)/n ln u`, by rank from its end.
    let tail = |u: &dyn Fn(usize) -> f64| {
        let term = |i: usize| 2.0 * u(i) - (2 * i + 1) as f64 / n as f64 * u(i).ln();
        (0..n).map(term).sum::<f64>() - 1.5 * n as f64
    };
    let lower_tail = tail(&|i| inner(probabilities[i]));
    let upper_tail = tail(&|i| 1.0 - inner(probabilities[n - 1 - i]));
    let anderson_darling = lower_tail + upper_tail;
    Goodness { anderson_darling, lower_tail, upper_tail, fits: anderson_darling < CRITICAL }
}

/// A chart of sorted probabilities as normal scores against those that a right law would have.
pub fn quantile_plot(title: &str, sorted: &[f64]) -> String {
    let score = |u: f64| -normal_upper_quantile(u.clamp(1e-12, 1.0 - 1e-12));
    let n = sorted.len() as f64;
    // All of both tails, and as much of the middle as a reader can tell apart.
    let is_tail = |i: usize| i.min(sorted.len() - 1 - i) < TAIL_POINTS;
    let every = (sorted.len() / MIDDLE_POINTS).max(1);
    let shown = sorted.iter().enumerate().filter(|(i, _)| is_tail(*i) || i % every == 0);
    let points: Vec<(f64, f64)> = shown.map(|(i, u)| (score((i as f64 + 0.5) / n), score(*u))).collect();
    let end = score(1.0 - 0.5 / n);
    let axis = |label| Axis { label, scale: Scale::Linear };
    let axes = Axes {
        title,
        x: axis("normal score of the rank"),
        y: axis("normal score of the return under the law"),
    };
    let line = Series { name: "a right law", style: Style::Line, points: vec![(-end, -end), (end, end)] };
    xy(&axes, &[Series { name: "returns", style: Style::Points, points }, line], &[])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against the textbook's one sum, and on laws that miss one tail.
    #[test]
    fn the_tails_make_up_the_statistic() {
        let n = 500;
        let even: Vec<f64> = (0..n).map(|i| (f64::from(i) + 0.5) / f64::from(n)).collect();
        let one_sum = |u: &[f64]| {
            let term = |i: usize| (2 * i + 1) as f64 * (u[i].ln() + (-u[u.len() - 1 - i]).ln_1p());
            -(u.len() as f64) - (0..u.len()).map(term).sum::<f64>() / u.len() as f64
        };
        let skewed: Vec<f64> = even.iter().map(|u| u * u * u.sqrt()).collect();
        for mut sample in [even.clone(), skewed.clone()] {
            let expected = one_sum(&sample);
            let found = anderson_darling(&mut sample);
            assert!((found.anderson_darling - expected).abs() < 1e-9 * n as f64, "{found:?} {expected}");
        }
        let (fair, unfair) = (anderson_darling(&mut even.clone()), anderson_darling(&mut skewed.clone()));
        assert!(fair.fits && !unfair.fits, "{fair:?} {unfair:?}");
        // Five in a hundred of the smallest probabilities are far too small: the lower tail sees it.
        let mut low = even;
        low.iter_mut().take(25).for_each(|u| *u *= 1e-3);
        let low = anderson_darling(&mut low);
        assert!(low.lower_tail > 5.0 * low.upper_tail.max(0.1), "{low:?}");
    }
}

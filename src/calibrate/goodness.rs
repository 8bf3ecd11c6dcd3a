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
    /// Whether it is below 2.492. The parameters are estimated, so that a right law stays below it
    /// more often than in 95 % of samples: above it the law does not fit.
    pub fits: bool,
}

/// Tests probabilities `F(x)`, which are uniform under a right law; sorts them.
pub fn anderson_darling(probabilities: &mut [f64]) -> Goodness {
    probabilities.sort_unstable_by(f64::total_cmp);
    let n = probabilities.len();
    let inner = |u: f64| u.clamp(1e-15, 1.0 - 1e-15);
    let term = |i: usize| {
        let (low, high) = (inner(probabilities[i]), inner(probabilities[n - 1 - i]));
        (2 * i + 1) as f64 * (low.ln() + (-high).ln_1p())
    };
    let anderson_darling = -(n as f64) - (0..n).map(term).sum::<f64>() / n as f64;
    Goodness { anderson_darling, fits: anderson_darling < CRITICAL }
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

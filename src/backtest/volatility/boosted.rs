//! Gradient-boosted regression trees on what a window shows.
//!
//! They learn the size of the next step (its absolute return, or the volatility measured within it) over the
//! EWMA deviation known before it: a ratio is the same in calm and in storm, and trees do not extrapolate.

use smartcore::linalg::basic::matrix::DenseMatrix;
use smartcore::xgboost::{XGRegressor, XGRegressorParameters};

use super::{VarianceForecast, Window};

/// Steps whose mean sizes are shown.
const SPANS: [usize; 4] = [1, 5, 22, 66];
/// Longest of them: the first step that can be learned from.
const REACH: usize = 66;
/// A ratio beyond this counts as this, so that single days do not make a tree.
const CUT: f64 = 5.0;
/// A forecast is at least this part of the EWMA deviation.
const LEAST: f64 = 0.2;

/// Shallow trees, slow steps, large leaves: a window has a few hundred noisy rows.
fn parameters(base_score: f64) -> XGRegressorParameters {
    XGRegressorParameters::default()
        .with_n_estimators(60)
        .with_max_depth(2)
        .with_learning_rate(0.05)
        .with_min_child_weight(25)
        .with_lambda(1.0)
        .with_subsample(1.0)
        .with_base_score(base_score)
}

type Trees = XGRegressor<f64, f64, DenseMatrix<f64>, Vec<f64>>;

/// Trees, and what turns a forecast ratio into a variance.
#[derive(Default)]
pub struct Boosted {
    model: Option<(Trees, f64)>,
}

impl VarianceForecast for Boosted {
    fn fit(&mut self, window: &Window<'_>) {
        self.model = fit(window).or(self.model.take());
    }

    fn next_variance(&self, window: &Window<'_>) -> Option<f64> {
        let (trees, ratio) = self.model.as_ref()?;
        let row = features(window, window.returns.len());
        let size = predict(trees, vec![row])?.pop()?;
        Some(ratio * size.max(LEAST).powi(2) * window.ewma.last()?)
    }
}

fn fit(window: &Window<'_>) -> Option<(Trees, f64)> {
    let steps: Vec<usize> = (REACH..window.returns.len()).filter(|t| window.ewma[t - REACH] > 0.0).collect();
    let rows: Vec<Vec<f64>> = steps.iter().map(|t| features(window, *t)).collect();
    let ratio = |t: &usize| (size(window, *t) / window.ewma[*t].sqrt()).min(CUT);
    let targets: Vec<f64> = steps.iter().map(ratio).collect();
    let mean = targets.iter().sum::<f64>() / targets.len() as f64;
    let matrix = DenseMatrix::from_2d_vec(&rows).ok()?;
    let trees = Trees::fit(&matrix, &targets, parameters(mean)).ok()?;
    let sizes = predict(&trees, rows)?;
    let expected: f64 =
        sizes.iter().zip(&steps).map(|(size, t)| size.max(LEAST).powi(2) * window.ewma[*t]).sum();
    let seen: f64 = steps.iter().map(|t| window.returns[*t].powi(2)).sum();
    let ratio = seen / expected;
    (ratio > 0.0 && ratio.is_finite()).then_some((trees, ratio))
}

fn predict(trees: &Trees, rows: Vec<Vec<f64>>) -> Option<Vec<f64>> {
    trees.predict(&DenseMatrix::from_2d_vec(&rows).ok()?).ok()
}

/// What is known before step `t` of the window: mean sizes of the last steps, the last return and the sum of
/// the last five, all over the EWMA deviation; and that deviation over the mean one of the quarter before.
fn features(window: &Window<'_>, t: usize) -> Vec<f64> {
    let deviation = window.ewma[t].sqrt();
    let mean = |span: usize| (t - span..t).map(|s| size(window, s)).sum::<f64>() / span as f64;
    let mut row: Vec<f64> = SPANS.iter().map(|span| mean(*span) / deviation).collect();
    row.push(window.returns[t - 1] / deviation);
    row.push(window.returns[t - 5..t].iter().sum::<f64>() / deviation);
    let long = window.ewma[t - REACH..t].iter().filter(|v| v.is_finite()).sum::<f64>() / REACH as f64;
    row.push((window.ewma[t] / long).sqrt());
    row
}

fn size(window: &Window<'_>, t: usize) -> f64 {
    window.sizes.map_or(window.returns[t].abs(), |sizes| sizes[t])
}

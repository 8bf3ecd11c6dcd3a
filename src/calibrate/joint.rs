//! What several assets share: common jumps and the correlation of their diffusions.

use serde::Serialize;

use super::optimise::Parameter;
use crate::market::{Correlation, CorrelationFault};

/// A move beyond so many deviations takes part in a common jump.
const EXCEEDANCE: f64 = 3.0;
/// Fewest common days whose sizes have a law.
const LEAST_COMMON_DAYS: usize = 4;
/// Standardised returns are cut there before they enter the correlation.
const CUT: f64 = 4.0;

/// Standardised returns on one clock, `[asset][time]`; NaN where there is none.
pub type Scores = Vec<Vec<f64>>;

/// Jumps of all assets at once. Sizes are the first asset's log returns.
#[derive(Clone, Debug, Serialize)]
pub struct CommonJumps {
    /// Steps on which they were seen.
    pub days: usize,
    /// A year.
    pub intensity_annual: Parameter,
    /// Mean size.
    pub mean: Parameter,
    /// Deviation of the size.
    pub sd: Parameter,
    /// Multiplies the size, by asset; none for an asset that saw fewer than three of them.
    pub loadings: Vec<Option<Parameter>>,
}

/// Times at which at least half of the assets that trade, and two of them, move beyond three
/// deviations.
pub fn common_times(scores: &Scores) -> Vec<usize> {
    let length = scores.first().map_or(0, Vec::len);
    let is_common = |t: &usize| {
        let seen = scores.iter().map(|asset| asset[*t]).filter(|z| z.is_finite());
        let (mut count, mut beyond) = (0, 0);
        seen.for_each(|z| {
            count += 1;
            beyond += usize::from(z.abs() > EXCEEDANCE);
        });
        beyond >= 2 && 2 * beyond >= count
    };
    (0..length).filter(is_common).collect()
}

/// The law of the common jumps; `None` with fewer than four on which the first asset trades.
pub fn common_jumps(returns: &[Vec<f64>], times: &[usize], years: f64) -> Option<CommonJumps> {
    let first = returns.first()?;
    let sizes: Vec<f64> = times.iter().map(|t| first[*t]).filter(|r| r.is_finite()).collect();
    if sizes.len() < LEAST_COMMON_DAYS || !(years > 0.0) {
        return None;
    }
    let n = sizes.len() as f64;
    let mean = sizes.iter().sum::<f64>() / n;
    let sd = (sizes.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n).sqrt();
    let parameter = |name, estimate, error| Parameter { name, estimate, standard_error: Some(error) };
    Some(CommonJumps {
        days: sizes.len(),
        intensity_annual: parameter("intensity", n / years, n.sqrt() / years),
        mean: parameter("mean", mean, sd / n.sqrt()),
        sd: parameter("sd", sd, sd / (2.0 * n).sqrt()),
        loadings: returns.iter().map(|asset| loading(first, asset, times)).collect(),
    })
}

/// Regression through the origin.
fn loading(first: &[f64], asset: &[f64], times: &[usize]) -> Option<Parameter> {
    let pairs = times.iter().map(|t| (first[*t], asset[*t])).filter(|(x, y)| x.is_finite() && y.is_finite());
    let pairs: Vec<(f64, f64)> = pairs.collect();
    let square: f64 = pairs.iter().map(|(x, _)| x * x).sum();
    if pairs.len() < 3 || !(square > 0.0) {
        return None;
    }
    let estimate = pairs.iter().map(|(x, y)| x * y).sum::<f64>() / square;
    let rest: f64 = pairs.iter().map(|(x, y)| (y - estimate * x).powi(2)).sum();
    let error = (rest / (pairs.len() - 1) as f64 / square).sqrt();
    Some(Parameter { name: "loading", estimate, standard_error: Some(error) })
}

/// A correlation and how it came about.
#[derive(Clone, Debug)]
pub struct Dependence {
    /// Positive semidefinite.
    pub correlation: Correlation,
    /// Times on which all assets have a return, without the common jumps.
    pub times: usize,
    /// How far it was drawn to one correlation for all pairs, in [0, 1].
    pub shrinkage: f64,
    /// Whether it had to be made positive semidefinite.
    pub is_repaired: bool,
}

/// Correlation of scores on times that all assets share, weighted by `decay` to the power of the age,
/// shrunk toward one correlation for all pairs (Ledoit and Wolf 2004, "Honey, I shrunk the sample
/// covariance matrix") and repaired where it has a negative eigenvalue. `None` with fewer than thirty
/// such times.
pub fn dependence(scores: &Scores, without: &[usize], decay: f64) -> Option<Dependence> {
    let n = scores.len();
    let is_shared =
        |t: &usize| without.binary_search(t).is_err() && scores.iter().all(|asset| asset[*t].is_finite());
    let times: Vec<usize> = (0..scores.first().map_or(0, Vec::len)).filter(is_shared).collect();
    if times.len() < 30 {
        return None;
    }
    let ages = times.len();
    let mut weights: Vec<f64> = (0..ages).map(|i| decay.powi((ages - 1 - i) as i32)).collect();
    let total: f64 = weights.iter().sum();
    weights.iter_mut().for_each(|w| *w /= total);
    let rows: Vec<Vec<f64>> = scores
        .iter()
        .map(|asset| {
            let cut: Vec<f64> = times.iter().map(|t| asset[*t].clamp(-CUT, CUT)).collect();
            let sd = cut.iter().zip(&weights).map(|(z, w)| w * z * z).sum::<f64>().sqrt();
            cut.into_iter().map(|z| z / sd).collect()
        })
        .collect();
    let moment = |i: usize, j: usize| -> f64 {
        rows[i].iter().zip(&rows[j]).zip(&weights).map(|((x, y), w)| w * x * y).sum()
    };
    let mut sample = vec![1.0; n * n];
    for i in 0..n {
        for j in 0..i {
            let value = moment(i, j).clamp(-1.0, 1.0);
            (sample[i * n + j], sample[j * n + i]) = (value, value);
        }
    }
    let (mean, shrinkage) = shrinkage(&rows, &weights, &sample);
    let shrunk =
        (0..n * n).map(|k| if k / n == k % n { 1.0 } else { sample[k] + shrinkage * (mean - sample[k]) });
    let (correlation, is_repaired) = match Correlation::new(n, shrunk.collect()) {
        Ok(correlation) => (correlation, false),
        Err(CorrelationFault::NotPositive { nearest, .. }) => (nearest, true),
        // Clamped, symmetric and with a unit diagonal by construction.
        Err(_) => return None,
    };
    Some(Dependence { correlation, times: times.len(), shrinkage, is_repaired })
}

/// The mean correlation and the best weight of it.
fn shrinkage(rows: &[Vec<f64>], weights: &[f64], sample: &[f64]) -> (f64, f64) {
    let n = rows.len();
    if n < 3 {
        return (0.0, 0.0);
    }
    let pairs = || (0..n).flat_map(|i| (0..n).map(move |j| (i, j))).filter(|(i, j)| i != j);
    let count = (n * (n - 1)) as f64;
    let mean = pairs().map(|(i, j)| sample[i * n + j]).sum::<f64>() / count;
    let distance: f64 = pairs().map(|(i, j)| (mean - sample[i * n + j]).powi(2)).sum();
    let (mut variance, mut covariance) = (0.0, 0.0);
    for (i, j) in pairs() {
        let s = sample[i * n + j];
        for (t, w) in weights.iter().enumerate() {
            let (x, y) = (rows[i][t], rows[j][t]);
            let error = x * y - s;
            variance += w * error * error;
            covariance += w * 0.5 * mean * error * ((x * x - 1.0) + (y * y - 1.0));
        }
    }
    let effective = 1.0 / weights.iter().map(|w| w * w).sum::<f64>();
    let best = (variance - covariance) / distance / effective;
    (mean, if best.is_finite() { best.clamp(0.0, 1.0) } else { 1.0 })
}

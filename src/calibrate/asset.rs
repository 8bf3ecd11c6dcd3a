//! One asset alone: its volatility, and the law of its jumps or tails.

use serde::Serialize;

use super::goodness::{Goodness, anderson_darling};
use super::history::History;
use super::laws::{Kind, LawFit, Sample};
use super::volatility::{Choice, VolatilityFit, fit_all};

/// What a history says of one asset.
#[derive(Clone, Debug, Serialize)]
pub struct AssetFit {
    /// Ticker.
    pub asset: String,
    /// Returns used.
    pub returns: usize,
    /// Models of volatility, the chosen one (lowest BIC) first.
    pub volatility: Vec<VolatilityFit>,
    /// Laws of the return beside the common jumps, the chosen one (lowest BIC) first.
    pub laws: Vec<LawFit>,
    /// How well the chosen law fits.
    pub goodness: Goodness,
    /// Sorted probabilities of the returns under it, for a chart.
    #[serde(skip)]
    pub probabilities: Vec<f64>,
    /// Last price.
    #[serde(skip)]
    pub spot: f64,
}

/// Returns and deviations of one asset on the history's clock.
pub struct Filtered {
    /// Log returns, NaN where there is none.
    pub returns: Vec<f64>,
    /// Deviation known before each return, NaN likewise.
    pub deviations: Vec<f64>,
    /// The fits.
    pub models: Vec<VolatilityFit>,
}

impl Filtered {
    /// Fits the models of volatility; `None` with too few returns.
    pub fn new(history: &History, asset: usize, choice: Choice, decay: f64) -> Option<Self> {
        let returns = history.log_returns(asset);
        let finite: Vec<f64> = returns.iter().copied().filter(|r| r.is_finite()).collect();
        let models = fit_all(&finite, choice, decay);
        let mut filtered = models.first()?.deviations.iter();
        let deviations = returns
            .iter()
            .map(|r| if r.is_finite() { filtered.next().copied().unwrap_or(f64::NAN) } else { f64::NAN })
            .collect();
        Some(Self { returns, deviations, models })
    }

    /// Returns in deviations.
    pub fn scores(&self) -> Vec<f64> {
        self.returns.iter().zip(&self.deviations).map(|(r, d)| r / d).collect()
    }

    /// Fits the laws to the steps without those at `common`.
    pub fn fit(self, asset: &str, spot: f64, common: &[usize]) -> Option<AssetFit> {
        let is_used = |t: &usize| self.returns[*t].is_finite() && common.binary_search(t).is_err();
        let used: Vec<usize> = (0..self.returns.len()).filter(is_used).collect();
        let returns: Vec<f64> = used.iter().map(|t| self.returns[*t]).collect();
        let deviations: Vec<f64> = used.iter().map(|t| self.deviations[*t]).collect();
        let sample = Sample { returns: &returns, deviations: &deviations };
        let mut laws: Vec<LawFit> = Kind::ALL.iter().filter_map(|kind| kind.fit(sample)).collect();
        laws.sort_by(|a, b| a.bic.total_cmp(&b.bic));
        let chosen = laws.first()?;
        let mut probabilities: Vec<f64> =
            returns.iter().zip(&deviations).map(|(r, d)| chosen.probability(*r, *d)).collect();
        let goodness = anderson_darling(&mut probabilities);
        Some(AssetFit {
            asset: asset.to_owned(),
            returns: returns.len(),
            volatility: self.models,
            laws,
            goodness,
            probabilities,
            spot,
        })
    }
}

impl AssetFit {
    /// Deviation of the diffusion in the step after the last, per step.
    pub fn next_diffusion(&self) -> f64 {
        let deviation = self.volatility.first().and_then(|model| model.deviations.last()).copied();
        deviation.unwrap_or(f64::NAN) * self.laws.first().map_or(1.0, |law| law.scale)
    }
}

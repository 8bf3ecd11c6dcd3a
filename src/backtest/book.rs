//! Books of constant exposure, and what they lose over one step.

use crate::closed_form::black::OptionKind;
use crate::closed_form::special::normal_cdf;
use crate::units::DAYS_PER_YEAR;

/// Decay of the variance that options are marked at.
pub const MARK_DECAY: f64 = 0.97;

/// A book that is put back to its exposures after every step. Exposures are in units of money: 1 is
/// one dollar's worth of the asset.
#[derive(Clone, Debug)]
pub struct Book {
    /// Its name.
    pub name: String,
    /// Linear exposures, by index of the asset.
    pub positions: Vec<(usize, f64)>,
    /// Options.
    pub options: Vec<OptionLeg>,
}

/// An option of constant moneyness and tenor, marked by Black-Scholes at the EWMA volatility of its
/// asset (decay 0.97), which moves with every return.
#[derive(Clone, Copy, Debug)]
pub struct OptionLeg {
    /// Index of the asset.
    pub asset: usize,
    /// Call or put.
    pub kind: OptionKind,
    /// Strike over spot.
    pub moneyness: f64,
    /// Tenor in days.
    pub days: f64,
    /// How many, each on one dollar's worth; negative is sold.
    pub quantity: f64,
}

/// What options are marked at before a step.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    /// Variance of the asset per step.
    pub variance: f64,
    /// Steps in a year.
    pub steps_per_year: f64,
}

impl Book {
    /// Assets that it has exposure to, ascending, each once.
    pub fn assets(&self) -> Vec<usize> {
        let linear = self.positions.iter().map(|(asset, _)| *asset);
        let mut all: Vec<usize> = linear.chain(self.options.iter().map(|leg| leg.asset)).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Sum of absolute exposures.
    pub fn gross(&self) -> f64 {
        let linear: f64 = self.positions.iter().map(|(_, exposure)| exposure.abs()).sum();
        linear + self.options.iter().map(|leg| leg.quantity.abs()).sum::<f64>()
    }

    /// The loss of a step, positive for a loss, when asset `i` moves by the log return `returns(i)` from
    /// the mark `marks(i)`.
    pub fn loss(&self, returns: impl Fn(usize) -> f64, marks: impl Fn(usize) -> Mark) -> f64 {
        let linear: f64 =
            self.positions.iter().map(|(asset, exposure)| -exposure * returns(*asset).exp_m1()).sum();
        let options: f64 =
            self.options.iter().map(|leg| leg.loss(returns(leg.asset), marks(leg.asset))).sum();
        linear + options
    }
}

impl OptionLeg {
    fn loss(&self, log_return: f64, mark: Mark) -> f64 {
        let tenor = self.days / DAYS_PER_YEAR;
        let rest = (tenor - 1.0 / mark.steps_per_year).max(0.0);
        let next = MARK_DECAY * mark.variance + (1.0 - MARK_DECAY) * log_return * log_return;
        let before = self.value(1.0, mark.variance * mark.steps_per_year * tenor);
        let after = self.value(log_return.exp(), next * mark.steps_per_year * rest);
        -self.quantity * (after - before)
    }

    /// Black-Scholes without rates; the strike is `moneyness`.
    fn value(&self, spot: f64, total_variance: f64) -> f64 {
        let sd = total_variance.sqrt();
        let call = if sd > 0.0 {
            let d1 = (spot / self.moneyness).ln() / sd + 0.5 * sd;
            spot * normal_cdf(d1) - self.moneyness * normal_cdf(d1 - sd)
        } else {
            (spot - self.moneyness).max(0.0)
        };
        match self.kind {
            OptionKind::Call => call,
            OptionKind::Put => call - spot + self.moneyness,
        }
    }
}

//! Books of constant exposure, and what they lose over a horizon.

use crate::closed_form::black::OptionKind;
use crate::closed_form::special::normal_cdf;
use crate::units::DAYS_PER_YEAR;

/// Decay of the variance that options are marked at.
pub const MARK_DECAY: f64 = 0.97;

/// A book that has the same exposures at the start of every horizon. Exposures are in units of money: 1 is
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

/// What the options of an asset are marked at before a horizon.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    /// Variance of the asset per step.
    pub variance: f64,
    /// Steps of the horizon.
    pub steps: usize,
    /// Steps in a year.
    pub steps_per_year: f64,
}

/// What happens to one asset over a horizon.
#[derive(Clone, Copy, Debug)]
pub struct Move {
    /// Log return over the horizon: -0.1 is about -10 %.
    pub log_return: f64,
    /// What options were marked at before it.
    pub mark: Mark,
    /// Variance per step that they are marked at after it.
    pub variance_after: f64,
}

impl Mark {
    /// A move of which only the whole return is known: each step has its part of the square.
    pub fn moved_by(self, log_return: f64) -> Move {
        let steps = self.steps as f64;
        let decay = MARK_DECAY.powi(self.steps as i32);
        let variance_after = decay * self.variance + (1.0 - decay) * log_return * log_return / steps;
        Move { log_return, mark: self, variance_after }
    }

    /// Length of the horizon.
    pub fn years(self) -> f64 {
        self.steps as f64 / self.steps_per_year
    }
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

    /// The loss over a horizon, positive for a loss, when asset `i` moves by `moves(i)`.
    pub fn loss(&self, moves: impl Fn(usize) -> Move) -> f64 {
        let linear: f64 = self
            .positions
            .iter()
            .map(|(asset, exposure)| -exposure * moves(*asset).log_return.exp_m1())
            .sum();
        let options: f64 = self.options.iter().map(|leg| leg.loss(moves(leg.asset))).sum();
        linear + options
    }
}

impl OptionLeg {
    /// Time to expiry in years.
    pub fn tenor(&self) -> f64 {
        self.days / DAYS_PER_YEAR
    }

    /// Its part of [`Book::loss`].
    pub(super) fn loss(&self, Move { log_return, mark, variance_after }: Move) -> f64 {
        let rest = (self.tenor() - mark.years()).max(0.0);
        let before = self.value_before(mark);
        let after = self.value(log_return.exp(), variance_after * mark.steps_per_year * rest);
        -self.quantity * (after - before)
    }

    /// What one is worth before a horizon.
    pub(super) fn value_before(&self, mark: Mark) -> f64 {
        self.value(1.0, mark.variance * mark.steps_per_year * self.tenor())
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

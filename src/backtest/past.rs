//! A history as forecasts read it, and what books lost in it.

use super::book::{Book, MARK_DECAY, Mark, Move};
use super::config::Backtest;
use crate::calibrate::ewma;
use crate::calibrate::history::day;
use crate::closed_form::TailFigures;
use crate::risk::TailEstimate;
use crate::units::Confidence;

/// VaR and ES of a book, in the unit of its exposure; losses positive.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tail {
    /// Value at Risk.
    pub value_at_risk: f64,
    /// Expected Shortfall.
    pub expected_shortfall: f64,
    /// Standard error of the ES where it was simulated.
    pub standard_error: Option<f64>,
}

/// Figures of one forecast, by confidence.
pub type Tails = Vec<Tail>;

impl From<TailFigures> for Tail {
    fn from(figures: TailFigures) -> Self {
        let TailFigures { value_at_risk, expected_shortfall } = figures;
        Self { value_at_risk, expected_shortfall, standard_error: None }
    }
}

impl From<TailEstimate> for Tail {
    fn from(estimate: TailEstimate) -> Self {
        Self {
            value_at_risk: estimate.value_at_risk,
            expected_shortfall: estimate.expected_shortfall,
            standard_error: Some(estimate.expected_shortfall_error),
        }
    }
}

/// The history of a backtest. A forecast for the horizon that begins with step `t` may read what came
/// before `t`.
pub struct Past<'a> {
    /// The settings.
    pub backtest: &'a Backtest,
    /// Levels of the tails that are wanted.
    pub confidences: &'a [Confidence],
    /// Log returns, `[asset][time]`.
    pub returns: Vec<Vec<f64>>,
    /// Variance per step at which options are marked after each time, `[asset][time]`.
    pub marks: Vec<Vec<f64>>,
    /// Steps in a year.
    pub steps_per_year: f64,
}

impl<'a> Past<'a> {
    /// Prepares a backtest.
    pub fn new(backtest: &'a Backtest, confidences: &'a [Confidence]) -> Self {
        let history = &backtest.history;
        let returns: Vec<Vec<f64>> =
            (0..history.assets.len()).map(|asset| history.log_returns(asset)).collect();
        let marks = returns.iter().map(|returns| ewma::variances(returns, MARK_DECAY)).collect();
        Self { backtest, confidences, returns, marks, steps_per_year: history.steps_per_year() }
    }

    /// What options are marked at before step `t`.
    pub fn mark(&self, asset: usize, t: usize, steps: usize) -> Mark {
        Mark { variance: self.marks[asset][t - 1], steps, steps_per_year: self.steps_per_year }
    }

    /// What the book lost over the `steps` steps from `t` on; no number where a price is missing.
    pub fn loss(&self, book: &Book, t: usize, steps: usize) -> f64 {
        book.loss(|asset| Move {
            log_return: self.returns[asset][t..t + steps].iter().sum(),
            mark: self.mark(asset, t, steps),
            variance_after: self.marks[asset][t + steps - 1],
        })
    }

    /// Horizons of `steps` steps in the span asked for over which the book has a loss: the step at which each
    /// begins, ascending, and the loss.
    pub fn outcomes(&self, book: &Book, steps: usize) -> Vec<(usize, f64)> {
        let times = &self.backtest.history.times;
        let is_asked = |t: usize| self.backtest.from.is_none_or(|from| day(times[t]) >= from);
        let ends = (times.len() + 1).saturating_sub(steps);
        let known = (1..ends).filter(|t| is_asked(*t)).map(|t| (t, self.loss(book, t, steps)));
        known.filter(|(_, loss)| loss.is_finite()).collect()
    }
}

//! Day by day through a history: the forecast of each model for each book, and what then happened.

use jiff::civil::Date;
use rayon::prelude::*;
use serde::Serialize;

use super::book::{Book, MARK_DECAY, Mark};
use super::config::Backtest;
use super::model::{Filter, Model, filters};
use super::statistics::empirical_tail;
use crate::calibrate::ewma;
use crate::calibrate::history::day;
use crate::closed_form::TailFigures;
use crate::closed_form::expected_shortfall::TailLaw;
use crate::closed_form::special::{normal_upper_quantile, student_upper_quantile};
use crate::units::Confidence;

/// Equally likely returns that stand for a law where a book holds options.
const STRATA: usize = 1000;
/// Scenarios of a book's day that may be missing.
const LEAST_SCENARIOS: f64 = 0.9;

/// Figures of one day, by confidence.
type Tails = Vec<TailFigures>;

/// One day of one book under one model, per unit of the book's exposure in money.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct DayFigures {
    /// The day that the forecast is for; the figures were known before it.
    pub date: Date,
    /// Value at Risk.
    pub value_at_risk: f64,
    /// Expected Shortfall.
    pub expected_shortfall: f64,
    /// Expected Shortfall and the buffer.
    pub margin: f64,
    /// What the day cost; negative is a gain.
    pub loss: f64,
}

/// All days of one book under one model.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Track {
    /// Name of the book.
    pub book: String,
    /// The model.
    pub model: Model,
    /// Ascending.
    pub days: Vec<DayFigures>,
}

/// Walks all models and books, a track for each: books in their order, models within.
pub fn walk(backtest: &Backtest, monitor: &mut dyn FnMut(&str)) -> Vec<Track> {
    walk_levels(backtest, &[backtest.confidence], monitor).pop().unwrap_or_default()
}

/// The same at several confidences at once, `[confidence][track]`; the backtest's own is not used.
pub fn walk_levels(
    backtest: &Backtest,
    confidences: &[Confidence],
    monitor: &mut dyn FnMut(&str),
) -> Vec<Vec<Track>> {
    let past = Past::new(backtest, confidences);
    let mut found: Vec<(usize, usize, Vec<Track>)> = Vec::new();
    for (m, model) in backtest.models.iter().enumerate() {
        monitor(&format!("{} ({} of {})", model.name(), m + 1, backtest.models.len()));
        let series: Vec<&[f64]> = past.returns.iter().map(Vec::as_slice).collect();
        let of_assets = filters(*model, &series, backtest.lookback, backtest.refit, backtest.decay);
        for (b, book) in backtest.books.iter().enumerate() {
            let levels = past.days(book, *model, &of_assets).into_iter();
            let track = |days| Track { book: book.name.clone(), model: *model, days };
            found.push((b, m, levels.map(track).collect()));
        }
    }
    found.sort_by_key(|(b, m, _)| (*b, *m));
    let mut levels: Vec<Vec<Track>> = confidences.iter().map(|_| Vec::new()).collect();
    for (_, _, tracks) in found {
        levels.iter_mut().zip(tracks).for_each(|(level, track)| level.push(track));
    }
    levels
}

/// The history as forecasts read it.
struct Past<'a> {
    backtest: &'a Backtest,
    confidences: &'a [Confidence],
    /// Log returns, `[asset][time]`.
    returns: Vec<Vec<f64>>,
    /// Variance per step at which options are marked after each time, `[asset][time]`.
    marks: Vec<Vec<f64>>,
    steps_per_year: f64,
}

impl<'a> Past<'a> {
    fn new(backtest: &'a Backtest, confidences: &'a [Confidence]) -> Self {
        let history = &backtest.history;
        let returns: Vec<Vec<f64>> =
            (0..history.assets.len()).map(|asset| history.log_returns(asset)).collect();
        let marks = returns.iter().map(|returns| ewma::variances(returns, MARK_DECAY)).collect();
        Self { backtest, confidences, returns, marks, steps_per_year: history.steps_per_year() }
    }

    fn mark(&self, asset: usize, t: usize) -> Mark {
        Mark { variance: self.marks[asset][t - 1], steps_per_year: self.steps_per_year }
    }

    fn loss(&self, book: &Book, t: usize) -> f64 {
        book.loss(|asset| self.returns[asset][t], |asset| self.mark(asset, t))
    }

    /// Days on which the book has a loss, in the span asked for.
    fn candidates(&self, book: &Book) -> Vec<usize> {
        let times = &self.backtest.history.times;
        let is_asked = |t: usize| self.backtest.from.is_none_or(|from| day(times[t]) >= from);
        (1..times.len()).filter(|t| is_asked(*t) && self.loss(book, *t).is_finite()).collect()
    }

    /// Figures of all days, `[confidence][day]`.
    fn days(&self, book: &Book, model: Model, of_assets: &[Filter<'_>]) -> Vec<Vec<DayFigures>> {
        let days = self.candidates(book);
        let forecasts: Vec<Option<Tails>> = match model {
            Model::Historical | Model::EwmaFhs | Model::GjrFhs => {
                days.par_iter().map(|t| self.by_scenarios(book, of_assets, *t)).collect()
            }
            Model::EwmaT | Model::EwmaNormal if book.options.is_empty() => {
                // The EWMA variance of a book of constant exposures is that of its own P&L.
                let pnl: Vec<f64> = (0..self.returns[0].len())
                    .map(|t| if t == 0 { f64::NAN } else { -self.loss(book, t) })
                    .collect();
                let Backtest { lookback, refit, decay, .. } = *self.backtest;
                let filter = Filter::new(model, &pnl, lookback, refit, decay);
                self.by_law(
                    &days,
                    &filter,
                    |nu| self.unit_tail(nu),
                    |_, tails, deviation| {
                        Some(tails.as_ref()?.iter().map(|tail| tail.scaled(0.0, deviation)).collect())
                    },
                )
            }
            Model::EwmaT | Model::EwmaNormal => {
                let asset = book.assets()[0];
                self.by_law(&days, &of_assets[asset], strata, |t, returns, deviation| {
                    let losses =
                        returns.iter().map(|x| book.loss(|_| x * deviation, |asset| self.mark(asset, t)));
                    self.tail_of(losses.collect(), STRATA)
                })
            }
        };
        (0..self.confidences.len()).map(|level| self.figures(book, &days, &forecasts, level)).collect()
    }

    fn figures(
        &self,
        book: &Book,
        days: &[usize],
        forecasts: &[Option<Tails>],
        level: usize,
    ) -> Vec<DayFigures> {
        let figures = days.iter().zip(forecasts).filter_map(|(t, tails)| {
            let tail = tails.as_ref()?.get(level).filter(|tail| tail.expected_shortfall.is_finite())?;
            Some(DayFigures {
                date: day(self.backtest.history.times[*t]),
                value_at_risk: tail.value_at_risk,
                expected_shortfall: tail.expected_shortfall,
                margin: (1.0 + self.backtest.buffer) * tail.expected_shortfall,
                loss: self.loss(book, *t),
            })
        });
        figures.collect()
    }

    fn by_scenarios(&self, book: &Book, of_assets: &[Filter<'_>], t: usize) -> Option<Tails> {
        let assets = book.assets();
        let lists: Vec<Vec<f64>> =
            assets.iter().map(|a| of_assets[*a].scenarios(t)).collect::<Option<_>>()?;
        let at = |asset: usize, j: usize| {
            assets.binary_search(&asset).map_or(f64::NAN, |position| lists[position][j])
        };
        let losses =
            (0..self.backtest.lookback).map(|j| book.loss(|asset| at(asset, j), |asset| self.mark(asset, t)));
        self.tail_of(losses.collect(), self.backtest.lookback)
    }

    fn tail_of(&self, mut losses: Vec<f64>, of: usize) -> Option<Tails> {
        losses.retain(|loss| loss.is_finite());
        let is_enough = losses.len() as f64 >= LEAST_SCENARIOS * of as f64;
        is_enough
            .then(|| self.confidences.iter().map(|level| empirical_tail(&mut losses, level.get())).collect())
    }

    /// Forecasts by a law whose shape changes only where it is fitted again: `shape` is made once for each.
    fn by_law<S: Sync>(
        &self,
        days: &[usize],
        filter: &Filter<'_>,
        shape: impl Fn(f64) -> S + Sync,
        forecast: impl Fn(usize, &S, f64) -> Option<Tails> + Sync,
    ) -> Vec<Option<Tails>> {
        let laws: Vec<(usize, Option<(f64, f64)>)> = days.iter().map(|t| (*t, filter.law(*t))).collect();
        let nu = |law: &Option<(f64, f64)>| law.map(|(_, nu)| nu.to_bits());
        let spans: Vec<_> = laws.chunk_by(|a, b| nu(&a.1) == nu(&b.1)).collect();
        let of_span = |span: &&[(usize, Option<(f64, f64)>)]| -> Vec<Option<Tails>> {
            let Some((_, nu)) = span[0].1 else { return vec![None; span.len()] };
            let shape = shape(nu);
            span.iter()
                .map(|(t, law)| law.and_then(|(deviation, _)| forecast(*t, &shape, deviation)))
                .collect()
        };
        spans.par_iter().map(of_span).collect::<Vec<_>>().concat()
    }

    fn unit_tail(&self, nu: f64) -> Option<Tails> {
        let law = if nu.is_finite() { TailLaw::StudentUnitVariance { nu } } else { TailLaw::Normal };
        self.confidences.iter().map(|level| law.tail(level.get()).ok()).collect()
    }
}

/// Midpoints of equally likely strata of the standardised law, symmetric.
fn strata(nu: f64) -> Vec<f64> {
    let upper = |i: usize| {
        let tail = (i as f64 + 0.5) / STRATA as f64;
        if nu.is_finite() {
            student_upper_quantile(tail, nu) * ((nu - 2.0) / nu).sqrt()
        } else {
            normal_upper_quantile(tail)
        }
    };
    (0..STRATA / 2).map(upper).flat_map(|x| [x, -x]).collect()
}

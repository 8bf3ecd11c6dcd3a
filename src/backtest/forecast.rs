//! Forecasts of the models that simulate nothing: equally likely returns of the past, and laws.

use rayon::prelude::*;

use super::book::Book;
use super::model::{Filter, Model};
use super::past::{Past, Tail, Tails};
use super::statistics::empirical_tail;
use crate::closed_form::expected_shortfall::TailLaw;
use crate::closed_form::special::{normal_upper_quantile, student_upper_quantile};

/// Equally likely returns that stand for a law where a book holds options.
const STRATA: usize = 1000;
/// Scenarios of a book's day that may be missing.
const LEAST_SCENARIOS: f64 = 0.9;

/// Forecasts for the horizons of `steps` steps that begin at `starts`, one for each.
pub fn forecasts(
    past: &Past<'_>,
    book: &Book,
    model: Model,
    filters: &[Filter<'_>],
    steps: usize,
    starts: &[usize],
) -> Vec<Option<Tails>> {
    let work = Work { past, book, steps };
    match model {
        Model::EwmaT | Model::EwmaNormal if book.options.is_empty() => work.by_own_law(model, starts),
        Model::EwmaT | Model::EwmaNormal => {
            let asset = book.assets()[0];
            by_law(starts, &filters[asset], steps, strata, |t, returns, deviation| {
                let mark = past.mark(asset, t, steps);
                let losses = returns.iter().map(|x| book.loss(|_| mark.moved_by(x * deviation)));
                work.tail_of(losses.collect(), STRATA)
            })
        }
        _ => starts.par_iter().map(|t| work.by_scenarios(filters, *t)).collect(),
    }
}

struct Work<'a> {
    past: &'a Past<'a>,
    book: &'a Book,
    steps: usize,
}

impl Work<'_> {
    /// The EWMA variance of a book of constant exposures is that of its own P&L.
    fn by_own_law(&self, model: Model, starts: &[usize]) -> Vec<Option<Tails>> {
        let Self { past, book, steps } = *self;
        let pnl: Vec<f64> = (0..past.returns[0].len())
            .map(|t| if t == 0 { f64::NAN } else { -past.loss(book, t, 1) })
            .collect();
        let backtest = past.backtest;
        let filter = Filter::new(model, &pnl, backtest.lookback, backtest.refit, backtest.decay);
        let scaled = |tails: &Option<Vec<_>>, deviation: f64| -> Option<Tails> {
            let scale = |tail: &crate::closed_form::TailFigures| Tail::from(tail.scaled(0.0, deviation));
            Some(tails.as_ref()?.iter().map(scale).collect())
        };
        let unit = |nu: f64| -> Option<Vec<_>> {
            let law = if nu.is_finite() { TailLaw::StudentUnitVariance { nu } } else { TailLaw::Normal };
            past.confidences.iter().map(|level| law.tail(level.get()).ok()).collect()
        };
        by_law(starts, &filter, steps, unit, |_, tails, deviation| scaled(tails, deviation))
    }

    fn by_scenarios(&self, filters: &[Filter<'_>], t: usize) -> Option<Tails> {
        let Self { past, book, steps } = *self;
        let assets = book.assets();
        let lists: Vec<Vec<f64>> =
            assets.iter().map(|a| filters[*a].scenarios(t, steps)).collect::<Option<_>>()?;
        let at = |asset: usize, j: usize| {
            assets.binary_search(&asset).map_or(f64::NAN, |position| lists[position][j])
        };
        let count = lists.first()?.len();
        let losses = (0..count).map(|j| book.loss(|asset| past.mark(asset, t, steps).moved_by(at(asset, j))));
        self.tail_of(losses.collect(), count)
    }

    fn tail_of(&self, mut losses: Vec<f64>, of: usize) -> Option<Tails> {
        losses.retain(|loss| loss.is_finite());
        let is_enough = losses.len() as f64 >= LEAST_SCENARIOS * of as f64;
        let levels = self.past.confidences.iter();
        is_enough.then(|| levels.map(|level| empirical_tail(&mut losses, level.get()).into()).collect())
    }
}

/// Forecasts by a law whose shape changes only where it is fitted again: `shape` is made once for each.
fn by_law<S: Sync>(
    starts: &[usize],
    filter: &Filter<'_>,
    steps: usize,
    shape: impl Fn(f64) -> S + Sync,
    forecast: impl Fn(usize, &S, f64) -> Option<Tails> + Sync,
) -> Vec<Option<Tails>> {
    let laws: Vec<(usize, Option<(f64, f64)>)> = starts.iter().map(|t| (*t, filter.law(*t, steps))).collect();
    let nu = |law: &Option<(f64, f64)>| law.map(|(_, nu)| nu.to_bits());
    let spans: Vec<_> = laws.chunk_by(|a, b| nu(&a.1) == nu(&b.1)).collect();
    let of_span = |span: &&[(usize, Option<(f64, f64)>)]| -> Vec<Option<Tails>> {
        let Some((_, nu)) = span[0].1 else { return vec![None; span.len()] };
        let shape = shape(nu);
        span.iter().map(|(t, law)| law.and_then(|(deviation, _)| forecast(*t, &shape, deviation))).collect()
    };
    spans.par_iter().map(of_span).collect::<Vec<_>>().concat()
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

//! Forecasts of the models that simulate nothing: equally likely returns of the past, and laws.

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::book::Book;
use super::model::{Filter, Model, ewma_deviations};
use super::moves::Moves;
use super::past::{Past, Tail, Tails};
use super::statistics::empirical_tails;
use crate::closed_form::TailFigures;
use crate::closed_form::expected_shortfall::TailLaw;
use crate::closed_form::special::{normal_upper_quantile, student_density, student_survival};

/// Equally likely returns that stand for a law where a book holds options.
const STRATA: usize = 1000;
/// Scenarios of a book's day that may be missing.
const LEAST_SCENARIOS: f64 = 0.9;

/// Forecasts of all books and horizons, `[book][horizon]`, one for each step of `starts`, which is shaped
/// likewise. `filters` are those of [`super::volatility::filters`].
pub fn forecasts(
    past: &Past<'_>,
    model: Model,
    filters: &[Filter<'_>],
    starts: &[Vec<Vec<usize>>],
) -> Vec<Vec<Vec<Option<Tails>>>> {
    match model {
        Model::EwmaT | Model::EwmaNormal => by_laws(past, model, filters, starts),
        _ => by_scenarios(past, filters, starts),
    }
}

/// Day by day, so that the books of a day share the moves of their assets.
fn by_scenarios(
    past: &Past<'_>,
    filters: &[Filter<'_>],
    starts: &[Vec<Vec<usize>>],
) -> Vec<Vec<Vec<Option<Tails>>>> {
    let backtest = past.backtest;
    let mut assets: Vec<usize> = backtest.books.iter().flat_map(Book::assets).collect();
    assets.sort_unstable();
    assets.dedup();
    let mut all: Vec<Vec<Vec<Option<Tails>>>> = backtest.books.iter().map(|_| Vec::new()).collect();
    for (h, steps) in backtest.horizons.iter().enumerate() {
        let mut days: Vec<usize> = starts.iter().flat_map(|of_book| of_book[h].iter().copied()).collect();
        days.sort_unstable();
        days.dedup();
        let of_day = |t: &usize| -> Vec<Option<Tails>> {
            let moves = |asset: &usize| {
                let returns = filters[*asset].scenarios(*t, *steps)?;
                Some((*asset, Moves::new(returns, past.mark(*asset, *t, *steps))))
            };
            let moves: BTreeMap<usize, Moves> = assets.iter().filter_map(moves).collect();
            backtest.books.iter().map(|book| tails(past, book, |asset| moves.get(&asset))).collect()
        };
        let mut by_day: Vec<Vec<Option<Tails>>> = days.par_iter().map(of_day).collect();
        for (b, of_book) in all.iter_mut().enumerate() {
            let found = |t: &usize| by_day.get_mut(days.binary_search(t).ok()?)?[b].take();
            of_book.push(starts[b][h].iter().map(found).collect());
        }
    }
    all
}

/// Tails of a book under equally likely moves; `None` where one of its assets has none, or too few.
fn tails<'a>(past: &Past<'_>, book: &Book, moves: impl Fn(usize) -> Option<&'a Moves>) -> Option<Tails> {
    let assets = book.assets();
    let found: Vec<&Moves> = assets.iter().map(|asset| moves(*asset)).collect::<Option<_>>()?;
    let count = found.first()?.len();
    let place = |asset: usize| assets.binary_search(&asset).expect("an asset of the book");
    let mut losses = book.losses(|asset| found[place(asset)]);
    let is_enough = losses.len() as f64 >= LEAST_SCENARIOS * count as f64;
    let levels: Vec<f64> = past.confidences.iter().map(|level| level.get()).collect();
    is_enough.then(|| empirical_tails(&mut losses, &levels).into_iter().map(Tail::from).collect())
}

/// Book by book. Shapes of laws change only where they are fitted again, and are shared by all horizons.
fn by_laws(
    past: &Past<'_>,
    model: Model,
    filters: &[Filter<'_>],
    starts: &[Vec<Vec<usize>>],
) -> Vec<Vec<Vec<Option<Tails>>>> {
    let books = &past.backtest.books;
    // A book with options has one asset.
    let with_options = books.iter().filter_map(|book| book.options.first());
    let shapes = with_options.flat_map(|leg| filters[leg.asset].shapes()).collect();
    let strata = by_shape(shapes, strata);
    let of_book = |(book, starts): (&Book, &Vec<Vec<usize>>)| match book.options.first() {
        None => by_own_law(past, model, book, starts),
        Some(leg) => by_strata(past, book, &filters[leg.asset], &strata, starts),
    };
    books.par_iter().zip(starts).map(of_book).collect()
}

/// Something for each shape, by the bits of its degrees of freedom.
fn by_shape<S: Send>(shapes: Vec<f64>, make: impl Fn(f64) -> S + Sync) -> BTreeMap<u64, S> {
    let mut bits: Vec<u64> = shapes.into_iter().map(f64::to_bits).collect();
    bits.sort_unstable();
    bits.dedup();
    bits.into_par_iter().map(|nu| (nu, make(f64::from_bits(nu)))).collect()
}

/// The EWMA variance of a book of constant exposures is that of its own P&L.
fn by_own_law(past: &Past<'_>, model: Model, book: &Book, starts: &[Vec<usize>]) -> Vec<Vec<Option<Tails>>> {
    let backtest = past.backtest;
    let steps = past.returns[0].len();
    let pnl: Vec<f64> = (0..steps).map(|t| if t == 0 { f64::NAN } else { -past.loss(book, t, 1) }).collect();
    let deviations = ewma_deviations(&pnl, backtest.decay);
    let filter = Filter::new(model, &pnl, backtest.lookback, deviations).fitted(backtest.refit);
    let unit = by_shape(filter.shapes(), |nu| -> Option<Vec<TailFigures>> {
        let law = if nu.is_finite() { TailLaw::StudentUnitVariance { nu } } else { TailLaw::Normal };
        past.confidences.iter().map(|level| law.tail(level.get()).ok()).collect()
    });
    let of_horizon = |(starts, steps): (&Vec<usize>, &usize)| {
        let forecast = |t: &usize| -> Option<Tails> {
            let (deviation, nu) = filter.law(*t, *steps)?;
            let unit = unit.get(&nu.to_bits())?.as_ref()?;
            Some(unit.iter().map(|tail| Tail::from(tail.scaled(0.0, deviation))).collect())
        };
        starts.iter().map(forecast).collect()
    };
    starts.iter().zip(&backtest.horizons).map(of_horizon).collect()
}

fn by_strata(
    past: &Past<'_>,
    book: &Book,
    filter: &Filter<'_>,
    strata: &BTreeMap<u64, Vec<f64>>,
    starts: &[Vec<usize>],
) -> Vec<Vec<Option<Tails>>> {
    let of_horizon = |(starts, steps): (&Vec<usize>, &usize)| {
        let forecast = |t: &usize| -> Option<Tails> {
            let (deviation, nu) = filter.law(*t, *steps)?;
            let returns = strata.get(&nu.to_bits())?.iter().map(|x| x * deviation).collect();
            let moves = Moves::new(returns, past.mark(book.options[0].asset, *t, *steps));
            tails(past, book, |_| Some(&moves))
        };
        starts.par_iter().map(forecast).collect()
    };
    starts.iter().zip(&past.backtest.horizons).map(of_horizon).collect()
}

/// Midpoints of equally likely strata of the standardised law, symmetric.
fn strata(nu: f64) -> Vec<f64> {
    let half = STRATA / 2;
    let tail = |i: usize| (i as f64 + 0.5) / STRATA as f64;
    let mut upper = vec![0.0; half];
    let unit = ((nu - 2.0) / nu).sqrt();
    let mut quantile = 0.0;
    for i in (0..half).rev() {
        upper[i] = if nu.is_finite() {
            quantile = student_quantile_above(quantile, tail(i), nu);
            quantile * unit
        } else {
            normal_upper_quantile(tail(i))
        };
    }
    upper.into_iter().flat_map(|x| [x, -x]).collect()
}

/// The Student-t quantile of an upper tail, from one below it: the survival function is convex above zero, so
/// that Newton's steps from below only ever rise towards it.
fn student_quantile_above(below: f64, tail: f64, nu: f64) -> f64 {
    /// Each step doubles the digits once near; far out one covers about `1 / nu` of the way in logarithms.
    const MOST_STEPS: usize = 50;
    let mut x = below;
    for _ in 0..MOST_STEPS {
        let step = (student_survival(x, nu) - tail) / student_density(x, nu);
        if !(step > 1e-15 * x) {
            break;
        }
        x += step;
    }
    x
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::closed_form::special::student_upper_quantile;

    #[test]
    fn strata_are_quantiles() {
        for nu in [2.01, 2.7, 5.0, 90.0] {
            let strata = strata(nu);
            assert_eq!(strata.len(), STRATA);
            for i in [0, 1, 7, 250, 499] {
                let expected =
                    student_upper_quantile((i as f64 + 0.5) / 1000.0, nu) * ((nu - 2.0) / nu).sqrt();
                // A survival function that errs by 1e-14 moves the quantile by as much over its density.
                assert!(
                    (strata[2 * i] / expected - 1.0).abs() < 1e-10,
                    "{nu} {i}: {} {expected}",
                    strata[2 * i]
                );
                assert_eq!(strata[2 * i + 1], -strata[2 * i]);
            }
        }
    }
}

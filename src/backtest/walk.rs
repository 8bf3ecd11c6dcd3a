//! Day by day through a history: the forecast of each model for each book, and what then happened.

use jiff::civil::Date;
use rayon::prelude::*;
use serde::Serialize;

use super::Monitor;
use super::book::Book;
use super::config::Backtest;
use super::forecast;
use super::model::Model;
use super::monte_carlo;
use super::past::{Past, Tails};
use super::volatility;
use crate::calibrate::history::day;
use crate::units::Confidence;

/// One day of one book under one model, per unit of the book's exposure in money.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct DayFigures {
    /// The day that the forecast is for, or the first of them; the figures were known before it.
    pub date: Date,
    /// Value at Risk.
    pub value_at_risk: f64,
    /// Expected Shortfall.
    pub expected_shortfall: f64,
    /// Standard error of the ES where it was simulated.
    pub standard_error: Option<f64>,
    /// Expected Shortfall and the buffer.
    pub margin: f64,
    /// What the horizon cost; negative is a gain.
    pub loss: f64,
}

/// All days of one book under one model.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Track {
    /// Name of the book.
    pub book: String,
    /// Steps of the horizon. Where there are several, the losses of neighbouring days overlap.
    pub horizon: usize,
    /// The model.
    pub model: Model,
    /// Ascending.
    pub days: Vec<DayFigures>,
}

/// Walks all models and books, a track for each: books in their order, horizons within, models within
/// those.
pub fn walk(backtest: &Backtest, monitor: &mut Monitor<'_>) -> Vec<Track> {
    walk_levels(backtest, &[backtest.confidence], monitor).pop().unwrap_or_default()
}

/// The same at several confidences at once, `[confidence][track]`; the backtest's own is not used.
pub fn walk_levels(
    backtest: &Backtest,
    confidences: &[Confidence],
    monitor: &mut Monitor<'_>,
) -> Vec<Vec<Track>> {
    let past = Past::new(backtest, confidences);
    let outcomes = outcomes(&past);
    let starts: Vec<Vec<Vec<usize>>> = outcomes
        .iter()
        .map(|of_book| of_book.iter().map(|all| all.iter().map(|(t, _)| *t).collect()).collect())
        .collect();
    let efforts: Vec<f64> = backtest.models.iter().map(|model| model.effort()).collect();
    let whole: f64 = efforts.iter().sum();
    let mut done = 0.0;
    // `[model][book][horizon][start]`
    let mut forecasts = Vec::new();
    for (model, effort) in backtest.models.iter().zip(efforts) {
        let mut say = |part: f64| monitor(model.name(), (done + part * effort) / whole);
        say(0.0);
        let filters = volatility::filters(&past, *model);
        forecasts.push(match model {
            Model::MonteCarlo => monte_carlo::forecasts(&past, &filters, &starts, &mut say),
            _ => forecast::forecasts(&past, *model, &filters, &starts),
        });
        done += effort;
    }
    let of_level = |level: usize| {
        let mut tracks = Vec::new();
        for (b, book) in backtest.books.iter().enumerate() {
            for (h, horizon) in backtest.horizons.iter().enumerate() {
                tracks.extend(backtest.models.iter().zip(&forecasts).map(|(model, forecasts)| Track {
                    book: book.name.clone(),
                    horizon: *horizon,
                    model: *model,
                    days: figures(&past, &outcomes[b][h], &forecasts[b][h], level),
                }));
            }
        }
        tracks
    };
    (0..confidences.len()).map(of_level).collect()
}

/// What happened, `[book][horizon]`.
fn outcomes(past: &Past<'_>) -> Vec<Vec<Vec<(usize, f64)>>> {
    let Backtest { books, horizons, .. } = past.backtest;
    let of_book = |book: &Book| horizons.iter().map(|steps| past.outcomes(book, *steps)).collect();
    books.par_iter().map(of_book).collect()
}

fn figures(
    past: &Past<'_>,
    outcomes: &[(usize, f64)],
    forecasts: &[Option<Tails>],
    level: usize,
) -> Vec<DayFigures> {
    let figures = outcomes.iter().zip(forecasts).filter_map(|((t, loss), tails)| {
        let tail = tails.as_ref()?.get(level).filter(|tail| tail.expected_shortfall.is_finite())?;
        Some(DayFigures {
            date: day(past.backtest.history.times[*t]),
            value_at_risk: tail.value_at_risk,
            expected_shortfall: tail.expected_shortfall,
            standard_error: tail.standard_error,
            margin: (1.0 + past.backtest.buffer) * tail.expected_shortfall,
            loss: *loss,
        })
    });
    figures.collect()
}

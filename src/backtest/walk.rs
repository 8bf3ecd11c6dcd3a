//! Day by day through a history: the forecast of each model for each book, and what then happened.

use jiff::civil::Date;
use serde::Serialize;

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
    let mut found: Vec<([usize; 3], Vec<Track>)> = Vec::new();
    for (m, model) in backtest.models.iter().enumerate() {
        let title = format!("{} ({} of {})", model.name(), m + 1, backtest.models.len());
        monitor(&title);
        let filters = volatility::filters(&past, *model);
        let mut say = |what: &str| monitor(&format!("{title}: {what}"));
        let simulated = (*model == Model::MonteCarlo).then(|| monte_carlo::walk(&past, &filters, &mut say));
        for (b, book) in backtest.books.iter().enumerate() {
            for (h, steps) in backtest.horizons.iter().enumerate() {
                let starts = past.starts(book, *steps);
                let forecasts = match &simulated {
                    Some(simulated) => starts.iter().map(|t| simulated.tails(*t, b, h)).collect(),
                    None => forecast::forecasts(&past, book, *model, &filters, *steps, &starts),
                };
                let figures = |level| figures(&past, book, *steps, &starts, &forecasts, level);
                let track = |days| Track { book: book.name.clone(), horizon: *steps, model: *model, days };
                found.push(([b, h, m], (0..confidences.len()).map(figures).map(track).collect()));
            }
        }
    }
    found.sort_by_key(|(place, _)| *place);
    let mut levels: Vec<Vec<Track>> = confidences.iter().map(|_| Vec::new()).collect();
    for (_, tracks) in found {
        levels.iter_mut().zip(tracks).for_each(|(level, track)| level.push(track));
    }
    levels
}

fn figures(
    past: &Past<'_>,
    book: &Book,
    steps: usize,
    starts: &[usize],
    forecasts: &[Option<Tails>],
    level: usize,
) -> Vec<DayFigures> {
    let figures = starts.iter().zip(forecasts).filter_map(|(t, tails)| {
        let tail = tails.as_ref()?.get(level).filter(|tail| tail.expected_shortfall.is_finite())?;
        Some(DayFigures {
            date: day(past.backtest.history.times[*t]),
            value_at_risk: tail.value_at_risk,
            expected_shortfall: tail.expected_shortfall,
            standard_error: tail.standard_error,
            margin: (1.0 + past.backtest.buffer) * tail.expected_shortfall,
            loss: past.loss(book, *t, steps),
        })
    });
    figures.collect()
}

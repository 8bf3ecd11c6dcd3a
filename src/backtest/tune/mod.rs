//! Which settings? All of a grid on one part of the history, judged on the part held back.

mod report;

use std::collections::BTreeMap;

use jiff::civil::Date;
use rayon::prelude::*;
use serde::Serialize;

pub use self::report::{chart, text};
use super::Monitor;
use super::config::{Backtest, Grid};
use super::model::Model;
use super::walk::{Track, walk_levels};
use crate::margin::procyclicality::Measures;

/// Days within which the largest rise is looked for.
const RISE_DAYS: usize = 5;

/// One setting and what it comes to.
#[derive(Clone, Debug, Serialize)]
pub struct Setting {
    /// Steps of the horizon.
    pub horizon: usize,
    /// The model.
    pub model: Model,
    /// Steps that a forecast sees.
    pub lookback: usize,
    /// Decay of EWMA; none for a model without it.
    pub decay: Option<f64>,
    /// Confidence of the ES.
    pub confidence: f64,
    /// Added to the ES, as a part of it.
    pub buffer: f64,
    /// Before the held-back part.
    pub chosen_on: Score,
    /// On the held-back part.
    pub held_back: Score,
    /// Whether no other setting is at least as good in coverage, cost and calm, and better in one,
    /// before the held-back part and for the same horizon.
    pub is_on_frontier: bool,
}

/// Coverage, cost and calm over all books.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Score {
    /// Days, over all books.
    pub days: u64,
    /// Part of them whose loss the margin covered.
    pub coverage: f64,
    /// Mean margin over gross exposure, mean over books.
    pub cost: f64,
    /// Largest rise of the margin within five days, mean over books: 0.5 is +50 %.
    pub rise: f64,
}

/// A tuned backtest.
#[derive(Clone, Debug, Serialize)]
pub struct Tuned {
    /// Its name.
    pub name: String,
    /// First day that is held back.
    pub held_back_from: Date,
    /// Coverage asked for.
    pub coverage: f64,
    /// All settings, by horizon, the cheapest first.
    pub settings: Vec<Setting>,
    /// What is recommended for each horizon.
    pub recommendations: Vec<Recommendation>,
}

/// What is recommended for one horizon.
#[derive(Clone, Debug, Serialize)]
pub struct Recommendation {
    /// Steps of the horizon.
    pub horizon: usize,
    /// Index of the setting; none where no setting reached the coverage.
    pub setting: Option<usize>,
    /// Why, and whether it held, in words.
    pub reason: String,
}

/// Tries a grid. Every setting is judged on the same days: those that the longest lookback reaches.
pub fn tune(backtest: &Backtest, grid: &Grid, monitor: &mut Monitor<'_>) -> Tuned {
    let trials = trials(backtest, grid);
    let effort = |trial: &Backtest| -> f64 {
        trial.lookback as f64 * trial.models.iter().map(|model| model.effort()).sum::<f64>()
    };
    let whole: f64 = trials.iter().map(effort).sum();
    let mut done = 0.0;
    let mut starts: Option<Starts> = None;
    let mut settings = Vec::new();
    for trial in &trials {
        // One walk gives all confidences; a buffer is a factor.
        let levels = walk_levels(trial, &grid.confidences, &mut |model, part| {
            let what = format!("{model}, lookback {}, decay {}", trial.lookback, trial.decay);
            monitor(&what, (done + part * effort(trial)) / whole);
        });
        done += effort(trial);
        let starts = starts.get_or_insert_with(|| first_days(&levels[0]));
        settings.extend(scored(grid, trial, &levels, starts));
    }
    settings.sort_by(|a, b| a.horizon.cmp(&b.horizon).then(a.chosen_on.cost.total_cmp(&b.chosen_on.cost)));
    settings.chunk_by_mut(|a, b| a.horizon == b.horizon).for_each(mark_frontier);
    Tuned {
        name: backtest.name.clone(),
        held_back_from: grid.held_back_from,
        coverage: grid.coverage,
        recommendations: recommend(grid, &settings),
        settings,
    }
}

/// A backtest for each lookback and decay, the longest lookback first. A model without a decay is tried once.
fn trials(backtest: &Backtest, grid: &Grid) -> Vec<Backtest> {
    let mut lookbacks = grid.lookbacks.clone();
    lookbacks.sort_unstable_by(|a, b| b.cmp(a));
    lookbacks.dedup();
    let horizons = grid.horizons.as_ref().unwrap_or(&backtest.horizons);
    let models = grid.models.as_ref().unwrap_or(&backtest.models);
    let trial = |lookback: usize, index: usize| {
        let is_tried = |model: &Model| index == 0 || has_decay(*model);
        Backtest {
            lookback,
            decay: grid.decays[index],
            buffer: 0.0,
            horizons: horizons.clone(),
            models: models.iter().copied().filter(is_tried).collect(),
            ..backtest.clone()
        }
    };
    lookbacks.iter().flat_map(|lookback| (0..grid.decays.len()).map(move |d| trial(*lookback, d))).collect()
}

/// All settings of a trial, `levels` being its tracks by confidence.
fn scored(grid: &Grid, trial: &Backtest, levels: &[Vec<Track>], starts: &Starts) -> Vec<Setting> {
    let mut all = Vec::new();
    for (confidence, tracks) in grid.confidences.iter().zip(levels) {
        for (horizon, model) in trial.horizons.iter().flat_map(|h| trial.models.iter().map(move |m| (*h, *m)))
        {
            let is_of = |track: &&Track| (track.horizon, track.model) == (horizon, model);
            let of_model: Vec<&Track> = tracks.iter().filter(is_of).collect();
            all.extend(
                grid.buffers
                    .iter()
                    .map(|buffer| (confidence.get(), horizon, model, of_model.clone(), *buffer)),
            );
        }
    }
    let setting = |(confidence, horizon, model, tracks, buffer): (f64, usize, Model, Vec<&Track>, f64)| {
        let score = |from, to| score(trial, &tracks, starts, (from, to), buffer);
        Setting {
            horizon,
            model,
            lookback: trial.lookback,
            decay: has_decay(model).then_some(trial.decay),
            confidence,
            buffer,
            chosen_on: score(None, Some(grid.held_back_from)),
            held_back: score(Some(grid.held_back_from), None),
            is_on_frontier: false,
        }
    };
    all.into_par_iter().map(setting).collect()
}

fn has_decay(model: Model) -> bool {
    matches!(model, Model::EwmaFhs | Model::EwmaT | Model::EwmaNormal | Model::MonteCarlo)
}

/// First days by book.
type Starts = BTreeMap<String, Date>;

/// The latest first day of each book over the models and horizons.
fn first_days(tracks: &[Track]) -> Starts {
    let mut first = BTreeMap::new();
    for track in tracks {
        if let Some(day) = track.days.first() {
            let date = first.entry(track.book.clone()).or_insert(day.date);
            *date = day.date.max(*date);
        }
    }
    first
}

fn score(
    backtest: &Backtest,
    tracks: &[&Track],
    starts: &Starts,
    (from, to): (Option<Date>, Option<Date>),
    buffer: f64,
) -> Score {
    let (mut days, mut covered, mut books, mut cost, mut rise) = (0_u64, 0_u64, 0.0, 0.0, 0.0);
    for track in tracks {
        let (Some(start), Some(book)) =
            (starts.get(&track.book), backtest.books.iter().find(|book| book.name == track.book))
        else {
            continue;
        };
        let is_in = |date: Date| {
            date >= *start && from.is_none_or(|from| date >= from) && to.is_none_or(|to| date < to)
        };
        // Days whose horizon reaches into the part held back are in neither.
        let last = |index: usize| track.days.get(index + track.horizon - 1).map(|day| day.date);
        let is_whole = |index: usize| to.is_none_or(|to| last(index).is_some_and(|date| date < to));
        let used = track.days.iter().enumerate();
        let used = used.filter(|(index, day)| is_in(day.date) && is_whole(*index)).map(|(_, day)| day);
        let pairs: Vec<(f64, f64)> =
            used.map(|day| ((1.0 + buffer) * day.expected_shortfall, day.loss)).collect();
        if pairs.is_empty() {
            continue;
        }
        days += pairs.len() as u64;
        covered += pairs.iter().filter(|(margin, loss)| loss <= margin).count() as u64;
        let margins: Vec<f64> = pairs.iter().map(|(margin, _)| *margin).collect();
        let measures = Measures::of(&margins, RISE_DAYS);
        cost += measures.mean / book.gross();
        rise += measures.largest_rise.unwrap_or(f64::INFINITY);
        books += 1.0;
    }
    Score { days, coverage: covered as f64 / days as f64, cost: cost / books, rise: rise / books }
}

fn mark_frontier(settings: &mut [Setting]) {
    let scores: Vec<Score> = settings.iter().map(|setting| setting.chosen_on).collect();
    let beats = |a: &Score, b: &Score| {
        let is_no_worse = a.coverage >= b.coverage && a.cost <= b.cost && a.rise <= b.rise;
        is_no_worse && (a.coverage > b.coverage || a.cost < b.cost || a.rise < b.rise)
    };
    for (setting, score) in settings.iter_mut().zip(&scores) {
        setting.is_on_frontier = !scores.iter().any(|other| beats(other, score));
    }
}

fn recommend(grid: &Grid, settings: &[Setting]) -> Vec<Recommendation> {
    let mut all = Vec::new();
    let mut start = 0;
    for of_horizon in settings.chunk_by(|a, b| a.horizon == b.horizon) {
        let reaches = |setting: &&Setting| setting.chosen_on.coverage >= grid.coverage;
        let count = of_horizon.iter().filter(reaches).count();
        // The cheapest comes first.
        let best = of_horizon.iter().position(|setting| reaches(&setting));
        all.push(Recommendation {
            horizon: of_horizon[0].horizon,
            setting: best.map(|index| start + index),
            reason: reason(grid, best.map(|index| &of_horizon[index]), count, of_horizon.len()),
        });
        start += of_horizon.len();
    }
    all
}

fn reason(grid: &Grid, best: Option<&Setting>, count: usize, of: usize) -> String {
    let percent = |x: f64| format!("{:.2} %", 100.0 * x);
    let (wanted, date) = (percent(grid.coverage), grid.held_back_from);
    let Some(best) = best else { return format!("no setting covered {wanted} of the days before {date}") };
    let held = best.held_back.coverage;
    let verdict = if held >= grid.coverage { "it holds" } else { "it does not hold" };
    let held = percent(held);
    format!(
        "the cheapest of {count} settings out of {of} that covered {wanted} of the days before {date}; on the days held back it covered {held}: {verdict}"
    )
}

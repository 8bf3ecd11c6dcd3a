//! Which settings? All of a grid on one part of the history, judged on the part held back.

use std::collections::BTreeMap;
use std::fmt::Write;

use jiff::civil::Date;
use serde::Serialize;

use super::config::{Backtest, Grid};
use super::model::Model;
use super::walk::{Track, walk_levels};
use crate::margin::procyclicality::Measures;
use crate::plot::{Axes, Axis, Scale, Series, Style, xy};

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
pub fn tune(backtest: &Backtest, grid: &Grid, monitor: &mut dyn FnMut(&str)) -> Tuned {
    let mut lookbacks = grid.lookbacks.clone();
    lookbacks.sort_unstable_by(|a, b| b.cmp(a));
    lookbacks.dedup();
    let mut starts: Option<Starts> = None;
    let mut settings = Vec::new();
    let of = lookbacks.len() * grid.decays.len();
    let trials =
        lookbacks.iter().flat_map(|lookback| grid.decays.iter().enumerate().map(move |d| (*lookback, d)));
    for (number, (lookback, (index, decay))) in trials.enumerate() {
        let mut trial = backtest.clone();
        (trial.lookback, trial.decay, trial.buffer) = (lookback, *decay, 0.0);
        if let Some(horizons) = &grid.horizons {
            trial.horizons.clone_from(horizons);
        }
        if let Some(models) = &grid.models {
            trial.models.clone_from(models);
        }
        // A model without a decay is tried once.
        trial.models.retain(|model| index == 0 || has_decay(*model));
        let levels = walk_levels(&trial, &grid.confidences, &mut |what| {
            monitor(&format!("{} of {of}: lookback {lookback}, decay {decay}, {what}", number + 1));
        });
        let starts = starts.get_or_insert_with(|| first_days(&levels[0]));
        for (confidence, tracks) in grid.confidences.iter().zip(&levels) {
            for (horizon, model) in
                trial.horizons.iter().flat_map(|h| trial.models.iter().map(move |m| (*h, *m)))
            {
                let is_of = |track: &&Track| (track.horizon, track.model) == (horizon, model);
                let of_model: Vec<&Track> = tracks.iter().filter(is_of).collect();
                settings.extend(grid.buffers.iter().map(|buffer| {
                    let score = |from: Option<Date>, to: Option<Date>| {
                        score(backtest, &of_model, starts, (from, to), *buffer)
                    };
                    Setting {
                        horizon,
                        model,
                        lookback,
                        decay: has_decay(model).then_some(*decay),
                        confidence: confidence.get(),
                        buffer: *buffer,
                        chosen_on: score(None, Some(grid.held_back_from)),
                        held_back: score(Some(grid.held_back_from), None),
                        is_on_frontier: false,
                    }
                }));
            }
        }
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

/// A setting in words.
fn name(setting: &Setting) -> String {
    let decay = setting.decay.map_or("-".to_owned(), |decay| decay.to_string());
    format!(
        "{:12}  {:>8}  {decay:>5}  {:>6} %  {:>5} %",
        setting.model.name(),
        setting.lookback,
        (1e6 * setting.confidence).round() / 1e4,
        (1e4 * setting.buffer).round() / 1e2
    )
}

/// The frontier and the recommendation of each horizon.
pub fn text(tuned: &Tuned) -> String {
    let mut text = format!(
        "{}: {} settings, chosen on the days before {}\n",
        tuned.name,
        tuned.settings.len(),
        tuned.held_back_from
    );
    for recommendation in &tuned.recommendations {
        horizon_table(&mut text, tuned, recommendation);
    }
    text + "\nThe frontier: no setting covers more, costs less and rises less. Coverage over the days of all books; cost (mean margin over\ngross exposure) and rise (largest within five days) are means over books.\n"
}

fn horizon_table(text: &mut String, tuned: &Tuned, recommendation: &Recommendation) {
    let steps = if recommendation.horizon == 1 { "step" } else { "steps" };
    let _ = writeln!(
        text,
        "\n{} {steps} ahead\n  {:12}  {:>8}  {:>5}  {:>8}  {:>7}  {:>9}  {:>7}  {:>8}  | {:>9}  {:>7}  {:>8}",
        recommendation.horizon,
        "model",
        "lookback",
        "decay",
        "level",
        "buffer",
        "coverage",
        "cost",
        "rise 5d",
        "held back",
        "cost",
        "rise 5d"
    );
    let score = |s: &Score, width: usize| {
        format!("{:>width$.2} %  {:>5.1} %  {:>+6.0} %", 100.0 * s.coverage, 100.0 * s.cost, 100.0 * s.rise)
    };
    let of_horizon = |setting: &Setting| setting.is_on_frontier && setting.horizon == recommendation.horizon;
    for (index, setting) in tuned.settings.iter().enumerate().filter(|(_, setting)| of_horizon(setting)) {
        let mark = if recommendation.setting == Some(index) { ">" } else { " " };
        let (chosen, held) = (score(&setting.chosen_on, 7), score(&setting.held_back, 7));
        let _ = writeln!(text, "{mark} {}  {chosen}  | {held}", name(setting));
    }
    if let Some(best) = recommendation.setting.map(|index| &tuned.settings[index]) {
        let words = name(best);
        let _ = writeln!(text, "recommended: {}", words.split_whitespace().collect::<Vec<_>>().join(" "));
    }
    let _ = writeln!(text, "{}", recommendation.reason);
}

/// Cost against coverage of the shortest horizon, a colour for each model, before the held-back part.
pub fn chart(tuned: &Tuned) -> String {
    let horizon = tuned.recommendations.first().map_or(1, |recommendation| recommendation.horizon);
    let settings = || tuned.settings.iter().filter(|setting| setting.horizon == horizon);
    let mut series: Vec<Series<'_>> = Vec::new();
    for model in Model::ALL {
        let of_model = settings().filter(|setting| setting.model == model);
        let points: Vec<(f64, f64)> =
            of_model.map(|s| (100.0 * s.chosen_on.cost, 100.0 * s.chosen_on.coverage)).collect();
        if !points.is_empty() {
            series.push(Series { name: model.name(), style: Style::Points, points });
        }
    }
    let frontier = settings().filter(|setting| setting.is_on_frontier);
    let mut best = f64::NEG_INFINITY;
    let mut steps: Vec<(f64, f64)> = Vec::new();
    for setting in frontier.filter(|setting| setting.chosen_on.coverage.is_finite()) {
        if setting.chosen_on.coverage > best {
            best = setting.chosen_on.coverage;
            steps.push((100.0 * setting.chosen_on.cost, 100.0 * best));
        }
    }
    series.push(Series { name: "cheapest", style: Style::Line, points: steps });
    let title = format!("{}: what coverage costs", tuned.name);
    let axis = |label| Axis { label, scale: Scale::Linear };
    xy(
        &Axes { title: &title, x: axis("mean margin, % of gross exposure"), y: axis("days covered, %") },
        &series,
        &[],
    )
}

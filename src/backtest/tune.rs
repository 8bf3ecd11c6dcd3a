//! Which settings? All of a grid on one part of the history, judged on the part held back.

use std::collections::BTreeMap;

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
    /// before the held-back part.
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
    /// All settings, the cheapest first.
    pub settings: Vec<Setting>,
    /// Index of the recommended one; none where no setting reached the coverage.
    pub recommended: Option<usize>,
    /// Why, and whether it held, in words.
    pub reason: String,
}

/// Tries a grid. Every setting is judged on the same days: those that the longest lookback reaches.
pub fn tune(backtest: &Backtest, grid: &Grid, monitor: &mut dyn FnMut(&str)) -> Tuned {
    let mut lookbacks = grid.lookbacks.clone();
    lookbacks.sort_unstable_by(|a, b| b.cmp(a));
    lookbacks.dedup();
    let mut starts: Option<BTreeMap<String, Date>> = None;
    let mut settings = Vec::new();
    for lookback in &lookbacks {
        for (index, decay) in grid.decays.iter().enumerate() {
            let mut trial = backtest.clone();
            (trial.lookback, trial.decay, trial.buffer) = (*lookback, *decay, 0.0);
            // A model without a decay is tried once.
            trial.models.retain(|model| index == 0 || has_decay(*model));
            let levels = walk_levels(&trial, &grid.confidences, &mut |what| {
                monitor(&format!("lookback {lookback}, decay {decay}: {what}"));
            });
            let starts = starts.get_or_insert_with(|| first_days(&levels[0]));
            for (confidence, tracks) in grid.confidences.iter().zip(&levels) {
                for model in &trial.models {
                    let of_model: Vec<&Track> = tracks.iter().filter(|track| track.model == *model).collect();
                    for buffer in &grid.buffers {
                        let score = |from: Option<Date>, to: Option<Date>| {
                            score(backtest, &of_model, starts, (from, to), *buffer)
                        };
                        settings.push(Setting {
                            model: *model,
                            lookback: *lookback,
                            decay: has_decay(*model).then_some(*decay),
                            confidence: confidence.get(),
                            buffer: *buffer,
                            chosen_on: score(None, Some(grid.held_back_from)),
                            held_back: score(Some(grid.held_back_from), None),
                            is_on_frontier: false,
                        });
                    }
                }
            }
        }
    }
    settings.sort_by(|a, b| a.chosen_on.cost.total_cmp(&b.chosen_on.cost));
    mark_frontier(&mut settings);
    recommend(backtest, grid, settings)
}

fn has_decay(model: Model) -> bool {
    matches!(model, Model::EwmaFhs | Model::EwmaT | Model::EwmaNormal)
}

/// The latest first day of each book over the models.
fn first_days(tracks: &[Track]) -> BTreeMap<String, Date> {
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
    starts: &BTreeMap<String, Date>,
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
        let used = track.days.iter().filter(|day| is_in(day.date));
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

fn recommend(backtest: &Backtest, grid: &Grid, settings: Vec<Setting>) -> Tuned {
    let reaches = |setting: &&Setting| setting.chosen_on.coverage >= grid.coverage;
    let count = settings.iter().filter(reaches).count();
    // The cheapest comes first.
    let recommended = settings.iter().position(|setting| reaches(&setting));
    let percent = |x: f64| format!("{:.2} %", 100.0 * x);
    let reason = match recommended.map(|index| &settings[index]) {
        None => format!(
            "no setting covered {} of the days before {}",
            percent(grid.coverage),
            grid.held_back_from
        ),
        Some(best) => {
            let held = best.held_back.coverage;
            let verdict = if held >= grid.coverage { "it holds" } else { "it does not hold" };
            format!(
                "the cheapest of {count} settings out of {} that covered {} of the days before {}; on the days held back it covered {}: {verdict}",
                settings.len(),
                percent(grid.coverage),
                grid.held_back_from,
                percent(held),
            )
        }
    };
    Tuned {
        name: backtest.name.clone(),
        held_back_from: grid.held_back_from,
        coverage: grid.coverage,
        settings,
        recommended,
        reason,
    }
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

/// The frontier and the recommendation.
pub fn text(tuned: &Tuned) -> String {
    let mut text = format!(
        "{}: {} settings, chosen on the days before {}\n\n",
        tuned.name,
        tuned.settings.len(),
        tuned.held_back_from
    );
    text += &format!(
        "  {:12}  {:>8}  {:>5}  {:>8}  {:>7}  {:>9}  {:>7}  {:>8}  | {:>9}  {:>7}  {:>8}\n",
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
    for (index, setting) in tuned.settings.iter().enumerate().filter(|(_, setting)| setting.is_on_frontier) {
        let mark = if tuned.recommended == Some(index) { ">" } else { " " };
        text += &format!(
            "{mark} {}  {}  | {}\n",
            name(setting),
            score(&setting.chosen_on, 7),
            score(&setting.held_back, 7)
        );
    }
    text += "\nThe frontier: no setting covers more, costs less and rises less. Coverage over the days of all books; cost (mean margin over\ngross exposure) and rise (largest within five days) are means over books.\n";
    if let Some(best) = tuned.recommended.map(|index| &tuned.settings[index]) {
        text += &format!("\nrecommended: {}\n", name(best).split_whitespace().collect::<Vec<_>>().join(" "));
    }
    text + &format!("{}\n", tuned.reason)
}

/// Cost against coverage, a colour for each model, before the held-back part.
pub fn chart(tuned: &Tuned) -> String {
    let mut series: Vec<Series<'_>> = Vec::new();
    for model in Model::ALL {
        let of_model = tuned.settings.iter().filter(|setting| setting.model == model);
        let points: Vec<(f64, f64)> =
            of_model.map(|s| (100.0 * s.chosen_on.cost, 100.0 * s.chosen_on.coverage)).collect();
        if !points.is_empty() {
            series.push(Series { name: model.name(), style: Style::Points, points });
        }
    }
    let frontier = tuned.settings.iter().filter(|setting| setting.is_on_frontier);
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

//! A tuned backtest as a table and a chart.

use std::fmt::Write;

use super::{Recommendation, Score, Setting, Tuned};
use crate::backtest::model::Model;
use crate::plot::{Axes, Axis, Panel, Scale, Series, Style, panels};

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

/// Coverage against cost and against calm, two panels for each horizon: a colour for each model, the frontier
/// and the recommended setting before the held-back part, and what became of it in that.
pub fn chart(tuned: &Tuned) -> String {
    let cost: fn(&Score) -> f64 = |score| 100.0 * score.cost;
    let rise: fn(&Score) -> f64 = |score| 100.0 * score.rise;
    let mut views = Vec::new();
    for recommendation in &tuned.recommendations {
        let steps = match recommendation.horizon {
            1 => "1 step ahead".to_owned(),
            steps => format!("{steps} steps ahead"),
        };
        let title = format!("{}, {steps}, before {}", tuned.name, tuned.held_back_from);
        for (what, label, of, scale) in [
            ("coverage and cost", "mean margin, % of gross exposure", cost, Scale::Linear),
            ("coverage and calm", "largest rise of the margin within 5 days, %", rise, Scale::Log),
        ] {
            let x = Axis { label, scale };
            views.push(View { title: format!("{title}: {what}"), x, of, recommendation });
        }
    }
    panels(&views.iter().map(|view| view.panel(tuned)).collect::<Vec<_>>())
}

/// What a panel shows along its x axis, for one horizon.
struct View<'a> {
    title: String,
    x: Axis<'static>,
    of: fn(&Score) -> f64,
    recommendation: &'a Recommendation,
}

impl View<'_> {
    fn panel<'a>(&'a self, tuned: &Tuned) -> Panel<'a> {
        let y = Axis { label: "days covered, %", scale: Scale::Linear };
        Panel { axes: Axes { title: &self.title, x: self.x, y }, series: self.series(tuned) }
    }

    fn series<'a>(&self, tuned: &Tuned) -> Vec<Series<'a>> {
        let Self { of, recommendation, .. } = self;
        let settings = || tuned.settings.iter().filter(|setting| setting.horizon == recommendation.horizon);
        let point = |score: &Score| (of(score), 100.0 * score.coverage);
        let mut all: Vec<Series<'_>> = Vec::new();
        for model in Model::ALL {
            let of_model = settings().filter(|setting| setting.model == model);
            let points: Vec<_> = of_model.map(|setting| point(&setting.chosen_on)).collect();
            if !points.is_empty() {
                all.push(Series { name: model.name(), style: Style::Points, points });
            }
        }
        let frontier = settings().filter(|setting| setting.is_on_frontier);
        let points = frontier.map(|setting| point(&setting.chosen_on)).collect();
        all.push(Series { name: "frontier of coverage, cost and calm", style: Style::Rings, points });
        if let Some(best) = recommendation.setting.map(|index| &tuned.settings[index]) {
            let since = point(&best.held_back);
            all.push(Series {
                name: "recommended",
                style: Style::Targets,
                points: vec![point(&best.chosen_on)],
            });
            all.push(Series { name: "the same, days held back", style: Style::Crosses, points: vec![since] });
        }
        all
    }
}

//! Margins walked through the shipped histories.

use super::{Block, Options, percent, table};
use crate::backtest::model::Model;
use crate::backtest::statistics::Zone;
use crate::backtest::summary::{SIGNIFICANCE, Summary};
use crate::backtest::{self, Outcome};

/// Models of the short form: the plainest, and the one that follows volatility.
const QUICK: [Model; 2] = [Model::Historical, Model::EwmaFhs];

pub(super) fn backtest(options: &Options, file: &str) -> Result<Vec<Block>, String> {
    let mut backtest = backtest::read(&options.scenarios.join(file)).map_err(|faults| faults.to_string())?;
    if options.effort.is_quick {
        backtest.models.retain(|model| QUICK.contains(model));
    }
    let outcome = backtest::run(&backtest, &mut |_, _| ());
    let first = outcome.summaries.first().ok_or("no book has a day")?;
    let text = format!(
        "{} of the next step from the {} steps before it, which are all that a forecast sees; {} to {} for `{}`. These are results \
         about models, not about the program: a rejection here tells which model not to use. Losses per unit of exposure; p-values \
         below {} are in bold.",
        format_args!("Expected Shortfall at {}", percent(outcome.confidence, 1)),
        outcome.lookback,
        first.span.0,
        first.span.1,
        first.book,
        percent(SIGNIFICANCE, 0)
    );
    let mut blocks = vec![Block::Text(text), rejections(&outcome), books(&outcome)];
    if let Some(crises) = crises(&outcome, &first.book) {
        blocks.push(Block::Text(format!(
            "Crises of `{}`: the margin set the day before the worst day, against the loss of that day. In bold where the margin \
             was less.",
            first.book
        )));
        blocks.push(crises);
    }
    Ok(blocks)
}

/// For how many books each model is rejected.
fn rejections(outcome: &Outcome) -> Block {
    let mut models: Vec<Model> = Vec::new();
    for summary in &outcome.summaries {
        if !models.contains(&summary.model) {
            models.push(summary.model);
        }
    }
    let rows = models.into_iter().map(|model| {
        let of = || outcome.summaries.iter().filter(|s| s.model == model);
        let rejected = |p: &dyn Fn(&Summary) -> f64| of().filter(|s| p(s) < SIGNIFICANCE).count().to_string();
        let zone = |zone| of().filter(|s| s.traffic_light.zone == zone).count();
        let mean = |f: &dyn Fn(&Summary) -> f64| of().map(f).sum::<f64>() / of().count() as f64;
        [
            model.name().to_owned(),
            of().count().to_string(),
            rejected(&|s| s.kupiec.p_value),
            rejected(&|s| s.christoffersen.independence.p_value),
            rejected(&|s| s.christoffersen.conditional_coverage.p_value),
            rejected(&|s| s.shortfall.z2_p_value),
            format!("{}, {}, {}", zone(Zone::Green), zone(Zone::Yellow), zone(Zone::Red)),
            percent(mean(&|s| s.coverage), 2),
            percent(mean(&|s| s.mean_margin), 1),
        ]
    });
    let head = [
        "model",
        "books",
        "Kupiec rejects",
        "independence rejects",
        "conditional coverage rejects",
        "Acerbi-Szekely Z2 rejects",
        "green, yellow, red",
        "mean coverage",
        "mean cost",
    ];
    table(head, rows.collect())
}

fn books(outcome: &Outcome) -> Block {
    let p = |p: f64| {
        let shown = if p < 0.001 { "< 0.001".to_owned() } else { format!("{p:.3}") };
        if p < SIGNIFICANCE { format!("**{shown}**") } else { shown }
    };
    let rows = outcome.summaries.iter().map(|s| {
        let es = &s.shortfall;
        let z2 = format!("{:.2} ({:.2})", es.scores.z2, es.z2_critical);
        let z1 = es.scores.z1.map_or("-".to_owned(), |z1| format!("{z1:.2} ({:.2})", es.z1_critical));
        [
            s.book.clone(),
            s.model.name().to_owned(),
            s.observations.to_string(),
            format!("{} ({:.1})", s.exceptions, s.expected_exceptions),
            p(s.kupiec.p_value),
            p(s.christoffersen.independence.p_value),
            p(s.christoffersen.conditional_coverage.p_value),
            format!("{:?}", s.traffic_light.zone).to_lowercase(),
            z1,
            if es.z2_p_value < SIGNIFICANCE { format!("**{z2}**") } else { z2 },
            es.ratio.map_or("-".to_owned(), |ratio| format!("{ratio:.2}")),
            percent(s.coverage, 2),
            percent(s.mean_margin, 1),
            s.procyclicality.peak_to_trough.map_or("-".to_owned(), |x| format!("{x:.1}")),
            s.procyclicality.largest_rise.map_or("-".to_owned(), |x| format!("{:+.0} %", 100.0 * x)),
        ]
    });
    let head = [
        "book",
        "model",
        "days",
        "exceptions (expected)",
        "Kupiec",
        "independence",
        "conditional coverage",
        "light",
        "Z1 (critical)",
        "Z2 (critical)",
        "loss over ES on exceptions",
        "coverage",
        "cost",
        "highest over lowest",
        "largest rise, five days",
    ];
    table(head, rows.collect())
}

/// A row for each crisis, a column for each model.
fn crises(outcome: &Outcome, book: &str) -> Option<Block> {
    let lines: Vec<_> = outcome.crises.iter().filter(|line| line.book == book).collect();
    let first = lines.first()?;
    let models: Vec<&str> =
        lines.iter().filter(|line| line.crisis == first.crisis).map(|line| line.model.name()).collect();
    let head = ["crisis", "worst day", "loss"].into_iter().chain(models).map(str::to_owned).collect();
    let rows = lines.chunk_by(|a, b| a.crisis == b.crisis).map(|of| {
        let margin = |line: &&_| {
            let line: &&crate::backtest::summary::CrisisLine = line;
            let shown = percent(line.margin, 1);
            if line.loss > line.margin { format!("**{shown}**") } else { shown }
        };
        let known = [of[0].crisis.clone(), of[0].date.to_string(), percent(of[0].loss, 1)];
        known.into_iter().chain(of.iter().map(margin)).collect()
    });
    Some(Block::Table(head, rows.collect()))
}

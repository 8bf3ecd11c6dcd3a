//! A backtest as text, tables and charts.

use std::fmt::Write;

use super::Outcome;
use super::statistics::Zone;
use super::summary::{CrisisLine, Summary};
use super::walk::Track;
use crate::plot::{Axes, Axis, Scale, Series, Style, xy};

/// A p-value below this is marked as a rejection.
const REJECTED: f64 = 0.05;

/// The summary, and the crises of one book (the first unless named).
pub fn text(outcome: &Outcome, book: Option<&str>) -> String {
    let level = 100.0 * outcome.confidence;
    let mut text = format!(
        "{}: ES {level}% of the next {} from the {} before, losses per unit of exposure\n",
        outcome.name,
        horizons(outcome),
        outcome.lookback
    );
    for note in &outcome.notes {
        let _ = writeln!(text, "note: {note}");
    }
    for none in &outcome.empty {
        let _ = writeln!(text, "note: no day of {none}: the lookback is longer than its history");
    }
    for of_book in outcome.summaries.chunk_by(|a, b| (&a.book, a.horizon) == (&b.book, b.horizon)) {
        book_table(&mut text, of_book);
    }
    text.push_str("\n* rejected at 5 %. Exceptions: losses above VaR (expected). Z2: Acerbi-Szekely, negative where ES is too low, with the value\n  that a right model falls below in 5 % of histories. L/ES: mean loss over ES on the days of exceptions, 1 if right;\n  it is 1 less Acerbi-Szekely's Z1.\n  Coverage: days whose loss the margin covered. Cost: mean margin over gross exposure. Calm: highest margin over lowest, and\n  largest rise within five days.\n");
    if outcome.summaries.iter().any(|s| s.horizon > 1) {
        text.push_str("  Over several steps the tests look at every horizon's first day, so that no two losses overlap; coverage, cost and calm\n  at all days.\n");
    }
    if let Some(book) = book.or(outcome.summaries.first().map(|s| s.book.as_str())) {
        crisis_table(&mut text, book, &outcome.crises);
    }
    text
}

fn book_table(text: &mut String, of_book: &[Summary]) {
    let Some(first) = of_book.first() else { return };
    let _ = write!(text, "\n{}, ", first.book);
    if first.horizon > 1 {
        let _ = write!(text, "{} steps ahead, ", first.horizon);
    }
    let _ = write!(text, "{} to {}, {} days", first.span.0, first.span.1, first.days);
    if first.horizon > 1 {
        let _ = write!(text, ", {} of them apart", first.observations);
    }
    text.push('\n');
    let _ = writeln!(
        text,
        "  {:12}  {:>11}  {:>7}  {:>7}  {:>7}  {:6}  {:>15}  {:>5}  {:>8}  {:>7}  {:>6}  {:>7}",
        "model",
        "exceptions",
        "Kupiec",
        "indep.",
        "both",
        "light",
        "Z2 (critical)",
        "L/ES",
        "coverage",
        "cost",
        "calm",
        "rise 5d"
    );
    for s in of_book {
        let light = match s.traffic_light.zone {
            Zone::Green => "green",
            Zone::Yellow => "yellow",
            Zone::Red => "red",
        };
        let shortfall = &s.shortfall;
        let z2 = format!(
            "{:.2}{} ({:.2})",
            shortfall.scores.z2,
            star(shortfall.z2_p_value),
            shortfall.z2_critical
        );
        let ratio =
            shortfall.ratio.zip(shortfall.z1_p_value).map(|(ratio, p)| format!("{ratio:.2}{}", star(p)));
        let measures = &s.procyclicality;
        let _ = writeln!(
            text,
            "  {:12}  {:>11}  {:>7}  {:>7}  {:>7}  {light:6}  {z2:>15}  {:>5}  {:>6.2} %  {:>5.1} %  {:>6}  {:>7}",
            s.model.name(),
            format!("{} ({:.1})", s.exceptions, s.expected_exceptions),
            p_value(s.kupiec.p_value),
            p_value(s.christoffersen.independence.p_value),
            p_value(s.christoffersen.conditional_coverage.p_value),
            ratio.as_deref().unwrap_or("-"),
            100.0 * s.coverage,
            100.0 * s.mean_margin,
            measures.peak_to_trough.map_or("-".to_owned(), |x| format!("{x:.1}")),
            measures.largest_rise.map_or("-".to_owned(), |x| format!("{:+.0} %", 100.0 * x)),
        );
    }
    for (model, error) in of_book.iter().filter_map(|s| Some((s.model, s.relative_error?))) {
        let _ =
            writeln!(text, "  standard error of a day's ES under {}: {:.1} %", model.name(), 100.0 * error);
    }
}

/// `step`, or `1, 2 and 5 steps`.
fn horizons(outcome: &Outcome) -> String {
    match outcome.horizons.as_slice() {
        [1] => "step".to_owned(),
        [one] => format!("{one} steps"),
        [first @ .., last] => {
            let first: Vec<String> = first.iter().map(usize::to_string).collect();
            format!("{} and {last} steps", first.join(", "))
        }
        [] => String::new(),
    }
}

fn p_value(p: f64) -> String {
    let star = star(p);
    if p < 0.001 { format!("<0.001{star}") } else { format!("{p:.3}{star}") }
}

fn star(p: f64) -> &'static str {
    if p < REJECTED { "*" } else { " " }
}

fn crisis_table(text: &mut String, book: &str, crises: &[CrisisLine]) {
    let lines: Vec<&CrisisLine> = crises.iter().filter(|line| line.book == book).collect();
    if lines.is_empty() {
        return;
    }
    let _ = writeln!(
        text,
        "\n{book} in crises: the worst day (the first of several) against the margin set the day before"
    );
    let _ = writeln!(
        text,
        "  {:16}  {:>5}  {:12}  {:10}  {:>8}  {:>8}  {:>8}  {:>11}  {:>11}",
        "crisis", "steps", "model", "worst day", "margin", "loss", "covered", "eve margin", "peak margin"
    );
    for line in lines {
        let _ = writeln!(
            text,
            "  {:16}  {:>5}  {:12}  {:10}  {:>6.1} %  {:>6.1} %  {:>8}  {:>9.1} %  {:>9.1} %",
            line.crisis,
            line.horizon,
            line.model.name(),
            line.date.to_string(),
            100.0 * line.margin,
            100.0 * line.loss,
            if line.loss <= line.margin { "yes" } else { "no" },
            100.0 * line.eve_margin,
            100.0 * line.peak_margin,
        );
    }
}

/// Every day of every track as CSV.
pub fn daily_csv(tracks: &[Track]) -> String {
    let mut text =
        "date,book,horizon,model,value_at_risk,expected_shortfall,standard_error,margin,loss\n".to_owned();
    for track in tracks {
        for day in &track.days {
            let _ = writeln!(
                text,
                "{},{},{},{},{},{},{},{},{}",
                day.date,
                quoted(&track.book),
                track.horizon,
                track.model.name(),
                day.value_at_risk,
                day.expected_shortfall,
                day.standard_error.map_or_else(String::new, |error| error.to_string()),
                day.margin,
                day.loss
            );
        }
    }
    text
}

/// A name as a CSV cell.
fn quoted(name: &str) -> String {
    if name.contains([',', '"', '\n']) {
        format!("\"{}\"", name.replace('"', "\"\""))
    } else {
        name.to_owned()
    }
}

/// Margin against loss of one book over one horizon, a line for each model.
pub fn chart(outcome: &Outcome, book: &str, horizon: usize) -> String {
    let is_shown = |track: &&Track| track.book == book && track.horizon == horizon;
    let of_book: Vec<&Track> = outcome.tracks.iter().filter(is_shown).collect();
    let seconds = |date: jiff::civil::Date| {
        date.to_zoned(jiff::tz::TimeZone::UTC).map_or(f64::NAN, |at| at.timestamp().as_second() as f64)
    };
    let mut series: Vec<Series<'_>> = of_book
        .iter()
        .map(|track| Series {
            name: track.model.name(),
            style: Style::Line,
            points: track.days.iter().map(|day| (seconds(day.date), 100.0 * day.margin)).collect(),
        })
        .collect();
    let losses = of_book.first().map(|track| {
        track
            .days
            .iter()
            .filter(|day| day.loss > 0.0)
            .map(|day| (seconds(day.date), 100.0 * day.loss))
            .collect()
    });
    series.push(Series { name: "loss", style: Style::Points, points: losses.unwrap_or_default() });
    let steps = if horizon > 1 { format!(" in {horizon} steps") } else { String::new() };
    let title = format!("{book}: margin and what then happened{steps}");
    let axes = Axes {
        title: &title,
        x: Axis { label: "", scale: Scale::Date },
        y: Axis { label: "% of exposure", scale: Scale::Linear },
    };
    xy(&axes, &series, &[])
}

/// The name of a book's chart: its letters and digits, and the horizon if it is longer than a step.
pub fn chart_file(book: &str, horizon: usize) -> String {
    let plain: String = book.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    let steps = if horizon > 1 { format!("_{horizon}_steps") } else { String::new() };
    format!("margin_{plain}{steps}.svg")
}

//! `shortfall procyclicality`: what the anti-procyclicality tools do to a history of margins.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;
use shortfall::margin::history;
use shortfall::margin::procyclicality::{BufferRule, BufferState, Day, Measures, Tools};
use shortfall::units;

use super::exit::{Failure, exit_codes};
use super::output;

/// Apply the anti-procyclicality tools of EMIR RTS 153/2013, article 28, to margins over time
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct Arguments {
    /// A table date,margin[,stressed_margin][,lookback_margin] of ascending days: .csv, .json or .parquet
    pub margins: PathBuf,
    /// Size of the full buffer, as a part of the margin
    #[arg(long, value_name = "FRACTION", default_value = "25%", value_parser = part)]
    pub buffer: f64,
    /// Margin over its reference at which the buffer begins to be used up
    #[arg(long, value_name = "RATIO", default_value = "1", value_parser = ratio)]
    pub run_off_from: f64,
    /// Margin over its reference at which the buffer is used up
    #[arg(long, value_name = "RATIO", default_value = "1.25", value_parser = ratio)]
    pub run_off_to: f64,
    /// Days in which a change of margins counts half in the reference
    #[arg(long, value_name = "DAYS", default_value = "60", value_parser = days)]
    pub half_life: f64,
    /// Most of the buffer that is filled again in a day
    #[arg(long, value_name = "FRACTION", default_value = "5%", value_parser = part)]
    pub refill: f64,
    /// Weight of stressed observations
    #[arg(long, value_name = "FRACTION", default_value = "25%", value_parser = part)]
    pub stressed_weight: f64,
    /// Days over which the largest rise is looked for
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub within: u32,
    /// State of the buffer after the day before the first, as --save-state wrote it
    #[arg(long, value_name = "FILE")]
    pub state: Option<PathBuf>,
    /// Write the state of the buffer after the last day, for tomorrow
    #[arg(long, value_name = "FILE")]
    pub save_state: Option<PathBuf>,
    /// Print the result as JSON, the margins of every day under every tool included
    #[arg(long)]
    pub json: bool,
}

const AFTER_HELP: &str = concat!(
    "\
Examples:
  shortfall procyclicality margins.csv
  shortfall procyclicality today.csv --state buffer.json --save-state buffer.json

The state's `level` is what margin.anti_procyclicality.buffer.level in a scenario stands for.
docs/procyclicality.md has the formulas.

",
    exit_codes!()
);

fn between(text: &str, low: f64, high: f64) -> Result<f64, String> {
    units::fraction(text)
        .filter(|x| (low..=high).contains(x))
        .ok_or_else(|| format!("expected a number from {low} to {high}"))
}

fn part(text: &str) -> Result<f64, String> {
    between(text, 0.0, 1.0)
}

fn ratio(text: &str) -> Result<f64, String> {
    between(text, 0.0, 1000.0)
}

fn days(text: &str) -> Result<f64, String> {
    between(text, 0.01, 100_000.0)
}

/// What `--json` prints.
#[derive(Serialize)]
struct Document {
    schema: &'static str,
    schema_version: u32,
    within_days: u32,
    buffer: BufferRule,
    stressed_weight: f64,
    treatments: Vec<Treatment>,
    state: Option<BufferState>,
}

/// A history under some tools.
#[derive(Serialize)]
struct Treatment {
    name: &'static str,
    #[serde(flatten)]
    measures: Measures,
    margins: Vec<Charged>,
}

#[derive(Serialize)]
struct Charged {
    date: String,
    margin: f64,
}

/// Applies every tool by itself, and all of them together.
pub fn procyclicality(arguments: &Arguments) -> Result<(), Failure> {
    if !(arguments.run_off_to > arguments.run_off_from) {
        return Err(Failure::Usage("--run-off-to must be above --run-off-from".to_owned()));
    }
    let history = history::read(&arguments.margins)?;
    let start = arguments.state.as_deref().map(read_state).transpose()?;
    if let (Some(state), Some(first)) =
        (&start, history.first().filter(|day| start.is_some_and(|s| s.date >= day.date)))
    {
        return Err(Failure::Data(format!(
            "the state is of {}, and the history begins on {}: it has to begin after it",
            state.date, first.date
        )));
    }
    let document = treat(arguments, &history, start);
    if let (Some(path), Some(state)) = (&arguments.save_state, &document.state) {
        write_state(path, state)?;
    }
    if arguments.json {
        let text = serde_json::to_string_pretty(&document).expect("plain fields become JSON");
        return output::print(&format!("{text}\n"));
    }
    output::print(&table(&document, &history))
}

fn treat(arguments: &Arguments, history: &[Day], start: Option<BufferState>) -> Document {
    let buffer = BufferRule {
        fraction: arguments.buffer,
        run_off_from: arguments.run_off_from,
        run_off_to: arguments.run_off_to,
        half_life_days: arguments.half_life,
        refill_per_day: arguments.refill,
    };
    let weight = arguments.stressed_weight;
    let none = Tools::default();
    let has_stressed = history.iter().any(|day| day.stressed.is_some());
    let has_lookback = history.iter().any(|day| day.lookback.is_some());
    let mut tools = vec![("none", none), ("buffer", Tools { buffer: Some(buffer), ..none })];
    if has_stressed {
        tools.push(("stressed_weight", Tools { stressed_weight: Some(weight), ..none }));
    }
    if has_lookback {
        tools.push(("lookback_floor", Tools { floor: true, ..none }));
    }
    tools.push(("all", Tools { buffer: Some(buffer), stressed_weight: Some(weight), floor: true }));
    let mut state = None;
    let treatment = |(name, tools): (&'static str, Tools)| {
        let (charged, after) = tools.apply(history, start);
        state = after;
        let margins = history.iter().zip(&charged);
        Treatment {
            name,
            measures: Measures::of(&charged, arguments.within as usize),
            margins: margins.map(|(day, &margin)| Charged { date: day.date.to_string(), margin }).collect(),
        }
    };
    Document {
        schema: "shortfall.procyclicality",
        schema_version: 1,
        within_days: arguments.within,
        buffer,
        stressed_weight: weight,
        treatments: tools.into_iter().map(treatment).collect(),
        state,
    }
}

fn table(document: &Document, history: &[Day]) -> String {
    let ratio = |x: Option<f64>| x.map_or("–".to_owned(), |x| format!("{x:.3}"));
    let percent = |x: Option<f64>| x.map_or("–".to_owned(), |x| format!("{:.1} %", 100.0 * x));
    let mut text = format!(
        "{} days from {} to {}; largest rise and call within {} days\n  {:<16} {:>15} {:>15} {:>13} {:>15} {:>13}\n",
        history.len(),
        history.first().map_or_else(String::new, |day| day.date.to_string()),
        history.last().map_or_else(String::new, |day| day.date.to_string()),
        document.within_days,
        "tool",
        "mean margin",
        "peak to trough",
        "largest rise",
        "largest call",
        "daily change",
    );
    for treatment in &document.treatments {
        let m = &treatment.measures;
        text.push_str(&format!(
            "  {:<16} {:>15.2} {:>15} {:>13} {:>15.2} {:>13}\n",
            treatment.name.replace('_', " "),
            m.mean,
            ratio(m.peak_to_trough),
            percent(m.largest_rise),
            m.largest_call,
            percent(m.deviation),
        ));
    }
    if let Some(state) = &document.state {
        text.push_str(&format!(
            "after {}: {:.1} % of the buffer stands (level {:.4}), reference {:.2}\n",
            state.date,
            100.0 * state.level,
            state.level,
            state.reference
        ));
    }
    text
}

fn read_state(path: &Path) -> Result<BufferState, Failure> {
    let wrong = |what: String| Failure::Data(format!("{}: {what}", path.display()));
    let text = fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
    let state: BufferState = serde_json::from_str(&text).map_err(|error| {
        wrong(format!("{error}; expected what --save-state writes: date, reference, level"))
    })?;
    let right = state.reference >= 0.0 && state.reference.is_finite() && (0.0..=1.0).contains(&state.level);
    right
        .then_some(state)
        .ok_or_else(|| wrong("a reference of at least 0 and a level from 0 to 1 expected".to_owned()))
}

/// Writes beside and renames: a state is whole or not there.
fn write_state(path: &Path, state: &BufferState) -> Result<(), Failure> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let text = serde_json::to_string_pretty(state).expect("plain fields become JSON");
    fs::write(&beside, format!("{text}\n"))
        .and_then(|()| fs::rename(&beside, path))
        .map_err(|error| Failure::Io(format!("{}: {error}", path.display())))
}

//! The validation pack: what a team that validates models asks for (SR 11-7), every figure of it
//! computed when it is made.
//!
//! A section is text, tables, charts and [`Check`]s. A section that cannot be made is a check that
//! missed, with the reason: nothing is left out in silence.

mod backtests;
mod data;
mod document;
mod errors;
mod eve;
mod invariance;
mod monitoring;
mod option_prices;
mod recovery;
mod sensitivity;
mod shortfalls;
mod words;

pub use document::{Made, markdown};

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{Check, Subject, Verdict, scenario};
use crate::engine::Engine;
use crate::scenario::{Precision, Scenario};

/// What the pack is made of.
#[derive(Clone, Debug)]
pub struct Options {
    /// The folder of shipped scenarios and histories.
    pub scenarios: PathBuf,
    /// A folder with `equity/dem2gbp_bollerslev_ghysels.csv`, the series of the GARCH benchmark.
    pub data: Option<PathBuf>,
    /// How much to simulate.
    pub effort: Effort,
}

/// How much to simulate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Effort {
    /// Whether it is the short form: fewer paths, seeds and models of backtests.
    pub is_quick: bool,
    /// Paths for each group of options of a price table.
    pub price_paths: u64,
    /// Paths of books whose Expected Shortfall is known.
    pub book_paths: u64,
    /// Runs with seeds of their own, of which so many have to cover the truth.
    pub seeds: u64,
    /// Runs for each number of paths whose errors are to fall like its root.
    pub rate_seeds: u64,
    /// Paths of the books of scenarios.
    pub scenario_paths: u64,
}

impl Effort {
    /// Everything: minutes.
    pub const FULL: Self = Self {
        is_quick: false,
        price_paths: 1 << 20,
        book_paths: 500_032,
        seeds: 1_000,
        rate_seeds: 400,
        scenario_paths: 65_536,
    };
    /// The short form.
    pub const QUICK: Self = Self {
        is_quick: true,
        price_paths: 1 << 17,
        book_paths: 100_032,
        seeds: 200,
        rate_seeds: 100,
        scenario_paths: 16_384,
    };
}

/// One section.
#[derive(Clone, Debug, Serialize)]
pub struct Section {
    /// Its title.
    pub title: &'static str,
    /// What it holds, in order.
    pub blocks: Vec<Block>,
}

/// A part of a section.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Block {
    /// Paragraphs.
    Text(String),
    /// A table: the head, and rows as wide.
    Table(Vec<String>, Vec<Vec<String>>),
    /// Comparisons with bounds.
    Checks(Vec<Check>),
    /// A chart: its file's name, what it shows, and the SVG.
    Chart {
        /// Name of the file.
        file: &'static str,
        /// What it shows.
        caption: String,
        /// The chart.
        #[serde(skip)]
        svg: String,
    },
}

/// The pack.
#[derive(Clone, Debug, Serialize)]
pub struct Pack {
    /// In the order of the document.
    pub sections: Vec<Section>,
    /// How much was simulated.
    pub effort: Effort,
}

impl Pack {
    /// All comparisons.
    pub fn checks(&self) -> impl Iterator<Item = &Check> {
        self.sections.iter().flat_map(Section::checks)
    }

    /// How many missed their bounds.
    pub fn missed(&self) -> usize {
        self.checks().filter(|check| check.verdict == Verdict::Miss).count()
    }
}

impl Section {
    /// Its comparisons.
    pub fn checks(&self) -> impl Iterator<Item = &Check> {
        self.blocks.iter().flat_map(|block| match block {
            Block::Checks(checks) => checks.as_slice(),
            _ => &[],
        })
    }

    /// The section, or a check that missed with the reason.
    fn of(title: &'static str, blocks: Result<Vec<Block>, String>) -> Self {
        let blocks = blocks.unwrap_or_else(|why| vec![Block::Checks(vec![Check::failed(title, why)])]);
        Self { title, blocks }
    }
}

/// The GPU to compare, or why there is none.
pub type Gpu<'a> = Result<&'a mut dyn Engine, String>;
type Make = fn(&Options, &mut Gpu<'_>) -> Result<Vec<Block>, String>;

/// Titles of the sections in the order of the document, and what makes them.
const SECTIONS: [(&str, Make); 17] = [
    ("Purpose and scope", |options, _| words::scope(&options.scenarios)),
    ("Assumptions", |_, _| Ok(words::assumptions())),
    ("Data and its quality", |options, _| data::data(&options.scenarios)),
    ("Conceptual soundness", |options, _| data::soundness(&options.scenarios, options.effort)),
    ("Option prices against closed forms and published tables", |options, _| {
        option_prices::prices(options.effort)
    }),
    ("Expected Shortfall against exact values", |options, _| shortfalls::shortfalls(options.effort)),
    ("Engines against each other", |options, gpu| engines(&quickstart(options)?, gpu)),
    ("Standard errors and convergence", |options, _| errors::errors(options.effort)),
    ("Independence of tiles and shards", |options, _| invariance::invariance(&quickstart(options)?)),
    ("Calibration: parameters found again", |options, _| recovery::recovery(options.data.as_deref())),
    ("Backtest on crypto", |options, _| backtests::backtest(options, "backtest.yaml")),
    ("Backtest on the S&P 500", |options, _| backtests::backtest(options, "backtest_sp500.yaml")),
    ("Option books on a real chain", |options, _| eve::eve(&options.scenarios, options.effort)),
    ("Sensitivity of margins to parameters", |options, _| sensitivity::sensitivity(&quickstart(options)?)),
    ("Limits", |_, _| Ok(words::limits())),
    ("Monitoring and thresholds", |options, _| monitoring::monitoring(&options.scenarios)),
    ("Inputs", |options, _| data::inputs(options)),
];

/// Titles of the sections in the order of the document.
pub fn titles() -> impl ExactSizeIterator<Item = &'static str> {
    SECTIONS.iter().map(|(title, _)| *title)
}

/// Makes the pack. `gpu` is compared with the CPU, or the reason why there is none; `monitor` hears
/// what is being done.
pub fn make(options: &Options, mut gpu: Gpu<'_>, monitor: &mut dyn FnMut(&str)) -> Pack {
    let sections = SECTIONS.iter().map(|(title, make)| {
        monitor(title);
        Section::of(title, make(options, &mut gpu))
    });
    Pack { sections: sections.collect(), effort: options.effort }
}

/// One section by its title, without a GPU.
pub fn section(title: &str, options: &Options) -> Option<Section> {
    let (title, make) = SECTIONS.iter().find(|(known, _)| *known == title)?;
    Some(Section::of(title, make(options, &mut Err("none was asked for".to_owned()))))
}

fn quickstart(options: &Options) -> Result<Scenario, String> {
    read_scenario(&options.scenarios.join("quickstart.yaml"), options.effort)
}

fn read_scenario(path: &Path, effort: Effort) -> Result<Scenario, String> {
    let mut read = crate::scenario::read(path).map_err(|faults| faults.to_string())?;
    read.simulation.paths = effort.scenario_paths;
    read.simulation.precision = Precision::F32;
    Ok(read)
}

fn engines(quickstart: &Scenario, gpu: &mut Gpu<'_>) -> Result<Vec<Block>, String> {
    let gpu: Gpu<'_> = match gpu {
        Ok(gpu) => Ok(&mut **gpu),
        Err(why) => Err(why.clone()),
    };
    let adapter = gpu.as_ref().map_or_else(|_| "none".to_owned(), |gpu| gpu.device().name);
    let text = format!(
        "Base case of `{}`, {} paths of every account; adapter: {adapter}. GPU against CPU in f32 must agree in every bit, f32 \
         against f64 within bounds that follow the roundings of each operation.",
        quickstart.name, quickstart.simulation.paths
    );
    let checks = scenario::validate(Subject { scenario: quickstart, gpu }, &mut |_| ());
    Ok(vec![Block::Text(text), Block::Checks(checks.map_err(|fault| fault.to_string())?)])
}

/// A table from anything that can be shown.
fn table<const N: usize>(head: [&str; N], rows: Vec<[String; N]>) -> Block {
    Block::Table(head.map(str::to_owned).to_vec(), rows.into_iter().map(Vec::from).collect())
}

/// A reference table shipped with the program, each row through `read`.
fn reference<T>(
    file: &str,
    text: &str,
    read: impl FnMut(&crate::table::Row<'_>) -> Option<T>,
) -> Result<Vec<T>, String> {
    let table = crate::table::Table::from_csv(file, text).map_err(|faults| faults.to_string())?;
    let rows = table.rows_any(read).map_err(|faults| faults.to_string())?;
    if rows.is_empty() { Err(format!("{file}: no rows")) } else { Ok(rows) }
}

/// Any finite number of a reference table.
fn number(row: &crate::table::Row<'_>, column: &str) -> Option<f64> {
    row.number(column, "a number", |_| true)
}

/// The larger of two errors; a NaN is the largest, and stays.
fn worse(a: f64, b: f64) -> f64 {
    if a.is_nan() || b <= a { a } else { b }
}

/// Significant digits for a reader: `12.3 %`.
fn percent(x: f64, digits: usize) -> String {
    if x.is_finite() { format!("{:.digits$} %", 100.0 * x) } else { "-".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::worse;

    #[test]
    fn a_nan_is_the_worst_and_stays() {
        assert_eq!([0.5, 2.0, 1.0].into_iter().fold(0.0, worse), 2.0);
        for errors in [[f64::NAN, 0.1, 0.2], [0.1, f64::NAN, 0.2], [0.1, 0.2, f64::NAN]] {
            assert!(errors.into_iter().fold(0.0, worse).is_nan());
        }
    }
}

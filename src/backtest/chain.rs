//! Books margined once by the engine, and valued again at the marks of later snapshots.

use std::collections::HashMap;
use std::fmt::Write;
use std::path::Path;

use jiff::Timestamp;
use serde::Serialize;

use crate::engine::{Engine, EngineFault};
use crate::fault::Faults;
use crate::instrument::{Instrument, Kind, Settlement};
use crate::portfolio::Account;
use crate::run::{self, AccountCase, Monitor};
use crate::scenario::{self, Scenario, Selection};
use crate::table::Table;
use crate::yaml::{self, At, Document, Mapping};

/// Most later snapshots.
const MAX_SNAPSHOTS: usize = 20;

/// Margins of a scenario and marks of later snapshots.
#[derive(Clone, Debug)]
pub struct Revaluation {
    /// Its name.
    pub name: String,
    /// The scenario, its base case alone.
    pub scenario: Scenario,
    /// Later snapshots in the order of the file.
    pub snapshots: Vec<Snapshot>,
    /// Mark of each instrument at the scenario's instant and at each snapshot, US dollars.
    marks: HashMap<String, Vec<f64>>,
}

/// A later snapshot.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// When it was taken.
    pub time: Timestamp,
    /// The margin that its losses are held against.
    pub margin: MarginName,
}

/// One of the two margins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum MarginName {
    /// Maintenance margin.
    Maintenance,
    /// Initial margin.
    Initial,
}

/// What a revaluation found. Money in US dollars.
#[derive(Clone, Debug, Serialize)]
pub struct Revalued {
    /// Its name.
    pub name: String,
    /// When the margins were made.
    pub as_of: Timestamp,
    /// Paths of the margins.
    pub paths: u64,
    /// When the later snapshots were taken.
    pub times: Vec<Timestamp>,
    /// Books in the order of the portfolio.
    pub books: Vec<BookLine>,
    /// Books with an instrument that a snapshot does not quote.
    pub unquoted: Vec<String>,
}

/// One book.
#[derive(Clone, Debug, Serialize)]
pub struct BookLine {
    /// Name of the account.
    pub account: String,
    /// Whether it holds options.
    pub has_options: bool,
    /// What it lost by each snapshot, and the margin for it.
    pub losses: Vec<Loss>,
}

/// What a book lost by a snapshot; negative is a gain.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Loss {
    /// Which margin.
    pub margin_name: MarginName,
    /// The margin.
    pub margin: f64,
    /// The loss.
    pub loss: f64,
    /// Whether the margin covered it.
    pub covered: bool,
}

/// Whether a file is a revaluation: it has the key `marks`. A file that cannot be read is none.
pub fn is_revaluation(path: &Path) -> bool {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let Ok(node) = yaml::parse("", &text) else { return false };
    let document = Document::new("");
    let mut found = false;
    // The other keys are none that are asked for here, which is no fault of the file.
    let _ = At::root(&node, &document).mapping(|m| {
        found = m.optional("marks", |_| Some(())).flatten().is_some();
        Some(())
    });
    found
}

/// Reads and checks a file and what it names; all faults together.
pub fn read(path: &Path) -> Result<Revaluation, Faults> {
    yaml::read_file(path, "a readable revaluation, such as scenarios/backtest_options.yaml", read_revaluation)
}

fn read_revaluation(m: &Mapping<'_>, folder: &Path) -> Option<Revaluation> {
    let name = m.required("name", |at| at.text().map(str::to_owned));
    let scenario = m.required("scenario", |at| read_scenario(at, &folder.join(at.text()?)));
    let paths = m.optional("paths", |at| at.integer(1_000..=scenario::MAX_PATHS));
    let snapshots = m.required("snapshots", |at| {
        let list =
            at.list(|at| at.mapping(|m| read_snapshot(m, scenario.as_ref().map(|s| s.market.as_of))))?;
        if (1..=MAX_SNAPSHOTS).contains(&list.len()) {
            return Some(list);
        }
        at.fault(format!("1 to {MAX_SNAPSHOTS} snapshots"))
    });
    let marks = m.required("marks", |at| {
        let path = folder.join(at.text()?);
        let table = Table::read(&path);
        let marks = table.and_then(|table| read_marks(&table, snapshots.as_ref().map_or(0, Vec::len)));
        marks.map_err(|faults| at.document().append(faults)).ok()
    });
    let mut scenario = scenario?;
    scenario.simulation.paths = paths?.unwrap_or(scenario.simulation.paths);
    Some(Revaluation { name: name?, scenario, snapshots: snapshots?, marks: marks? })
}

fn read_scenario(at: At<'_>, path: &Path) -> Option<Scenario> {
    let mut scenario = scenario::read(path).map_err(|faults| at.document().append(faults)).ok()?;
    let cases = scenario.margin.add_ons.cases();
    if cases != [None, None] || scenario.reporting_asset.is_some() {
        return at.fault_found(
            "a scenario whose margins look at a stress, or that reports in coins",
            "one in US dollars without anti_procyclicality.stressed and .lookback",
        );
    }
    scenario.stresses.clear();
    scenario.attribution = Selection::None;
    Some(scenario)
}

fn read_snapshot(m: &Mapping<'_>, as_of: Option<Timestamp>) -> Option<Snapshot> {
    let time = m.required("time", |at| {
        let expected = "an instant after the scenario's, such as 2026-02-05T09:36:47Z";
        at.parsed(expected, |t| t.parse().ok().filter(|time| as_of.is_none_or(|as_of| *time > as_of)))
    });
    let margin = m.required("margin", |at| at.one_of(&["maintenance", "initial"]));
    let margin = if margin? == 0 { MarginName::Maintenance } else { MarginName::Initial };
    Some(Snapshot { time: time?, margin })
}

/// Columns `mark_0` (the scenario's instant), `mark_1` and so on, one for each snapshot.
fn read_marks(table: &Table, snapshots: usize) -> Result<HashMap<String, Vec<f64>>, Faults> {
    let columns: Vec<String> = (0..=snapshots).map(|k| format!("mark_{k}")).collect();
    let mut all = HashMap::new();
    table.rows_any(|row| {
        let name = row.text("instrument")?.to_owned();
        let mark = |column: &String| {
            row.number(column, "a mark in US dollars, at least 0", |x| (0.0..1e12).contains(&x))
        };
        let marks: Vec<f64> = columns.iter().map(mark).collect::<Option<_>>()?;
        match all.insert(name, marks) {
            None => Some(()),
            Some(_) => row.fault("instrument", "an instrument a second time", "each instrument once"),
        }
    })?;
    Ok(all)
}

/// Makes the margins and revalues the books.
///
/// # Errors
/// The device, or a market in which an instrument has no value.
pub fn run(
    revaluation: &Revaluation,
    engine: &mut dyn Engine,
    monitor: &mut dyn Monitor,
) -> Result<Revalued, EngineFault> {
    let scenario = &revaluation.scenario;
    let mut outcome = run::run(scenario, engine, monitor)?;
    let case = outcome.cases.swap_remove(0);
    let mut revalued = Revalued {
        name: revaluation.name.clone(),
        as_of: scenario.market.as_of,
        paths: case.paths,
        times: revaluation.snapshots.iter().map(|snapshot| snapshot.time).collect(),
        books: Vec::new(),
        unquoted: Vec::new(),
    };
    for case in &case.accounts.map_err(EngineFault::Device)? {
        let account = &scenario.portfolio.accounts[case.account];
        match revaluation.losses(account, case) {
            Some(losses) => revalued.books.push(BookLine {
                account: account.name.clone(),
                has_options: revaluation.held(account).any(|(i, _)| matches!(i.kind, Kind::Option(_))),
                losses,
            }),
            None => revalued.unquoted.push(account.name.clone()),
        }
    }
    Ok(revalued)
}

impl Revaluation {
    fn held<'a>(&'a self, account: &'a Account) -> impl Iterator<Item = (&'a Instrument, f64)> {
        let instruments = &self.scenario.portfolio.instruments;
        account.holdings.iter().map(|holding| (&instruments[holding.instrument as usize], holding.quantity))
    }

    /// `None` where an instrument has no mark.
    fn losses(&self, account: &Account, case: &AccountCase) -> Option<Vec<Loss>> {
        let loss = |(index, snapshot): (usize, &Snapshot)| {
            let gains = self.held(account).map(|(i, quantity)| Some(quantity * self.gain(i, index + 1)?));
            let loss = -gains.sum::<Option<f64>>()?;
            let margin = match snapshot.margin {
                MarginName::Maintenance => case.margin.maintenance_margin,
                MarginName::Initial => case.margin.initial_margin,
            };
            Some(Loss { margin_name: snapshot.margin, margin, loss, covered: loss <= margin })
        };
        self.snapshots.iter().enumerate().map(loss).collect()
    }

    /// What one unit gains from the scenario's instant to a snapshot, US dollars. Inverse futures pay in
    /// coins, which are worth the index of the snapshot.
    fn gain(&self, instrument: &Instrument, snapshot: usize) -> Option<f64> {
        let marks = self.marks.get(&instrument.name)?;
        let (before, after) = (marks[0], marks[snapshot]);
        Some(match instrument.kind {
            Kind::Perpetual(Settlement::Inverse) | Kind::Future(Settlement::Inverse, _) => {
                let asset = &self.scenario.market.assets[instrument.asset].name;
                (1.0 / before - 1.0 / after) * self.marks.get(asset)?[snapshot]
            }
            _ => after - before,
        })
    }
}

/// A line for each book, those with options first, and how many were covered.
pub fn text(revalued: &Revalued) -> String {
    let mut text = format!(
        "{}: margins of {} on {} paths against what books lost later, in USD\n\n",
        revalued.name, revalued.as_of, revalued.paths
    );
    let _ = write!(text, "  {:20}", "book");
    for time in &revalued.times {
        let _ = write!(text, "  {:>46}", format!("by {time}"));
    }
    text.push('\n');
    let (options, others): (Vec<&BookLine>, Vec<&BookLine>) =
        revalued.books.iter().partition(|b| b.has_options);
    for book in options.iter().chain(&others) {
        let _ = write!(text, "  {:20}", book.account);
        for Loss { margin_name, margin, loss, covered } in &book.losses {
            let name = if *margin_name == MarginName::Maintenance { "maintenance" } else { "initial" };
            let verdict = if *covered { "" } else { "short" };
            let _ = write!(text, "  {name:>11} {margin:>11.0}  loss {loss:>10.0} {verdict:5}");
        }
        text.push('\n');
    }
    text.push('\n');
    for (what, books) in [("with options", &options), ("without options", &others)] {
        for (index, time) in revalued.times.iter().enumerate() {
            let covered = books.iter().filter(|book| book.losses[index].covered).count();
            let _ = writeln!(text, "{covered} of {} books {what} covered by {time}", books.len());
        }
    }
    if !revalued.unquoted.is_empty() {
        let _ = writeln!(text, "without marks, not compared: {}", revalued.unquoted.join(", "));
    }
    text
}

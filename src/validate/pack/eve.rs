//! Option books margined on the eve of a crash and valued again on the real chain after it.

use std::collections::HashMap;
use std::path::Path;

use super::{Block, Effort, number, percent, read_scenario, table};
use crate::engine::cpu::CpuEngine;
use crate::instrument::{Instrument, Kind, Settlement};
use crate::run::{self, Silent};
use crate::scenario::{Precision, Scenario};
use crate::table::Table;

/// Marks of every instrument at three instants, USD.
struct Marks(HashMap<String, [f64; 3]>);

impl Marks {
    fn read(path: &Path) -> Result<Self, String> {
        let table = Table::read(path).map_err(|faults| faults.to_string())?;
        let rows = table.rows_any(|row| {
            let marks = [number(row, "mark_0")?, number(row, "mark_1")?, number(row, "mark_2")?];
            Some((row.text("instrument")?.to_owned(), marks))
        });
        Ok(Self(rows.map_err(|faults| faults.to_string())?.into_iter().collect()))
    }

    /// What one unit gains between the first instant and a later one; none without a mark.
    fn gain(&self, scenario: &Scenario, instrument: &Instrument, later: usize) -> Option<f64> {
        let marks = self.0.get(&instrument.name)?;
        let index = self.0.get(&scenario.market.assets[instrument.asset].name)?;
        Some(match instrument.kind {
            Kind::Perpetual(Settlement::Inverse) | Kind::Future(Settlement::Inverse, _) => {
                (1.0 / marks[0] - 1.0 / marks[later]) * index[later]
            }
            _ => marks[later] - marks[0],
        })
    }
}

pub(super) fn eve(folder: &Path, effort: Effort) -> Result<Vec<Block>, String> {
    let mut nightly = read_scenario(&folder.join("nightly.yaml"), effort)?;
    nightly.stresses.clear();
    let marks = Marks::read(&folder.join("history/marks_2026-02.csv"))?;
    let mut engine = CpuEngine::new(Precision::F32);
    let outcome = run::run(&nightly, &mut engine, &mut Silent).map_err(|fault| fault.to_string())?;
    let mut rows = Vec::new();
    let mut covered = [0, 0];
    for case in outcome.cases[0].accounts.as_ref()? {
        let account = &nightly.portfolio.accounts[case.account];
        let held = || {
            let instrument = |index: u32| &nightly.portfolio.instruments[index as usize];
            account.holdings.iter().map(move |h| (instrument(h.instrument), h.quantity))
        };
        if !held().any(|(instrument, _)| matches!(instrument.kind, Kind::Option(_))) {
            continue;
        }
        let loss =
            |later| held().map(|(i, q)| Some(-q * marks.gain(&nightly, i, later)?)).sum::<Option<f64>>();
        let (Some(first), Some(second)) = (loss(1), loss(2)) else { continue };
        let pairs = [(case.margin.maintenance_margin, first), (case.margin.initial_margin, second)];
        let cell = |(margin, loss): (f64, f64)| {
            let used = percent(loss / margin, 0);
            if loss > margin { format!("**{used}**") } else { used }
        };
        covered.iter_mut().zip(pairs).for_each(|(n, (margin, loss))| *n += u32::from(loss <= margin));
        let [day, two] = pairs;
        let money = |x: f64| format!("{x:.0}");
        rows.push([
            account.name.clone(),
            money(day.0),
            money(day.1),
            cell(day),
            money(two.0),
            money(two.1),
            cell(two),
        ]);
    }
    if rows.is_empty() {
        return Err("no book of options has marks".to_owned());
    }
    let text = format!(
        "The books of `{}` with options, margined by the Monte Carlo engine at {} ({} paths) and valued again at the venue's marks \
         half a day and two days later, while the market fell. The one-day maintenance margin covered {} of {} books at the \
         first, the initial margin {} at the second. What happened between the snapshots is not seen.",
        nightly.name,
        nightly.market.as_of,
        nightly.simulation.paths,
        covered[0],
        rows.len(),
        covered[1]
    );
    let head = [
        "account",
        "maintenance margin, USD",
        "loss, USD",
        "of the margin",
        "initial margin, USD",
        "loss, USD",
        "of the margin",
    ];
    Ok(vec![Block::Text(text), table(head, rows)])
}

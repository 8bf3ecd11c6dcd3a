//! Option books margined on the eve of a crash, 4 February 2026, and valued again on the real chain half a
//! day and two days later.

use std::collections::HashMap;

use shortfall::engine::cpu::CpuEngine;
use shortfall::instrument::{Instrument, Kind, Settlement};
use shortfall::run::{self, Silent};
use shortfall::scenario;

use crate::data::{number, root, rows};

/// Enough for a standard error of one or two per cent.
const PATHS: u64 = 65_536;

/// Marks before and after, USD.
struct Marks(HashMap<String, [f64; 3]>);

impl Marks {
    /// What one unit gains between the first snapshot and a later one; `None` without a mark.
    fn gain(&self, instrument: &Instrument, later: usize) -> Option<f64> {
        let marks = self.0.get(&instrument.name)?;
        let index = self.0[&instrument.name[..3]];
        let (before, after) = (marks[0], marks[later]);
        Some(match instrument.kind {
            Kind::Perpetual(Settlement::Inverse) | Kind::Future(Settlement::Inverse, _) => {
                (1.0 / before - 1.0 / after) * index[later]
            }
            _ => after - before,
        })
    }
}

fn marks() -> Marks {
    let table = rows(&root().join("scenarios/history/marks_2026-02.csv"));
    let mark = |row: &HashMap<String, String>| ["mark_0", "mark_1", "mark_2"].map(|name| number(row, name));
    Marks(table.iter().map(|row| (row["instrument"].clone(), mark(row))).collect())
}

#[test]
fn margins_of_the_eve_cover_the_crash_in_most_option_books() {
    let mut scenario = scenario::read(&root().join("scenarios/nightly.yaml")).unwrap();
    scenario.stresses.clear();
    scenario.simulation.paths = PATHS;
    let mut engine = CpuEngine::new(scenario.simulation.precision);
    let outcome = run::run(&scenario, &mut engine, &mut Silent).unwrap();
    let marks = marks();
    let (mut books, mut covered, mut hurt) = (0, [0, 0], 0);
    for case in outcome.cases[0].accounts.as_ref().unwrap() {
        let account = &scenario.portfolio.accounts[case.account];
        let held = || {
            account
                .holdings
                .iter()
                .map(|h| (&scenario.portfolio.instruments[h.instrument as usize], h.quantity))
        };
        if !held().any(|(instrument, _)| matches!(instrument.kind, Kind::Option(_))) {
            continue;
        }
        let loss = |later| held().map(|(i, q)| Some(-q * marks.gain(i, later)?)).sum::<Option<f64>>();
        let (Some(day), Some(two)) = (loss(1), loss(2)) else { continue };
        let margins = [case.margin.maintenance_margin, case.margin.initial_margin];
        println!(
            "{:18} margin {:>10.0} {:>10.0}  loss {day:>10.0} {two:>10.0}",
            account.name, margins[0], margins[1]
        );
        books += 1;
        covered[0] += u32::from(day <= margins[0]);
        covered[1] += u32::from(two <= margins[1]);
        hurt += u32::from(day.max(two) > 0.2 * margins[0]);
        // Even where it was not enough, it was of the right size.
        assert!(
            day <= 2.0 * margins[0] && two <= 2.0 * margins[1],
            "{}: {margins:?} {day} {two}",
            account.name
        );
    }
    println!("{books} books, covered {covered:?}, with a loss that matters {hurt}");
    assert!(books >= 15, "{books} books");
    // A test of covered margins needs losses.
    assert!(hurt >= 6, "{hurt} books lost");
    assert!(covered.iter().all(|n| 10 * n >= 8 * books), "{covered:?} of {books}");
}

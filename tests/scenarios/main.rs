//! Every scenario of the project runs: all its cases, all its accounts, on few paths.

use std::path::{Path, PathBuf};

use shortfall::engine::cpu::CpuEngine;
use shortfall::run::{self, Outcome, Silent};
use shortfall::scenario::{self, Scenario};

/// The scenarios at hand; a new file belongs into this list.
const SCENARIOS: [&str; 4] = ["margins.yaml", "nightly.yaml", "quickstart.yaml", "service.yaml"];
/// Files of other forms, which have tests of their own: backtests and a comparison of architectures.
const NO_SCENARIOS: [&str; 4] =
    ["backtest.yaml", "backtest_options.yaml", "backtest_sp500.yaml", "compare.yaml"];
/// Enough for a pilot, and one block more.
const PATHS: u64 = 8192 + 64;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios")
}

fn run(name: &str) -> (Scenario, Outcome) {
    let mut scenario = scenario::read(&folder().join(name)).unwrap_or_else(|faults| panic!("{faults}"));
    scenario.simulation.paths = PATHS;
    let mut engine = CpuEngine::new(scenario.simulation.precision);
    let outcome = run::run(&scenario, &mut engine, &mut Silent).expect("the CPU does not fail");
    (scenario, outcome)
}

/// What is wrong with an outcome, if anything.
fn complaint(scenario: &Scenario, outcome: &Outcome) -> Option<String> {
    if outcome.cases.len() != scenario.stresses.len() + 1 {
        return Some(format!("{} cases", outcome.cases.len()));
    }
    for case in &outcome.cases {
        let accounts = match &case.accounts {
            Ok(accounts) if accounts.len() == scenario.portfolio.accounts.len() => accounts,
            Ok(accounts) => return Some(format!("{}: {} accounts", case.name, accounts.len())),
            Err(reason) => return Some(format!("{}: {reason}", case.name)),
        };
        for account in accounts {
            let name = &scenario.portfolio.accounts[account.account].name;
            for tail in [&account.maintenance, &account.initial] {
                let ordered = tail.expected_shortfall >= tail.value_at_risk;
                let measured = tail.expected_shortfall_error >= 0.0 && tail.paths == case.paths;
                if !(ordered && measured && tail.expected_shortfall.is_finite()) {
                    return Some(format!("{}, {name}: {tail:?}", case.name));
                }
            }
            let margin = &account.margin;
            let margins =
                margin.initial_margin >= margin.maintenance_margin && margin.maintenance_margin >= 0.0;
            if !(margins && account.value.equity <= account.value.market_value) {
                return Some(format!("{}, {name}: {margin:?} {:?}", case.name, account.value));
            }
        }
    }
    None
}

#[test]
fn the_list_is_complete() {
    let entries = std::fs::read_dir(folder()).expect("scenarios/ is part of the project");
    let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    let is_scenario = |name: &String| name.ends_with(".yaml") && !NO_SCENARIOS.contains(&name.as_str());
    let mut names: Vec<String> = names.filter(is_scenario).collect();
    names.sort();
    assert_eq!(names, SCENARIOS);
}

#[test]
fn every_scenario_runs() {
    for name in SCENARIOS {
        let (scenario, outcome) = run(name);
        assert_eq!(complaint(&scenario, &outcome), None, "{name}");
    }
}

#[test]
fn a_wrong_outcome_is_noticed() {
    let (scenario, outcome) = run("quickstart.yaml");
    let mut shorter = outcome.clone();
    shorter.cases.pop();
    assert!(complaint(&scenario, &shorter).is_some());
    let mut poisoned = outcome.clone();
    poisoned.cases[1].accounts.as_mut().expect("it ran")[0].initial.expected_shortfall = f64::NAN;
    assert!(complaint(&scenario, &poisoned).is_some());
    let mut failed = outcome;
    failed.cases[1].accounts = Err("no value".to_owned());
    assert!(complaint(&scenario, &failed).is_some());
}

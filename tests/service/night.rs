//! A small night to serve, and `run` beside it.

use std::path::{Path, PathBuf};

use shortfall::engine::cpu::CpuEngine;
use shortfall::report::{Levels, TailResult};
use shortfall::run::{self, Silent};
use shortfall::scenario::{self, Scenario};
use shortfall::service::api::Figures;
use shortfall::service::config::{self, Served};

/// Enough for a pilot and an odd rest.
pub const PATHS: u64 = 8192 + 4096 + 77;

/// The folder of the quickstart copied to where it may be changed.
pub struct Night {
    folder: tempfile::TempDir,
}

impl Night {
    pub fn new() -> Self {
        let night = Self { folder: tempfile::tempdir().expect("a folder for the test") };
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
        copy(&from.join("quickstart"), &night.path("quickstart"));
        copy(&from.join("market"), &night.path("market"));
        std::fs::copy(from.join("quickstart.yaml"), night.path("quickstart.yaml")).expect("copied");
        night
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn served(&self) -> Served {
        let mut served =
            config::read(&self.path("quickstart.yaml")).unwrap_or_else(|faults| panic!("{faults}"));
        served.scenario.simulation.paths = PATHS;
        served
    }

    pub fn scenario(&self) -> Scenario {
        let mut scenario = scenario::read(&self.path("quickstart.yaml")).unwrap_or_else(|f| panic!("{f}"));
        scenario.simulation.paths = PATHS;
        scenario.stresses.clear();
        scenario
    }

    /// Appends a row to a table.
    pub fn append(&self, table: &str, row: &str) {
        let path = self.path("quickstart").join(table);
        let mut text = std::fs::read_to_string(&path).expect("a table of the quickstart");
        text.push_str(row);
        text.push('\n');
        std::fs::write(path, text).expect("written");
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("part of the project").flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("copied");
        }
    }
}

/// What `run` gives an account in the base case.
pub fn by_run(scenario: &Scenario, account: &str) -> Figures {
    let outcome = run::run(scenario, &mut CpuEngine::new(scenario.simulation.precision), &mut Silent);
    let accounts = outcome.expect("the CPU does not fail").cases.swap_remove(0).accounts.expect("a result");
    let index = scenario.portfolio.accounts.iter().position(|a| a.name == account).expect("an account");
    let case = &accounts[index];
    let levels = Levels::of(scenario);
    Figures {
        market_value: case.value.market_value,
        equity: case.value.equity,
        gross_notional: case.value.gross_notional,
        maintenance: TailResult::new(&levels.maintenance, &case.maintenance),
        initial: TailResult::new(&levels.initial, &case.initial),
        maintenance_margin: case.margin.maintenance_margin,
        initial_margin: case.margin.initial_margin,
        health: case.margin.health,
        state: case.margin.state.into(),
    }
}

//! A small night to serve, and `run` beside it.

use std::path::{Path, PathBuf};

use shortfall::engine::cpu::CpuEngine;
use shortfall::market::Market;
use shortfall::portfolio::{self, Portfolio, Sources};
use shortfall::report::{DriverResult, Levels, TailResult};
use shortfall::run::{self, AccountCase, Silent};
use shortfall::scenario::{self, Scenario};
use shortfall::service::Desk;
use shortfall::service::api::{Figures, Position};
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

    /// The tables read in another market.
    pub fn portfolio(&self, market: &Market) -> Portfolio {
        let table = |name: &str| self.path("quickstart").join(name);
        let sources = Sources {
            accounts: Some(table("accounts.csv")),
            positions: table("positions.csv"),
            balances: Some(table("balances.csv")),
        };
        portfolio::read(&sources, market).unwrap_or_else(|faults| panic!("{faults}"))
    }

    /// Gives the positions a column of volatilities.
    pub fn volatility_column(&self) {
        let path = self.path("quickstart/positions.csv");
        let text = std::fs::read_to_string(&path).expect("a table of the quickstart");
        let mut lines = text.lines().map(|line| format!("{line},"));
        let header = lines.next().expect("a header") + "implied_volatility";
        let all: Vec<String> = std::iter::once(header).chain(lines).collect();
        std::fs::write(path, all.join("\n") + "\n").expect("written");
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

pub fn open(served: Served) -> Desk {
    Desk::open(served).unwrap_or_else(|fault| panic!("{fault}"))
}

pub fn order(instrument: &str, quantity: f64) -> Position {
    Position { instrument: instrument.to_owned(), quantity, entry_price: None, implied_volatility: None }
}

/// What `run` gives an account in the base case.
pub fn by_run(scenario: &Scenario, account: &str) -> Figures {
    let case = case_by_run(scenario, account);
    let levels = Levels::of(scenario);
    Figures {
        market_value: case.value.market_value,
        equity: case.value.equity,
        gross_notional: case.value.gross_notional,
        maintenance: TailResult::new(&levels.maintenance, &case.maintenance),
        initial: TailResult::new(&levels.initial, &case.initial),
        maintenance_margin: case.margin.maintenance_margin,
        initial_margin: case.margin.initial_margin,
        maintenance_components: case.margin.maintenance_lines,
        initial_components: case.margin.initial_lines,
        health: case.margin.health,
        state: case.margin.state.into(),
    }
}

/// The worst driver that `run` names for it.
pub fn driver_by_run(scenario: &Scenario, account: &str) -> Option<DriverResult> {
    case_by_run(scenario, account).driver.map(|driver| DriverResult::new(scenario, &driver))
}

fn case_by_run(scenario: &Scenario, account: &str) -> AccountCase {
    let outcome = run::run(scenario, &mut CpuEngine::new(scenario.simulation.precision), &mut Silent);
    let mut accounts =
        outcome.expect("the CPU does not fail").cases.swap_remove(0).accounts.expect("a result");
    let index = scenario.portfolio.accounts.iter().position(|a| a.name == account).expect("an account");
    accounts.swap_remove(index)
}

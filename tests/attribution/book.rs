//! Books and checks that the tests share.

use std::path::Path;

use shortfall::attribution::{Attribution, LevelAttribution};
use shortfall::engine::cpu::CpuEngine;
use shortfall::instrument::{Instrument, Kind};
use shortfall::market::Correlation;
use shortfall::portfolio::{Account, Holding, Portfolio};
use shortfall::run::{self, AccountCase, Outcome, Silent};
use shortfall::scenario::{self, DeviceChoice, Scenario, Selection};

/// A scenario of the repository with every account attributed and no stresses.
pub fn scenario(name: &str, paths: u64) -> Scenario {
    let mut scenario = scenario::read(Path::new(name)).unwrap();
    scenario.simulation.paths = paths;
    scenario.simulation.device = DeviceChoice::Cpu;
    scenario.stresses.clear();
    scenario.attribution = Selection::All;
    scenario
}

/// Normal moves without fat tails, jumps or drift, so small (0.05 % a day) that returns are normal
/// to within a thousandth; the first two assets correlated by `correlation`.
pub fn normal(seed: u64, paths: u64, correlation: f64) -> Scenario {
    let mut scenario = scenario("scenarios/quickstart.yaml", paths);
    scenario.simulation.seed = seed;
    let market = &mut scenario.market;
    let n = market.assets.len();
    let entry = |i: usize| match (i / n, i % n) {
        (row, column) if row == column => 1.0,
        (0, 1) | (1, 0) => correlation,
        _ => 0.0,
    };
    market.correlation = Correlation::new(n, (0..n * n).map(entry).collect()).unwrap();
    market.common_jumps = None;
    for (asset, volatility) in market.assets.iter_mut().zip([0.01, 0.015, 0.02]) {
        asset.volatility_annual = volatility;
        asset.drift_annual = 0.0;
        asset.tail_group = None;
        asset.own_jumps = None;
        asset.implied_volatility = None;
        asset.basis_volatility_annual = 0.0;
        asset.funding_rate_annual = 0.0;
    }
    scenario
}

/// A portfolio of one account with these instruments.
pub fn hold(scenario: &mut Scenario, held: &[(&str, usize, Kind, f64)]) {
    let instruments =
        held.iter().map(|&(name, asset, kind, _)| Instrument { name: name.to_owned(), asset, kind });
    let holding = |(index, quantity)| Holding { instrument: index, quantity };
    let holdings = (0..).zip(held.iter().map(|held| held.3)).map(holding).collect();
    scenario.portfolio = Portfolio {
        accounts: vec![Account { name: "one".to_owned(), holdings, ..Account::default() }],
        instruments: instruments.collect(),
    };
}

pub fn run(scenario: &Scenario) -> Outcome {
    run::run(scenario, &mut CpuEngine::new(scenario.simulation.precision), &mut Silent).unwrap()
}

pub fn accounts(outcome: &Outcome, case: usize) -> &[AccountCase] {
    outcome.cases[case].accounts.as_ref().unwrap()
}

pub fn attribution(account: &AccountCase) -> &Attribution {
    account.attribution.as_ref().expect("it was selected")
}

/// Each list's sum with the remainder.
pub fn sums(level: &LevelAttribution) -> [f64; 5] {
    let positions = level.by_position.iter();
    [
        positions.clone().map(|p| p.component.expected_shortfall).sum::<f64>(),
        level.by_asset.iter().map(|(_, c)| c.expected_shortfall).sum(),
        level.by_expiry.iter().map(|(_, c)| c.expected_shortfall).sum(),
        level.by_greek.iter().map(|(_, c)| c.expected_shortfall).sum(),
        positions.map(|p| p.by_greek.iter().sum::<f64>()).sum(),
    ]
    .map(|sum| sum + level.remainder)
}

/// Money that moves in a level: what rounding is relative to.
pub fn moved(level: &LevelAttribution) -> f64 {
    let parts = level.by_position.iter().flat_map(|p| p.by_greek);
    parts.map(f64::abs).sum()
}

//! Values and margins after moves of prices: full runs of the scenario on the same random words.

use crate::engine::cpu::CpuEngine;
use crate::portfolio::Portfolio;
use crate::run::{self, AccountCase, AnalysisFault, Case, Silent};
use crate::scenario::{Scenario, Shock, Stress};

/// Cases of one run: what is kept of it at a time.
const CASES: usize = 16;

/// Simple returns of spot by asset: -0.2 is -20 %.
pub(super) type Move = Vec<(usize, f64)>;

/// What an account is worth and needs after a move. Money.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Point {
    pub market_value: f64,
    pub equity: f64,
    pub maintenance_margin: f64,
}

impl Point {
    pub fn of(case: &AccountCase) -> Self {
        Self {
            market_value: case.value.market_value,
            equity: case.value.equity,
            maintenance_margin: case.margin.maintenance_margin,
        }
    }

    /// Above zero while the account is not liquidated.
    pub fn gap(&self) -> f64 {
        self.equity - self.maintenance_margin
    }

    /// Equity over maintenance margin.
    pub fn health(&self) -> Option<f64> {
        (self.maintenance_margin > 0.0).then(|| self.equity / self.maintenance_margin)
    }
}

/// Every account after every move, `[move][account]`. `margins` are those of today by account, from
/// more paths: a margin after a move is today's and the difference that the move makes on few paths.
pub(super) fn after(
    scenario: &Scenario,
    margins: &[f64],
    moves: &[Move],
    paths: u64,
) -> Result<Vec<Vec<Point>>, AnalysisFault> {
    let mut scenario = scenario.clone();
    scenario.simulation.paths = paths;
    scenario.simulation.tolerance = None;
    let named = scenario.stresses.len();
    let mut points = Vec::with_capacity(moves.len());
    for part in moves.chunks(CASES) {
        scenario.stresses.truncate(named);
        scenario.stresses.extend(part.iter().enumerate().map(|(index, moves)| Stress {
            name: format!("move {index} of prices"),
            shocks: vec![Shock::Spot(moves.clone())],
        }));
        let mut engine = CpuEngine::new(scenario.simulation.precision);
        let outcome = run::run(&scenario, &mut engine, &mut Silent)?;
        let unmoved = accounts(&outcome.cases[0])?;
        for case in &outcome.cases[named + 1..] {
            let point = |((case, unmoved), margin): ((&AccountCase, &AccountCase), &f64)| {
                let point = Point::of(case);
                let change = point.maintenance_margin - unmoved.margin.maintenance_margin;
                Point { maintenance_margin: (margin + change).max(0.0), ..point }
            };
            let accounts = accounts(case)?;
            points.push(accounts.iter().zip(&unmoved).zip(margins).map(point).collect());
        }
    }
    Ok(points)
}

/// Every account of a case, or why one has no figures.
pub(crate) fn accounts(case: &Case) -> Result<Vec<AccountCase>, AnalysisFault> {
    if let Some(failed) = case.failed.first() {
        let reason = format!("{}: account {}: {}", case.name, failed.account, failed.reason);
        return Err(AnalysisFault::Data(reason));
    }
    case.accounts.clone().map_err(|reason| AnalysisFault::Data(format!("{}: {reason}", case.name)))
}

/// The scenario with one of its accounts alone.
pub(super) fn alone(scenario: &Scenario, account: usize) -> Scenario {
    let portfolio = Portfolio {
        accounts: vec![scenario.portfolio.accounts[account].clone()],
        instruments: scenario.portfolio.instruments.clone(),
    };
    Scenario { portfolio, ..scenario.clone() }
}

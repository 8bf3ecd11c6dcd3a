//! What margins do when a parameter is wrong.

use super::{Block, percent, table};
use crate::engine::cpu::CpuEngine;
use crate::market::Market;
use crate::plot::{Bar, bars};
use crate::run::{self, Silent};
use crate::scenario::{Precision, Scenario, Shock, Stress};

/// A change of a market, and its name.
type Move = (String, Box<dyn Fn(&Market) -> Market>);

/// Changes of parameters. Small enough to be errors of estimation, large enough to stand above noise.
fn moves() -> Vec<Move> {
    let shocked = |name: String, shock: Shock| -> Move {
        let stress = Stress { name: name.clone(), shocks: vec![shock] };
        (name, Box::new(move |market| stress.apply(market)))
    };
    let volatility = |multiply| Shock::Volatility { multiply, implied_shift: 0.0, skew_shift: 0.0 };
    let mut moves: Vec<Move> = Vec::new();
    for factor in [0.9, 1.1] {
        moves.push(shocked(format!("diffusive volatility × {factor}"), volatility(factor)));
    }
    for multiply in [0.5, 1.5] {
        moves.push(shocked(format!("jump intensities × {multiply}"), Shock::JumpIntensity { multiply }));
    }
    for toward in [0.0, 1.0] {
        let shock = Shock::Correlation { toward, weight: 0.25 };
        moves.push(shocked(format!("correlations a quarter of the way to {toward}"), shock));
    }
    for factor in [0.8, 1.5] {
        let change = move |market: &Market| {
            let mut market = market.clone();
            for group in &mut market.tail_groups {
                // Two is where a Student-t loses its variance.
                group.degrees_of_freedom = 2.0 + factor * (group.degrees_of_freedom - 2.0);
            }
            market
        };
        moves.push((format!("degrees of freedom above 2 × {factor}"), Box::new(change)));
    }
    for factor in [0.5, 1.5] {
        let change = move |market: &Market| {
            let mut market = market.clone();
            for level in market.assets.iter_mut().filter_map(|asset| asset.implied_volatility.as_mut()) {
                level.volatility_annual *= factor;
            }
            market
        };
        moves.push((format!("volatility of implied volatility × {factor}"), Box::new(change)));
    }
    moves
}

pub(super) fn sensitivity(scenario: &Scenario) -> Result<Vec<Block>, String> {
    let base = shortfalls(scenario, scenario.market.clone())?;
    let names = || base.iter().map(|(name, ..)| name.clone());
    let mut rows = Vec::new();
    let mut totals = Vec::new();
    let sum = |all: &[Account]| all.iter().map(|(_, es, _)| es).sum::<f64>();
    for (name, change) in moves() {
        let moved = shortfalls(scenario, change(&scenario.market))?;
        let total = sum(&moved) / sum(&base) - 1.0;
        let each = base.iter().zip(&moved).map(|(before, after)| signed(after.1 / before.1 - 1.0));
        rows.push([name.clone(), signed(total)].into_iter().chain(each).collect());
        totals.push((name, total));
    }
    let head = ["parameter", "all accounts"].map(str::to_owned).into_iter().chain(names()).collect();
    let errors =
        base.iter().map(|(name, es, error)| [name.clone(), format!("{es:.0}"), percent(error / es, 2)]);
    let text = format!(
        "Expected Shortfall of the accounts of `{}` at the maintenance level, {} paths, each parameter changed alone. Paths are the \
         same, so that a change is known better than either figure. A parameter whose row is large is one to estimate well and \
         to watch.",
        scenario.name, scenario.simulation.paths
    );
    let bars_of: Vec<Bar<'_>> =
        totals.iter().map(|(name, change)| Bar { name, value: 100.0 * change, error: 0.0 }).collect();
    let title = "Change of all accounts' Expected Shortfall, %";
    let svg = bars(title, "%", &bars_of);
    Ok(vec![
        Block::Text(text),
        table(["account", "Expected Shortfall, USD", "one standard error"], errors.collect()),
        Block::Table(head, rows),
        Block::Chart { file: "sensitivity.svg", caption: title.to_owned(), svg },
    ])
}

fn signed(x: f64) -> String {
    format!("{:+.1} %", 100.0 * x)
}

/// Name, Expected Shortfall, its standard error.
type Account = (String, f64, f64);

fn shortfalls(scenario: &Scenario, market: Market) -> Result<Vec<Account>, String> {
    let mut scenario = Scenario { market, ..scenario.clone() };
    scenario.stresses.clear();
    let mut engine = CpuEngine::new(Precision::F32);
    let outcome = run::run(&scenario, &mut engine, &mut Silent).map_err(|fault| fault.to_string())?;
    let account = |case: &run::AccountCase| {
        let name = scenario.portfolio.accounts[case.account].name.clone();
        let tail = &case.maintenance;
        (name, tail.expected_shortfall, tail.expected_shortfall_error)
    };
    let mut all: Vec<Account> = outcome.cases[0].accounts.as_ref()?.iter().map(account).collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(all)
}

//! Expected Shortfall of the whole account, and of each of its assets alone, from one simulation.

use super::{Comparison, Estimate, MarginLevel, Row, SHORTFALL};
use crate::engine::{Engine, EngineFault};
use crate::margin::AddOns;
use crate::portfolio::Account;
use crate::run::{self, AccountCase, Monitor};
use crate::scenario::{Scenario, Selection};

/// Rows of one account.
pub(super) struct Simulated {
    pub(super) isolated: Row,
    pub(super) portfolio: Row,
}

/// Simulates all accounts, whole and by asset, on the same paths.
pub(super) fn simulate(
    comparison: &Comparison,
    engine: &mut dyn Engine,
    monitor: &mut dyn Monitor,
) -> Result<Vec<Simulated>, EngineFault> {
    let accounts = &comparison.scenario.portfolio.accounts;
    let mut scenario = plain(&comparison.scenario);
    // Where the parts of each account stand, after the accounts themselves.
    let mut parts = Vec::with_capacity(accounts.len());
    for account in accounts {
        let start = scenario.portfolio.accounts.len();
        let split = by_asset(&scenario, account);
        scenario.portfolio.accounts.extend(split);
        parts.push(start..scenario.portfolio.accounts.len());
    }
    let outcome = run::run(&scenario, engine, monitor)?;
    let cases = outcome.cases.into_iter().next().map_or_else(|| Ok(Vec::new()), |case| case.accounts);
    let cases = cases.map_err(EngineFault::Device)?;
    let shortfall = |case: &AccountCase| {
        let tail = match comparison.level {
            MarginLevel::Maintenance => case.maintenance,
            MarginLevel::Initial => case.initial,
        };
        Estimate { value: tail.expected_shortfall.max(0.0), error: Some(tail.expected_shortfall_error) }
    };
    let rows = parts.into_iter().enumerate().map(|(index, parts)| {
        let alone: Vec<Estimate> = cases[parts].iter().map(shortfall).collect();
        // The parts share their paths: the sum of their errors is the most that theirs can be.
        let error = alone.iter().filter_map(|part| part.error).sum();
        let isolated = Estimate { value: alone.iter().map(|part| part.value).sum(), error: Some(error) };
        let row = |architecture: &str, note: &str, margin| Row {
            architecture: architecture.to_owned(),
            note: note.to_owned(),
            margin: Ok(margin),
            ratio: None,
        };
        Simulated {
            isolated: row("isolated", "ES of each asset alone, summed", isolated),
            portfolio: row(SHORTFALL, "Monte Carlo ES of the whole account", shortfall(&cases[index])),
        }
    });
    Ok(rows.collect())
}

/// The base case alone, without add-ons to the margins.
fn plain(scenario: &Scenario) -> Scenario {
    let mut scenario = scenario.clone();
    scenario.stresses.clear();
    scenario.attribution = Selection::None;
    scenario.margin.add_ons = AddOns::default();
    scenario
}

/// An account for each asset that it holds, without cash.
fn by_asset(scenario: &Scenario, account: &Account) -> Vec<Account> {
    let asset = |instrument: u32| scenario.portfolio.instruments[instrument as usize].asset;
    let mut assets: Vec<usize> = account.holdings.iter().map(|holding| asset(holding.instrument)).collect();
    assets.sort_unstable();
    assets.dedup();
    let part = |held: &usize| Account {
        name: format!("{}: {}", account.name, scenario.market.assets[*held].name),
        holdings: account.holdings.iter().filter(|h| asset(h.instrument) == *held).copied().collect(),
        ..Account::default()
    };
    assets.iter().map(part).collect()
}

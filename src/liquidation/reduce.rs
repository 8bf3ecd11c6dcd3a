//! The smallest set of trades that restores an account's health.

use serde::Serialize;

use super::LiquidationFault;
use super::revalue::{self, Point};
use crate::engine::cpu::CpuEngine;
use crate::instrument::{Kind, UnitValue};
use crate::run::{self, AccountCase, Silent};
use crate::scenario::{Scenario, Selection};

/// Linear programmes that are solved, each on the book that the one before left.
const MAX_ROUNDS: usize = 12;
/// How much more than needed a round takes off, since a margin falls by less than its components say.
const MORE: f64 = 1.02;

/// Trades that restore health, or that there are none. Money.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Reduction {
    /// Positions that are cut, the largest notional first.
    pub trades: Vec<Trade>,
    /// Sum of the notionals traded.
    pub notional: f64,
    /// Health afterwards, by a full run of the reduced book.
    pub health_after: Option<f64>,
    /// Whether that is at least the target.
    pub is_restored: bool,
    /// Deposit in dollars that restores health instead of any trade.
    pub deposit_instead: f64,
}

/// A position that is cut.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Trade {
    /// The instrument.
    pub instrument: String,
    /// Units to trade: negative is to sell.
    pub quantity: f64,
    /// Dollars of notional.
    pub notional: f64,
}

/// Trades for an account whose health is below the target; none where it is not.
///
/// # Formula
/// With `e_k` the Euler component of position `k` in the maintenance margin's Expected Shortfall and
/// `N_k` its notional, the least `sum f_k N_k` with `sum f_k e_k >= margin - equity / target` and
/// `0 <= f_k <= 1` takes positions in the order of `e_k / N_k`, the last in part. Add-ons count in
/// proportion to Expected Shortfall. That is convex, so it falls by less than its components say; each
/// round starts from the book that is left, until a full run says that health is restored.
pub(super) fn reduction(
    scenario: &Scenario,
    account: usize,
    target: f64,
) -> Result<Option<Reduction>, LiquidationFault> {
    let mut scenario = revalue::alone(scenario, account);
    scenario.attribution = Selection::All;
    // Components are of net holdings, in their order.
    scenario.portfolio.accounts[0].holdings = scenario.portfolio.accounts[0].net_holdings();
    let before = scenario.portfolio.accounts[0].clone();
    let first = state(&scenario)?;
    if restored(&first, target) {
        return Ok(None);
    }
    let units = units(&scenario)?;
    let mut now = first.clone();
    for _ in 0..MAX_ROUNDS {
        let missing = MORE * (now.margin.maintenance_margin - now.value.equity / target);
        if restored(&now, target) || !cut(&mut scenario, &now, &units, missing) {
            break;
        }
        now = state(&scenario)?;
    }
    let mut trades: Vec<Trade> = Vec::new();
    for holding in &before.holdings {
        let left =
            scenario.portfolio.accounts[0].holdings.iter().find(|h| h.instrument == holding.instrument);
        let quantity = left.map_or(0.0, |left| left.quantity) - holding.quantity;
        if quantity != 0.0 {
            let index = holding.instrument as usize;
            let instrument = scenario.portfolio.instruments[index].name.clone();
            trades.push(Trade { instrument, quantity, notional: quantity.abs() * units[index].notional });
        }
    }
    trades.sort_by(|a, b| b.notional.total_cmp(&a.notional));
    let point = Point::of(&now);
    Ok(Some(Reduction {
        notional: trades.iter().map(|trade| trade.notional).sum(),
        trades,
        health_after: point.health(),
        is_restored: restored(&now, target),
        deposit_instead: target * first.margin.maintenance_margin - first.value.equity,
    }))
}

fn restored(case: &AccountCase, target: f64) -> bool {
    case.value.equity >= target * case.margin.maintenance_margin
}

/// The only account, attributed.
fn state(scenario: &Scenario) -> Result<AccountCase, LiquidationFault> {
    let mut engine = CpuEngine::new(scenario.simulation.precision);
    let outcome = run::run(scenario, &mut engine, &mut Silent)?;
    Ok(revalue::accounts(&outcome.cases[0])?.remove(0))
}

fn units(scenario: &Scenario) -> Result<Vec<UnitValue>, LiquidationFault> {
    let unit = |instrument| {
        UnitValue::new(&scenario.market, instrument)
            .map_err(|fault| LiquidationFault::Data(fault.to_string()))
    };
    scenario.portfolio.instruments.iter().map(unit).collect()
}

/// Cuts the positions that free most margin for their notional; false where nothing more helps.
fn cut(scenario: &mut Scenario, now: &AccountCase, units: &[UnitValue], mut missing: f64) -> bool {
    let Some(attribution) = &now.attribution else { return false };
    let account = &mut scenario.portfolio.accounts[0];
    // Add-ons shrink with the book as well: taken in proportion, checked by the next full run.
    let whole = (now.margin.maintenance_margin / now.maintenance.expected_shortfall).max(1.0);
    let whole = if whole.is_finite() { whole } else { 1.0 };
    let components = attribution.maintenance.by_position.iter();
    let mut order: Vec<(usize, f64, f64)> = components
        .enumerate()
        .map(|(index, position)| {
            let unit = &units[account.holdings[index].instrument as usize];
            (
                index,
                whole * position.component.expected_shortfall,
                account.holdings[index].quantity.abs() * unit.notional,
            )
        })
        .filter(|(_, component, notional)| *component > 0.0 && *notional > 0.0)
        .collect();
    order.sort_by(|a, b| (b.1 / b.2).total_cmp(&(a.1 / a.2)));
    let mut any = false;
    for (index, component, _) in order {
        if !(missing > 0.0) {
            break;
        }
        let part = (missing / component).min(1.0);
        let holding = &mut account.holdings[index];
        let instrument = &scenario.portfolio.instruments[holding.instrument as usize];
        let sold = part * holding.quantity;
        holding.quantity -= sold;
        // What has a value is exchanged for cash; a future at its mark has none.
        account.cash += sold * units[holding.instrument as usize].market_value;
        if instrument.kind == Kind::Spot {
            for balance in account.balances.iter_mut().filter(|(asset, _)| *asset == instrument.asset) {
                balance.1 -= sold.clamp(-balance.1.abs(), balance.1.abs());
            }
        }
        missing -= part * component;
        any = true;
    }
    account.holdings.retain(|holding| holding.quantity != 0.0);
    any
}

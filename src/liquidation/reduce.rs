//! The smallest set of trades that restores an account's health.

use serde::Serialize;

use super::revalue::{self, Point};
use crate::engine::cpu::CpuEngine;
use crate::instrument::{Kind, UnitValue};
use crate::margin::{Line, Tails, UnitTail};
use crate::portfolio::Account;
use crate::risk::TailEstimate;
use crate::run::{self, AccountCase, AnalysisFault, Margining, Silent};
use crate::scenario::{Scenario, Selection};

/// Linear programmes that are solved, each on the book that the one before left.
const MAX_ROUNDS: usize = 12;
/// Part of a position by which its effect on the margin is measured.
const SLICE: f64 = 0.05;
/// The last round is given back until health is within this above the target.
const CLOSE: f64 = 1e-3;
const MAX_HALVINGS: usize = 10;

/// Trades that restore health, or that there are none. Money in the reporting currency.
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
    /// Deposit that restores health instead of any trade.
    pub deposit_instead: f64,
}

/// A position that is cut.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Trade {
    /// The instrument.
    pub instrument: String,
    /// Units to trade: negative is to sell.
    pub quantity: f64,
    /// Its notional.
    pub notional: f64,
}

/// Trades for an account whose health is below the target; none where it is not.
///
/// # Formula
/// With `g_k` what the maintenance margin falls by when position `k` goes, to first order and add-ons
/// included, and `N_k` its notional, the least `sum f_k N_k` with
/// `sum f_k g_k >= margin - equity / target` and `0 <= f_k <= 1` takes positions in the order of
/// `g_k / N_k`, the last in part. The true margin is no straight line, so each round starts from the book
/// that is left, until a full run says that health is restored; of that round as much is given back as
/// full runs allow.
pub(super) fn reduction(
    scenario: &Scenario,
    account: usize,
    target: f64,
) -> Result<Option<Reduction>, AnalysisFault> {
    let mut scenario = revalue::alone(scenario, account);
    scenario.attribution = Selection::All;
    // Components are of net holdings, in their order.
    scenario.portfolio.accounts[0].holdings = scenario.portfolio.accounts[0].net_holdings();
    let before = scenario.portfolio.accounts[0].clone();
    let first = State::of(&scenario)?;
    if first.is_restored(target) {
        return Ok(None);
    }
    let units = units(&scenario)?;
    let mut now = first.clone();
    for _ in 0..MAX_ROUNDS {
        let book = scenario.portfolio.accounts[0].clone();
        let missing = now.case.margin.maintenance_margin - now.case.value.equity / target;
        let parts = cuts(&scenario, &now, &units, missing);
        if parts.iter().all(|part| *part == 0.0) {
            break;
        }
        scenario.portfolio.accounts[0] = reduced(&scenario, &book, &units, &parts, 1.0);
        now = State::of(&scenario)?;
        if now.is_restored(target) {
            now = give_back(&mut scenario, &book, &units, &parts, (target, now))?;
            break;
        }
        scenario.portfolio.accounts[0].holdings.retain(|holding| holding.quantity != 0.0);
    }
    let price = scenario.reporting_asset.map_or(1.0, |asset| scenario.market.assets[asset].spot);
    let mut trades: Vec<Trade> = Vec::new();
    for holding in &before.holdings {
        let left =
            scenario.portfolio.accounts[0].holdings.iter().find(|h| h.instrument == holding.instrument);
        let quantity = left.map_or(0.0, |left| left.quantity) - holding.quantity;
        if quantity != 0.0 {
            let index = holding.instrument as usize;
            let instrument = scenario.portfolio.instruments[index].name.clone();
            let notional = quantity.abs() * units[index].notional / price;
            trades.push(Trade { instrument, quantity, notional });
        }
    }
    trades.sort_by(|a, b| b.notional.total_cmp(&a.notional));
    Ok(Some(Reduction {
        notional: trades.iter().map(|trade| trade.notional).sum(),
        trades,
        health_after: Point::of(&now.case).health(),
        is_restored: now.is_restored(target),
        deposit_instead: target * first.case.margin.maintenance_margin - first.case.value.equity,
    }))
}

/// The only account, attributed, and the tails of assets that its add-ons look at.
#[derive(Clone)]
struct State {
    case: AccountCase,
    asset_tails: Vec<[UnitTail; 2]>,
}

impl State {
    fn of(scenario: &Scenario) -> Result<Self, AnalysisFault> {
        let mut engine = CpuEngine::new(scenario.simulation.precision);
        let mut outcome = run::run(scenario, &mut engine, &mut Silent)?;
        let base = outcome.cases.swap_remove(0);
        Ok(Self { case: revalue::accounts(&base)?.remove(0), asset_tails: base.asset_tails })
    }

    fn is_restored(&self, target: f64) -> bool {
        self.case.value.equity >= target * self.case.margin.maintenance_margin
    }
}

fn units(scenario: &Scenario) -> Result<Vec<UnitValue>, AnalysisFault> {
    let unit = |instrument| {
        UnitValue::new(&scenario.market, instrument).map_err(|fault| AnalysisFault::Data(fault.to_string()))
    };
    scenario.portfolio.instruments.iter().map(unit).collect()
}

/// Halves what the last round cut while health stays at the target.
fn give_back(
    scenario: &mut Scenario,
    book: &Account,
    units: &[UnitValue],
    parts: &[f64],
    (target, restored): (f64, State),
) -> Result<State, AnalysisFault> {
    let (mut too_few, mut enough) = (0.0, 1.0);
    let mut best = (scenario.portfolio.accounts[0].clone(), restored);
    for _ in 0..MAX_HALVINGS {
        if best.1.case.margin.health.is_none_or(|health| health <= target * (1.0 + CLOSE)) {
            break;
        }
        let part = 0.5 * (too_few + enough);
        scenario.portfolio.accounts[0] = reduced(scenario, book, units, parts, part);
        let state = State::of(scenario)?;
        if state.is_restored(target) {
            enough = part;
            best = (scenario.portfolio.accounts[0].clone(), state);
        } else {
            too_few = part;
        }
    }
    scenario.portfolio.accounts[0] = best.0;
    Ok(best.1)
}

/// The parts of positions to cut, `[holding]`: those that free most margin for their notional.
fn cuts(scenario: &Scenario, now: &State, units: &[UnitValue], mut missing: f64) -> Vec<f64> {
    let book = &scenario.portfolio.accounts[0];
    let gains = gains(scenario, now, units);
    let notional =
        |at: usize| book.holdings[at].quantity.abs() * units[book.holdings[at].instrument as usize].notional;
    let mut order: Vec<usize> =
        (0..gains.len()).filter(|&at| gains[at] > 0.0 && notional(at) > 0.0).collect();
    order.sort_by(|&a, &b| (gains[b] / notional(b)).total_cmp(&(gains[a] / notional(a))));
    let mut parts = vec![0.0; book.holdings.len()];
    for at in order {
        if !(missing > 0.0) {
            break;
        }
        parts[at] = (missing / gains[at]).min(1.0);
        missing -= parts[at] * gains[at];
    }
    parts
}

/// What the maintenance margin falls by when a position goes, `[holding]`: a slice of it is taken off,
/// Expected Shortfall falls by its Euler component, add-ons are charged anew.
fn gains(scenario: &Scenario, now: &State, units: &[UnitValue]) -> Vec<f64> {
    let book = &scenario.portfolio.accounts[0];
    let Some(attribution) = &now.case.attribution else { return vec![0.0; book.holdings.len()] };
    let instruments = scenario.portfolio.instruments.as_slice();
    let margining = Margining::new(scenario, &scenario.market, units, units, units, &now.asset_tails);
    let margin = |account: &Account, tail: TailEstimate| {
        let tails = Tails::own(tail, now.case.initial);
        margining.of(account, (account, instruments), &tails).1.maintenance_margin
    };
    let whole = margin(book, now.case.maintenance);
    let shortfall = now.case.maintenance.expected_shortfall;
    // Lines that look at other cases fall with Expected Shortfall.
    let across: f64 = [Line::StressedWeight, Line::LookbackFloor]
        .map(|line| now.case.margin.maintenance_lines.get(line))
        .iter()
        .sum();
    let gain = |at: usize| {
        // Where money is reported in coins, dollars are the first position.
        let components = &attribution.maintenance.by_position;
        let position = components.get(at + components.len().saturating_sub(book.holdings.len()));
        let component = position.map_or(0.0, |position| position.component.expected_shortfall);
        let mut parts = vec![0.0; book.holdings.len()];
        parts[at] = SLICE;
        let tail = TailEstimate { expected_shortfall: shortfall - SLICE * component, ..now.case.maintenance };
        let fallen = whole - margin(&reduced(scenario, book, units, &parts, 1.0), tail);
        let relative = if shortfall > 0.0 { component / shortfall } else { 0.0 };
        fallen / SLICE + across * relative
    };
    (0..book.holdings.len()).map(gain).collect()
}

/// A book without these parts of its positions, all of them times `scale`.
fn reduced(scenario: &Scenario, book: &Account, units: &[UnitValue], parts: &[f64], scale: f64) -> Account {
    let mut account = book.clone();
    for (at, part) in parts.iter().enumerate().filter(|(_, part)| **part > 0.0) {
        let holding = &mut account.holdings[at];
        let instrument = &scenario.portfolio.instruments[holding.instrument as usize];
        let sold = part * scale * holding.quantity;
        holding.quantity -= sold;
        // What has a value is exchanged for cash; a future at its mark has none.
        account.cash += sold * units[holding.instrument as usize].market_value;
        if instrument.kind == Kind::Spot {
            for balance in account.balances.iter_mut().filter(|(asset, _)| *asset == instrument.asset) {
                balance.1 -= sold.clamp(-balance.1.abs(), balance.1.abs());
            }
        }
    }
    account
}

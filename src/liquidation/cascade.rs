//! Liquidations that move prices and set off further ones.

use serde::Serialize;

use super::Options;
use super::revalue::{self, Move, Point};
use crate::instrument::UnitValue;
use crate::market::{Market, Side};
use crate::run::AnalysisFault;
use crate::scenario::{Scenario, Shock, Stress};
use crate::units::DAYS_PER_YEAR;

/// Waves after which a cascade is cut off.
const MAX_WAVES: usize = 20;
/// Coefficient of the square-root law where the margin rules name none.
const IMPACT: f64 = 1.0;

/// What a fall of all prices sets off. Money in the reporting currency.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Cascade {
    /// The fall: 0.2 is -20 %.
    pub fall: f64,
    /// Accounts that the fall alone liquidates.
    pub liquidated_by_fall: usize,
    /// Loss beyond collateral of those, closed without moving prices.
    pub loss_without: f64,
    /// Accounts that are liquidated in the end.
    pub liquidated: usize,
    /// Loss beyond collateral of them, price moves included.
    pub loss_with: f64,
    /// Wave by wave, until no further account is in breach.
    pub waves: Vec<Wave>,
    /// Whether it was cut off while it went on.
    pub is_cut_off: bool,
}

/// Accounts that are liquidated at one time.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Wave {
    /// Accounts that it closes.
    pub liquidated: usize,
    /// Dollars of net delta that it sells (positive) or buys, over all assets, by size.
    pub traded: f64,
    /// Largest move of a price by its trades: 0.05 is 5 %.
    pub largest_move: f64,
    /// Loss beyond collateral of its accounts.
    pub loss: f64,
}

/// A cascade for every fall; none where an asset has no `liquidity`.
pub(super) fn cascades(
    scenario: &Scenario,
    margins: &[f64],
    options: &Options,
) -> Result<Vec<Cascade>, AnalysisFault> {
    if scenario.market.assets.iter().any(|asset| asset.liquidity.is_none()) {
        return Ok(Vec::new());
    }
    options.falls.iter().map(|&fall| cascade(scenario, margins, fall, options.paths)).collect()
}

fn cascade(scenario: &Scenario, margins: &[f64], fall: f64, paths: u64) -> Result<Cascade, AnalysisFault> {
    let assets = scenario.market.assets.len();
    let mut level = vec![1.0 - fall; assets];
    let mut open = vec![true; scenario.portfolio.accounts.len()];
    let mut found = Cascade {
        fall,
        liquidated_by_fall: 0,
        loss_without: 0.0,
        liquidated: 0,
        loss_with: 0.0,
        waves: Vec::new(),
        is_cut_off: false,
    };
    loop {
        let moves: Move = level.iter().map(|level| level - 1.0).enumerate().collect();
        let points = revalue::after(scenario, margins, std::slice::from_ref(&moves), paths)?.remove(0);
        let is_breached =
            |(account, point): (usize, &Point)| (open[account] && !(point.gap() >= 0.0)).then_some(account);
        let breached: Vec<usize> = points.iter().enumerate().filter_map(is_breached).collect();
        if found.waves.is_empty() {
            found.liquidated_by_fall = breached.len();
            found.loss_without = breached.iter().map(|&a| (-points[a].market_value).max(0.0)).sum();
        }
        if breached.is_empty() {
            return Ok(found);
        }
        if found.waves.len() == MAX_WAVES {
            found.is_cut_off = true;
            return Ok(found);
        }
        let market = Stress { name: String::new(), shocks: vec![Shock::Spot(moves)] }.apply(&scenario.market);
        let deltas = deltas(scenario, &market, &breached)?;
        let wave = wave(scenario, &market, &points, &breached, &deltas, &mut level);
        breached.iter().for_each(|&account| open[account] = false);
        found.liquidated += wave.liquidated;
        found.loss_with += wave.loss;
        found.waves.push(wave);
    }
}

/// Closes accounts: moves the levels of prices, and says what was lost beyond collateral. Each
/// account pays half of the move on its own part: prices go from where they are to where they end.
fn wave(
    scenario: &Scenario,
    market: &Market,
    points: &[Point],
    breached: &[usize],
    deltas: &[Vec<f64>],
    level: &mut [f64],
) -> Wave {
    let coefficient = scenario.margin.add_ons.liquidation.map_or(IMPACT, |rule| rule.impact);
    let mut moved = vec![0.0; level.len()];
    let mut traded = 0.0;
    for (asset, moved) in moved.iter_mut().enumerate() {
        let net: f64 = deltas.iter().map(|delta| delta[asset]).sum();
        let side = if net >= 0.0 { Side::Sell } else { Side::Buy };
        let daily = market.total_volatility_annual(asset) / DAYS_PER_YEAR.sqrt();
        let liquidity = market.assets[asset].liquidity;
        let size = liquidity.map_or(0.0, |l| l.impact_move(net, side, daily, coefficient));
        *moved = if net >= 0.0 { -size } else { size };
        level[asset] *= 1.0 + *moved;
        traded += net.abs();
    }
    let currency = scenario.reporting_asset.map_or(1.0, |asset| market.assets[asset].spot);
    let loss = |(&account, delta): (&usize, &Vec<f64>)| {
        let slippage: f64 =
            delta.iter().zip(&moved).map(|(delta, moved)| 0.5 * delta * moved / currency).sum();
        (-(points[account].market_value + slippage)).max(0.0)
    };
    Wave {
        liquidated: breached.len(),
        traded,
        largest_move: moved.iter().fold(0.0, |most, moved| moved.abs().max(most)),
        loss: breached.iter().zip(deltas).map(loss).sum(),
    }
}

/// Net deltas of accounts, `[account][asset]`: what closing them has to trade.
fn deltas(scenario: &Scenario, market: &Market, accounts: &[usize]) -> Result<Vec<Vec<f64>>, AnalysisFault> {
    let portfolio = &scenario.portfolio;
    let unit = |instrument| {
        let unit =
            UnitValue::new(market, instrument).map_err(|fault| AnalysisFault::Data(fault.to_string()))?;
        Ok::<_, AnalysisFault>(unit.exposure())
    };
    let units = portfolio.instruments.iter().map(unit).collect::<Result<Vec<_>, _>>()?;
    let of = |&account: &usize| {
        let mut delta = vec![0.0; market.assets.len()];
        for holding in &portfolio.accounts[account].holdings {
            let unit = &units[holding.instrument as usize];
            delta[unit.asset] += holding.quantity * unit.delta;
        }
        delta
    };
    Ok(accounts.iter().map(of).collect())
}

//! What keeps a holder from being exhausted: money, or a trade.

use serde::Serialize;

use super::Again;
use super::book::{Book, Holder, Relief, Walk};
use super::moves::Coordinates;
use super::search::Found;
use crate::instrument::{self, Instrument, Kind, UnitExposure, UnitValue};
use crate::market::Market;
use crate::run::AnalysisFault;
use crate::scenario::Scenario;

/// Instruments that are tried on all paths: those that gain most at the move for what they cost.
const TRIED: usize = 32;
/// Instruments that are valued at the move.
const MAX_CANDIDATES: usize = 4096;
/// How much more than the edge, so that rounding does not undo it.
const MORE: f64 = 1.0 + 1e-6;

/// The least that brings the probability of being exhausted down to the target. Money.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Remedy {
    /// Probability that is allowed.
    pub target: f64,
    /// Failing paths that are allowed.
    pub allowed_failures: u64,
    /// The deposit; an addition to a fund.
    pub deposit: f64,
    /// With the deposit, on other random words.
    pub deposit_again: Again,
    /// Instruments that were tried on all paths.
    pub tried: usize,
    /// The cheapest trade of one instrument, if one reaches the target.
    pub hedge: Option<Hedge>,
    /// With that trade, on other random words.
    pub hedge_again: Option<Again>,
}

/// A trade. Money.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Hedge {
    /// The instrument.
    pub instrument: String,
    /// Units: negative is to sell.
    pub quantity: f64,
    /// Notional of them.
    pub notional: f64,
    /// What trading them costs, or their notional.
    pub cost: f64,
    /// Which of the two.
    pub cost_is: CostIs,
}

/// What a cost is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CostIs {
    /// Half of the spread, which the holder pays.
    HalfSpread,
    /// The notional: the market has no `liquidity` at every asset, and nothing is paid.
    Notional,
}

/// An instrument that may be traded. Money of one unit.
#[derive(Clone)]
struct Candidate {
    instrument: Instrument,
    notional: f64,
    cost: f64,
}

/// What is known of a holder before anything is done.
pub(super) struct Before<'a> {
    pub scenario: &'a Scenario,
    pub holder: &'a Holder,
    pub coordinates: &'a Coordinates,
    pub found: &'a Found,
    pub walk: &'a Walk,
    pub target: f64,
}

/// The least deposit and the cheapest trade; `again` runs a book with some relief on other words.
pub(super) fn remedy(
    before: &Before<'_>,
    named: &[String],
    again: &dyn Fn(&[Instrument], Relief) -> Result<Again, AnalysisFault>,
) -> Result<Remedy, AnalysisFault> {
    let paths = before.walk.gaps.len() as u64;
    let allowed = (before.target * paths as f64).floor() as u64;
    let deposit = deposit(&before.walk.gaps, allowed);
    let candidates = candidates(before, named)?;
    let cost_is = cost_is(&before.scenario.market);
    let hedge = cheapest(before, &candidates, allowed, cost_is)?;
    let hedge_again = |(candidate, quantity): &(Candidate, f64)| {
        let money = match cost_is {
            CostIs::HalfSpread => -quantity.abs() * candidate.cost,
            CostIs::Notional => 0.0,
        };
        again(std::slice::from_ref(&candidate.instrument), Relief { money, quantities: vec![*quantity] })
    };
    Ok(Remedy {
        target: before.target,
        allowed_failures: allowed,
        deposit,
        deposit_again: again(&[], Relief { money: deposit, quantities: Vec::new() })?,
        tried: candidates.len(),
        hedge_again: hedge.as_ref().map(hedge_again).transpose()?,
        hedge: hedge.map(|(candidate, quantity)| Hedge {
            instrument: candidate.instrument.name,
            quantity,
            notional: quantity.abs() * candidate.notional,
            cost: quantity.abs() * candidate.cost,
            cost_is,
        }),
    })
}

/// The least money with which no more than so many paths fail.
fn deposit(gaps: &[f64], allowed: u64) -> f64 {
    let mut gaps = gaps.to_vec();
    gaps.sort_by(f64::total_cmp);
    gaps.get(allowed as usize).map_or(0.0, |gap| (-gap).max(0.0) * MORE)
}

/// Half-spreads are the cost where every asset has them.
fn cost_is(market: &Market) -> CostIs {
    match market.assets.iter().all(|asset| asset.liquidity.is_some()) {
        true => CostIs::HalfSpread,
        false => CostIs::Notional,
    }
}

/// What trading one unit costs: options half the spread of their volatility, everything else of the price.
fn unit_cost(market: &Market, unit: &UnitExposure, is: CostIs) -> f64 {
    let liquidity = market.assets[unit.asset].liquidity.filter(|_| is == CostIs::HalfSpread);
    match (liquidity, unit.option) {
        (Some(liquidity), Some(_)) => liquidity.volatility_half_spread * unit.volatility_vega.abs(),
        (Some(liquidity), None) => liquidity.half_spread * unit.delta.abs(),
        (None, _) => unit.notional,
    }
}

/// Instruments by name, or those of the portfolio and the perpetuals of the assets that the holder
/// depends on; the ones that gain most at the move for their cost.
fn candidates(before: &Before<'_>, named: &[String]) -> Result<Vec<Candidate>, AnalysisFault> {
    let market = &before.scenario.market;
    let parse = |name: &str| instrument::parse(name, |asset| market.asset_index(asset));
    let mut instruments = Vec::new();
    let mut faults = Vec::new();
    for name in named {
        match parse(name) {
            Ok(instrument) => instruments.push(instrument),
            Err(fault) => faults.push(format!("{name}: {fault}")),
        }
    }
    if named.is_empty() {
        let assets = before.holder.assets(before.scenario);
        let held = before.scenario.portfolio.instruments.iter();
        instruments.extend(held.filter(|i| i.kind != Kind::Cash && assets.contains(&i.asset)).cloned());
        let perpetual = |asset: &usize| parse(&format!("{}_USDC-PERPETUAL", market.assets[*asset].name)).ok();
        for instrument in assets.iter().filter_map(perpetual) {
            if !instruments.iter().any(|known| known.name == instrument.name) {
                instruments.push(instrument);
            }
        }
    }
    instruments.truncate(MAX_CANDIDATES);
    let (is, horizon) = (cost_is(market), before.scenario.margin.maintenance.horizon.get());
    let money = before.scenario.reporting_asset.map_or(1.0, |asset| market.assets[asset].spot);
    let mut candidates = Vec::new();
    for instrument in instruments {
        match UnitValue::new(market, &instrument) {
            // What expires within the horizon does not last.
            Ok(unit) if unit.observed_years(horizon) < horizon && named.is_empty() => {}
            Ok(unit) if unit.observed_years(horizon) < horizon => {
                faults.push(format!("{}: it expires within the horizon", instrument.name));
            }
            Ok(unit) => {
                let cost = unit_cost(market, &unit.exposure(), is) / money;
                candidates.push(Candidate { notional: unit.notional / money, cost, instrument });
            }
            Err(_) if named.is_empty() => {}
            Err(fault) => faults.push(format!("{}: {fault}", instrument.name)),
        }
    }
    if !faults.is_empty() {
        return Err(AnalysisFault::Data(format!("--hedge {}", faults.join("; --hedge "))));
    }
    strongest(before, candidates)
}

fn strongest(before: &Before<'_>, candidates: Vec<Candidate>) -> Result<Vec<Candidate>, AnalysisFault> {
    let instruments: Vec<Instrument> = candidates.iter().map(|c| c.instrument.clone()).collect();
    let book = book(before, &instruments)?;
    let profits = book.unit_profits(before.coordinates, &before.found.z);
    // By what the move pays for the cost; an instrument without a cost by its notional.
    let score = |(candidate, profit): &(Candidate, f64)| {
        profit.abs() / candidate.cost.max(1e-9 * candidate.notional).max(f64::MIN_POSITIVE)
    };
    let mut scored: Vec<(Candidate, f64)> = candidates.into_iter().zip(profits).collect();
    scored.retain(|(_, profit)| profit.abs() > 0.0);
    scored.sort_by(|a, b| score(b).total_cmp(&score(a)));
    scored.truncate(TRIED);
    Ok(scored.into_iter().map(|(candidate, _)| candidate).collect())
}

fn book(before: &Before<'_>, instruments: &[Instrument]) -> Result<Book, AnalysisFault> {
    Book::new(before.scenario, before.holder, instruments, Relief::default()).map_err(AnalysisFault::Data)
}

/// The instrument and quantity that reach the target at the least cost.
fn cheapest(
    before: &Before<'_>,
    candidates: &[Candidate],
    allowed: u64,
    is: CostIs,
) -> Result<Option<(Candidate, f64)>, AnalysisFault> {
    let instruments: Vec<Instrument> = candidates.iter().map(|c| c.instrument.clone()).collect();
    let walk = book(before, &instruments)?.walk(before.walk.gaps.len() as u64, before.coordinates, None);
    let mut best: Option<(f64, Candidate, f64)> = None;
    for (candidate, profits) in candidates.iter().zip(&walk.units) {
        for side in [1.0, -1.0] {
            let paid = if is == CostIs::HalfSpread { candidate.cost } else { 0.0 };
            let gains = profits.iter().map(|profit| side * f64::from(*profit) - paid);
            let Some(quantity) = least_quantity(&before.walk.gaps, gains, allowed) else { continue };
            let cost = quantity * candidate.cost;
            if best.as_ref().is_none_or(|(least, ..)| cost < *least) {
                best = Some((cost, candidate.clone(), side * quantity));
            }
        }
    }
    Ok(best.map(|(_, candidate, quantity)| (candidate, quantity)))
}

/// The least quantity with which no more than so many paths fail: each path is mended, or fails, at
/// a quantity of its own, and they are passed in their order.
fn least_quantity(gaps: &[f64], gains: impl Iterator<Item = f64>, allowed: u64) -> Option<f64> {
    let mut failing = 0i64;
    let mut changes: Vec<(f64, i64)> = Vec::new();
    for (gap, gain) in gaps.iter().zip(gains) {
        let fails = !(*gap > 0.0);
        failing += i64::from(fails);
        match (fails, gain > 0.0) {
            (true, true) => changes.push((-gap / gain * MORE, -1)),
            (false, false) if gain < 0.0 => changes.push((gap / -gain, 1)),
            _ => {}
        }
    }
    changes.sort_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(&a.1)));
    for (quantity, change) in changes {
        failing += change;
        if failing <= allowed as i64 {
            return Some(quantity);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_quantity_mends_more_than_it_breaks() {
        let gaps = [-10.0, -4.0, 5.0, 20.0];
        // One unit mends the second at 4, breaks the third at 5, mends the first at 5.
        let gains = [2.0, 1.0, -0.5, 0.0];
        let near = |found: Option<f64>, wanted: f64| (found.unwrap() / wanted - 1.0).abs() < 1e-5;
        assert!(near(least_quantity(&gaps, gains.into_iter(), 1), 4.0));
        assert!(near(least_quantity(&gaps, gains.into_iter(), 0), 5.0));
        // Where it breaks the third before the first is mended, none is enough.
        assert_eq!(least_quantity(&gaps, [2.0, 1.0, -1.5, 0.0].into_iter(), 0), None);
        assert!(near(Some(deposit(&gaps, 1)), 4.0) && near(Some(deposit(&gaps, 0)), 10.0));
        assert_eq!(deposit(&gaps, 2), 0.0);
    }
}

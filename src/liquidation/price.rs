//! Prices at which an account is liquidated, and its health over moves of two assets.

use serde::Serialize;

use super::revalue::{self, Move, Point};
use crate::instrument::UnitValue;
use crate::oracle::Attack;
use crate::run::AnalysisFault;
use crate::scenario::Scenario;

/// Simple returns between which a liquidation price is looked for, outward from none.
const FALLS: [f64; 9] = [-0.03, -0.07, -0.12, -0.2, -0.3, -0.42, -0.55, -0.7, -0.85];
const RISES: [f64; 9] = [0.03, 0.07, 0.14, 0.25, 0.4, 0.65, 1.0, 1.6, 2.5];
/// Moves along either side of a surface.
const SURFACE: [f64; 9] = [-0.4, -0.3, -0.2, -0.1, 0.0, 0.1, 0.2, 0.3, 0.4];
/// A root is found where the health is within this of one.
const CLOSE: f64 = 1e-3;
const MAX_STEPS: usize = 12;

/// A price of one asset at which an account's equity is its maintenance margin, all else as it is.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LiquidationPrice {
    /// The asset.
    pub asset: String,
    /// Its price there, US dollars.
    pub price: f64,
    /// The move to it: -0.2 is -20 %.
    pub relative_move: f64,
    /// Health by a full run at that price; 1 to a thousandth where the search closed in.
    pub health_there: Option<f64>,
    /// Pushing the oracle there; where the margin rules say how it can be pushed, and that far.
    pub push: Option<Push>,
}

/// An attack on an oracle that makes an account fail, or pass where it fails today. US dollars.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Push {
    /// The cheapest that reaches the price.
    pub attack: Attack,
    /// What it can gain at most: the account's net delta in the asset times the move.
    pub gain: f64,
    /// Whether that is more than it costs.
    pub pays: bool,
}

/// Health over moves of two assets.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Surface {
    /// The account.
    pub account: String,
    /// The asset of the rows.
    pub rows: String,
    /// The asset of the columns.
    pub columns: String,
    /// Simple returns of both.
    pub moves: Vec<f64>,
    /// Health, `[row][column]`; none where the margin is zero.
    pub health: Vec<Vec<Option<f64>>>,
}

/// The nearest liquidation prices of an account below and above today's, for each asset that it
/// holds. An account in breach has those at which it would be healthy again.
pub(super) fn prices(
    scenario: &Scenario,
    account: usize,
    margin: f64,
    paths: u64,
) -> Result<Vec<LiquidationPrice>, AnalysisFault> {
    let scenario = revalue::alone(scenario, account);
    let mut found = Vec::new();
    for (asset, delta) in held(&scenario)? {
        let search = Search { scenario: &scenario, asset, margin, paths };
        for side in [&FALLS, &RISES] {
            let price = search.nearest(side)?;
            found.extend(
                price.map(|price| LiquidationPrice { push: push(&scenario, asset, delta, &price), ..price }),
            );
        }
    }
    Ok(found)
}

/// Pushing the oracle of an asset to a price; `delta` is the account's, in dollars.
fn push(scenario: &Scenario, asset: usize, delta: f64, price: &LiquidationPrice) -> Option<Push> {
    let rule = scenario.margin.add_ons.oracle.as_ref()?.manipulation.as_ref()?;
    if !(price.relative_move.abs() <= rule.pushes.most_move) {
        return None;
    }
    let pool = rule.pool(asset, scenario.market.assets[asset].liquidity)?;
    let attack = rule.pushes.cheapest(pool, price.relative_move)?;
    let gain = (delta * price.relative_move).abs();
    Some(Push { attack, gain, pays: gain > attack.cost })
}

/// The surface of an account over the two assets of its largest deltas.
pub(super) fn surface(
    scenario: &Scenario,
    account: usize,
    margin: f64,
    paths: u64,
) -> Result<Surface, AnalysisFault> {
    let scenario = revalue::alone(scenario, account);
    let mut held = held(&scenario)?;
    held.sort_by(|a, b| b.1.abs().total_cmp(&a.1.abs()));
    let [(first, _), (second, _)] = held[..]
        .first_chunk::<2>()
        .copied()
        .ok_or_else(|| AnalysisFault::Data("a surface needs an account that holds two assets".to_owned()))?;
    let pair = |&a: &f64| SURFACE.iter().map(move |&b| vec![(first, a), (second, b)]);
    let moves: Vec<Move> = SURFACE.iter().flat_map(pair).collect();
    let points = revalue::after(&scenario, &[margin], &moves, paths)?;
    let health: Vec<Option<f64>> = points.iter().map(|accounts| accounts[0].health()).collect();
    let name = |asset: usize| scenario.market.assets[asset].name.clone();
    Ok(Surface {
        account: scenario.portfolio.accounts[0].name.clone(),
        rows: name(first),
        columns: name(second),
        moves: SURFACE.to_vec(),
        health: health.chunks(SURFACE.len()).map(<[_]>::to_vec).collect(),
    })
}

/// Assets that the only account holds, with its net delta in them.
fn held(scenario: &Scenario) -> Result<Vec<(usize, f64)>, AnalysisFault> {
    let mut deltas = vec![None; scenario.market.assets.len()];
    for holding in &scenario.portfolio.accounts[0].holdings {
        let instrument = &scenario.portfolio.instruments[holding.instrument as usize];
        let unit = UnitValue::new(&scenario.market, instrument)
            .map_err(|fault| AnalysisFault::Data(format!("{}: {fault}", instrument.name)))?;
        *deltas[instrument.asset].get_or_insert(0.0) += holding.quantity * unit.exposure().delta;
    }
    Ok(deltas.into_iter().enumerate().filter_map(|(asset, delta)| Some((asset, delta?))).collect())
}

/// A search for the root of equity less maintenance margin over the price of one asset.
struct Search<'a> {
    scenario: &'a Scenario,
    asset: usize,
    /// Maintenance margin of today.
    margin: f64,
    paths: u64,
}

impl Search<'_> {
    fn points(&self, moves: &[f64]) -> Result<Vec<Point>, AnalysisFault> {
        let moves: Vec<Move> = moves.iter().map(|&relative| vec![(self.asset, relative)]).collect();
        Ok(revalue::after(self.scenario, &[self.margin], &moves, self.paths)?
            .into_iter()
            .map(|accounts| accounts[0])
            .collect())
    }

    /// The first root outward from no move, between two of the given moves.
    fn nearest(&self, outward: &[f64]) -> Result<Option<LiquidationPrice>, AnalysisFault> {
        let moves: Vec<f64> = std::iter::once(0.0).chain(outward.iter().copied()).collect();
        let points = self.points(&moves)?;
        let changes = |pair: &&[Point]| (pair[0].gap() >= 0.0) != (pair[1].gap() >= 0.0);
        let Some(at) = points.windows(2).position(|pair| changes(&pair)) else { return Ok(None) };
        let mut inside = (moves[at], points[at]);
        let mut outside = (moves[at + 1], points[at + 1]);
        let mut best = inside;
        for step in 0..MAX_STEPS {
            // The line between both ends, and halves in turn, so that neither end stays for ever.
            let part = match step % 2 {
                0 => inside.1.gap() / (inside.1.gap() - outside.1.gap()),
                _ => 0.5,
            };
            let next = inside.0 + part.clamp(0.01, 0.99) * (outside.0 - inside.0);
            let point = self.points(&[next])?[0];
            best = (next, point);
            if point.health().is_some_and(|health| (health - 1.0).abs() < CLOSE) {
                break;
            }
            if (point.gap() >= 0.0) == (inside.1.gap() >= 0.0) {
                inside = best;
            } else {
                outside = best;
            }
        }
        let asset = &self.scenario.market.assets[self.asset];
        Ok(Some(LiquidationPrice {
            asset: asset.name.clone(),
            price: asset.spot * (1.0 + best.0),
            relative_move: best.0,
            health_there: best.1.health(),
            push: None,
        }))
    }
}

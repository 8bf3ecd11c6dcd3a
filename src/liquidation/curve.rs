//! Maintenance margins along paths: interpolated between full runs, one asset at a time.

use serde::Serialize;

use super::revalue::{self, Move, Point};
use crate::run::AnalysisFault;
use crate::scenario::Scenario;

/// Simple returns at which margins are run in full.
const NODES: [f64; 13] = [-0.7, -0.5, -0.35, -0.2, -0.1, -0.04, 0.0, 0.04, 0.1, 0.2, 0.35, 0.6, 1.2];
/// Numbers of all curves together: 400 MB.
const MAX_NUMBERS: usize = 50_000_000;

/// How far margins along paths are from full runs at the same joint moves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct CurveError {
    /// Joint moves that were run in full.
    pub moves: usize,
    /// Root mean square of the difference, over the sum of the accounts' margins at the move.
    pub root_mean_square: f64,
    /// The largest of them.
    pub largest: f64,
}

/// Margins of every account as functions of each asset's price.
pub(super) struct Curves {
    assets: usize,
    /// Log returns of the nodes.
    nodes: Vec<f64>,
    /// Margin with nothing moved, by account.
    base: Vec<f64>,
    /// Margin at a node less that at none, `[account][asset][node]`.
    change: Vec<f64>,
    /// Assets that an account's margin moves with.
    moving: Vec<Vec<usize>>,
}

/// Where an asset's return lies among the nodes.
#[derive(Clone, Copy, Default)]
pub(super) struct Place {
    node: usize,
    weight: f64,
}

impl Curves {
    pub fn new(scenario: &Scenario, margins: &[f64], paths: u64) -> Result<Self, AnalysisFault> {
        let (accounts, assets) = (margins.len(), scenario.market.assets.len());
        if accounts * assets * NODES.len() > MAX_NUMBERS {
            return Err(AnalysisFault::Data(format!(
                "{accounts} accounts of {assets} assets; at most {} together",
                MAX_NUMBERS / NODES.len()
            )));
        }
        let zero = NODES.iter().position(|x| *x == 0.0).expect("a node without a move");
        let one = |asset| NODES.iter().map(move |&relative| vec![(asset, relative)]);
        let moves: Vec<Move> = (0..assets).flat_map(one).collect();
        let points = revalue::after(scenario, margins, &moves, paths)?;
        let margin = |account: usize, asset: usize, node: usize| {
            points[asset * NODES.len() + node][account].maintenance_margin
        };
        let mut change = Vec::with_capacity(accounts * assets * NODES.len());
        let mut moving = vec![Vec::new(); accounts];
        for account in 0..accounts {
            for asset in 0..assets {
                let here = margin(account, asset, zero);
                let changes = (0..NODES.len()).map(|node| margin(account, asset, node) - here);
                let first = change.len();
                change.extend(changes);
                if change[first..].iter().any(|change| *change != 0.0) {
                    moving[account].push(asset);
                }
            }
        }
        Ok(Self {
            assets,
            nodes: NODES.iter().map(|x| x.ln_1p()).collect(),
            base: margins.to_vec(),
            change,
            moving,
        })
    }

    /// Where a log return lies; beyond the last nodes their line goes on.
    pub fn place(&self, log_return: f64) -> Place {
        let node = self.nodes.partition_point(|node| *node <= log_return);
        let node = node.clamp(1, self.nodes.len() - 1) - 1;
        let weight = (log_return - self.nodes[node]) / (self.nodes[node + 1] - self.nodes[node]);
        Place { node, weight }
    }

    /// Maintenance margin of an account where every asset has moved to its place, `[asset]`.
    ///
    /// # Formula
    /// `max(0, M(0) + sum_i (M(x_i) - M(0)))`: exact for moves of one asset at a node.
    pub fn margin(&self, account: usize, places: &[Place]) -> f64 {
        let change = |&asset: &usize| {
            let Place { node, weight } = places[asset];
            let at = (account * self.assets + asset) * NODES.len() + node;
            (1.0 - weight) * self.change[at] + weight * self.change[at + 1]
        };
        (self.base[account] + self.moving[account].iter().map(change).sum::<f64>()).max(0.0)
    }

    /// Measures the error at joint moves, log returns `[move][asset]`.
    pub fn error(
        &self,
        scenario: &Scenario,
        joint: &[Vec<f64>],
        paths: u64,
    ) -> Result<CurveError, AnalysisFault> {
        let moves: Vec<Move> =
            joint.iter().map(|x| x.iter().map(|x| x.exp_m1()).enumerate().collect()).collect();
        let full = revalue::after(scenario, &self.base, &moves, paths)?;
        let errors = joint.iter().zip(&full).map(|(x, full)| {
            let places: Vec<Place> = x.iter().map(|x| self.place(*x)).collect();
            let off = |(account, point): (usize, &Point)| {
                (self.margin(account, &places) - point.maintenance_margin).abs()
            };
            let off: f64 = full.iter().enumerate().map(off).sum();
            let size: f64 = full.iter().map(|point| point.maintenance_margin).sum();
            if size > 0.0 { off / size } else { 0.0 }
        });
        let errors: Vec<f64> = errors.collect();
        let mean = errors.iter().map(|e| e * e).sum::<f64>() / errors.len().max(1) as f64;
        Ok(CurveError {
            moves: errors.len(),
            root_mean_square: mean.sqrt(),
            largest: errors.into_iter().fold(0.0, f64::max),
        })
    }
}

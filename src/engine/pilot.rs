//! The pilot: the first paths of a run, simulated on the CPU in f32 whatever the engine. They say
//! where each account's VaR must lie and what hurts it, so every engine works from the same plan.

use super::cpu::CpuEngine;
use super::{BLOCK, Cube, FACTORS, Job};
use crate::risk::Bracket;
use crate::scenario::Precision;

/// Paths of a pilot at least.
const LEAST_PATHS: u64 = 8192;
/// Expected losses beyond the rarest level.
const LEAST_TAIL: f64 = 64.0;

/// The pilot of a job.
pub struct Pilot {
    paths: u64,
    cube: Cube<f32>,
}

/// What an account's tail is made of: the asset that costs most there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Driver {
    /// Index of the asset.
    pub asset: usize,
    /// Its part of the mean tail loss: 0.8 is 80 %; above 1 where other assets offset it.
    pub share: f64,
    /// Mean return of the asset on those paths: -0.1 is -10 %.
    pub mean_return: f64,
}

impl Pilot {
    /// Simulates the pilot of a run of `paths` paths.
    pub fn new(job: &Job, paths: u64) -> Self {
        let rarest = job.levels.iter().map(|level| level.confidence.tail()).fold(1.0, f64::min);
        let wanted = ((LEAST_TAIL / rarest).ceil() as u64).max(LEAST_PATHS).next_multiple_of(BLOCK as u64);
        let paths = wanted.min(paths);
        Self { paths, cube: CpuEngine::new(Precision::F32).cube_f32(job, 0..paths) }
    }

    /// Brackets of every account at every level, `[account][level]`. `widening` is 1, more after
    /// a miss. `job` may be the pilot's job for some of its accounts.
    pub fn brackets(&self, job: &Job, widening: f64) -> Vec<Bracket> {
        let engine = CpuEngine::new(Precision::F32);
        let of_horizon = |horizon: usize| {
            engine.losses_f32(job, &self.cube, horizon, |account, losses| {
                let losses = &mut losses[..self.paths as usize];
                let levels = job.levels.iter().filter(|level| level.horizon == horizon);
                levels
                    .map(|l| Bracket::new(losses, l.confidence, widening, job.scale[account]))
                    .collect::<Vec<_>>()
            })
        };
        let by_horizon: Vec<Vec<Vec<Bracket>>> = (0..job.horizons.len()).map(of_horizon).collect();
        let mut brackets = Vec::with_capacity(job.accounts() * job.levels.len());
        for account in 0..job.accounts() {
            let mut taken = vec![0; job.horizons.len()];
            for level in &job.levels {
                brackets.push(by_horizon[level.horizon][account][taken[level.horizon]]);
                taken[level.horizon] += 1;
            }
        }
        brackets
    }

    /// The worst asset of every account in the tail of a level; `None` where nothing is lost.
    pub fn drivers(&self, job: &Job, level: usize) -> Vec<Option<Driver>> {
        let tail_level = job.levels[level];
        let count = ((self.paths as f64 * tail_level.confidence.tail()).round() as usize).max(1);
        let row_assets = row_assets(job);
        let engine = CpuEngine::new(Precision::F32);
        engine.losses_f32(job, &self.cube, tail_level.horizon, |account, losses| {
            let mut worst: Vec<usize> = (0..self.paths as usize).collect();
            let count = count.min(worst.len());
            worst.select_nth_unstable_by(count - 1, |&a, &b| losses[b].total_cmp(&losses[a]).then(a.cmp(&b)));
            self.driver(job, &row_assets, tail_level.horizon, account, &worst[..count])
        })
    }

    fn driver(
        &self,
        job: &Job,
        row_assets: &[usize],
        horizon: usize,
        account: usize,
        paths: &[usize],
    ) -> Option<Driver> {
        let netting = &job.netting[horizon];
        let mut by_asset = vec![0.0; job.assets];
        for entry in netting.starts[account] as usize..netting.starts[account + 1] as usize {
            let row = netting.row[entry] as usize;
            let profit = |&path: &usize| f64::from(self.cube.pnl[path / BLOCK][row * BLOCK + path % BLOCK]);
            let mean = paths.iter().map(profit).sum::<f64>() / paths.len() as f64;
            by_asset[row_assets[row]] -= netting.quantity[entry] * mean;
        }
        let total: f64 = by_asset.iter().sum();
        let (asset, loss) = by_asset.iter().copied().enumerate().max_by(|a, b| a.1.total_cmp(&b.1))?;
        if !(total > 1e-12 * job.scale[account] && loss > 0.0) {
            return None;
        }
        let years = job.horizons[horizon].get();
        let observation = job.observations.iter().position(|o| (o.years - years).abs() < 1e-9)?;
        let start = ((observation * job.assets + asset) * FACTORS) * BLOCK;
        let growth =
            |&path: &usize| f64::from(self.cube.factors[path / BLOCK][start + path % BLOCK]).exp_m1();
        let mean_return = paths.iter().map(growth).sum::<f64>() / paths.len() as f64;
        Some(Driver { asset, share: loss / total, mean_return })
    }
}

fn row_assets(job: &Job) -> Vec<usize> {
    let mut assets = vec![0; job.rows.len()];
    for curve in &job.curves {
        assets[curve.rows.clone()].fill(curve.point.asset);
    }
    assets
}

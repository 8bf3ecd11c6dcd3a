//! The pilot: the first paths of a run, simulated on the CPU in f32 whatever the engine. They say
//! where each account's VaR must lie and what hurts it, so every engine works from the same plan.

use super::cpu::CpuEngine;
use super::{BLOCK, Cube, Engine, FACTORS, Job, TailLevel};
use crate::margin::UnitTail;
use crate::risk::{Bracket, Distribution, LevelRanks, largest};
use crate::scenario::Precision;
use crate::units::Confidence;

/// Paths that are kept, and that a pilot has at least.
pub const KEPT_PATHS: u64 = 8192;
/// Expected losses beyond a level.
const LEAST_TAIL: f64 = 64.0;

/// The pilot of a job: its first paths are kept, those that only rare levels need go by.
pub struct Pilot {
    /// Paths of the run.
    run: u64,
    kept: Cube<f32>,
}

/// Paths that a level's brackets are made from in a run of `run` paths: its first.
pub fn pilot_paths(confidence: Confidence, run: u64) -> usize {
    let wanted = (LEAST_TAIL / confidence.tail()).ceil() as u64;
    wanted.max(KEPT_PATHS).next_multiple_of(BLOCK as u64).min(run) as usize
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
        Self { run: paths, kept: CpuEngine::new(Precision::F32).cube_f32(job, 0..paths.min(KEPT_PATHS)) }
    }

    fn paths(&self, confidence: Confidence) -> usize {
        pilot_paths(confidence, self.run)
    }

    /// [`Pilot::brackets`] before any miss, the losses ranked by `engine` where it is quicker.
    pub fn brackets_on(&self, engine: &mut dyn Engine, job: &Job) -> Vec<Bracket> {
        let paths = self.run.min(KEPT_PATHS);
        let ranks = |level: &TailLevel| {
            let n = self.paths(level.confidence);
            (n as u64 == paths).then(|| LevelRanks::new(level.confidence, n, 1.0))
        };
        let ranks: Option<Vec<LevelRanks>> = job.levels.iter().map(ranks).collect();
        let Some(ranked) = ranks.and_then(|ranks| engine.ranked(job, paths, &ranks)) else {
            return self.brackets(job, 1.0);
        };
        let scales = job.scale.iter().flat_map(|scale| job.levels.iter().map(move |_| *scale));
        ranked.iter().zip(scales).map(|(ranked, scale)| Bracket::around(ranked, 1.0, scale)).collect()
    }

    /// Brackets of every account at every level, `[account][level]`. `widening` is 1, more after
    /// a miss. `job` may be the pilot's job for some of its accounts.
    pub fn brackets(&self, job: &Job, widening: f64) -> Vec<Bracket> {
        let engine = CpuEngine::new(Precision::F32);
        let levels = |horizon| job.levels.iter().filter(move |level: &&TailLevel| level.horizon == horizon);
        let mut largest: Vec<Vec<Vec<Largest>>> = Vec::with_capacity(job.horizons.len());
        let longest = job.levels.iter().map(|level| self.paths(level.confidence)).max().unwrap_or(0);
        for horizon in 0..job.horizons.len() {
            largest.push(engine.losses_f32(job, &self.kept, horizon, |account, losses| {
                let look = |level: &TailLevel| {
                    let n = self.paths(level.confidence);
                    if n as u64 > KEPT_PATHS {
                        return Largest::Some(merge_largest(&[], losses, n, level.confidence, widening));
                    }
                    let scale = job.scale[account];
                    Largest::Done(Bracket::new(&losses[..n], n, level.confidence, widening, scale))
                };
                levels(horizon).map(look).collect()
            }));
        }
        // What rare levels need beyond the kept paths is simulated once for all of them.
        for first in (KEPT_PATHS..longest as u64).step_by(KEPT_PATHS as usize) {
            let end = (first + KEPT_PATHS).min(longest as u64);
            let cube = engine.cube_f32(job, first..end);
            for (horizon, largest) in largest.iter_mut().enumerate() {
                *largest = engine.losses_f32(job, &cube, horizon, |account, losses| {
                    let more = |(level, before): (&TailLevel, &Largest)| {
                        let n = self.paths(level.confidence);
                        match before {
                            Largest::Some(before) if n as u64 > first => {
                                let until = (n as u64 - first).min(end - first) as usize;
                                let losses = &losses[..until];
                                Largest::Some(merge_largest(before, losses, n, level.confidence, widening))
                            }
                            other => other.clone(),
                        }
                    };
                    levels(horizon).zip(&largest[account]).map(more).collect()
                });
            }
        }
        let mut brackets = Vec::with_capacity(job.accounts() * job.levels.len());
        for account in 0..job.accounts() {
            let mut taken = vec![0; job.horizons.len()];
            for level in &job.levels {
                let found = &largest[level.horizon][account][taken[level.horizon]];
                taken[level.horizon] += 1;
                brackets.push(found.bracket(
                    self.paths(level.confidence),
                    level,
                    widening,
                    job.scale[account],
                ));
            }
        }
        brackets
    }

    /// The worst asset of every account in the tail of a level; `None` where nothing is lost.
    pub fn drivers(&self, job: &Job, level: usize) -> Vec<Option<Driver>> {
        let tail_level = job.levels[level];
        let paths = self.run.min(KEPT_PATHS) as usize;
        let row_assets = row_assets(job);
        let observation = job.horizon_observation(tail_level.horizon);
        let netting = &job.netting[tail_level.horizon];
        let profit = |row: u32, path: usize| self.kept.pnl[path / BLOCK][row as usize * BLOCK + path % BLOCK];
        let log_return = |asset: usize, path: usize| {
            let start = (observation? * job.assets + asset) * FACTORS * BLOCK;
            Some(self.kept.factors[path / BLOCK][start + path % BLOCK])
        };
        CpuEngine::new(Precision::F32).losses_f32(job, &self.kept, tail_level.horizon, |account, losses| {
            let entries = netting.starts[account] as usize..netting.starts[account + 1] as usize;
            let held = entries.map(|entry| {
                let row = netting.row[entry];
                let profit = move |path| profit(row, path);
                (row_assets[row as usize], netting.quantity[entry], profit)
            });
            let tail = DriverTail { losses: &losses[..paths], confidence: tail_level.confidence };
            tail.driver(job.assets, held, log_return, job.scale[account])
        })
    }

    /// The shape of every account's losses at a level's horizon, on the pilot's kept paths.
    pub fn distributions(&self, job: &Job, level: usize) -> Vec<Option<Distribution>> {
        let paths = self.run.min(KEPT_PATHS) as usize;
        let engine = CpuEngine::new(Precision::F32);
        let horizon = job.levels[level].horizon;
        engine.losses_f32(job, &self.kept, horizon, |_, losses| Distribution::new(&losses[..paths]))
    }

    /// Expected Shortfall of one dollar of each asset at a level, held and owed.
    pub fn unit_tails(&self, job: &Job, level: usize) -> Vec<UnitTail> {
        let TailLevel { horizon, confidence, .. } = job.levels[level];
        let paths = self.run.min(KEPT_PATHS) as usize;
        let count = ((paths as f64 * confidence.tail()).round() as usize).max(1).min(paths);
        let observation = job.horizon_observation(horizon);
        let tail = |asset: usize| {
            let Some(observation) = observation else { return UnitTail::default() };
            let start = (observation * job.assets + asset) * FACTORS * BLOCK;
            let growth =
                |path: usize| f64::from(self.kept.factors[path / BLOCK][start + path % BLOCK]).exp_m1();
            let mut returns: Vec<f64> = (0..paths).map(growth).collect();
            returns.sort_unstable_by(f64::total_cmp);
            let mean = |part: &[f64]| part.iter().sum::<f64>() / count as f64;
            UnitTail { long: -mean(&returns[..count]), short: mean(&returns[paths - count..]) }
        };
        (0..job.assets).map(tail).collect()
    }
}

/// The first losses of an account, in whose tail the worst asset is looked for.
pub struct DriverTail<'a> {
    /// Losses on the first paths of a run, up to [`KEPT_PATHS`] of them.
    pub losses: &'a [f32],
    /// Confidence of the level.
    pub confidence: Confidence,
}

impl DriverTail<'_> {
    /// The paths of the tail, ascending.
    pub fn paths(&self) -> Vec<usize> {
        let count = ((self.losses.len() as f64 * self.confidence.tail()).round() as usize).max(1);
        worst_paths(self.losses, count.min(self.losses.len()))
    }

    /// The worst of so many assets. `held` are asset, quantity and profit of a unit on a path of each
    /// holding, `log_return` of an asset on a path at the horizon, and `scale` the size of the account
    /// below which a loss is nothing. `None` where nothing is lost.
    pub fn driver<P: Fn(usize) -> f32>(
        &self,
        assets: usize,
        held: impl Iterator<Item = (usize, f64, P)>,
        log_return: impl Fn(usize, usize) -> Option<f32>,
        scale: f64,
    ) -> Option<Driver> {
        let paths = self.paths();
        let mut by_asset = vec![0.0; assets];
        for (asset, quantity, profit) in held {
            let mean = paths.iter().map(|&path| f64::from(profit(path))).sum::<f64>() / paths.len() as f64;
            by_asset[asset] -= quantity * mean;
        }
        let total: f64 = by_asset.iter().sum();
        let (asset, loss) = by_asset.iter().copied().enumerate().max_by(|a, b| a.1.total_cmp(&b.1))?;
        if !(total > 1e-12 * scale && loss > 0.0) {
            return None;
        }
        let growth = |&path: &usize| log_return(asset, path).map(|x| f64::from(x).exp_m1());
        let mean_return = paths.iter().map(growth).sum::<Option<f64>>()? / paths.len() as f64;
        Some(Driver { asset, share: loss / total, mean_return })
    }
}

/// The paths with the largest losses, ascending; of equal losses the first.
fn worst_paths(losses: &[f32], count: usize) -> Vec<usize> {
    let (_, &mut least, _) = largest(losses, count).select_nth_unstable_by(count - 1, |a, b| b.total_cmp(a));
    let above = losses.iter().filter(|loss| **loss > least).count();
    let mut ties = count - above;
    let mut is_worst = |&(_, loss): &(usize, &f32)| {
        let tied = *loss == least && ties > 0;
        ties -= usize::from(tied);
        *loss > least || tied
    };
    losses.iter().enumerate().filter(|each| is_worst(each)).map(|(path, _)| path).collect()
}

/// What is known of a level's bracket.
#[derive(Clone)]
enum Largest {
    /// Everything.
    Done(Bracket),
    /// The largest losses so far.
    Some(Vec<f32>),
}

impl Largest {
    fn bracket(&self, n: usize, level: &TailLevel, widening: f64, scale: f64) -> Bracket {
        match self {
            Self::Done(bracket) => *bracket,
            Self::Some(losses) => Bracket::new(losses, n, level.confidence, widening, scale),
        }
    }
}

/// As many of the largest losses as a bracket from `n` paths needs.
fn merge_largest(
    before: &[f32],
    losses: &[f32],
    n: usize,
    confidence: Confidence,
    widening: f64,
) -> Vec<f32> {
    let needed = Bracket::needed(n, confidence, widening);
    let mut all = Vec::with_capacity(before.len() + losses.len());
    all.extend_from_slice(before);
    all.extend_from_slice(losses);
    if all.len() > needed {
        all.select_nth_unstable_by(needed - 1, |a, b| b.total_cmp(a));
        all.truncate(needed);
        all.shrink_to_fit();
    }
    all
}

fn row_assets(job: &Job) -> Vec<usize> {
    let mut assets = vec![0; job.rows.len()];
    for curve in &job.curves {
        assets[curve.rows.clone()].fill(curve.point.asset);
    }
    assets
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{run, scenario};

    #[test]
    fn rare_levels_have_the_brackets_of_all_their_paths() {
        let mut scenario = scenario::read(std::path::Path::new("scenarios/quickstart.yaml")).unwrap();
        scenario.margin.maintenance.confidence = Confidence::new(0.999).unwrap();
        let job = run::job(&scenario, &scenario.market).unwrap();
        let engine = CpuEngine::new(Precision::F32);
        // 64 losses of a thousandth, and fewer paths than that, not a whole number of blocks.
        for (run, n) in [(1 << 20, 64_000), (20_011, 20_011), (100, 100)] {
            let pilot = Pilot::new(&job, run);
            for widening in [1.0, 4.0] {
                let brackets = pilot.brackets(&job, widening);
                for (index, level) in job.levels.iter().enumerate() {
                    let n = if index == 0 { n } else { n.min(KEPT_PATHS as usize) };
                    let cube = engine.cube_f32(&job, 0..n as u64);
                    let whole = engine.losses_f32(&job, &cube, level.horizon, |account, losses| {
                        let scale = job.scale[account];
                        Bracket::new(&losses[..n], n, level.confidence, widening, scale)
                    });
                    let found = brackets.iter().skip(index).step_by(job.levels.len());
                    assert!(found.eq(whole.iter()), "{n} paths, level {index}, widening {widening}");
                }
            }
        }
    }
}

//! Which paths make the tails: the stages of the main pass, with the paths kept rather than
//! counted.

use rayon::prelude::*;

use super::lines::Lines;
use super::net::{self, Holdings};
use super::revalue::Paired;
use super::simulate::{Consecutive, State};
use super::{BLOCK, CpuEngine, Cube, FACTORS, Job};
use crate::engine::model::Model;
use crate::numeric::{Float, Lanes, Real};
use crate::risk::{TailCollector, TailPath, TailPaths};
use crate::scenario::Precision;

impl CpuEngine {
    /// The tail of every account at every level of `paths` paths, `[account][level]`. Losses below
    /// `floors`, likewise, are left out; `None` where a tail reaches below its floor. `progress` hears
    /// how many paths are done.
    pub fn tail_paths(
        &self,
        job: &Job,
        floors: &[f64],
        paths: u64,
        progress: &mut dyn FnMut(u64),
    ) -> Vec<Option<TailPaths>> {
        match self.precision {
            Precision::F32 => self.tail_paths_in::<Lanes<f32, 16>>(job, floors, paths, progress),
            Precision::F64 => self.tail_paths_in::<Lanes<f64, 8>>(job, floors, paths, progress),
        }
    }

    /// Factors and profits of these paths in f32: the bits of [`CpuEngine::cube_f32`], whatever
    /// paths lie beside one another. The last block is filled up with its last path.
    pub fn cube_of_f32(&self, job: &Job, paths: &[u64]) -> Cube<f32> {
        let model = Model::new(job);
        let run = |state: &mut State<Lanes<f32, 16>>, chunk: &[u64]| {
            let (mut factors, mut pnl) = buffers(&model);
            self.block(&model, state, &block_of(chunk), &mut factors, &mut pnl);
            (factors, pnl)
        };
        let chunks = paths.par_chunks(BLOCK);
        let (factors, pnl) = chunks.map_init(|| State::new(&model), run).unzip();
        Cube { factors, pnl }
    }

    fn tail_paths_in<R: Paired>(
        &self,
        job: &Job,
        floors: &[f64],
        paths: u64,
        progress: &mut dyn FnMut(u64),
    ) -> Vec<Option<TailPaths>> {
        let model = Model::<R::Scalar>::new(job);
        let holdings: Vec<_> = job.netting.iter().map(Holdings::<R::Scalar>::new).collect();
        let levels = job.levels.len();
        let collector = |(index, floor): (usize, &f64)| {
            let mass = paths as f64 * job.levels[index % levels].confidence.tail();
            TailCollector::new(mass, *floor)
        };
        let mut collectors: Vec<TailCollector> = floors.iter().enumerate().map(collector).collect();
        let row_len = (model.rows.len() * BLOCK).max(1);
        let mut tile = Lines::<R::Scalar>::new(self.tile_blocks * row_len);
        let mut first = 0;
        while first < paths {
            let count = (paths - first).min((self.tile_blocks * BLOCK) as u64) as usize;
            let tile = &mut tile[..count.div_ceil(BLOCK) * row_len];
            tile.par_chunks_mut(row_len).enumerate().for_each_init(
                || (State::<R>::new(&model), buffers(&model).0),
                |(state, factors), (block, pnl)| {
                    self.block::<R>(&model, state, Consecutive(first + (block * BLOCK) as u64), factors, pnl);
                },
            );
            let tile = &*tile;
            collectors.par_chunks_mut(levels).enumerate().for_each(|(account, collectors)| {
                let work = Finding { job, holdings: &holdings, tile, row_len, first, count };
                self.instructions.dispatch(FindTile::<R> { work: &work, account, collectors });
            });
            first += count as u64;
            progress(first);
        }
        collectors.into_iter().map(TailCollector::finish).collect()
    }
}

/// A block's worth of factors and of profits.
pub(super) fn buffers<S: Float>(model: &Model<S>) -> (Vec<S>, Vec<S>) {
    let factors = model.observations.len() * model.assets * FACTORS * BLOCK;
    (vec![S::default(); factors], vec![S::default(); model.rows.len() * BLOCK])
}

/// Up to a block of paths, filled up with the last.
pub(super) fn block_of(paths: &[u64]) -> [u64; BLOCK] {
    std::array::from_fn(|lane| paths[lane.min(paths.len() - 1)])
}

struct Finding<'a, S> {
    job: &'a Job,
    holdings: &'a [Holdings<'a, S>],
    tile: &'a [S],
    row_len: usize,
    first: u64,
    count: usize,
}

struct FindTile<'a, R: Real> {
    work: &'a Finding<'a, R::Scalar>,
    account: usize,
    collectors: &'a mut [TailCollector],
}

impl<R: Real> pulp::WithSimd for FindTile<'_, R> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) {
        find::<R>(self.work, self.account, self.collectors);
    }
}

/// Nets a tile for one account; `collectors` are those of its levels.
#[inline(always)]
fn find<R: Real>(work: &Finding<'_, R::Scalar>, account: usize, collectors: &mut [TailCollector]) {
    let mut losses = [R::Scalar::default(); BLOCK];
    for (block, pnl) in work.tile.chunks(work.row_len).enumerate() {
        let first = work.first + (block * BLOCK) as u64;
        let valid = (work.count - block * BLOCK).min(BLOCK);
        for (horizon, holdings) in work.holdings.iter().enumerate() {
            net::losses::<R>(holdings, account, holdings.held(pnl), &mut losses);
            for (level, collector) in work.job.levels.iter().zip(&mut *collectors) {
                if level.horizon == horizon {
                    for (path, loss) in (first..).zip(&losses[..valid]) {
                        let loss = loss.to_f64();
                        if loss >= collector.floor() {
                            collector.push(TailPath { path, loss });
                        }
                    }
                }
            }
        }
    }
}

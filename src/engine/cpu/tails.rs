//! Tails of many accounts in one pass over the paths: accounts are shared out among threads.
//!
//! Tile by tile: while the accounts are netted on one, the next is revalued, and paths of a later one are
//! simulated. Where there are many accounts, a batch of paths is put into an order in which those that
//! move alike are neighbours, for each horizon its own: see [`super::alike`].

use std::ops::Range;

use rayon::ScopeFifo;
use rayon::prelude::*;

use super::BLOCK;
use super::alike::PathOrder;
use super::batch::Batch;
use super::collect::{Room, Task};
use super::pass::Pass;
use super::portions::batch_tiles;
use super::revalue::Paired;
use super::rooms::Rooms;
use super::simulate::State;
use super::tile::Tile;
use crate::engine::model::Model;
use crate::numeric::{Float, Real};
use crate::risk::Tail;

impl<R: Paired> Pass<'_, R> {
    /// Adds the tails of a range of paths, so many blocks of them a tile.
    pub fn of_many(
        &self,
        tile_blocks: usize,
        paths: Range<u64>,
        tails: &mut [Tail],
        progress: &mut dyn FnMut(u64),
    ) {
        let model = self.model;
        let mut tasks = Task::share_out(self.job, self.holdings, rayon::current_num_threads());
        let rooms = &Rooms::new(|| ThreadRoom::new(model));
        let mut orders = PathOrder::of_horizons(self.job);
        let factor_bytes = (Batch::block_len(model) * size_of::<R::Scalar>()) as u64;
        let batch_tiles = if orders.is_empty() { 1 } else { batch_tiles(tile_blocks, factor_bytes) };
        let batch_blocks = tile_blocks * batch_tiles;
        // Paths that are revalued, in the order of each horizon or as they come; and those that come next.
        let mut batches: Vec<_> = (0..orders.len().max(1)).map(|_| Batch::new(model, batch_blocks)).collect();
        let mut coming = Batch::new(model, batch_blocks);
        let [mut tile, mut next] = [0; 2].map(|_| Tile::new(model, tile_blocks, !orders.is_empty()));
        let mut left = paths;
        coming.begin(&mut left);
        rayon::scope_fifo(|scope| {
            coming.blocks_mut().for_each(|block| self.spawn_simulate(scope, rooms, block))
        });
        let mut done = 0;
        while coming.paths() > 0 {
            if Task::are_spared_little(&tasks) {
                // The next batch is taken as it comes.
                orders.clear();
                batches.truncate(1);
            }
            if orders.is_empty() {
                std::mem::swap(&mut batches[0], &mut coming);
            } else {
                let each = batches.par_iter_mut().zip(&mut orders);
                each.for_each(|(batch, order)| self.clock.net(|| batch.take(&coming, &order.of(&coming))));
            }
            coming.begin(&mut left);
            // A tile's share at a time: all batches are full but the last, after which none comes.
            let mut coming_blocks = coming.blocks_mut();
            for first in (0..batches[0].paths()).step_by(tile_blocks * BLOCK) {
                let paths = (batches[0].paths() - first).min(tile_blocks * BLOCK);
                next.begin(paths, !orders.is_empty());
                rayon::scope_fifo(|scope| {
                    self.spawn_net(scope, rooms, &tile, &mut tasks, tails);
                    self.spawn_revalue(scope, &batches, first / BLOCK, &mut next);
                    let share = coming_blocks.by_ref().take(tile_blocks);
                    share.for_each(|block| self.spawn_simulate(scope, rooms, block));
                });
                next.bound();
                done += tile.paths() as u64;
                if tile.paths() > 0 {
                    progress(done);
                }
                std::mem::swap(&mut tile, &mut next);
            }
        }
        rayon::scope_fifo(|scope| self.spawn_net(scope, rooms, &tile, &mut tasks, tails));
        progress(done + tile.paths() as u64);
        let levels = self.job.levels.len();
        split_tails(tails, &tasks, levels).into_par_iter().zip(&mut tasks).for_each(|(tails, task)| {
            let brackets = &self.brackets[task.tails(levels)];
            self.clock.net(|| task.finish(tails, brackets));
        });
    }

    /// Nets a tile, a piece of work for each task.
    fn spawn_net<'s>(
        &'s self,
        scope: &ScopeFifo<'s>,
        rooms: &'s Rooms<ThreadRoom<R>>,
        tile: &'s Tile<R::Scalar>,
        tasks: &'s mut [Task<R::Scalar>],
        tails: &'s mut [Tail],
    ) {
        if tile.paths() == 0 {
            return;
        }
        let tails = split_tails(tails, tasks, self.job.levels.len());
        for (tails, task) in tails.into_iter().zip(tasks) {
            scope.spawn_fifo(move |_| self.net(tile, task, tails, &mut rooms.own().net));
        }
    }

    /// Revalues a tile from this block of the batches on, a piece of work for each block.
    fn spawn_revalue<'s>(
        &'s self,
        scope: &ScopeFifo<'s>,
        batches: &'s [Batch<R::Scalar>],
        first_block: usize,
        tile: &'s mut Tile<R::Scalar>,
    ) {
        for (block, (pnl, extremes)) in (first_block..).zip(tile.blocks_mut()) {
            scope.spawn_fifo(move |_| self.revalue(batches, block, pnl, extremes));
        }
    }

    /// Simulates a block of paths.
    fn spawn_simulate<'s>(
        &'s self,
        scope: &ScopeFifo<'s>,
        rooms: &'s Rooms<ThreadRoom<R>>,
        (first, factors): (u64, &'s mut [R::Scalar]),
    ) {
        scope.spawn_fifo(move |_| self.simulate(&mut rooms.own().state, first, factors));
    }
}

/// What a thread works in: the state of a path, and what netting needs.
struct ThreadRoom<R: Real> {
    state: State<R>,
    net: Room<R::Scalar>,
}

impl<R: Real> ThreadRoom<R> {
    fn new(model: &Model<R::Scalar>) -> Self {
        Self { state: State::new(model), net: Room::new() }
    }
}

/// The tails of each task.
fn split_tails<'a, S: Float>(
    mut tails: &'a mut [Tail],
    tasks: &[Task<S>],
    levels: usize,
) -> Vec<&'a mut [Tail]> {
    let mut parts = Vec::with_capacity(tasks.len());
    for task in tasks {
        let (part, rest) = tails.split_at_mut(task.tails(levels).len());
        parts.push(part);
        tails = rest;
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::super::portions::{BATCH_BLOCKS, TILE_BLOCKS};
    use super::*;
    use crate::engine::Job;
    use crate::engine::cpu::CpuEngine;
    use crate::engine::{Engine, Pilot};
    use crate::generate::{self, Night};
    use crate::risk::Bracket;
    use crate::scenario::Precision;
    use crate::{run, scenario};

    /// Three batches, the last of them with an odd rest.
    const PATHS: u64 = (2 * BATCH_BLOCKS as u64 + 5) * BLOCK as u64 + 7;

    /// A book of so many accounts that paths are put in order.
    fn night() -> Job {
        let night =
            Night { accounts: 1500, positions: 9000, instruments: 60, assets: 2, seed: 5, paths: PATHS };
        let folder = tempfile::tempdir().unwrap();
        generate::generate(&night, folder.path()).unwrap();
        let scenario = scenario::read(&folder.path().join("scenario.yaml")).unwrap();
        run::job(&scenario, &scenario.market).unwrap()
    }

    /// Tails from all losses, path by path.
    fn of_all_losses(job: &Job, brackets: &[Bracket], precision: Precision) -> Vec<Tail> {
        let engine = CpuEngine::new(precision);
        let mut tails = vec![Tail::default(); brackets.len()];
        for horizon in 0..job.horizons.len() {
            let here = |account: usize| {
                let levels = job.levels.iter().enumerate().filter(move |(_, level)| level.horizon == horizon);
                levels.map(move |(level, _)| account * job.levels.len() + level)
            };
            let add = |account: usize, losses: &mut dyn Iterator<Item = f32>| {
                let mut found: Vec<(usize, Tail)> =
                    here(account).map(|index| (index, Tail::default())).collect();
                for loss in losses.take(PATHS as usize) {
                    for (index, tail) in &mut found {
                        let excess = loss - brackets[*index].floor;
                        if excess >= 0.0 {
                            tail.add(excess, &brackets[*index]);
                        }
                    }
                }
                found
            };
            let found = match precision {
                Precision::F32 => {
                    let cube = engine.cube_f32(job, 0..PATHS);
                    engine.losses_f32(job, &cube, horizon, |account, l| add(account, &mut l.iter().copied()))
                }
                Precision::F64 => {
                    let cube = engine.cube_f64(job, 0..PATHS);
                    engine.losses_f64(job, &cube, horizon, |account, l| {
                        add(account, &mut l.iter().map(|loss| *loss as f32))
                    })
                }
            };
            found.into_iter().flatten().for_each(|(index, tail)| tails[index] = tail);
        }
        tails
    }

    #[test]
    fn tails_are_those_of_all_losses_in_whatever_order_paths_come() {
        let directional = night();
        // Each holding with most of it short beside it: bounds spare little, and the order is given up.
        let mut hedged = directional.clone();
        for netting in &mut hedged.netting {
            netting.starts.iter_mut().for_each(|start| *start *= 2);
            netting.row = netting.row.iter().flat_map(|row| [*row; 2]).collect();
            netting.quantity =
                netting.quantity.iter().flat_map(|quantity| [*quantity, -0.9 * quantity]).collect();
        }
        for (name, job) in [("directional", directional), ("hedged", hedged)] {
            assert!(!PathOrder::of_horizons(&job).is_empty(), "{name}: paths have no order");
            let brackets = Pilot::new(&job, PATHS).brackets(&job, 1.0);
            for precision in [Precision::F32, Precision::F64] {
                let expected = of_all_losses(&job, &brackets, precision);
                for tile_blocks in [TILE_BLOCKS, 7] {
                    let mut engine = CpuEngine::new(precision).with_tile_blocks(tile_blocks);
                    let found = engine.tails(&job, &brackets, 0..PATHS, &mut |_| ()).unwrap();
                    assert!(found == expected, "{name}, {precision}, tiles of {tile_blocks}");
                }
            }
        }
    }
}

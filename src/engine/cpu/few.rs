//! Tails of few accounts in one pass over the paths: blocks of paths are shared out among threads.
//!
//! Each thread has tails of all accounts. The profits of a block are netted by the thread that has just
//! made them and stay in its second cache.

use std::ops::Range;
use std::slice;

use rayon::prelude::*;

use super::batch::Batch;
use super::collect::{Room, Task};
use super::net::Holdings;
use super::pass::Pass;
use super::revalue::Paired;
use super::rooms::Rooms;
use super::simulate::State;
use super::tile::Tile;
use super::{BLOCK, Job};
use crate::engine::model::Model;
use crate::numeric::Real;
use crate::risk::Tail;

/// Tails that are few: half a megabyte with what is kept for them.
pub const FEW_TAILS: u64 = 256;
/// Blocks between two reports of progress, after which threads wait for each other.
const BLOCKS_AT_ONCE: usize = 1024;

impl<R: Paired> Pass<'_, R> {
    /// Adds the tails of a range of paths.
    pub fn of_few(&self, paths: Range<u64>, tails: &mut [Tail], progress: &mut dyn FnMut(u64)) {
        let threads = Rooms::new(|| Thread::<R>::new(self.job, self.model, self.holdings));
        let first_of = |block: usize| paths.start + (block * BLOCK) as u64;
        let blocks = (paths.end - paths.start).div_ceil(BLOCK as u64) as usize;
        for start in (0..blocks).step_by(BLOCKS_AT_ONCE) {
            let end = (start + BLOCKS_AT_ONCE).min(blocks);
            (start..end).into_par_iter().for_each(|block| {
                let Thread { state, batch, tile, task, room, tails } = &mut *threads.own();
                batch.begin(&mut (first_of(block)..paths.end));
                for (first, factors) in batch.blocks_mut() {
                    self.simulate(state, first, factors);
                }
                tile.begin(batch.paths(), false);
                for (pnl, extremes) in tile.blocks_mut() {
                    self.revalue(slice::from_ref(&*batch), 0, pnl, extremes);
                }
                self.net(tile, task, tails, room);
            });
            progress(first_of(end).min(paths.end) - paths.start);
        }
        for Thread { mut task, tails: mut of_thread, .. } in threads.into_all() {
            task.finish(&mut of_thread, self.brackets);
            tails.iter_mut().zip(&of_thread).for_each(|(tail, more)| tail.merge(more));
        }
    }
}

/// What a thread works in, each a block long, and what it has collected.
struct Thread<R: Real> {
    state: State<R>,
    batch: Batch<R::Scalar>,
    tile: Tile<R::Scalar>,
    room: Room<R::Scalar>,
    task: Task<R::Scalar>,
    tails: Vec<Tail>,
}

impl<R: Real> Thread<R> {
    fn new(job: &Job, model: &Model<R::Scalar>, holdings: &[Holdings<'_, R::Scalar>]) -> Self {
        Self {
            state: State::new(model),
            batch: Batch::new(model, 1),
            tile: Tile::new(model, 1, false),
            room: Room::new(),
            task: Task::new(job, holdings, 0..job.accounts()),
            tails: vec![Tail::default(); job.accounts() * job.levels.len()],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::cpu::CpuEngine;
    use crate::engine::{Engine, Pilot};
    use crate::numeric::Lanes;
    use crate::scenario::Precision;
    use crate::{run, scenario};

    /// More than one report of progress, and an odd rest.
    const PATHS: u64 = ((BLOCKS_AT_ONCE + 3) * BLOCK) as u64 + 9;

    #[test]
    fn few_accounts_have_the_tails_that_they_would_have_as_many() {
        let scenario = scenario::read(std::path::Path::new("scenarios/quickstart.yaml")).unwrap();
        let job = run::job(&scenario, &scenario.market).unwrap();
        let brackets = Pilot::new(&job, PATHS).brackets(&job, 1.0);
        assert!(brackets.len() as u64 <= FEW_TAILS);
        let mut engine = CpuEngine::new(Precision::F32);
        let mut many = vec![Tail::default(); brackets.len()];
        // Paths that are left out at the start, and tails that are not empty.
        let first = BLOCK as u64;
        let pass = |pass: &Pass<'_, Lanes<f32, 16>>| pass.of_many(7, first..PATHS, &mut many, &mut |_| ());
        engine.pass(&job, &brackets, pass);
        let mut few = vec![Tail::default(); brackets.len()];
        let mut reports = Vec::new();
        let mut progress = |done| reports.push(done);
        engine.add_tails(&job, &brackets, first..2 * first, &mut few, &mut |_| ()).unwrap();
        engine.add_tails(&job, &brackets, 2 * first..PATHS, &mut few, &mut progress).unwrap();
        assert!(few == many);
        assert_eq!(reports, [(BLOCKS_AT_ONCE * BLOCK) as u64, PATHS - 2 * first]);
    }
}

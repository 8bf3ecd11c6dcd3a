//! Accounts' losses at some ranks among the first paths: the pilot's brackets without its losses.

use super::super::layout::Params;
use super::super::plan::{self, Dispatch, TileWork};
use super::super::shaders::Stage;
use super::super::submit;
use super::Session;
use crate::engine::{BLOCK, EngineFault, Job, KEPT_PATHS};
use crate::risk::{LevelRanks, RankedLosses};

impl Session<'_> {
    /// Simulates the first `paths` paths, [`KEPT_PATHS`] at most, and ranks every account's losses on
    /// them: `[account][level]`, from the ranks of each level.
    pub fn ranked(
        &mut self,
        job: &Job,
        paths: u64,
        ranks: &[LevelRanks],
    ) -> Result<Vec<RankedLosses>, EngineFault> {
        assert!(paths <= KEPT_PATHS && paths <= self.stride(), "a pilot is one tile");
        let count = paths.next_multiple_of(BLOCK as u64);
        self.tile(&TileWork { first: 0, count, is_simulated: false, net: false })?;
        let device = self.device;
        let words: Vec<[u32; 2]> = ranks.iter().map(|rank| [rank.inside as u32, rank.above as u32]).collect();
        let results = job.accounts() * job.levels.len();
        let (rank_table, ranked) = device.scoped(|| {
            let ranked = device.storage("ranked losses", (results * size_of::<[f32; 4]>()) as u64);
            (device.table("ranks", &words), ranked)
        })?;
        let bindings = device.scoped(|| {
            let bind = |horizon| {
                let [holders, holdings] = &self.books[horizon];
                let buffers = [holders, holdings, &self.pnl, &self.levels, &rank_table, &ranked];
                let buffers = buffers.map(|buffer| buffer.as_entire_binding());
                submit::bind(device, self.pipelines, Stage::Rank, &self.slots, &buffers)
            };
            (0..job.horizons.len()).map(bind).collect::<Vec<_>>()
        })?;
        let dispatches: Vec<Dispatch> = self.ranking(job.accounts() as u64, paths);
        let work: Vec<_> = dispatches.iter().map(|d| (d, &bindings[d.horizon])).collect();
        submit::submit(device, self.pipelines, &self.slots, &work, &mut None)?;
        let losses: Vec<[f32; 4]> = device.read(&ranked, results)?;
        let of = |&[floor, ceiling, largest, _]: &[f32; 4]| RankedLosses { floor, ceiling, largest };
        Ok(losses.iter().map(of).collect())
    }

    /// A dispatch for each horizon.
    fn ranking(&self, accounts: u64, paths: u64) -> Vec<Dispatch> {
        let grid = plan::rank_grid(accounts, self.workgroups());
        let of = |(horizon, levels): (usize, &std::ops::Range<u32>)| {
            let params = Params {
                paths: paths as u32,
                stride: self.stride() as u32,
                level_start: levels.start,
                level_end: levels.end,
                ..self.tables.params
            };
            Dispatch { stage: Stage::Rank, grid, horizon, params }
        };
        self.tables.level_ranges.iter().enumerate().map(of).collect()
    }
}

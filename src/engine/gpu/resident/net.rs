//! Accounts in a cube on the device: their legs added up, and the tails of what comes out.

use std::ops::Range;
use std::sync::Arc;

use wgpu::{BindGroup, BindingResource, Buffer, BufferBinding, BufferSize};

use super::super::layout::{self, Holder, Holding, Params};
use super::super::plan::{self, Dispatch, FOLD_PATHS, MOST_ITERATIONS, Needs, QUAD, TAIL_WORDS};
use super::super::session;
use super::super::shaders::Stage;
use super::super::submit::{self, Slots};
use super::{Kept, Slab, Tile};
use crate::engine::resident::{Halt, Leg, Netted, Pace, rows_bytes};
use crate::engine::{BLOCK, EngineFault};
use crate::numeric::Real;
use crate::risk::{Bracket, Tail};

impl Kept {
    /// Profits of an account on its first paths, up to a whole block.
    pub(super) fn net(&self, account: &Netted<'_>, paths: u64, pace: &dyn Pace) -> Result<Buffer, Halt> {
        let device = self.gpu.device();
        let bytes = rows_bytes(1, paths);
        let base = account.base.map(|base| self.own(base)).transpose()?;
        let runs = self.runs(account.legs)?;
        let holding = |run: &Run, leg: &Leg| Holding {
            row: leg.row - run.slab.first,
            quantity: <f32 as Real>::constant(leg.quantity),
        };
        let holdings = runs
            .iter()
            .flat_map(|run| account.legs[run.legs.clone()].iter().map(move |leg| holding(run, leg)));
        let holdings: Vec<Holding> = holdings.collect();
        let (profits, legs, slots) = device.scoped(|| {
            let profits = device.storage("profits", bytes);
            if let Some(base) = base {
                device.copy(base, &profits, bytes);
            }
            (profits, device.table("legs", &holdings), Slots::new(device, runs.len() as u64))
        })?;
        let most = self.gpu.engine.allowed().net_work;
        let mut queued = 0;
        for (index, tile) in self.tiles.iter().enumerate().take_while(|(_, tile)| tile.first < paths) {
            if !pace.go_on() {
                return Err(Halt::Told);
            }
            if runs.is_empty() {
                continue;
            }
            let count = (paths - tile.first).next_multiple_of(BLOCK as u64).min(tile.stride);
            let work = self.add_legs(&runs, (index, tile, count), &legs, &profits, &slots)?;
            let work: Vec<_> = work.iter().map(|(dispatch, bindings)| (dispatch, bindings)).collect();
            let submission = submit::submit(device, &self.pipelines, &slots, &work, &mut None)?;
            queued += count * account.legs.len() as u64;
            // A short question waits behind no more than so much.
            if queued >= most {
                device.wait_for(submission)?;
                queued = 0;
            }
        }
        Ok(profits)
    }

    /// Legs in their order, taken apart where the slab changes or a dispatch would be long.
    fn runs(&self, legs: &[Leg]) -> Result<Vec<Run>, EngineFault> {
        let stride = self.tiles.first().map_or(1, |tile| tile.stride);
        let most = (self.gpu.engine.allowed().net_work / stride).clamp(1, MOST_ITERATIONS) as usize;
        let mut runs: Vec<Run> = Vec::new();
        for (index, leg) in legs.iter().enumerate() {
            match runs.last_mut() {
                Some(run) if run.slab.holds(leg.row) && run.legs.len() < most => run.legs.end = index + 1,
                _ => runs.push(Run { slab: self.slab_of(leg.row)?, legs: index..index + 1 }),
            }
        }
        Ok(runs)
    }

    /// The dispatches that add all runs on a tile, the index of which is given.
    fn add_legs(
        &self,
        runs: &[Run],
        (index, tile, count): (usize, &Tile, u64),
        legs: &Buffer,
        profits: &Buffer,
        slots: &Slots,
    ) -> Result<Vec<(Dispatch, BindGroup)>, EngineFault> {
        let groups = (count / QUAD).div_ceil(self.gpu.workgroup().into()) as u32;
        let window = BindingResource::Buffer(BufferBinding {
            buffer: profits,
            offset: 4 * tile.first,
            size: BufferSize::new(4 * count),
        });
        let dispatch = |run: &Run| {
            let params = Params {
                slice_start: run.legs.start as u32,
                slice_end: run.legs.end as u32,
                rows: run.slab.rows,
                ..self.gpu.params(count, tile.stride)
            };
            let buffers =
                [legs.as_entire_binding(), run.slab.tiles[index].as_entire_binding(), window.clone()];
            let bindings = submit::bind(self.gpu.device(), &self.pipelines, Stage::AddLegs, slots, &buffers);
            (Dispatch { stage: Stage::AddLegs, grid: [groups, 1, 1], horizon: 0, params }, bindings)
        };
        self.gpu.device().scoped(|| runs.iter().map(dispatch).collect())
    }

    /// Tails of profits at each bracket: they are netted as one leg of one unit.
    pub(super) fn collect(&self, profits: &Buffer, brackets: &[Bracket]) -> Result<Vec<Tail>, EngineFault> {
        let device = self.gpu.device();
        let levels = brackets.len() as u64;
        let bytes = 4 * levels * TAIL_WORDS as u64;
        let slices = self.paths.div_ceil(FOLD_PATHS);
        let (slots, net, fold, totals) = device.scoped(|| {
            let slots = Slots::new(device, 2 * slices);
            let holders =
                device.table("holders", &[Holder { account: 0, first_pair: 0, holdings: 1, padding: 0 }]);
            let holdings = device.table("holdings", &[Holding { row: 0, quantity: 1.0 }, Holding::default()]);
            let brackets = device.table("brackets", &layout::brackets(brackets));
            let order: Vec<u32> = (0..levels as u32).collect();
            let order = device.table("levels", &order);
            let [tails, totals] = ["tails", "totals"].map(|label| device.storage(label, bytes));
            let losses = device.storage("losses", 0);
            let bind = |stage, buffers: &[&Buffer]| {
                let buffers: Vec<_> = buffers.iter().map(|buffer| buffer.as_entire_binding()).collect();
                submit::bind(device, &self.pipelines, stage, &slots, &buffers)
            };
            let net = bind(Stage::Net, &[&holders, &holdings, profits, &order, &brackets, &tails, &losses]);
            let fold = bind(Stage::Fold, &[&tails, &totals]);
            (slots, net, fold, totals)
        })?;
        let dispatches = self.collecting(levels as u32);
        let bindings = |dispatch: &Dispatch| if dispatch.stage == Stage::Net { &net } else { &fold };
        let work: Vec<_> = dispatches.iter().map(|dispatch| (dispatch, bindings(dispatch))).collect();
        submit::submit(device, &self.pipelines, &slots, &work, &mut None)?;
        let words: Vec<u32> = device.read(&totals, levels as usize * TAIL_WORDS)?;
        Ok(words.chunks_exact(TAIL_WORDS).map(session::tail).collect())
    }

    /// Dispatches that collect the tails of profits, folded before a limb could overflow.
    fn collecting(&self, levels: u32) -> Vec<Dispatch> {
        let stride = self.paths.next_multiple_of(BLOCK as u64);
        let base = Params {
            accounts: 1,
            accounts_together: 1,
            rows: 1,
            levels,
            level_end: levels,
            ..self.gpu.params(self.paths, stride)
        };
        let needs = Needs { accounts: 1, levels: levels.into(), ..Needs::default() };
        let workgroups = self.gpu.device().raw.limits().max_compute_workgroups_per_dimension;
        let grid = plan::fold_grid(&needs, self.gpu.workgroup(), workgroups);
        let fold = Dispatch { stage: Stage::Fold, grid, horizon: 0, params: base };
        let groups = &self.pipelines.build.groups;
        let slice = |start: u64| {
            let end = (start + FOLD_PATHS).min(self.paths);
            let grid = plan::net_grid(1, 1, groups, end - start);
            let params = Params { slice_start: start as u32, slice_end: end as u32, ..base };
            [Dispatch { stage: Stage::Net, grid, horizon: 0, params }, fold]
        };
        (0..self.paths).step_by(FOLD_PATHS as usize).flat_map(slice).collect()
    }
}

/// Neighbouring legs of one slab.
struct Run {
    slab: Arc<Slab>,
    legs: Range<usize>,
}

impl Slab {
    fn holds(&self, row: u32) -> bool {
        (self.first..self.first + self.rows).contains(&row)
    }
}

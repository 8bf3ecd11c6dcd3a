//! A cube that stays on the device: factors and profits of all paths in tiles; accounts are netted and
//! their tails collected where it is. What is read back are first losses and tails.

use std::any::Any;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use wgpu::{BindGroup, BindingResource, Buffer, BufferBinding, BufferSize, PollType};

use super::GpuEngine;
use super::device::Device;
use super::layout::{self, Holding, Params, flag};
use super::pipelines::{Build, Pipelines};
use super::plan::{
    self, Dispatch, FOLD_PATHS, MOST_ITERATIONS, NET_PATHS, Needs, Plan, TAIL_WORDS, TileWork,
};
use super::session::{self, Habits, Session};
use super::shaders::Stage;
use super::submit::{self, Slots};
use crate::engine::resident::{
    DeviceProfits, Halt, Keeper, Leg, Netted, Pace, Profits, Resident, foreign, rows_bytes,
};
use crate::engine::{BLOCK, DeviceReport, Engine, EngineFault, FACTORS, Job};
use crate::numeric::Real;
use crate::risk::{Bracket, Tail};

/// Row-paths of one `revalue` dispatch: some 50 ms on an integrated GPU, which a watchdog bears.
const REVALUE_WORK: u64 = 1 << 26;

/// A GPU that keeps cubes.
pub struct GpuKeeper(Arc<Gpu>);

/// An engine that nobody changes any more, shared by what it keeps.
struct Gpu {
    engine: GpuEngine,
    pipelines: Mutex<Option<Arc<Pipelines>>>,
}

/// Profits of an account on the device, `[path]` up to a whole block.
struct GpuProfits {
    gpu: Arc<Gpu>,
    buffer: Buffer,
    paths: u64,
}

/// Paths, and profits on them.
struct Kept {
    gpu: Arc<Gpu>,
    pipelines: Arc<Pipelines>,
    paths: u64,
    assets: usize,
    tiles: Arc<Vec<Tile>>,
    slabs: RwLock<Vec<Arc<Slab>>>,
}

/// Paths from `first` on; `stride` of them, the last of which may lie beyond the end.
struct Tile {
    first: u64,
    stride: u64,
    factors: Buffer,
}

/// Rows from number `first` on: `[row][stride]` in each tile.
struct Slab {
    first: u32,
    rows: u32,
    tiles: Vec<Buffer>,
}

impl GpuKeeper {
    /// Keeps cubes on the adapter of an engine.
    pub fn new(engine: GpuEngine) -> Self {
        Self(Arc::new(Gpu { engine, pipelines: Mutex::default() }))
    }

    /// Most paths whose profits fit into one buffer.
    #[cfg(test)]
    pub fn most_paths(&self) -> u64 {
        self.0.most_bytes() / 4 / BLOCK as u64 * BLOCK as u64
    }

    /// Loses the device, for tests.
    #[cfg(test)]
    pub fn destroy(&self) {
        self.0.device().raw.destroy();
    }
}

impl Keeper for GpuKeeper {
    fn device(&self) -> DeviceReport {
        self.0.engine.device()
    }

    /// Hands the device nothing to do, for it to say whether it is still there.
    fn check(&self) -> Result<(), EngineFault> {
        let device = self.0.device();
        device.scoped(|| device.queue.submit([]))?;
        // What it answers is in the device's faults.
        let _ = device.raw.poll(PollType::Poll);
        device.check()
    }

    /// The state of the simulation rests behind the last observation.
    fn factors_bytes(&self, job: &Job, paths: u64) -> u64 {
        rows_bytes((job.observations.len() + 1) * job.assets * FACTORS, paths)
    }

    fn simulate(&self, job: &Job, paths: u64, pace: &dyn Pace) -> Result<Box<dyn Resident>, Halt> {
        let gpu = &self.0;
        gpu.device().check()?;
        gpu.fits("bytes of an account's profits", rows_bytes(1, paths))?;
        let job = part(job, 0..0);
        let pipelines = gpu.pipelines(job.assets as u32)?;
        let mut tiles = Vec::new();
        let mut first = 0;
        while first < paths {
            if !pace.go_on() {
                return Err(Halt::Told);
            }
            let left = (paths - first).next_multiple_of(BLOCK as u64);
            let plan = gpu.plan(&job, left)?;
            let (factors, _) = gpu.tile(&pipelines, &job, plan, first, None)?;
            tiles.push(Tile { first, stride: plan.stride, factors });
            first += plan.stride;
        }
        Ok(Box::new(Kept {
            gpu: Arc::clone(gpu),
            pipelines,
            paths,
            assets: job.assets,
            tiles: tiles.into(),
            slabs: RwLock::default(),
        }))
    }
}

impl Gpu {
    fn device(&self) -> &Device {
        &self.engine.device
    }

    fn workgroup(&self) -> u32 {
        self.engine.options.workgroup.unwrap_or(super::WORKGROUP)
    }

    fn pipelines(&self, assets: u32) -> Result<Arc<Pipelines>, EngineFault> {
        let build = Build { assets, workgroup: self.workgroup(), wide_philox: self.engine.has_wide_philox() };
        let mut kept = self.pipelines.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pipelines) = kept.as_ref().filter(|pipelines| pipelines.build == build) {
            return Ok(Arc::clone(pipelines));
        }
        let pipelines = Arc::new(Pipelines::new(self.device(), build)?);
        Ok(Arc::clone(kept.insert(pipelines)))
    }

    /// A tile of up to `most` paths of a job.
    fn plan(&self, job: &Job, most: u64) -> Result<Plan, EngineFault> {
        let allowed = self.engine.allowed();
        let tile = self.engine.options.tile_paths.unwrap_or(allowed.tile_paths).min(most);
        plan::plan(&Needs::new(job, false), &allowed, tile, self.workgroup())
    }

    /// Factors, unless they are there, and profits of a tile.
    fn tile(
        &self,
        pipelines: &Pipelines,
        job: &Job,
        plan: Plan,
        first: u64,
        factors: Option<&Buffer>,
    ) -> Result<(Buffer, Buffer), EngineFault> {
        let habits = Habits { reversed: self.engine.options.reversed, ..Habits::default() };
        let is_simulated = factors.is_some();
        let mut session = Session::new(self.device(), pipelines, job, &[], plan, habits, factors)?;
        session.tile(&TileWork { first, count: plan.stride, is_simulated, net: false })?;
        Ok(session.left())
    }

    /// Bytes of the largest buffer that a shader can see whole.
    fn most_bytes(&self) -> u64 {
        let allowed = self.engine.allowed();
        allowed.binding_bytes.min(allowed.buffer_bytes)
    }

    fn fits(&self, what: &str, needed: u64) -> Result<(), EngineFault> {
        let available = self.most_bytes();
        if needed <= available {
            return Ok(());
        }
        let next = "take fewer paths, or try --device cpu".to_owned();
        Err(EngineFault::TooLarge { what: what.to_owned(), needed, available, next })
    }

    /// Parameters of a dispatch over paths of which a buffer holds `stride`.
    fn params(&self, paths: u64, stride: u64) -> Params {
        let flags = if self.engine.options.reversed { flag::REVERSED } else { 0 };
        Params { paths: paths as u32, stride: stride as u32, flags, ..Params::default() }
    }
}

impl DeviceProfits for GpuProfits {
    fn read(&self) -> Result<Vec<f32>, EngineFault> {
        self.gpu.device().read(&self.buffer, self.paths.next_multiple_of(BLOCK as u64) as usize)
    }
}

impl Resident for Kept {
    fn same_paths(&self) -> Box<dyn Resident> {
        Box::new(Self {
            gpu: Arc::clone(&self.gpu),
            pipelines: Arc::clone(&self.pipelines),
            paths: self.paths,
            assets: self.assets,
            tiles: Arc::clone(&self.tiles),
            slabs: RwLock::default(),
        })
    }

    fn add(&self, job: &Job, pace: &dyn Pace) -> Result<u32, Halt> {
        let mut slabs = Vec::new();
        let mut start = 0;
        while start < job.rows.len() {
            let job = self.fitting(job, start)?;
            start += job.rows.len();
            slabs.push((job.rows.len() as u32, self.slab(&job, pace)?));
        }
        let mut kept = self.slabs.write().unwrap_or_else(PoisonError::into_inner);
        let first = kept.last().map_or(0, |slab| slab.first + slab.rows);
        let mut next = first;
        for (rows, tiles) in slabs {
            kept.push(Arc::new(Slab { first: next, rows, tiles }));
            next += rows;
        }
        Ok(first)
    }

    fn profits(&self, account: &Netted<'_>, pace: &dyn Pace) -> Result<Profits, Halt> {
        let buffer = self.net(account, self.paths, pace)?;
        self.gpu.device().wait()?;
        let profits = GpuProfits { gpu: Arc::clone(&self.gpu), buffer, paths: self.paths };
        Ok(Profits::Device(Box::new(profits)))
    }

    fn first_losses(&self, account: &Netted<'_>, count: usize) -> Result<Vec<f32>, Halt> {
        let buffer = match self.as_it_is(account)? {
            Some(buffer) => buffer.clone(),
            None => self.net(account, count as u64, &super::super::Unhurried)?,
        };
        let mut losses: Vec<f32> = self.gpu.device().read(&buffer, count)?;
        losses.iter_mut().for_each(|profit| *profit = -*profit);
        Ok(losses)
    }

    fn tails(&self, account: &Netted<'_>, brackets: &[Bracket], pace: &dyn Pace) -> Result<Vec<Tail>, Halt> {
        let buffer = match self.as_it_is(account)? {
            Some(buffer) => buffer.clone(),
            None => self.net(account, self.paths, pace)?,
        };
        if !pace.go_on() {
            return Err(Halt::Told);
        }
        Ok(self.collect(&buffer, brackets)?)
    }

    fn row_on(&self, row: u32, paths: &[usize]) -> Result<Vec<f32>, Halt> {
        let slab = self.slab_of(row)?;
        Ok(self.on((row - slab.first) as usize, paths, |index, _| &slab.tiles[index])?)
    }

    fn log_returns_on(&self, observation: usize, asset: usize, paths: &[usize]) -> Result<Vec<f32>, Halt> {
        let item = (observation * self.assets + asset) * FACTORS;
        Ok(self.on(item, paths, |_, tile| &tile.factors)?)
    }
}

impl Kept {
    /// Numbers on some paths out of `[item][stride]` in a buffer of each tile; what lies before the
    /// last of them is read.
    fn on<'a>(
        &'a self,
        item: usize,
        paths: &[usize],
        buffer: impl Fn(usize, &'a Tile) -> &'a Buffer,
    ) -> Result<Vec<f32>, EngineFault> {
        let end = paths.iter().max().map_or(0, |last| last + 1) as u64;
        let mut values: Vec<f32> = Vec::with_capacity(end as usize);
        for (index, tile) in self.tiles.iter().enumerate().take_while(|(_, tile)| tile.first < end) {
            let count = (end - tile.first).min(tile.stride) as usize;
            let first = item as u64 * tile.stride;
            values.extend(self.gpu.device().read_from::<f32>(buffer(index, tile), first, count)?);
        }
        let on = |&path: &usize| values.get(path).copied().unwrap_or(f32::NAN);
        Ok(paths.iter().map(on).collect())
    }

    fn slab_of(&self, row: u32) -> Result<Arc<Slab>, EngineFault> {
        let slabs = self.slabs.read().unwrap_or_else(PoisonError::into_inner);
        let place = slabs.partition_point(|slab| slab.first + slab.rows <= row);
        let lacking = || EngineFault::Device(format!("the cube has no row {row}"));
        slabs.get(place).cloned().ok_or_else(lacking)
    }

    /// As many rows from `start` on as fit beside a tile's factors.
    fn fitting(&self, job: &Job, start: usize) -> Result<Job, EngineFault> {
        let stride = self.tiles.first().map_or(1, |tile| tile.stride);
        let mut rows = (job.rows.len() - start).min((REVALUE_WORK / stride).max(1) as usize);
        loop {
            let part = part(job, start..start + rows);
            match self.gpu.plan(&part, stride) {
                Ok(plan) if plan.stride == stride => return Ok(part),
                Err(fault) if rows == 1 => return Err(fault),
                _ if rows == 1 => {
                    let needed = Needs::new(&part, false).quantity_bytes() * stride;
                    self.gpu.fits("bytes of one row in a tile", needed)?;
                    return Err(EngineFault::Device("one row does not fit beside a tile".to_owned()));
                }
                _ => rows /= 2,
            }
        }
    }

    fn slab(&self, job: &Job, pace: &dyn Pace) -> Result<Vec<Buffer>, Halt> {
        let profits = |tile: &Tile| {
            if !pace.go_on() {
                return Err(Halt::Told);
            }
            let plan = self.gpu.plan(job, tile.stride)?;
            let (_, pnl) = self.gpu.tile(&self.pipelines, job, plan, tile.first, Some(&tile.factors))?;
            Ok(pnl)
        };
        self.tiles.iter().map(profits).collect()
    }

    /// The buffer of an account's profits where nothing comes on top of what is kept.
    fn as_it_is<'a>(&self, account: &Netted<'a>) -> Result<Option<&'a Buffer>, EngineFault> {
        let base = account.base.map(|base| self.own(base)).transpose()?;
        Ok(base.filter(|_| account.legs.is_empty()))
    }

    fn own<'a>(&self, profits: &'a Profits) -> Result<&'a Buffer, EngineFault> {
        let Profits::Device(profits) = profits else { return Err(foreign()) };
        let any: &dyn Any = &**profits;
        let own = any.downcast_ref::<GpuProfits>().filter(|own| Arc::ptr_eq(&own.gpu, &self.gpu));
        own.map(|own| &own.buffer).ok_or_else(foreign)
    }

    /// Profits of an account on its first paths, up to a whole block.
    fn net(&self, account: &Netted<'_>, paths: u64, pace: &dyn Pace) -> Result<Buffer, Halt> {
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
        let groups = count.div_ceil(NET_PATHS).div_ceil(self.gpu.workgroup().into()) as u32;
        let window = BindingResource::Buffer(BufferBinding {
            buffer: profits,
            offset: 4 * tile.first,
            size: BufferSize::new(4 * count),
        });
        let dispatch = |run: &Run| {
            let params = Params {
                slice_start: run.legs.start as u32,
                slice_end: run.legs.end as u32,
                ..self.gpu.params(count, tile.stride)
            };
            let buffers =
                [legs.as_entire_binding(), run.slab.tiles[index].as_entire_binding(), window.clone()];
            let bindings = submit::bind(self.gpu.device(), &self.pipelines, Stage::AddLegs, slots, &buffers);
            (Dispatch { stage: Stage::AddLegs, grid: [groups, 1, 1], params }, bindings)
        };
        self.gpu.device().scoped(|| runs.iter().map(dispatch).collect())
    }

    /// Tails of profits at each bracket: they are netted as one leg of one unit.
    fn collect(&self, profits: &Buffer, brackets: &[Bracket]) -> Result<Vec<Tail>, EngineFault> {
        let device = self.gpu.device();
        let levels = brackets.len() as u64;
        let bytes = 4 * levels * TAIL_WORDS as u64;
        let slices = self.paths.div_ceil(FOLD_PATHS);
        let (slots, net, fold, totals) = device.scoped(|| {
            let slots = Slots::new(device, 2 * slices);
            let starts = device.table("starts", &[0u32, 1]);
            let holdings = device.table("holdings", &[Holding { row: 0, quantity: 1.0 }]);
            let brackets = device.table("brackets", &layout::brackets(brackets));
            let horizons = device.table("level horizons", &vec![0u32; levels as usize]);
            let [tails, totals] = ["tails", "totals"].map(|label| device.storage(label, bytes));
            let losses = device.storage("losses", 0);
            let bind = |stage, buffers: &[&Buffer]| {
                let buffers: Vec<_> = buffers.iter().map(|buffer| buffer.as_entire_binding()).collect();
                submit::bind(device, &self.pipelines, stage, &slots, &buffers)
            };
            let net = bind(Stage::Net, &[&starts, &holdings, profits, &brackets, &horizons, &tails, &losses]);
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
        let base = Params { accounts: 1, levels, ..self.gpu.params(self.paths, stride) };
        let workgroup = u64::from(self.gpu.workgroup());
        let needs = Needs { accounts: 1, levels: levels.into(), ..Needs::default() };
        let workgroups = self.gpu.device().raw.limits().max_compute_workgroups_per_dimension;
        let grid = plan::fold_grid(&needs, self.gpu.workgroup(), workgroups);
        let fold = Dispatch { stage: Stage::Fold, grid, params: base };
        let slice = |start: u64| {
            let end = (start + FOLD_PATHS).min(self.paths);
            let params = Params { slice_start: start as u32, slice_end: end as u32, ..base };
            let groups = (end - start).div_ceil(NET_PATHS).div_ceil(workgroup) as u32;
            [Dispatch { stage: Stage::Net, grid: [1, groups, 1], params }, fold]
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

/// The job with some of its rows and no account.
fn part(job: &Job, rows: Range<usize>) -> Job {
    let mut part = Job { netting: Vec::new(), scale: Vec::new(), ..job.clone() };
    part.rows = job.rows[rows.clone()].to_vec();
    part.curves.retain_mut(|curve| {
        let within = curve.rows.start.max(rows.start)..curve.rows.end.min(rows.end);
        let is_held = within.start < within.end;
        if is_held {
            curve.rows = within.start - rows.start..within.end - rows.start;
        }
        is_held
    });
    part
}

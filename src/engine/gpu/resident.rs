//! A cube that stays on the device: factors and profits of all paths in tiles; accounts are netted and
//! their tails collected where it is. What is read back are first losses and tails.

mod net;

use std::any::Any;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use wgpu::{Buffer, PollType};

use super::GpuEngine;
use super::device::Device;
use super::layout::{Params, flag};
use super::pipelines::{Build, Pipelines};
use super::plan::{self, Needs, Plan, TileWork};
use super::session::{Habits, On, Session};
use super::spare::Spare;
use crate::engine::resident::{
    DeviceProfits, Halt, Keeper, Netted, Pace, Profits, Resident, foreign, rows_bytes,
};
use crate::engine::{BLOCK, DeviceReport, Engine, EngineFault, FACTORS, Job};
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

/// Rows from number `first` on: `[block][row][BLOCK]` in each tile.
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
        let pipelines = gpu.pipelines(&job)?;
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
        self.engine.options.workgroup.unwrap_or(plan::WORKGROUP)
    }

    fn pipelines(&self, job: &Job) -> Result<Arc<Pipelines>, EngineFault> {
        let groups = self.plan(job, BLOCK as u64)?.groups;
        let build = Build { assets: job.assets as u32, groups, dialect: self.engine.dialect() };
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
        plan::plan(&Needs::new(job, false), &allowed, tile, self.engine.options.workgroup)
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
        // What is left of the session stays.
        let spare = Spare::default();
        let on = On { device: self.device(), pipelines, spare: &spare };
        let mut session = Session::new(on, job, &[], plan, habits, factors)?;
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
        Params { paths: paths as u32, stride: stride as u32, flags, ..Params::guarded() }
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
        let (row, rows) = (u64::from(row - slab.first), u64::from(slab.rows));
        let part = |index: usize, block: u64| (&slab.tiles[index], (block * rows + row) * BLOCK as u64);
        Ok(self.on(paths, part)?)
    }

    fn log_returns_on(&self, observation: usize, asset: usize, paths: &[usize]) -> Result<Vec<f32>, Halt> {
        let item = ((observation * self.assets + asset) * FACTORS) as u64;
        let part = |index: usize, block: u64| {
            let tile = &self.tiles[index];
            (&tile.factors, item * tile.stride + block * BLOCK as u64)
        };
        Ok(self.on(paths, part)?)
    }
}

impl Kept {
    /// Numbers on some paths. `part` says in which buffer of a tile, and from which number on, those of
    /// a block of it are; only blocks with such a path are read.
    fn on<'a>(
        &self,
        paths: &[usize],
        part: impl Fn(usize, u64) -> (&'a Buffer, u64),
    ) -> Result<Vec<f32>, EngineFault> {
        let block = BLOCK as u64;
        let stride = self.tiles.first().map_or(block, |tile| tile.stride);
        let mut wanted: Vec<u64> = paths.iter().map(|&path| path as u64 / block).collect();
        wanted.sort_unstable();
        wanted.dedup();
        let place = |&of: &u64| {
            let (buffer, first) = part((of * block / stride) as usize, of * block % stride / block);
            (buffer, 4 * first, 4 * block)
        };
        let parts: Vec<_> = wanted.iter().map(place).collect();
        let values: Vec<f32> = bytemuck::pod_collect_to_vec(&self.gpu.device().read_together(&parts)?);
        let on = |&path: &usize| {
            let at = wanted.binary_search(&(path as u64 / block)).ok()?;
            values.get(at * BLOCK + path % BLOCK).copied()
        };
        Ok(paths.iter().map(|path| on(path).unwrap_or(f32::NAN)).collect())
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

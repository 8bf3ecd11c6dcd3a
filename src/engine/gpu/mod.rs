//! The GPU engine: the stages as compute shaders, through wgpu.
//!
//! It gives the bits of the CPU engine in f32 whatever the adapter, the size of a tile or a
//! workgroup, and the order in which the device takes its work.

mod adapter;
mod device;
mod layout;
#[cfg(test)]
mod numeric_tests;
mod pace;
mod pipelines;
mod plan;
mod resident;
#[cfg(test)]
mod resident_tests;
mod session;
#[cfg(test)]
mod shader_tests;
mod shaders;
mod spare;
mod stopwatch;
mod submit;
#[cfg(test)]
mod tests;

use std::ops::Range;

use self::device::Device;
use self::pace::Pace;
use self::pipelines::{Build, Pipelines};
use self::plan::{Allowed, Needs, TileWork};
use self::session::{Habits, On, Session};
use self::spare::Spare;
use super::{BLOCK, Cube, DeviceReport, Engine, EngineFault, Job, KEPT_PATHS, Shape, StageTimes};
use crate::risk::{Bracket, LevelRanks, RankedLosses, Tail};

pub use self::adapter::{AdapterKind, AdapterSummary, Wanted, adapters, hardware};
pub use self::resident::GpuKeeper;
pub use self::shaders::{Dialect, shaders_blake3};

/// Sizes for hardware: enough paths to fill a large GPU, in memory that a small one has.
const HARDWARE: Sizes = Sizes { tile_paths: 1 << 17, tile_bytes: 1 << 30, net_work: 1 << 32 };
/// Sizes for a software adapter, whose memory is its processor's cache.
const SOFTWARE: Sizes = Sizes { tile_paths: 1 << 13, tile_bytes: 1 << 28, net_work: 1 << 27 };

struct Sizes {
    tile_paths: u64,
    tile_bytes: u64,
    net_work: u64,
}

/// Choices that change no figure.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GpuOptions {
    /// Part of the adapter's name, or its PCI bus id; the first hardware adapter without it, else
    /// a software one.
    pub filter: Option<String>,
    /// How shaders are written; without it as suits the adapter best.
    pub dialect: Option<Dialect>,
    /// Invocations of a workgroup.
    pub workgroup: Option<u32>,
    /// Paths of a tile and of a submission; rounded up to whole blocks, and down to what fits.
    /// Without it submissions take as many as fit into some tens of milliseconds.
    pub tile_paths: Option<u64>,
    /// Takes paths, rows and accounts in reverse order, to show that order does not matter.
    pub reversed: bool,
}

/// The GPU engine.
pub struct GpuEngine {
    device: Device,
    options: GpuOptions,
    pipelines: Option<Pipelines>,
    spare: Spare,
    /// What submissions of jobs of this kind have come to.
    pace: Option<(Needs, Pace)>,
    times: StageTimes,
}

/// Factors, profits and losses of a range of paths, kept: `factors[block]` is
/// `[observation][asset][factor][BLOCK]`, `pnl[block]` is `[row][BLOCK]`, as on the CPU;
/// `losses` is `[horizon][account][path]`.
pub struct GpuCube {
    /// Factors by block.
    pub factors: Vec<Vec<f32>>,
    /// Profits of one unit by block.
    pub pnl: Vec<Vec<f32>>,
    /// Losses by horizon and account.
    pub losses: Vec<Vec<Vec<f32>>>,
}

impl GpuEngine {
    /// Opens the adapter whose name or PCI bus id matches; without a filter the first hardware
    /// adapter, else a software one.
    pub fn new(filter: Option<&str>) -> Result<Self, EngineFault> {
        Self::with_options(GpuOptions { filter: filter.map(str::to_owned), ..GpuOptions::default() })
    }

    /// Opens an adapter with other sizes; results do not depend on them.
    pub fn with_options(options: GpuOptions) -> Result<Self, EngineFault> {
        let wanted = options.filter.clone().map_or(Wanted::First, Wanted::Named);
        let (adapter, summary) = adapter::choose(&[wanted])?.swap_remove(0);
        Self::on(&adapter, summary, options)
    }

    /// Opens several adapters, each once.
    pub fn several(wanted: &[Wanted]) -> Result<Vec<Self>, EngineFault> {
        let adapters = adapter::choose(wanted)?.into_iter();
        adapters.map(|(adapter, summary)| Self::on(&adapter, summary, GpuOptions::default())).collect()
    }

    fn on(
        adapter: &wgpu::Adapter,
        summary: AdapterSummary,
        options: GpuOptions,
    ) -> Result<Self, EngineFault> {
        if options.dialect.is_some_and(|dialect| dialect.wide_products) && !summary.shader_int64 {
            return Err(EngineFault::Device(format!("{} has no 64-bit integers", summary.name)));
        }
        let device = Device::open(adapter, summary)?;
        let (pace, times) = (None, StageTimes::default());
        Ok(Self { device, options, pipelines: None, spare: Spare::default(), pace, times })
    }

    /// The adapter that was opened.
    pub fn adapter(&self) -> &AdapterSummary {
        &self.device.summary
    }

    /// Factors, profits and losses of a range of paths, which starts on a block and is rounded up
    /// to whole blocks.
    pub fn cube(&mut self, job: &Job, paths: Range<u64>) -> Result<GpuCube, EngineFault> {
        let block = BLOCK as u64;
        // No loss reaches a tail.
        let never = Bracket { floor: f32::MAX, bins_per_loss: 1.0, quanta_per_loss: 1.0 };
        let brackets = vec![never; job.accounts() * job.levels.len()];
        let mut session = self.session(job, &brackets, &paths, true)?;
        let mut cube = GpuCube {
            factors: Vec::new(),
            pnl: Vec::new(),
            losses: vec![vec![Vec::new(); job.accounts()]; job.horizons.len()],
        };
        let mut first = paths.start;
        while first < paths.end {
            let count = (paths.end - first).next_multiple_of(block).min(session.stride());
            let work = TileWork { first, count, is_simulated: false, net: false };
            session.tile(&work)?;
            let stride = session.stride() as usize;
            blocks(&session.factors()?, stride, count as usize, &mut cube.factors);
            let block_profits = session.pnl()?;
            let rows = job.rows.len() * BLOCK;
            cube.pnl.extend((0..count as usize / BLOCK).map(|b| block_profits[b * rows..][..rows].to_vec()));
            for (horizon, accounts) in cube.losses.iter_mut().enumerate() {
                let losses = session.losses(horizon, &work)?;
                for (account, losses) in accounts.iter_mut().zip(losses.chunks(stride)) {
                    account.extend(&losses[..count as usize]);
                }
            }
            first += count;
        }
        Ok(cube)
    }

    /// Ranks losses on the first paths, [`KEPT_PATHS`] at most; `None` where they are more than a tile.
    fn rank(
        &mut self,
        job: &Job,
        paths: u64,
        ranks: &[LevelRanks],
    ) -> Result<Option<Vec<RankedLosses>>, EngineFault> {
        let mut session = self.session(job, &[], &(0..paths), false)?;
        if session.stride() < paths {
            return Ok(None);
        }
        session.ranked(job, paths, ranks).map(Some)
    }

    /// Uploads a job; where memory runs out, with smaller tiles.
    fn session(
        &mut self,
        job: &Job,
        brackets: &[Bracket],
        paths: &Range<u64>,
        losses: bool,
    ) -> Result<Session<'_>, EngineFault> {
        let block = BLOCK as u64;
        assert!(paths.start.is_multiple_of(block), "ranges of paths start on a block");
        self.device.check()?;
        let needs = Needs::new(job, losses);
        let allowed = self.allowed();
        let workgroup = self.options.workgroup;
        let useful = (paths.end - paths.start).next_multiple_of(block).max(block);
        let tile = self.options.tile_paths.unwrap_or(allowed.tile_paths).min(useful);
        let mut plan = plan::plan(&needs, &allowed, tile, workgroup)?;
        let build = Build { assets: job.assets as u32, groups: plan.groups, dialect: self.dialect() };
        if self.pipelines.as_ref().is_none_or(|pipelines| pipelines.build != build) {
            self.pipelines = Some(Pipelines::new(&self.device, build)?);
        }
        let Some(pipelines) = &self.pipelines else {
            return Err(EngineFault::Device("there are no pipelines".to_owned()));
        };
        let habits = Habits { losses, reversed: self.options.reversed };
        let on = On { device: &self.device, pipelines, spare: &self.spare };
        loop {
            let session = Session::new(on, job, brackets, plan, habits, None);
            if session.is_err() {
                // What was refused must not be taken for a buffer.
                self.spare.clear();
            }
            match session {
                Err(EngineFault::OutOfMemory(_)) if plan.stride > block => {
                    plan = plan::plan(&needs, &allowed, plan.stride / 2, workgroup)?;
                }
                other => return other,
            }
        }
    }

    /// What is known of the pace of such a job.
    fn pace(&self, needs: &Needs) -> Pace {
        let known = self.pace.as_ref().filter(|(of, _)| of == needs).map(|(_, pace)| pace.clone());
        known.unwrap_or_else(|| match (self.options.tile_paths, self.device.summary.kind) {
            (Some(paths), _) => Pace::fixed(paths.next_multiple_of(BLOCK as u64)),
            (None, AdapterKind::Hardware) => Pace::finding(pace::HARDWARE),
            (None, AdapterKind::Software) => Pace::finding(pace::SOFTWARE),
        })
    }

    fn dialect(&self) -> Dialect {
        let summary = &self.device.summary;
        let best =
            Dialect { wide_products: summary.shader_int64, fused_guards: summary.keeps_fused_operations };
        self.options.dialect.unwrap_or(best)
    }

    fn allowed(&self) -> Allowed {
        let summary = &self.device.summary;
        let sizes = if summary.kind == AdapterKind::Hardware { HARDWARE } else { SOFTWARE };
        Allowed {
            binding_bytes: summary.max_binding_bytes,
            buffer_bytes: summary.max_buffer_bytes,
            workgroups: summary.max_workgroups,
            invocations: summary.max_workgroup_size,
            tile_paths: sizes.tile_paths,
            tile_bytes: sizes.tile_bytes,
            net_work: sizes.net_work,
        }
    }
}

impl Engine for GpuEngine {
    fn device(&self) -> DeviceReport {
        let summary = &self.device.summary;
        DeviceReport {
            engine: "gpu".to_owned(),
            name: summary.name.clone(),
            detail: format!("{} {}", summary.backend, summary.driver),
            reason: String::new(),
        }
    }

    fn tails(
        &mut self,
        job: &Job,
        brackets: &[Bracket],
        paths: Range<u64>,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Vec<Tail>, EngineFault> {
        let needs = Needs::new(job, false);
        let mut pace = self.pace(&needs);
        let mut session = self.session(job, brackets, &paths, false)?;
        session.run(paths, &mut pace, progress)?;
        let tails = session.tails()?;
        let times = session.stage_times().unwrap_or_default();
        self.times += times;
        self.pace = Some((needs, pace));
        Ok(tails)
    }

    fn ranked(&mut self, job: &Job, paths: u64, ranks: &[LevelRanks]) -> Option<Vec<RankedLosses>> {
        // A software adapter counts more slowly than the pilot selects.
        let is_quicker = self.device.summary.kind == AdapterKind::Hardware && paths <= KEPT_PATHS;
        if is_quicker { self.rank(job, paths, ranks).ok()? } else { None }
    }

    /// The tails that are added, and the memory through which they are read; the book as it is uploaded,
    /// with at most one holding more for each account.
    fn working_bytes(&mut self, shape: &Shape, _: u64) -> u64 {
        let holders = shape.accounts * shape.horizons;
        let holdings = (shape.entries() + holders) * size_of::<layout::Holding>() as u64;
        let book = holdings + holders * size_of::<layout::Holder>() as u64;
        shape.tails_bytes() + device::MOST_READ as u64 + 2 * book
    }

    fn stage_times(&self) -> Option<StageTimes> {
        self.device.summary.timestamp_query.then_some(self.times)
    }

    fn cube(&mut self, job: &Job, paths: Range<u64>) -> Result<Cube<f32>, EngineFault> {
        let GpuCube { factors, pnl, .. } = Self::cube(self, job, paths)?;
        Ok(Cube { factors, pnl })
    }
}

/// Splits `[item][stride]` into blocks of `[item][BLOCK]`.
fn blocks(values: &[f32], stride: usize, paths: usize, blocks: &mut Vec<Vec<f32>>) {
    for start in (0..paths).step_by(BLOCK) {
        blocks.push(values.chunks(stride).flat_map(|item| &item[start..start + BLOCK]).copied().collect());
    }
}

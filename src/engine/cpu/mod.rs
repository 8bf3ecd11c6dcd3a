//! The CPU engine: the stages of the shaders in SIMD lanes, on all cores.
//!
//! In f32 it gives the bits of the shaders whatever the instruction set, the number of threads and
//! the size of a tile; in f64 it is the reference.

mod alike;
mod batch;
mod bounds;
mod clock;
mod collect;
mod decompose;
mod excesses;
mod few;
mod kept;
mod lines;
mod net;
mod pass;
mod portions;
mod resident;
mod revalue;
mod rooms;
mod simulate;
mod tail_paths;
mod tails;
mod tile;
mod together;

use std::ops::Range;

use rayon::prelude::*;

use self::clock::Clock;
use self::lines::Aligned;
use self::net::Holdings;
use self::pass::Pass;
use self::revalue::Paired;
use self::simulate::{Consecutive, Paths};
use super::model::Model;
use super::{BLOCK, Cube, DeviceReport, Engine, EngineFault, FACTORS, Job, Shape, StageTimes};
use crate::numeric::{Lanes, Real};
use crate::risk::{Bracket, Tail};
use crate::scenario::Precision;

pub use self::decompose::{Grouping, RegeneratedPath, TailSums};
pub use self::kept::CpuKeeper;
pub use self::resident::{CHUNK, padded};
pub use self::simulate::stream;

/// Losses of a group of accounts that are netted together from a cube: well inside a shared cache.
const GROUP_BYTES: usize = 8 << 20;
/// Groups for each thread, so that uneven accounts even out.
const GROUPS_PER_THREAD: usize = 8;

/// The CPU engine.
#[derive(Clone, Copy, Debug)]
pub struct CpuEngine {
    precision: Precision,
    instructions: pulp::Arch,
    tile_blocks: usize,
    times: StageTimes,
}

impl CpuEngine {
    /// An engine of the best instruction set of this processor.
    pub fn new(precision: Precision) -> Self {
        Self {
            precision,
            instructions: pulp::Arch::new(),
            tile_blocks: portions::TILE_BLOCKS,
            times: StageTimes::default(),
        }
    }

    /// The same engine without vector instructions beyond the target's baseline, for comparison.
    pub fn with_baseline_instructions(self) -> Self {
        Self { instructions: pulp::Arch::Scalar, ..self }
    }

    /// The same engine with tiles of another size, for comparison; results do not depend on it.
    pub fn with_tile_blocks(self, tile_blocks: usize) -> Self {
        Self { tile_blocks: tile_blocks.clamp(1, portions::TILE_BLOCKS), ..self }
    }

    /// Factors and profits of a range of paths in f32, the bits of the shaders.
    pub fn cube_f32(&self, job: &Job, paths: Range<u64>) -> Cube<f32> {
        self.cube_in::<Lanes<f32, 16>>(&Model::new(job), paths)
    }

    /// Factors and profits of a range of paths in f64.
    pub fn cube_f64(&self, job: &Job, paths: Range<u64>) -> Cube<f64> {
        self.cube_in::<Lanes<f64, 8>>(&Model::new(job), paths)
    }

    /// Profits after given factors, which come in blocks of `[observation][asset][factor][BLOCK]`.
    pub fn cube_of_factors_f64(&self, job: &Job, factors: Vec<Vec<f64>>) -> Cube<f64> {
        let model = Model::<f64>::new(job);
        let revalue = |factors: &Vec<f64>| {
            let mut pnl = vec![0.0; model.rows.len() * BLOCK];
            let work = RevalueBlock::<Lanes<f64, 8>> { model: &model, factors, pnl: &mut pnl };
            self.instructions.dispatch(work);
            pnl
        };
        let pnl = factors.par_iter().map(revalue).collect();
        Cube { factors, pnl }
    }

    /// Losses of accounts at a horizon on the paths of a cube: one call of `visit` for each
    /// account, `[path]`.
    pub fn losses_f32<T: Send>(
        &self,
        job: &Job,
        cube: &Cube<f32>,
        horizon: usize,
        visit: impl Fn(usize, &mut [f32]) -> T + Sync,
    ) -> Vec<T> {
        self.losses::<Lanes<f32, 16>, T>(job, cube, horizon, visit)
    }

    /// Losses of accounts in f64; see [`CpuEngine::losses_f32`].
    pub fn losses_f64<T: Send>(
        &self,
        job: &Job,
        cube: &Cube<f64>,
        horizon: usize,
        visit: impl Fn(usize, &mut [f64]) -> T + Sync,
    ) -> Vec<T> {
        self.losses::<Lanes<f64, 8>, T>(job, cube, horizon, visit)
    }

    fn cube_in<R: Paired>(&self, model: &Model<R::Scalar>, paths: Range<u64>) -> Cube<R::Scalar> {
        assert!(paths.start.is_multiple_of(BLOCK as u64), "ranges of paths start on a block");
        let blocks = (paths.end - paths.start).div_ceil(BLOCK as u64);
        let run = |state: &mut simulate::State<R>, block: u64| {
            let mut factors =
                vec![R::Scalar::default(); model.observations.len() * model.assets * FACTORS * BLOCK];
            let mut pnl = vec![R::Scalar::default(); model.rows.len() * BLOCK];
            self.block::<R>(
                model,
                state,
                Consecutive(paths.start + block * BLOCK as u64),
                &mut factors,
                &mut pnl,
            );
            (factors, pnl)
        };
        let all: Vec<_> = (0..blocks).into_par_iter().map_init(|| simulate::State::new(model), run).collect();
        let (factors, pnl) = all.into_iter().unzip();
        Cube { factors, pnl }
    }

    fn losses<R: Real, T: Send>(
        &self,
        job: &Job,
        cube: &Cube<R::Scalar>,
        horizon: usize,
        visit: impl Fn(usize, &mut [R::Scalar]) -> T + Sync,
    ) -> Vec<T> {
        let holdings = Holdings::<R::Scalar>::new(&job.netting[horizon]);
        let paths = cube.pnl.len() * BLOCK;
        let accounts = holdings.accounts();
        // A block's rows stay in the cache while a group of accounts passes over them.
        let most = (GROUP_BYTES / (paths.max(1) * size_of::<R::Scalar>())).max(1);
        let group = accounts.div_ceil(rayon::current_num_threads() * GROUPS_PER_THREAD).clamp(1, most);
        let run = |(buffer, room): &mut (Vec<R::Scalar>, Vec<Aligned<R::Scalar>>), group_index: usize| {
            let accounts = group_index * group..((group_index + 1) * group).min(accounts);
            buffer.resize(accounts.len() * paths, R::Scalar::default());
            for (block, pnl) in cube.pnl.iter().enumerate() {
                holdings.fetch(pnl, room);
                let work = NetBlock::<R> {
                    holdings: &holdings,
                    accounts: accounts.clone(),
                    held: room,
                    block,
                    paths,
                    losses: buffer,
                };
                self.instructions.dispatch(work);
            }
            let each = accounts.zip(buffer.chunks_mut(paths.max(1)));
            each.map(|(account, losses)| visit(account, losses)).collect::<Vec<T>>()
        };
        let groups = (0..accounts.div_ceil(group)).into_par_iter().map_init(Default::default, run);
        groups.collect::<Vec<_>>().into_iter().flatten().collect()
    }

    /// Adds the tails of a range of paths.
    fn tails_in<R: Paired>(
        &self,
        job: &Job,
        brackets: &[Bracket],
        paths: Range<u64>,
        tails: &mut [Tail],
        progress: &mut dyn FnMut(u64),
    ) -> StageTimes {
        assert!(paths.start.is_multiple_of(BLOCK as u64), "ranges of paths start on a block");
        self.pass(job, brackets, |pass: &Pass<'_, R>| {
            if tails.len() as u64 <= few::FEW_TAILS {
                pass.of_few(paths, tails, progress);
            } else {
                pass.of_many(self.tile_blocks, paths, tails, progress);
            }
        })
    }

    /// Makes a pass, and says how long its stages took.
    fn pass<R: Paired>(
        &self,
        job: &Job,
        brackets: &[Bracket],
        over_paths: impl FnOnce(&Pass<'_, R>),
    ) -> StageTimes {
        let model = &Model::new(job);
        let holdings: &Vec<_> = &job.netting.iter().map(Holdings::new).collect();
        let instructions = self.instructions;
        let pass = Pass { instructions, job, model, holdings, brackets, clock: Clock::default() };
        over_paths(&pass);
        pass.clock.read()
    }

    fn block<R: Paired>(
        &self,
        model: &Model<R::Scalar>,
        state: &mut simulate::State<R>,
        paths: impl Paths,
        factors: &mut [R::Scalar],
        pnl: &mut [R::Scalar],
    ) {
        self.instructions.dispatch(PriceBlock::<R, _> { model, state, paths, factors, pnl });
    }
}

impl Engine for CpuEngine {
    fn device(&self) -> DeviceReport {
        DeviceReport {
            engine: "cpu".to_owned(),
            name: format!("{} threads", rayon::current_num_threads()),
            detail: format!("{} {}", instruction_set(self.instructions), self.precision),
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
        let mut tails = vec![Tail::default(); brackets.len()];
        self.add_tails(job, brackets, paths, &mut tails, progress)?;
        Ok(tails)
    }

    fn add_tails(
        &mut self,
        job: &Job,
        brackets: &[Bracket],
        paths: Range<u64>,
        tails: &mut [Tail],
        progress: &mut dyn FnMut(u64),
    ) -> Result<(), EngineFault> {
        self.times += match self.precision {
            Precision::F32 => self.tails_in::<Lanes<f32, 16>>(job, brackets, paths, tails, progress),
            Precision::F64 => self.tails_in::<Lanes<f64, 8>>(job, brackets, paths, tails, progress),
        };
        Ok(())
    }

    fn stage_times(&self) -> Option<StageTimes> {
        Some(self.times)
    }

    fn working_bytes(&mut self, shape: &Shape, allowed: u64) -> u64 {
        let (tile_blocks, bytes) = match self.precision {
            Precision::F32 => portions::plan::<f32>(shape, self.tile_blocks, allowed),
            Precision::F64 => portions::plan::<f64>(shape, self.tile_blocks, allowed),
        };
        self.tile_blocks = tile_blocks;
        bytes
    }

    fn cube(&mut self, job: &Job, paths: Range<u64>) -> Result<Cube<f32>, EngineFault> {
        Ok(self.cube_f32(job, paths))
    }
}

// Work for `pulp`: structs rather than closures, because only an `#[inline(always)]` method is sure
// to be compiled for the instruction set that it is dispatched to.

struct PriceBlock<'a, R: Real, P> {
    model: &'a Model<R::Scalar>,
    state: &'a mut simulate::State<R>,
    paths: P,
    factors: &'a mut [R::Scalar],
    pnl: &'a mut [R::Scalar],
}

impl<R: Paired, P: Paths> pulp::WithSimd for PriceBlock<'_, R, P> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) {
        simulate::simulate::<R>(self.model, self.state, self.paths, self.factors);
        revalue::revalue::<R>(self.model, &self.model.curves, self.factors, self.pnl);
    }
}

struct RevalueBlock<'a, R: Real> {
    model: &'a Model<R::Scalar>,
    factors: &'a [R::Scalar],
    pnl: &'a mut [R::Scalar],
}

impl<R: Paired> pulp::WithSimd for RevalueBlock<'_, R> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) {
        revalue::revalue::<R>(self.model, &self.model.curves, self.factors, self.pnl);
    }
}

struct NetBlock<'a, R: Real> {
    holdings: &'a Holdings<'a, R::Scalar>,
    accounts: Range<usize>,
    held: &'a [Aligned<R::Scalar>],
    block: usize,
    /// Losses of one account in `losses`.
    paths: usize,
    losses: &'a mut [R::Scalar],
}

impl<R: Real> pulp::WithSimd for NetBlock<'_, R> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) {
        for (index, account) in self.accounts.enumerate() {
            let start = index * self.paths + self.block * BLOCK;
            let losses = (&mut self.losses[start..start + BLOCK]).try_into().expect("a block is BLOCK long");
            net::losses::<R>(self.holdings, account, self.held, losses);
        }
    }
}

/// Name of an instruction set: pulp's own shows every flag of it.
fn instruction_set(instructions: pulp::Arch) -> String {
    let shown = format!("{instructions:?}");
    match shown.split(['(', ' ']).next().unwrap_or_default() {
        "V4" => "AVX-512".to_owned(),
        "V3" => "AVX2".to_owned(),
        "Scalar" => "baseline".to_owned(),
        other => other.to_owned(),
    }
}

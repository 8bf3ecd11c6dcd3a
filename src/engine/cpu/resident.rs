//! A cube that stays in memory: factors and profits of all paths, made by the stages of the main pass
//! and kept, and passes over them that net accounts and collect tails with the same bits.
//!
//! Profits are kept in chunks of [`CHUNK`] paths, `[row][path]` in each: a pass over one row reads
//! 16 KiB at a time, and what it sums stays in the first cache.

use rayon::prelude::*;

use super::simulate::{Consecutive, State, simulate};
use super::{BLOCK, CpuEngine, FACTORS, Job, revalue};
use crate::engine::model::Model;
use crate::numeric::{Lanes, Real};
use crate::risk::{Bracket, Tail};

/// Paths of a chunk.
pub const CHUNK: usize = 64 * BLOCK;
/// Losses that are compared with a bracket's floor at once: few groups hold a loss above it.
const GROUP: usize = 16;

type Lane = Lanes<f32, 16>;

/// What a long computation asks before each block of paths.
pub trait Pace: Sync {
    /// Whether to go on; it may wait here for work that is more urgent.
    fn go_on(&self) -> bool;
}

/// Goes on to the end.
pub struct Unhurried;

impl Pace for Unhurried {
    fn go_on(&self) -> bool {
        true
    }
}

/// Factors of all paths, `[block][observation][asset][factor][BLOCK]` in each chunk.
#[derive(Default)]
pub struct Factors {
    chunks: Vec<Vec<f32>>,
}

/// Profits of one unit of some rows on all paths, `[row][path]` in each chunk.
pub struct Slab {
    rows: usize,
    chunks: Vec<Vec<f32>>,
}

impl Factors {
    /// Bytes that the factors of a job take.
    pub fn bytes(job: &Job, paths: u64) -> u64 {
        padded(paths) as u64 * (job.observations.len() * job.assets * FACTORS * size_of::<f32>()) as u64
    }
}

impl Slab {
    /// Bytes of so many rows.
    pub fn bytes(rows: usize, paths: u64) -> u64 {
        padded(paths) as u64 * (rows * size_of::<f32>()) as u64
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Profit of a row on a path.
    pub fn at(&self, row: usize, path: usize) -> f32 {
        self.row(path / CHUNK, row)[path % CHUNK]
    }

    fn row(&self, chunk: usize, row: usize) -> &[f32] {
        let chunk = &self.chunks[chunk];
        let paths = chunk.len() / self.rows;
        &chunk[row * paths..(row + 1) * paths]
    }
}

/// A quantity of a row.
#[derive(Clone, Copy)]
pub struct Leg<'a> {
    /// Where the row is.
    pub slab: &'a Slab,
    /// Its place there.
    pub row: usize,
    /// Units.
    pub quantity: f64,
}

/// An account on all paths at one horizon: profits that are kept, if any, and legs that come on top,
/// in their order.
#[derive(Clone, Copy)]
pub struct Netted<'a> {
    /// Profits, `[path]`; zero without them.
    pub base: Option<&'a [f32]>,
    /// What is added.
    pub legs: &'a [Leg<'a>],
    /// Paths.
    pub paths: u64,
}

/// Paths up to a whole block.
pub fn padded(paths: u64) -> usize {
    (paths as usize).next_multiple_of(BLOCK)
}

impl CpuEngine {
    /// Simulates the factors of all paths in f32; `None` where it was told to stop.
    pub fn factors(&self, job: &Job, paths: u64, pace: &dyn Pace) -> Option<Factors> {
        let model = Model::<f32>::new(job);
        let block_len = model.observations.len() * model.assets * FACTORS * BLOCK;
        let run = |state: &mut State<Lane>, chunk: usize| {
            let first = chunk * CHUNK;
            let blocks = (padded(paths) - first).min(CHUNK) / BLOCK;
            let mut factors = vec![0.0; blocks * block_len];
            for (block, factors) in factors.chunks_mut(block_len.max(1)).enumerate() {
                if !pace.go_on() {
                    return None;
                }
                let paths = Consecutive((first + block * BLOCK) as u64);
                self.instructions.dispatch(Simulate { model: &model, state: &mut *state, paths, factors });
            }
            Some(factors)
        };
        let chunks = 0..padded(paths).div_ceil(CHUNK);
        let chunks = chunks.into_par_iter().map_init(|| State::new(&model), run).collect::<Option<_>>()?;
        Some(Factors { chunks })
    }

    /// Profits of the job's rows from factors of a job that simulates alike.
    pub fn slab(&self, job: &Job, factors: &Factors, pace: &dyn Pace) -> Option<Slab> {
        let model = Model::<f32>::new(job);
        let rows = model.rows.len();
        let block_len = (model.observations.len() * model.assets * FACTORS * BLOCK).max(1);
        let run = |pnl: &mut Vec<f32>, chunk: &Vec<f32>| {
            let paths = chunk.len() / block_len * BLOCK;
            let mut profits = vec![0.0; rows * paths];
            for (block, factors) in chunk.chunks(block_len).enumerate() {
                if !pace.go_on() {
                    return None;
                }
                self.instructions.dispatch(Revalue { model: &model, factors, pnl: &mut *pnl });
                for (row, pnl) in pnl.chunks(BLOCK).enumerate() {
                    profits[row * paths + block * BLOCK..][..BLOCK].copy_from_slice(pnl);
                }
            }
            Some(profits)
        };
        let chunks = factors.chunks.par_iter();
        let chunks = chunks.map_init(|| vec![0.0; rows * BLOCK], run).collect::<Option<_>>()?;
        Some(Slab { rows, chunks })
    }

    /// Profits of an account on all paths, up to a whole block.
    pub fn netted(&self, account: &Netted<'_>, pace: &dyn Pace) -> Option<Vec<f32>> {
        let mut profits = vec![0.0; padded(account.paths)];
        let chunks = profits.par_chunks_mut(CHUNK).enumerate();
        let whole = chunks.map(|(chunk, profits)| {
            let goes_on = pace.go_on();
            if goes_on {
                self.instructions.dispatch(Net { account, chunk, profits });
            }
            goes_on
        });
        whole.reduce(|| true, |a, b| a && b).then_some(profits)
    }

    /// Losses of an account on its first paths.
    pub fn first_losses(&self, account: &Netted<'_>, count: usize) -> Vec<f32> {
        let mut losses = vec![0.0; padded(count as u64)];
        let within = Netted { paths: count as u64, ..*account };
        losses.par_chunks_mut(CHUNK).enumerate().for_each(|(chunk, profits)| {
            self.instructions.dispatch(Net { account: &within, chunk, profits: &mut *profits });
            profits.iter_mut().for_each(|profit| *profit = -*profit);
        });
        losses.truncate(count);
        losses
    }

    /// Tails of an account at each bracket.
    pub fn netted_tails(
        &self,
        account: &Netted<'_>,
        brackets: &[Bracket],
        pace: &dyn Pace,
    ) -> Option<Vec<Tail>> {
        let none = || vec![Tail::default(); brackets.len()];
        let paths = account.paths as usize;
        let collect = |mut tails: Vec<Tail>, chunk: usize| {
            if !pace.go_on() {
                return None;
            }
            let valid = (paths - chunk * CHUNK).min(CHUNK);
            let mut buffer = [0.0; CHUNK];
            let profits = &mut buffer[..padded(valid as u64)];
            self.instructions.dispatch(Net { account, chunk, profits: &mut *profits });
            self.instructions.dispatch(Collect { profits: &profits[..valid], brackets, tails: &mut tails });
            Some(tails)
        };
        let merge = |mut all: Vec<Tail>, more: Vec<Tail>| {
            all.iter_mut().zip(&more).for_each(|(all, more)| all.merge(more));
            Some(all)
        };
        (0..paths.div_ceil(CHUNK)).into_par_iter().try_fold(none, collect).try_reduce(none, merge)
    }
}

struct Simulate<'a> {
    model: &'a Model<f32>,
    state: &'a mut State<Lane>,
    paths: Consecutive,
    factors: &'a mut [f32],
}

impl pulp::WithSimd for Simulate<'_> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) {
        simulate::<Lane>(self.model, self.state, self.paths, self.factors);
    }
}

struct Revalue<'a> {
    model: &'a Model<f32>,
    factors: &'a [f32],
    pnl: &'a mut [f32],
}

impl pulp::WithSimd for Revalue<'_> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) {
        revalue::revalue::<Lane>(self.model, self.factors, self.pnl);
    }
}

struct Net<'a> {
    account: &'a Netted<'a>,
    chunk: usize,
    profits: &'a mut [f32],
}

impl pulp::WithSimd for Net<'_> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) {
        match self.account.base {
            Some(base) => self.profits.copy_from_slice(&base[self.chunk * CHUNK..][..self.profits.len()]),
            None => self.profits.fill(0.0),
        }
        // Four rows in one go: the sums are read and written once for all of them.
        let mut fours = self.account.legs.chunks_exact(4);
        for legs in &mut fours {
            let row = |leg: usize| (legs[leg].slab.row(self.chunk, legs[leg].row), quantity(&legs[leg]));
            add_four(self.profits, [row(0), row(1), row(2), row(3)]);
        }
        for leg in fours.remainder() {
            add_one(self.profits, leg.slab.row(self.chunk, leg.row), quantity(leg));
        }
    }
}

/// A quantity in the engine's precision.
#[inline(always)]
fn quantity(leg: &Leg<'_>) -> f32 {
    <f32 as Real>::constant(leg.quantity)
}

#[inline(always)]
fn add_one(sums: &mut [f32], row: &[f32], quantity: f32) {
    let row = &row[..sums.len()];
    for path in 0..sums.len() {
        sums[path] += quantity * row[path];
    }
}

/// The order of the sums is that of the rows, path by path.
#[inline(always)]
fn add_four(sums: &mut [f32], rows: [(&[f32], f32); 4]) {
    let n = sums.len();
    let [(a, x), (b, y), (c, z), (d, w)] = rows.map(|(row, quantity)| (&row[..n], quantity));
    for path in 0..n {
        let sum = sums[path] + x * a[path];
        let sum = sum + y * b[path];
        let sum = sum + z * c[path];
        sums[path] = sum + w * d[path];
    }
}

struct Collect<'a> {
    profits: &'a [f32],
    brackets: &'a [Bracket],
    tails: &'a mut [Tail],
}

impl pulp::WithSimd for Collect<'_> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) {
        for (bracket, tail) in self.brackets.iter().zip(self.tails) {
            for group in self.profits.chunks(GROUP) {
                let mut is_above = false;
                for profit in group {
                    is_above |= -*profit >= bracket.floor;
                }
                if is_above {
                    add_group(group, bracket, tail);
                }
            }
        }
    }
}

#[inline(always)]
fn add_group(profits: &[f32], bracket: &Bracket, tail: &mut Tail) {
    for profit in profits {
        let excess = -*profit - bracket.floor;
        if excess >= 0.0 {
            tail.add(excess, bracket);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Engine, Pilot};
    use crate::scenario::Precision;
    use crate::{run, scenario};

    /// Chunks, blocks and an odd rest.
    const PATHS: u64 = 2 * CHUNK as u64 + 3 * BLOCK as u64 + 7;

    #[test]
    fn tails_of_the_resident_cube_are_those_of_the_pass() {
        let scenario = scenario::read(std::path::Path::new("scenarios/quickstart.yaml")).unwrap();
        let job = run::job(&scenario, &scenario.market).unwrap();
        let mut engine = CpuEngine::new(Precision::F32);
        let brackets = Pilot::new(&job, PATHS).brackets(&job, 1.0);
        let expected = engine.tails(&job, &brackets, 0..PATHS, &mut |_| ()).unwrap();
        let factors = engine.factors(&job, PATHS, &Unhurried).unwrap();
        let slab = engine.slab(&job, &factors, &Unhurried).unwrap();
        let levels = job.levels.len();
        for account in 0..job.accounts() {
            for (level, of) in job.levels.iter().enumerate() {
                let netting = &job.netting[of.horizon];
                let range = netting.starts[account] as usize..netting.starts[account + 1] as usize;
                let leg = |entry: usize| Leg {
                    slab: &slab,
                    row: netting.row[entry] as usize,
                    quantity: netting.quantity[entry],
                };
                let legs: Vec<Leg<'_>> = range.map(leg).collect();
                let index = account * levels + level;
                let bracket = &brackets[index..=index];
                // In one go, and the last leg on top of the others.
                let whole = Netted { base: None, legs: &legs, paths: PATHS };
                let (last, others) = legs.split_last().unwrap();
                let others = engine.netted(&Netted { legs: others, ..whole }, &Unhurried).unwrap();
                let on_top = Netted { base: Some(&others), legs: std::slice::from_ref(last), paths: PATHS };
                for netted in [whole, on_top] {
                    let tails = engine.netted_tails(&netted, bracket, &Unhurried).unwrap();
                    assert_eq!(tails[0], expected[index], "account {account}, level {level}");
                }
                let twice = [legs.as_slice(), &legs[..1]].concat();
                let other = engine.netted_tails(&Netted { legs: &twice, ..whole }, bracket, &Unhurried);
                assert_ne!(other.unwrap()[0], expected[index], "another book has another tail");
            }
        }
    }

    #[test]
    fn it_stops_when_told() {
        struct Stop;
        impl Pace for Stop {
            fn go_on(&self) -> bool {
                false
            }
        }
        let scenario = scenario::read(std::path::Path::new("scenarios/quickstart.yaml")).unwrap();
        let job = run::job(&scenario, &scenario.market).unwrap();
        let engine = CpuEngine::new(Precision::F32);
        assert!(engine.factors(&job, PATHS, &Stop).is_none());
        let factors = engine.factors(&job, PATHS, &Unhurried).unwrap();
        assert!(engine.slab(&job, &factors, &Stop).is_none());
        let nothing = Netted { base: None, legs: &[], paths: PATHS };
        assert!(engine.netted(&nothing, &Stop).is_none());
    }
}

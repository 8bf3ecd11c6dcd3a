//! A cube that stays in memory: factors and profits of all paths, made by the stages of the main pass
//! and kept, and passes over them that net accounts and collect tails with the same bits.
//!
//! Profits are kept in chunks of [`CHUNK`] paths, `[row][path]` in each: a pass over one row reads
//! 16 KiB at a time, and what it sums stays in the first cache.

use std::sync::{Arc, Mutex, PoisonError};

use rayon::prelude::*;

use super::simulate::{Consecutive, State, simulate};
use super::{BLOCK, CpuEngine, FACTORS, Job, revalue};
use crate::engine::Pace;
use crate::engine::model::Model;
use crate::numeric::{Lanes, Real};
use crate::risk::{Bracket, Tail};

/// Paths of a chunk.
pub const CHUNK: usize = 64 * BLOCK;
/// Losses that are compared with a bracket's floor at once: few groups hold a loss above it.
const GROUP: usize = 16;
/// Chunks have room for rows up to a multiple of it.
const SPARE_ROWS: usize = 16;
/// Accounts that are netted in one pass over the cube: their tails stay in the second cache.
const TOGETHER: usize = 64;

type Lane = Lanes<f32, 16>;

/// Factors of all paths, `[block][observation][asset][factor][BLOCK]` in each chunk.
#[derive(Default)]
pub struct Factors {
    chunks: Vec<Vec<f32>>,
}

/// Profits of one unit of some rows on all paths, `[row][path]` in each chunk.
pub struct Slab {
    rows: usize,
    chunks: Vec<Chunk>,
}

/// Memory of slabs that are gone, for those to come: memory that is new to the process costs a page
/// fault for every 4 KiB, as much as a third of a revaluation.
#[derive(Default)]
pub struct Stock(Mutex<Vec<Vec<f32>>>);

/// A chunk, whose memory goes back to the stock that it came from.
struct Chunk {
    values: Vec<f32>,
    stock: Arc<Stock>,
}

impl Stock {
    /// Takes a chunk of `rows` on `paths`, whatever stands in it.
    fn take(self: &Arc<Self>, rows: usize, paths: usize) -> Chunk {
        let wanted = rows * paths;
        // A few rows more or less, as instruments come and go, fit into the same memory.
        let room = rows.next_multiple_of(SPARE_ROWS) * paths;
        let found = {
            let mut stock = self.lock();
            let fitting = stock.iter().position(|values| values.capacity() == room);
            fitting.map(|index| stock.swap_remove(index))
        };
        let mut values = found.unwrap_or_else(|| vec![0.0; room]);
        values.resize(wanted, 0.0);
        Chunk { values, stock: Arc::clone(self) }
    }

    /// Frees what lies in stock.
    pub fn clear(&self) {
        self.lock().clear();
    }

    /// Bytes of what lies in stock.
    pub fn bytes(&self) -> u64 {
        self.lock().iter().map(|values| (values.capacity() * size_of::<f32>()) as u64).sum()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Vec<f32>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        self.stock.lock().push(std::mem::take(&mut self.values));
    }
}

impl Factors {
    /// Bytes that the factors of a job take.
    pub fn bytes(job: &Job, paths: u64) -> u64 {
        padded(paths) as u64 * (job.observations.len() * job.assets * FACTORS * size_of::<f32>()) as u64
    }

    /// Log return of an asset at an observation of the job that was simulated, on a path.
    pub fn log_return(&self, job: &Job, observation: usize, asset: usize, path: usize) -> f32 {
        let block = path % CHUNK / BLOCK * job.observations.len() + observation;
        let start = (block * job.assets + asset) * FACTORS * BLOCK;
        self.chunks[path / CHUNK][start + path % BLOCK]
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
        let chunk = &self.chunks[chunk].values;
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

/// An account of several, its brackets at the horizon, and whether its profits are wanted, too.
pub struct Asked<'a> {
    /// The account.
    pub netted: Netted<'a>,
    /// One for each tail that is wanted.
    pub brackets: Vec<Bracket>,
    /// Whether its profits are wanted.
    pub is_kept: bool,
}

/// Tails of an account and, where they are wanted, its profits on all paths, up to a whole block.
pub type Answered = (Vec<Tail>, Option<Vec<f32>>);

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

    /// Profits of the job's rows from factors of a job that simulates alike, in memory of the stock.
    pub fn slab(&self, job: &Job, factors: &Factors, stock: &Arc<Stock>, pace: &dyn Pace) -> Option<Slab> {
        let model = Model::<f32>::new(job);
        let rows = model.rows.len();
        let block_len = (model.observations.len() * model.assets * FACTORS * BLOCK).max(1);
        let run = |pnl: &mut Vec<f32>, chunk: &Vec<f32>| {
            let paths = chunk.len() / block_len * BLOCK;
            let mut profits = stock.take(rows, paths);
            for (block, factors) in chunk.chunks(block_len).enumerate() {
                if !pace.go_on() {
                    return None;
                }
                self.instructions.dispatch(Revalue { model: &model, factors, pnl: &mut *pnl });
                for (row, pnl) in pnl.chunks(BLOCK).enumerate() {
                    profits.values[row * paths + block * BLOCK..][..BLOCK].copy_from_slice(pnl);
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

    /// Tails of several accounts, each at its brackets: every chunk of the cube is read once for all of
    /// them.
    pub fn netted_tails_of(&self, accounts: &[Asked<'_>], pace: &dyn Pace) -> Option<Vec<Answered>> {
        let mut all = Vec::with_capacity(accounts.len());
        for accounts in accounts.chunks(TOGETHER) {
            all.extend(self.netted_together(accounts, pace)?);
        }
        Some(all)
    }

    fn netted_together(&self, accounts: &[Asked<'_>], pace: &dyn Pace) -> Option<Vec<Answered>> {
        let paths = accounts.first().map_or(0, |asked| asked.netted.paths as usize);
        let room = |asked: &Asked<'_>| asked.is_kept.then(|| vec![0.0; padded(paths as u64)]);
        let mut profits: Vec<Option<Vec<f32>>> = accounts.iter().map(room).collect();
        // One account's chunks are another account's: each task has its chunk of all of them.
        let mut rooms: Vec<_> =
            profits.iter_mut().map(|kept| Some(kept.as_mut()?.chunks_mut(CHUNK))).collect();
        let mut of_chunk = || rooms.iter_mut().map(|kept| kept.as_mut()?.next()).collect::<Vec<_>>();
        let tasks: Vec<_> = (0..paths.div_ceil(CHUNK)).map(|chunk| (chunk, of_chunk())).collect();
        let none = || accounts.iter().map(|asked| vec![Tail::default(); asked.brackets.len()]).collect();
        let collect = |mut tails: Vec<Vec<Tail>>, (chunk, rooms): (usize, Vec<Option<&mut [f32]>>)| {
            let valid = (paths - chunk * CHUNK).min(CHUNK);
            let mut buffer = [0.0; CHUNK];
            for ((asked, room), tails) in accounts.iter().zip(rooms).zip(&mut tails) {
                if !pace.go_on() {
                    return None;
                }
                let profits = room.unwrap_or(&mut buffer[..padded(valid as u64)]);
                self.instructions.dispatch(Net { account: &asked.netted, chunk, profits: &mut *profits });
                let profits = &profits[..valid];
                self.instructions.dispatch(Collect { profits, brackets: &asked.brackets, tails });
            }
            Some(tails)
        };
        let merge = |mut all: Vec<Vec<Tail>>, more: Vec<Vec<Tail>>| {
            let pairs = all.iter_mut().flatten().zip(more.iter().flatten());
            pairs.for_each(|(all, more)| all.merge(more));
            Some(all)
        };
        let tails = tasks.into_par_iter().try_fold(none, collect).try_reduce(none, merge)?;
        Some(tails.into_iter().zip(profits).collect())
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
        revalue::revalue::<Lane>(self.model, &self.model.curves, self.factors, self.pnl);
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
    use crate::engine::{Engine, Pilot, Unhurried};
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
        let slab = engine.slab(&job, &factors, &Arc::default(), &Unhurried).unwrap();
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
        assert!(engine.slab(&job, &factors, &Arc::default(), &Stop).is_none());
        let nothing = Netted { base: None, legs: &[], paths: PATHS };
        assert!(engine.netted(&nothing, &Stop).is_none());
    }
}

//! An order of paths in which those that move alike are neighbours.
//!
//! Tails are sums of integers, in which no order shows. But on a block of paths that move alike most
//! accounts gain or lose alike, and those that surely lose too little on all of them need not be netted:
//! see [`super::bounds`].

use super::BLOCK;
use super::batch::Batch;
use crate::engine::{FACTORS, Job};
use crate::numeric::Float;

/// Accounts for each factor of a path, below which there is less to save than ordering costs.
const ACCOUNTS_PER_FACTOR: u64 = 16;
/// Paths from which a direction is estimated.
const SAMPLE: usize = 256;
/// Steps of the power iteration: a rough direction is as good as an exact one.
const ITERATIONS: usize = 3;

/// An order of the paths of a batch, for one horizon.
///
/// Paths are compared by their assets' log returns, each weighted by how much of it accounts hold.
pub struct PathOrder {
    observation: usize,
    /// One over the asset's standard deviation, times the root of the number of holdings in it.
    weights: Vec<f32>,
    /// Weighted returns, `[path][asset]`.
    moves: Vec<f32>,
    scores: Vec<f32>,
}

impl PathOrder {
    /// Whether ordering saves more than it costs, with so many factors of a path.
    pub fn helps(accounts: u64, factors: u64) -> bool {
        accounts >= ACCOUNTS_PER_FACTOR * factors
    }

    /// Memory for each block of a batch.
    pub fn block_bytes(assets: u64) -> u64 {
        // Moves and a score of each path, and its place.
        BLOCK as u64 * ((assets + 1) * size_of::<f32>() as u64 + size_of::<u32>() as u64)
    }

    /// One for each horizon of a job; none where it would not help.
    pub fn of_horizons(job: &Job) -> Vec<Self> {
        let factors = job.observations.len() * job.assets * FACTORS;
        let horizons =
            if Self::helps(job.accounts() as u64, factors as u64) { job.horizons.len() } else { 0 };
        (0..horizons).map(|horizon| Self::new(job, horizon)).collect()
    }

    fn new(job: &Job, horizon: usize) -> Self {
        let observation = job.horizon_observation(horizon).expect("every horizon is observed");
        let mut holdings = vec![0u32; job.rows.len()];
        job.netting[horizon].row.iter().for_each(|row| holdings[*row as usize] += 1);
        let mut held = vec![0; job.assets];
        for curve in &job.curves {
            held[curve.point.asset] += holdings[curve.rows.clone()].iter().sum::<u32>();
        }
        let variance = |asset: usize| {
            let segments = job.observations[..=observation].iter().map(|observation| &observation.segment);
            segments.map(|s| f64::from(s.steps) * s.terms[asset].sd * s.terms[asset].sd).sum::<f64>()
        };
        let weight = |(asset, held): (usize, &u32)| match variance(asset) {
            variance if variance > 0.0 => (f64::from(*held) / variance).sqrt() as f32,
            _ => 0.0,
        };
        let weights = held.iter().enumerate().map(weight).collect();
        Self { observation, weights, moves: Vec::new(), scores: Vec::new() }
    }

    /// Orders the numbers of a batch's paths, so that those of a block, and of neighbouring blocks, move
    /// alike: the paths are halved across the direction in which they move most, and each half again.
    pub fn of<S: Float>(&mut self, batch: &Batch<S>) -> Vec<u32> {
        let (assets, paths) = (self.weights.len(), batch.paths());
        self.moves.resize(paths.next_multiple_of(BLOCK) * assets, 0.0);
        self.scores.resize(paths, 0.0);
        for (block, moves) in self.moves.chunks_mut((BLOCK * assets).max(1)).enumerate() {
            let factors = &batch.block(block)[self.observation * assets * FACTORS * BLOCK..];
            for (asset, weight) in self.weights.iter().enumerate() {
                let returns = &factors[asset * FACTORS * BLOCK..][..BLOCK];
                for (moves, x) in moves.chunks_mut(assets).zip(returns) {
                    moves[asset] = weight * x.to_f64() as f32;
                }
            }
        }
        let mut order: Vec<u32> = (0..paths as u32).collect();
        self.halve(assets, &mut order);
        order
    }

    fn halve(&mut self, assets: usize, paths: &mut [u32]) {
        if paths.len() <= BLOCK {
            return;
        }
        let direction = self.direction(assets, paths);
        for &path in &*paths {
            self.scores[path as usize] = dot(&direction, &self.moves[path as usize * assets..][..assets]);
        }
        // Whole blocks, all but the last.
        let middle = (paths.len() / 2).next_multiple_of(BLOCK);
        let scores = &self.scores;
        let by_score = |a: &u32, b: &u32| scores[*a as usize].total_cmp(&scores[*b as usize]);
        paths.select_nth_unstable_by(middle, by_score);
        let (lower, upper) = paths.split_at_mut(middle);
        self.halve(assets, lower);
        self.halve(assets, upper);
    }

    /// Roughly that in which a sample of the paths moves most: their first principal component.
    fn direction(&self, assets: usize, paths: &[u32]) -> Vec<f32> {
        let stride = paths.len().div_ceil(SAMPLE);
        let sample = || {
            let some = paths.iter().step_by(stride);
            some.map(|&path| &self.moves[path as usize * assets..][..assets])
        };
        let mut mean = vec![0.0; assets];
        sample().for_each(|moves| add(&mut mean, 1.0, moves));
        let count = sample().count() as f32;
        mean.iter_mut().for_each(|x| *x /= count);
        let mut direction = vec![1.0; assets];
        for _ in 0..ITERATIONS {
            let centre = dot(&direction, &mean);
            let mut next = vec![0.0; assets];
            let mut sum = 0.0;
            for moves in sample() {
                let score = dot(&direction, moves) - centre;
                add(&mut next, score, moves);
                sum += score;
            }
            add(&mut next, -sum, &mean);
            // Any scale does, short of an overflow.
            let largest = next.iter().fold(f32::MIN_POSITIVE, |largest, x| largest.max(x.abs()));
            next.iter_mut().for_each(|x| *x /= largest);
            direction = next;
        }
        direction
    }
}

/// Several sums side by side, for vectors.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let (a, a_rest) = a.as_chunks::<8>();
    let (b, b_rest) = b.as_chunks::<8>();
    let mut sums = [0.0; 8];
    for (a, b) in a.iter().zip(b) {
        for lane in 0..8 {
            sums[lane] += a[lane] * b[lane];
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f32>() + rest
}

fn add(to: &mut [f32], factor: f32, of: &[f32]) {
    to.iter_mut().zip(of).for_each(|(to, of)| *to += factor * of);
}

#[cfg(test)]
mod tests {
    use super::super::batch;
    use super::*;
    use crate::engine::cpu::CpuEngine;
    use crate::engine::model::Model;
    use crate::scenario::Precision;
    use crate::{run, scenario};

    /// A batch of quickstart's paths as they are simulated, and the order that its first horizon gives them.
    fn ordered(paths: u64) -> (Job, Batch<f32>, PathOrder, Vec<u32>) {
        let scenario = scenario::read(std::path::Path::new("scenarios/quickstart.yaml")).unwrap();
        let job = run::job(&scenario, &scenario.market).unwrap();
        let mut batch = Batch::new(&Model::<f32>::new(&job), paths.div_ceil(BLOCK as u64) as usize);
        batch.begin(&mut (0..paths));
        let cube = CpuEngine::new(Precision::F32).cube_f32(&job, 0..paths);
        for ((_, to), from) in batch.blocks_mut().zip(&cube.factors) {
            to.copy_from_slice(from);
        }
        let mut of_paths = PathOrder::new(&job, 0);
        let order = of_paths.of(&batch);
        (job, batch, of_paths, order)
    }

    /// Returns of the asset that moves the order most, path by path.
    fn returns(job: &Job, order: &PathOrder, batch: &Batch<f32>) -> Vec<f64> {
        let most = |a: &usize, b: &usize| order.weights[*a].total_cmp(&order.weights[*b]);
        let asset = (0..job.assets).max_by(most).unwrap();
        let at = (order.observation * job.assets + asset) * FACTORS * BLOCK;
        (0..batch.paths()).map(|path| f64::from(batch.block(path / BLOCK)[at + path % BLOCK])).collect()
    }

    /// Mean over blocks of the variance within them.
    fn variance_within(returns: &[f64]) -> f64 {
        let of_block = |block: &[f64]| {
            let mean = block.iter().sum::<f64>() / block.len() as f64;
            block.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / block.len() as f64
        };
        let blocks = returns.chunks(BLOCK);
        blocks.clone().map(of_block).sum::<f64>() / blocks.len() as f64
    }

    #[test]
    fn neighbours_move_alike_and_each_path_comes_once() {
        for paths in [1, 63, 64, 65, 1000, 4096] {
            let (job, batch, of_paths, order) = ordered(paths);
            let mut sorted = order.clone();
            sorted.sort_unstable();
            assert!(sorted.into_iter().eq(0..paths as u32), "{paths}: each path comes once");
            let mut taken =
                batch::Batch::new(&Model::<f32>::new(&job), paths.div_ceil(BLOCK as u64) as usize);
            taken.take(&batch, &order);
            let (before, after) = (returns(&job, &of_paths, &batch), returns(&job, &of_paths, &taken));
            let moved = order.iter().map(|path| before[*path as usize]);
            assert!(moved.eq(after.iter().copied()), "{paths}: a path is not where it was to go");
            if paths == 4096 {
                let (before, after) = (variance_within(&before), variance_within(&after));
                assert!(after < 0.2 * before, "within a block {after} of {before} is left");
            }
        }
    }
}

//! Stage 1: factors of a block of paths at every observation. The twin of `shaders/simulate.wgsl`.

use crate::engine::mixing;
use crate::engine::model::{Law, Model, Source, Steps};
use crate::engine::{BLOCK, FACTORS};
use crate::numeric::{Float, Real, Word};

/// Streams of the counter's last word: what a random word is for. The low bits count blocks of
/// four words.
pub mod stream {
    /// Normals of the assets' shocks.
    pub const SPOT: u32 = 0;
    /// Normals of the volatility levels.
    pub const LEVEL: u32 = 1 << 16;
    /// Normals of the bases.
    pub const BASIS: u32 = 2 << 16;
    /// Mixing variables.
    pub const MIXING: u32 = 3 << 16;
    /// Number of jumps.
    pub const JUMP_COUNT: u32 = 4 << 16;
    /// One block for each jump: source, two words of size, time.
    pub const JUMP: u32 = 5 << 16;
}

/// A path's state in lanes, one entry an asset. Made once for a thread.
pub struct State<R> {
    x: Vec<R>,
    level: Vec<R>,
    basis: Vec<R>,
    normal: Vec<R>,
    shock: Vec<R>,
    mixing: Vec<R>,
}

impl<R: Real> State<R> {
    pub fn new<S>(model: &Model<S>) -> Self {
        // Normals come four at a time.
        let padded = model.assets.next_multiple_of(4);
        let zeros = |n: usize| vec![R::default(); n];
        Self {
            x: zeros(model.assets),
            level: zeros(model.assets),
            basis: zeros(model.assets),
            normal: zeros(padded),
            shock: zeros(model.assets),
            mixing: zeros(model.mixing.len()),
        }
    }
}

/// Which paths a block simulates.
pub trait Paths: Copy {
    /// Low and high words of the numbers of the paths from the block's path `start` on, one a lane.
    fn words<W: Word>(self, start: usize, lanes: usize) -> [W; 2];
}

/// A whole block of paths from this one on.
#[derive(Clone, Copy)]
pub struct Consecutive(pub u64);

impl Paths for Consecutive {
    #[inline(always)]
    fn words<W: Word>(self, start: usize, lanes: usize) -> [W; 2] {
        let path = self.0 + start as u64;
        let mut low = W::splat(path as u32);
        for lane in 0..lanes {
            low.set_lane(lane, path as u32 + lane as u32);
        }
        [low, W::splat((path >> 32) as u32)]
    }
}

impl Paths for &[u64; BLOCK] {
    #[inline(always)]
    fn words<W: Word>(self, start: usize, lanes: usize) -> [W; 2] {
        let mut words = [W::splat(0), W::splat(0)];
        for lane in 0..lanes {
            let path = self[start + lane];
            words[0].set_lane(lane, path as u32);
            words[1].set_lane(lane, (path >> 32) as u32);
        }
        words
    }
}

/// Simulates a block of paths; `factors` is `[observation][asset][factor][BLOCK]`.
#[inline(always)]
pub fn simulate<R: Real>(
    model: &Model<R::Scalar>,
    state: &mut State<R>,
    paths: impl Paths,
    factors: &mut [R::Scalar],
) {
    let per_observation = model.assets * FACTORS * BLOCK;
    for group in 0..BLOCK / R::LANES {
        let path = paths.words::<R::Word>(group * R::LANES, R::LANES);
        for states in [&mut state.x, &mut state.level, &mut state.basis] {
            states.fill(R::default());
        }
        for (observation, steps) in model.observations.iter().enumerate() {
            for step in 0..steps.steps {
                step_once(model, state, steps, path, steps.first_step + step);
            }
            let factors = &mut factors[observation * per_observation..];
            for asset in 0..model.assets {
                for (factor, value) in
                    [state.x[asset], state.level[asset], state.basis[asset]].into_iter().enumerate()
                {
                    let start = (asset * FACTORS + factor) * BLOCK + group * R::LANES;
                    value.store(&mut factors[start..]);
                }
            }
        }
    }
}

#[inline(always)]
fn step_once<R: Real>(
    model: &Model<R::Scalar>,
    state: &mut State<R>,
    steps: &Steps<R::Scalar>,
    path: [R::Word; 2],
    step: u32,
) {
    let draw = Draw { path, step, seed: model.seed };
    normals(&draw, stream::SPOT, &mut state.normal);
    for (group, table) in model.mixing.iter().enumerate() {
        let word = draw.words(stream::MIXING + group as u32 / 4)[group % 4];
        for lane in 0..R::LANES {
            state.mixing[group].set_lane(lane, mixing::evaluate(table, word.lane(lane)));
        }
    }
    for asset in 0..model.assets {
        let row = &model.cholesky[asset * model.assets..][..=asset];
        let mut shock = R::splat(row[0]) * state.normal[0];
        for (weight, normal) in row.iter().zip(&state.normal).skip(1) {
            shock = shock + R::splat(*weight) * *normal;
        }
        state.shock[asset] = match model.mixing_group[asset] {
            Some(group) => state.mixing[group] * shock,
            None => shock,
        };
    }
    for (asset, terms) in steps.terms.iter().enumerate() {
        let diffusion = R::splat(terms.drift) + R::splat(terms.sd) * state.shock[asset];
        state.x[asset] = state.x[asset] + diffusion;
    }
    if model.volatility_moves {
        normals(&draw, stream::LEVEL, &mut state.normal);
        for (asset, terms) in steps.terms.iter().enumerate() {
            let kept = R::splat(terms.decay) * state.level[asset];
            let moved = R::splat(terms.level_on_spot) * state.shock[asset]
                + R::splat(terms.level_alone) * state.normal[asset];
            state.level[asset] = kept + moved;
        }
    } else {
        for (asset, terms) in steps.terms.iter().enumerate() {
            state.level[asset] = R::splat(terms.decay) * state.level[asset];
        }
    }
    if model.basis_moves {
        normals(&draw, stream::BASIS, &mut state.normal);
        for (asset, terms) in steps.terms.iter().enumerate() {
            state.basis[asset] = state.basis[asset] + R::splat(terms.basis_sd) * state.normal[asset];
        }
    }
    if !steps.jump_thresholds.is_empty() && !model.sources.is_empty() {
        let word = draw.words(stream::JUMP_COUNT)[0];
        let quiet = steps.jump_thresholds[0];
        // Most steps of most paths have no jump: one comparison of all lanes ends them.
        let mut is_quiet = true;
        for lane in 0..R::LANES {
            is_quiet &= word.lane(lane) < quiet;
        }
        if !is_quiet {
            for lane in 0..R::LANES {
                let count_word = word.lane(lane);
                if count_word >= quiet {
                    let counter = [path[0].lane(lane), path[1].lane(lane), step];
                    jumps(model, state, steps, counter, count_word, lane);
                }
            }
        }
    }
}

/// The words of some paths in one step.
struct Draw<W> {
    path: [W; 2],
    step: u32,
    seed: [u32; 2],
}

impl<W: Word> Draw<W> {
    #[inline(always)]
    fn words(&self, stream: u32) -> [W; 4] {
        W::philox4x32_10([self.path[0], self.path[1], W::splat(self.step), W::splat(stream)], self.seed)
    }
}

/// Fills `normals` in blocks of four from a stream.
#[inline(always)]
fn normals<R: Real>(draw: &Draw<R::Word>, stream: u32, normals: &mut [R]) {
    for (block, four) in normals.chunks_exact_mut(4).enumerate() {
        let words = draw.words(stream + block as u32);
        (four[0], four[1]) = R::normal_pair(words[0], words[1]);
        (four[2], four[3]) = R::normal_pair(words[2], words[3]);
    }
}

/// All jumps of one path in one step.
#[inline(never)]
fn jumps<R: Real>(
    model: &Model<R::Scalar>,
    state: &mut State<R>,
    steps: &Steps<R::Scalar>,
    [low, high, step]: [u32; 3],
    count_word: u32,
    lane: usize,
) {
    let count = steps.jump_thresholds.iter().take_while(|&&threshold| count_word >= threshold).count();
    for event in 0..count as u32 {
        let words = u32::philox4x32_10([low, high, step, stream::JUMP + event], model.seed);
        let picked = model.sources.iter().position(|source| words[0] < source.threshold);
        let source = &model.sources[picked.unwrap_or(model.sources.len() - 1)];
        let size = jump_size(source, words[1], words[2]);
        let early = R::Scalar::uniform(words[3]);
        let assets = source.asset.map_or(0..model.assets, |asset| asset..asset + 1);
        for asset in assets {
            let effect = &model.effects[asset];
            let (move_, shift) = match source.asset {
                Some(_) => (size, effect.own_shift),
                None => (effect.loading * size, effect.common_shift),
            };
            let x = state.x[asset].lane(lane) + move_;
            state.x[asset].set_lane(lane, x);
            // The shift has decayed since the jump, which came at a uniform time of the step.
            let left = Real::exp(-(steps.terms[asset].reversion * early));
            let level = state.level[asset].lane(lane) + shift * left;
            state.level[asset].set_lane(lane, level);
        }
    }
}

fn jump_size<S: Float>(source: &Source<S>, first: u32, second: u32) -> S {
    match source.law {
        Law::Merton { mean, sd } => {
            let (z, _) = S::normal_pair(first, second);
            mean + sd * z
        }
        Law::Kou { up_threshold, up_mean, down_mean } => {
            let exponential = S::neg_log_uniform(second);
            if first < up_threshold { up_mean * exponential } else { -(down_mean * exponential) }
        }
    }
}

//! What can move, and the model's law of it: from a job's factors to coordinates and back.

use nalgebra::{DMatrix, DVector};
use rand::Rng;

use super::law::{Ingredients, Law, SegmentLaw};
use super::patterns::{Jump, Pattern, patterns};
use crate::engine::{BLOCK, FACTORS, Job, Segment};
use crate::market::Market;
use crate::numeric::PhiloxRng;

/// Numbers of all covariances together: 320 MB.
const MAX_NUMBERS: usize = 40_000_000;
/// Most coordinates of a move.
const MAX_COORDINATES: usize = 600;
/// Patterns of jumps that are told apart, at most.
const MAX_PATTERNS: usize = 160;
/// Draws from which the law of a segment's mixing is taken.
const MIXING_DRAWS: usize = 1 << 17;
/// Most tail groups.
const MAX_GROUPS: usize = 6;
/// Variance that every coordinate has at least, and relative to its own: a law without a density
/// (an asset with jumps and no diffusion, a correlation of one) is given one.
const LEAST_VARIANCE: f64 = 1e-12;
const LEAST_PART: f64 = 1e-9;

/// One number of a move: a factor of an asset over a segment of the horizon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Coordinate {
    pub segment: usize,
    pub asset: usize,
    /// 0 log return of spot, 1 log level of implied volatility, 2 annualised basis.
    pub factor: usize,
}

/// The coordinates of a book, and what every asset does by itself.
pub(super) struct Coordinates {
    pub all: Vec<Coordinate>,
    assets: usize,
    segments: Vec<Fixed>,
}

/// What happens in a segment without chance, `[asset]`.
struct Fixed {
    drift: Vec<f64>,
    /// What is left of a level of volatility.
    decay: Vec<f64>,
}

impl Coordinates {
    /// The factors that the rows of a job depend on, and that move.
    pub fn new(job: &Job, market: &Market) -> Result<Self, String> {
        let segments = job.observations.len();
        let mut needed = vec![[false; FACTORS]; segments * job.assets];
        for curve in &job.curves {
            let point = &curve.point;
            let by_factor = [true, point.volatility_factor.is_some(), point.basis_years != 0.0];
            for segment in 0..=curve.observation {
                let mut need =
                    |asset: usize, factor: usize| needed[segment * job.assets + asset][factor] = true;
                (0..FACTORS).filter(|&factor| by_factor[factor]).for_each(|factor| need(point.asset, factor));
                job.numeraire.iter().for_each(|&(asset, _)| need(asset, 0));
            }
        }
        let moves = |segment: &Segment, asset: usize, factor: usize| {
            let terms = &segment.terms[asset];
            let effect = &job.jump_effects[asset];
            let own = market.assets[asset].own_jumps.is_some_and(|jumps| jumps.intensity_annual > 0.0);
            let common = market.common_jumps.is_some_and(|jumps| jumps.intensity_annual > 0.0);
            match factor {
                0 => terms.sd > 0.0 || own || (common && effect.loading != 0.0),
                1 => {
                    terms.level_on_spot != 0.0
                        || terms.level_alone > 0.0
                        || (own && effect.own_shift != 0.0)
                        || (common && effect.common_shift != 0.0)
                }
                _ => terms.basis_sd > 0.0,
            }
        };
        let mut all = Vec::new();
        for (segment, observation) in job.observations.iter().enumerate() {
            for asset in 0..job.assets {
                let is_one = |&factor: &usize| {
                    needed[segment * job.assets + asset][factor] && moves(&observation.segment, asset, factor)
                };
                all.extend((0..FACTORS).filter(is_one).map(|factor| Coordinate { segment, asset, factor }));
            }
        }
        match all.len() {
            0 => return Err("nothing that it holds can move".to_owned()),
            n if n > MAX_COORDINATES => {
                return Err(format!("{n} numbers make up a move; at most {MAX_COORDINATES} can be searched"));
            }
            _ => {}
        }
        let fixed = |segment: &Segment| {
            let steps = f64::from(segment.steps);
            Fixed {
                drift: segment.terms.iter().map(|terms| steps * terms.drift).collect(),
                decay: segment.terms.iter().map(|terms| terms.decay.powf(steps)).collect(),
            }
        };
        let segments = job.observations.iter().map(|observation| fixed(&observation.segment)).collect();
        Ok(Self { all, assets: job.assets, segments })
    }

    /// Factors after a move, `[observation][asset][factor]`.
    pub fn factors(&self, z: &DVector<f64>) -> Vec<[f64; FACTORS]> {
        let mut state = vec![[0.0; FACTORS]; self.assets];
        let mut factors = Vec::with_capacity(self.segments.len() * self.assets);
        let mut at = 0;
        for (segment, fixed) in self.segments.iter().enumerate() {
            for (asset, state) in state.iter_mut().enumerate() {
                let mut free = [false; FACTORS];
                state[1] *= fixed.decay[asset];
                while let Some(c) = self.all.get(at).filter(|c| (c.segment, c.asset) == (segment, asset)) {
                    state[c.factor] += z[at];
                    free[c.factor] = true;
                    at += 1;
                }
                // The drift of a coordinate is in its mean.
                if !free[0] {
                    state[0] += fixed.drift[asset];
                }
            }
            factors.extend_from_slice(&state);
        }
        factors
    }

    /// The move that a simulated path made; `factors` is a block's, `[observation][asset][factor][BLOCK]`.
    pub fn of_path(&self, factors: &[f32], lane: usize) -> DVector<f64> {
        let at = |segment: usize, asset: usize, factor: usize| {
            f64::from(factors[((segment * self.assets + asset) * FACTORS + factor) * BLOCK + lane])
        };
        let of = |c: &Coordinate| {
            let before = match (c.segment.checked_sub(1), c.factor) {
                (None, _) => 0.0,
                (Some(before), 1) => at(before, c.asset, 1) * self.segments[c.segment].decay[c.asset],
                (Some(before), factor) => at(before, c.asset, factor),
            };
            at(c.segment, c.asset, c.factor) - before
        };
        DVector::from_iterator(self.all.len(), self.all.iter().map(of))
    }
}

/// The law of a book's moves, and the probability of the patterns of jumps that it tells apart.
pub(super) fn law(job: &Job, market: &Market, coordinates: &Coordinates) -> Result<(Law, f64), String> {
    let mut laws = Vec::new();
    let mut covered = 1.0;
    let mut first = 0;
    for (index, observation) in job.observations.iter().enumerate() {
        let coordinates: Vec<Coordinate> =
            coordinates.all.iter().filter(|c| c.segment == index).copied().collect();
        if coordinates.is_empty() {
            continue;
        }
        let draft = Draft { job, market, segment: &observation.segment, coordinates: &coordinates };
        let (law, weight) = draft.law(first)?;
        covered *= weight;
        first += coordinates.len();
        laws.push(law);
    }
    Ok((Law::new(laws), covered))
}

/// One segment's law in the making.
struct Draft<'a> {
    job: &'a Job,
    market: &'a Market,
    segment: &'a Segment,
    coordinates: &'a [Coordinate],
}

impl Draft<'_> {
    fn law(&self, first: usize) -> Result<(SegmentLaw, f64), String> {
        let nodes = self.mixing()?;
        let n = self.coordinates.len();
        let most = (MAX_NUMBERS / (n * n * nodes.len())).clamp(1, MAX_PATTERNS);
        let years = f64::from(self.segment.steps) * self.segment.dt;
        let is_held = |asset: usize| self.coordinates.iter().any(|c| c.asset == asset);
        let patterns = patterns(self.market, years, &is_held, most);
        let covered: f64 = patterns.iter().map(|pattern| pattern.probability).sum();
        let mut components = Vec::with_capacity(patterns.len() * nodes.len());
        let diffusions: Vec<(f64, DMatrix<f64>)> =
            nodes.iter().map(|(weight, scales)| (*weight, self.diffusion(scales))).collect();
        for (index, pattern) in patterns.iter().enumerate() {
            for (weight, diffusion) in &diffusions {
                components.push(self.component(index, pattern, *weight / covered, diffusion.clone()));
            }
        }
        let names = patterns.into_iter().map(|pattern| pattern.name).collect();
        let law = SegmentLaw::new(first, components, names);
        Ok((law.ok_or("the covariance of moves is not positive definite")?, covered))
    }

    fn component(
        &self,
        index: usize,
        pattern: &Pattern,
        weight: f64,
        mut covariance: DMatrix<f64>,
    ) -> Ingredients {
        let steps = f64::from(self.segment.steps);
        let drift = |c: &Coordinate| match c.factor {
            0 => steps * self.segment.terms[c.asset].drift,
            _ => 0.0,
        };
        let n = self.coordinates.len();
        let mut mean = DVector::from_iterator(n, self.coordinates.iter().map(drift));
        let mut exponential = None;
        for (source, jump) in &pattern.jumps {
            mean += self.shift(*source, jump.count());
            let direction = self.loading(*source);
            match *jump {
                Jump::Normal { count, mean: size, sd } => {
                    mean += &direction * (count * size);
                    covariance += &direction * direction.transpose() * (count * sd * sd);
                }
                Jump::Exponential { sign, rate } if direction.norm() > 0.0 => {
                    exponential = Some((direction * sign, rate));
                }
                Jump::Exponential { .. } => {}
            }
        }
        let weight = weight * pattern.probability;
        Ingredients { pattern: index, weight, mean, covariance, jump: exponential }
    }

    /// What a log jump of one moves.
    fn loading(&self, source: Option<usize>) -> DVector<f64> {
        let of = |c: &Coordinate| match (c.factor, source) {
            (0, None) => self.job.jump_effects[c.asset].loading,
            (0, Some(asset)) if asset == c.asset => 1.0,
            _ => 0.0,
        };
        DVector::from_iterator(self.coordinates.len(), self.coordinates.iter().map(of))
    }

    /// Shift of levels of volatility by jumps, decayed since, on average over their time.
    fn shift(&self, source: Option<usize>, count: f64) -> DVector<f64> {
        let of = |c: &Coordinate| {
            let effect = &self.job.jump_effects[c.asset];
            let shift = match (c.factor, source) {
                (1, None) => effect.common_shift,
                (1, Some(asset)) if asset == c.asset => effect.own_shift,
                _ => return 0.0,
            };
            let reversion = f64::from(self.segment.steps) * self.segment.terms[c.asset].reversion;
            let left = if reversion > 1e-12 { -(-reversion).exp_m1() / reversion } else { 1.0 };
            count * shift * left
        };
        DVector::from_iterator(self.coordinates.len(), self.coordinates.iter().map(of))
    }

    /// Covariance of the diffusion over the segment where each group's variances are scaled, and the
    /// least that every coordinate has.
    fn diffusion(&self, scales: &[f64]) -> DMatrix<f64> {
        let n = self.coordinates.len();
        let mut covariance = DMatrix::from_fn(n, n, |row, column| {
            self.shared(&self.coordinates[row], &self.coordinates[column], scales)
        });
        for at in 0..n {
            let c = &self.coordinates[at];
            let terms = &self.segment.terms[c.asset];
            covariance[(at, at)] += match c.factor {
                0 => 0.0,
                1 => terms.level_alone.powi(2) * geometric(terms.decay * terms.decay, self.segment.steps),
                _ => terms.basis_sd.powi(2) * f64::from(self.segment.steps),
            };
            covariance[(at, at)] += LEAST_VARIANCE + LEAST_PART * covariance[(at, at)];
        }
        covariance
    }

    /// Covariance of two coordinates through the shocks of spots.
    fn shared(&self, a: &Coordinate, b: &Coordinate, scales: &[f64]) -> f64 {
        let loading = |c: &Coordinate| {
            let terms = &self.segment.terms[c.asset];
            match c.factor {
                0 => (terms.sd, 1.0),
                1 => (terms.level_on_spot, terms.decay),
                _ => (0.0, 1.0),
            }
        };
        let ((a_loading, a_decay), (b_loading, b_decay)) = (loading(a), loading(b));
        let scale = |c: &Coordinate| self.job.mixing_group[c.asset].map_or(1.0, |group| scales[group]);
        let rows =
            [a.asset, b.asset].map(|asset| &self.job.cholesky[asset * self.job.assets..][..self.job.assets]);
        let correlation: f64 = rows[0].iter().zip(rows[1]).map(|(x, y)| x * y).sum();
        let sum = geometric(a_decay * b_decay, self.segment.steps);
        a_loading * b_loading * correlation * sum * (scale(a) * scale(b)).sqrt()
    }

    /// Scales of the variances of each tail group over the segment, with their probabilities: the
    /// mean of the squared mixing variables of its steps.
    fn mixing(&self) -> Result<Vec<(f64, Vec<f64>)>, String> {
        let is_held =
            |group: usize| self.coordinates.iter().any(|c| self.job.mixing_group[c.asset] == Some(group));
        let held: Vec<usize> = (0..self.job.mixing.len()).filter(|&group| is_held(group)).collect();
        if held.len() > MAX_GROUPS {
            return Err(format!("{} tail groups; at most {MAX_GROUPS} can be searched", held.len()));
        }
        let parts = match held.len() {
            0 | 1 => 13,
            2 => 6,
            3 => 4,
            _ => 2,
        };
        let mut nodes = vec![(1.0, vec![1.0; self.job.mixing.len()])];
        for group in held {
            let scales = self.scales(group, parts);
            let with = |(weight, all): &(f64, Vec<f64>)| {
                let one = |(part, scale): &(f64, f64)| {
                    let mut all = all.clone();
                    all[group] = *scale;
                    (weight * part, all)
                };
                scales.iter().map(one).collect::<Vec<_>>()
            };
            nodes = nodes.iter().flat_map(with).collect();
        }
        Ok(nodes)
    }

    /// Means of the scale between quantiles whose upper tails halve: 1/2, 1/4, 1/8 and so on.
    fn scales(&self, group: usize, parts: usize) -> Vec<(f64, f64)> {
        let table = &self.job.mixing[group];
        let steps = self.segment.steps as usize;
        let mut random = PhiloxRng::new(0, group as u64);
        let mut draws: Vec<f64> = (0..MIXING_DRAWS)
            .map(|draw| {
                // One step has its quantiles as they are.
                let grid = ((draw as u64 * 2 + 1) << 31) / MIXING_DRAWS as u64;
                let mut word = || if steps == 1 { grid as u32 } else { random.next_u32() };
                (0..steps).map(|_| table.at(word()).powi(2)).sum::<f64>() / steps as f64
            })
            .collect();
        draws.sort_by(f64::total_cmp);
        let mut scales = Vec::with_capacity(parts);
        let mut start = 0;
        for part in 0..parts {
            let end =
                if part + 1 == parts { MIXING_DRAWS } else { MIXING_DRAWS - (MIXING_DRAWS >> (part + 1)) };
            let mean = draws[start..end].iter().sum::<f64>() / (end - start) as f64;
            scales.push(((end - start) as f64 / MIXING_DRAWS as f64, mean));
            start = end;
        }
        scales
    }
}

/// `1 + ratio + ... + ratio^(terms - 1)`.
fn geometric(ratio: f64, terms: u32) -> f64 {
    let terms = f64::from(terms);
    if (1.0 - ratio).abs() < 1e-12 { terms } else { (1.0 - ratio.powf(terms)) / (1.0 - ratio) }
}

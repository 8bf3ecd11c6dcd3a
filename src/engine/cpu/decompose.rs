//! The paths of a tail, simulated again and taken apart: by holding, and each holding by greek.

use rayon::prelude::*;

use super::revalue::{Paired, Quantities, profit, quantities};
use super::simulate::State;
use super::tail_paths::{block_of, buffers};
use super::{BLOCK, CpuEngine, FACTORS, Job};
use crate::engine::greek::{GREEKS, Greek, RowSplit};
use crate::engine::model::{Model, OptionRow, Row, Volatility};
use crate::numeric::{Float, Lanes, Real};
use crate::risk::{ComponentSums, TailPaths};
use crate::scenario::Precision;

/// How one account's tail at one level is taken apart. The job holds this account alone, and only
/// the rows that it holds.
#[derive(Clone, Copy, Debug)]
pub struct Grouping<'a> {
    /// Index of the level.
    pub level: usize,
    /// By row of the cube.
    pub splits: &'a [RowSplit],
    /// Asset of each holding.
    pub assets: &'a [usize],
    /// Expiry of each holding, as an index.
    pub expiries: &'a [usize],
    /// Number of expiries.
    pub expiry_count: usize,
    /// Number of paths whose factors are kept, from the worst on; up to [`BLOCK`].
    pub worst: usize,
}

/// Sums over a tail. Losses are positive, in the reporting currency.
#[derive(Clone, Debug, Default)]
pub struct TailSums {
    /// By holding.
    pub holdings: Vec<ComponentSums>,
    /// By holding and greek: weight times loss only.
    pub holding_greeks: Vec<[f64; GREEKS]>,
    /// By asset of the market.
    pub assets: Vec<ComponentSums>,
    /// By expiry, as [`Grouping::expiries`] counts them.
    pub expiries: Vec<ComponentSums>,
    /// By greek, in the order of [`Greek::ALL`].
    pub greeks: Vec<ComponentSums>,
    /// The worst paths.
    pub worst: Vec<RegeneratedPath>,
}

/// A path simulated again.
#[derive(Clone, Debug, PartialEq)]
pub struct RegeneratedPath {
    /// By asset: log return, log shift of the volatility level, change of the annualised basis.
    pub factors: Vec<[f64; FACTORS]>,
    /// Loss of each holding.
    pub losses: Vec<f64>,
}

impl CpuEngine {
    /// Simulates a tail's paths again and sums their parts, in f64 from the factors and profits of
    /// the engine's precision. The sums do not depend on the number of threads.
    pub fn decompose(&self, job: &Job, tail: &TailPaths, grouping: &Grouping<'_>) -> TailSums {
        match self.precision {
            Precision::F32 => self.decompose_in::<Lanes<f32, 16>>(job, tail, grouping),
            Precision::F64 => self.decompose_in::<Lanes<f64, 8>>(job, tail, grouping),
        }
    }

    fn decompose_in<R: Paired>(&self, job: &Job, tail: &TailPaths, grouping: &Grouping<'_>) -> TailSums {
        let model = Model::<R::Scalar>::new(job);
        let work = Work::new(job, Model::new(job), tail, grouping);
        let run = |state: &mut State<R>, block: usize| {
            let paths = &tail.paths[block * BLOCK..tail.paths.len().min((block + 1) * BLOCK)];
            let numbers: Vec<u64> = paths.iter().map(|path| path.path).collect();
            let (mut factors, mut pnl) = buffers(&model);
            self.block::<R>(&model, state, &block_of(&numbers), &mut factors, &mut pnl);
            let doubles = |of: &[R::Scalar]| of.iter().map(|x| x.to_f64()).collect::<Vec<f64>>();
            let (factors, pnl) = (doubles(&factors), doubles(&pnl));
            let mut sums = work.sums();
            self.instructions.dispatch(TakeApart {
                work: &work,
                block,
                factors: &factors,
                pnl: &pnl,
                sums: &mut sums,
            });
            sums
        };
        let blocks = 0..tail.paths.len().div_ceil(BLOCK);
        let all: Vec<TailSums> = blocks.into_par_iter().map_init(|| State::new(&model), run).collect();
        all.into_iter().reduce(TailSums::merged).unwrap_or_else(|| work.sums())
    }
}

impl TailSums {
    fn merged(mut self, other: Self) -> Self {
        let add = |to: &mut [ComponentSums], from: &[ComponentSums]| {
            to.iter_mut().zip(from).for_each(|(to, from)| to.merge(from));
        };
        add(&mut self.holdings, &other.holdings);
        add(&mut self.assets, &other.assets);
        add(&mut self.expiries, &other.expiries);
        add(&mut self.greeks, &other.greeks);
        for (to, from) in self.holding_greeks.iter_mut().zip(&other.holding_greeks) {
            to.iter_mut().zip(from).for_each(|(to, from)| *to += from);
        }
        self.worst.extend(other.worst);
        self
    }
}

/// What taking a block apart reads.
struct Work<'a> {
    model: Model<f64>,
    /// Rows whose options keep the implied volatility of their strike.
    still: Vec<Row<f64>>,
    /// Profit of one unit, in dollars, when nothing but time has passed.
    time_passed: Vec<f64>,
    tail: &'a TailPaths,
    end: usize,
    grouping: &'a Grouping<'a>,
    /// Curve of each row.
    curve_of: Vec<usize>,
    /// Row and quantity of each holding.
    holdings: Vec<(usize, f64)>,
    /// Where the factors of the level's horizon start.
    horizon_start: usize,
}

impl<'a> Work<'a> {
    fn new(job: &Job, model: Model<f64>, tail: &'a TailPaths, grouping: &'a Grouping<'a>) -> Self {
        let horizon = job.levels[grouping.level].horizon;
        let netting = &job.netting[horizon];
        // The engine multiplies by quantities in its own precision; the difference (6e-8 relative)
        // is part of the remainder, like the rounding of its sum.
        let holdings = netting.row.iter().map(|&row| row as usize).zip(netting.quantity.iter().copied());
        let years = job.horizons[horizon].get();
        let distance = |index: &usize| (job.observations[*index].years - years).abs();
        let observation =
            (0..job.observations.len()).min_by(|a, b| distance(a).total_cmp(&distance(b))).unwrap_or(0);
        let still: Vec<Row<f64>> =
            model.rows.iter().zip(grouping.splits).map(|(row, split)| still(row, split)).collect();
        let mut curve_of = vec![0; model.rows.len()];
        let mut time_passed = vec![0.0; model.rows.len()];
        let unmoved = vec![0.0; model.assets * FACTORS * BLOCK];
        for (index, curve) in model.curves.iter().enumerate() {
            curve_of[curve.rows.clone()].fill(index);
            let quantities = quantities::<f64>(&model, curve, &unmoved, 0);
            for row in curve.rows.clone() {
                time_passed[row] = profit(&still[row], &quantities);
            }
        }
        Self {
            horizon_start: observation * model.assets * FACTORS * BLOCK,
            still,
            time_passed,
            tail,
            end: tail.end(),
            grouping,
            curve_of,
            holdings: holdings.collect(),
            model,
        }
    }

    fn sums(&self) -> TailSums {
        let zeros = |n: usize| vec![ComponentSums::default(); n];
        TailSums {
            holdings: zeros(self.holdings.len()),
            holding_greeks: vec![[0.0; GREEKS]; self.holdings.len()],
            assets: zeros(self.model.assets),
            expiries: zeros(self.grouping.expiry_count),
            greeks: zeros(GREEKS),
            worst: Vec::new(),
        }
    }
}

/// The row with its option's smile flat at today's volatility of its strike.
fn still(row: &Row<f64>, split: &RowSplit) -> Row<f64> {
    let flat = |option: OptionRow<f64>| Volatility::flat(option.sign, split.variance);
    Row { option: row.option.map(|option| OptionRow { volatility: flat(option), ..option }), ..*row }
}

/// Weights of a block's paths, zero for those that fill it up.
struct Weights {
    tail: [f64; BLOCK],
    end: [f64; BLOCK],
}

impl Weights {
    #[inline(always)]
    fn add(&self, losses: &[f64; BLOCK], sums: &mut ComponentSums) {
        for ((loss, tail), end) in losses.iter().zip(&self.tail).zip(&self.end) {
            sums.loss += tail * loss;
            sums.square += tail * loss * loss;
            sums.end += end * loss;
        }
    }
}

struct TakeApart<'a> {
    work: &'a Work<'a>,
    block: usize,
    factors: &'a [f64],
    pnl: &'a [f64],
    sums: &'a mut TailSums,
}

impl pulp::WithSimd for TakeApart<'_> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) {
        take_apart(self);
    }
}

#[inline(always)]
fn take_apart(TakeApart { work, block, factors, pnl, sums }: TakeApart<'_>) {
    let count = (work.tail.paths.len() - block * BLOCK).min(BLOCK);
    let mut weights = Weights { tail: [0.0; BLOCK], end: [0.0; BLOCK] };
    for lane in 0..count {
        let index = block * BLOCK + lane;
        weights.tail[lane] = work.tail.weight(index);
        weights.end[lane] = if index >= work.end { 1.0 } else { 0.0 };
    }
    let worst = if block == 0 { work.grouping.worst.min(count) } else { 0 };
    sums.worst = (0..worst).map(|lane| worst_path(work, factors, lane)).collect();
    let mut assets = vec![[0.0; BLOCK]; work.model.assets];
    let mut expiries = vec![[0.0; BLOCK]; work.grouping.expiry_count];
    let mut greeks = [[0.0; BLOCK]; GREEKS];
    let spot_only = without_level_and_basis(factors);
    for (holding, &(row, quantity)) in work.holdings.iter().enumerate() {
        let mut losses = [0.0; BLOCK];
        for (loss, profit) in losses.iter_mut().zip(&pnl[row * BLOCK..][..BLOCK]) {
            *loss = -(quantity * profit);
        }
        weights.add(&losses, &mut sums.holdings[holding]);
        add_lanes(&mut assets[work.grouping.assets[holding]], &losses);
        add_lanes(&mut expiries[work.grouping.expiries[holding]], &losses);
        for (path, loss) in sums.worst.iter_mut().zip(&losses) {
            path.losses.push(*loss);
        }
        let parts = parts(work, row, factors, &spot_only, &pnl[row * BLOCK..][..BLOCK]);
        for (greek, part) in parts.iter().enumerate() {
            for lane in 0..BLOCK {
                let loss = -(quantity * part[lane]);
                greeks[greek][lane] += loss;
                sums.holding_greeks[holding][greek] += weights.tail[lane] * loss;
            }
        }
    }
    for (lanes, sums) in assets.iter().zip(&mut sums.assets) {
        weights.add(lanes, sums);
    }
    for (lanes, sums) in expiries.iter().zip(&mut sums.expiries) {
        weights.add(lanes, sums);
    }
    for (lanes, sums) in greeks.iter().zip(&mut sums.greeks) {
        weights.add(lanes, sums);
    }
}

#[inline(always)]
fn add_lanes(to: &mut [f64; BLOCK], from: &[f64; BLOCK]) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to += from);
}

fn worst_path(work: &Work<'_>, factors: &[f64], lane: usize) -> RegeneratedPath {
    let factor = |asset: usize, k: usize| factors[work.horizon_start + (asset * FACTORS + k) * BLOCK + lane];
    let of_asset = |asset| std::array::from_fn(|k| factor(asset, k));
    RegeneratedPath { factors: (0..work.model.assets).map(of_asset).collect(), losses: Vec::new() }
}

/// The same factors with volatility levels and bases where they were.
fn without_level_and_basis(factors: &[f64]) -> Vec<f64> {
    let mut factors = factors.to_vec();
    for asset in factors.chunks_exact_mut(FACTORS * BLOCK) {
        asset[BLOCK..].fill(0.0);
    }
    factors
}

/// Lanes of the split.
type Group = Lanes<f64, 8>;

/// Profit of one unit of a row by greek, in the reporting currency; see [`Greek`].
#[inline(always)]
fn parts(
    work: &Work<'_>,
    row: usize,
    factors: &[f64],
    spot_only: &[f64],
    actual: &[f64],
) -> [[f64; BLOCK]; GREEKS] {
    let model = &work.model;
    let curve = &model.curves[work.curve_of[row]];
    let (moving, still) = (&model.rows[row], &work.still[row]);
    let split = &work.grouping.splits[row];
    let per_observation = model.assets * FACTORS * BLOCK;
    let observed = curve.observation * per_observation..(curve.observation + 1) * per_observation;
    let (factors, spot_only) = (&factors[observed.clone()], &spot_only[observed]);
    let one = Group::constant(1.0);
    let mut parts = [[0.0; BLOCK]; GREEKS];
    for start in (0..BLOCK).step_by(Group::LANES) {
        let spot = quantities::<Group>(model, curve, spot_only, start);
        let all = quantities::<Group>(model, curve, factors, start);
        let unshifted = Quantities { level: one, inverse_level: one, ..all };
        let return_ = Group::load(&factors[curve.asset * FACTORS * BLOCK + start..]).expm1();
        let with_spot = profit::<Group>(still, &spot);
        let with_basis = profit::<Group>(still, &unshifted);
        let basis = with_basis - with_spot;
        let funding = Group::constant(split.funding);
        let theta = Group::constant(work.time_passed[row]) - funding;
        let (conversion, revaluation) = match model.numeraire {
            Some(_) => {
                let [growth, inverse_price] = all.numeraire;
                (inverse_price, -(Group::splat(moving.market_value) * growth * inverse_price))
            }
            None => (one, Group::default()),
        };
        let actual = Group::load(&actual[start..]);
        let half = Group::constant(0.5);
        let mut put = |greek: Greek, part: Group| part.store(&mut parts[greek as usize][start..]);
        let [theta, basis, funding] = [theta, basis, funding].map(|part| part * conversion);
        put(Greek::Theta, theta);
        put(Greek::Basis, basis);
        put(Greek::Funding, funding);
        let named = theta + basis + funding;
        if moving.option.is_none() {
            put(Greek::Delta, actual - named);
            continue;
        }
        let vega = (profit::<Group>(moving, &all) - with_basis) * conversion;
        let delta = Group::constant(split.delta) * return_ * conversion + revaluation;
        let gamma = half * Group::constant(split.gamma) * return_ * return_ * conversion;
        put(Greek::Delta, delta);
        put(Greek::Gamma, gamma);
        put(Greek::Vega, vega);
        put(Greek::JumpAndHigherOrder, actual - (named + vega + delta + gamma));
    }
    parts
}

//! What the host and the shaders share: the mirror of `shaders/lib/layout.wgsl`.

use std::ops::Range;

use bytemuck::{Pod, Zeroable};

use crate::engine::Job;
use crate::engine::job::Netting;
use crate::engine::model::{CurveTerms as ModelCurve, Law, Model, Row as ModelRow, Volatility};
use crate::instrument::Settlement;
use crate::numeric::Real;
use crate::risk::Bracket;

/// Stands for "none" where an index is optional.
pub const NONE: u32 = u32::MAX;
/// Path quantities of a curve point.
pub const QUANTITIES: u32 = 7;

const MERTON: u32 = 0;
const KOU: u32 = 1;
const INVERSE: u32 = 0;
const LINEAR: u32 = 1;
const LINEAR_ROW: u32 = 0;
const SMILE_OPTION: u32 = 1;
const FLAT_OPTION: u32 = 2;

/// Bits of [`Params::flags`].
pub mod flag {
    pub const VOLATILITY_MOVES: u32 = 1;
    pub const BASIS_MOVES: u32 = 2;
    pub const REVERSED: u32 = 4;
    pub const KEEP_LOSSES: u32 = 8;
}

macro_rules! shared {
    ($($(#[$doc:meta])* struct $name:ident { $($field:ident: $type:ty,)* })*) => {
        $(
            $(#[$doc])*
            #[repr(C)]
            #[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
            pub struct $name { $(pub $field: $type,)* }
        )*

        /// Name, size, and fields with their offsets of every shared structure.
        #[cfg(test)]
        pub fn described() -> Vec<(&'static str, usize, Vec<(&'static str, usize)>)> {
            vec![$((
                stringify!($name),
                size_of::<$name>(),
                vec![$((stringify!($field), std::mem::offset_of!($name, $field)),)*],
            ),)*]
        }
    };
}

shared! {
    /// One dispatch.
    struct Params {
        seed_low: u32,
        seed_high: u32,
        first_low: u32,
        first_high: u32,
        paths: u32,
        stride: u32,
        step_start: u32,
        step_end: u32,
        observation: u32,
        observations: u32,
        sources: u32,
        curves: u32,
        rows: u32,
        accounts: u32,
        accounts_together: u32,
        levels: u32,
        level_start: u32,
        level_end: u32,
        slice_start: u32,
        slice_end: u32,
        numeraire: u32,
        numeraire_inverse_spot: f32,
        flags: u32,
        zero: u32,
        minus_zero: f32,
        one: f32,
    }

    /// An observation: the step after its last, and where its tables start.
    struct Observation {
        step_end: u32,
        terms: u32,
        thresholds: u32,
        threshold_count: u32,
    }

    /// Four assets' terms of a step.
    struct StepTerms {
        drift: [f32; 4],
        sd: [f32; 4],
        decay: [f32; 4],
        level_on_spot: [f32; 4],
        level_alone: [f32; 4],
        reversion: [f32; 4],
        basis_sd: [f32; 4],
    }

    /// A source of jumps.
    struct Source {
        threshold: u32,
        asset: u32,
        law: u32,
        up_threshold: u32,
        first: f32,
        second: f32,
        padding_0: u32,
        padding_1: u32,
    }

    /// What the whole path knows of four assets.
    struct AssetTerms {
        loading: [f32; 4],
        common_shift: [f32; 4],
        own_shift: [f32; 4],
        mixing_group: [u32; 4],
    }

    /// A curve point at an observation.
    struct CurveTerms {
        observation: u32,
        asset: u32,
        settlement: u32,
        moves_volatility: u32,
        basis_years: f32,
        carry: f32,
        volatility_factor: f32,
        padding: u32,
    }

    /// One row of the P&L cube.
    struct Row {
        u: f32,
        v: f32,
        offset: f32,
        market_value: f32,
        kind: u32,
        curve: u32,
        sign: f32,
        forward: f32,
        strike: f32,
        log_moneyness: f32,
        base: f32,
        variance_a: f32,
        variance_b: f32,
        variance_rho: f32,
        variance_m: f32,
        variance_sigma_squared: f32,
    }

    /// An account and its holdings.
    struct Holder {
        account: u32,
        first_pair: u32,
        holdings: u32,
        padding: u32,
    }

    /// So much of a row in an account.
    struct Holding {
        row: u32,
        quantity: f32,
    }

    /// Bins around an account's VaR.
    struct BracketTerms {
        floor: f32,
        bins_per_loss: f32,
        quanta_per_loss: f32,
        padding: f32,
    }
}

impl Params {
    /// Nothing but what the guards of `shaders/lib/guard_*.wgsl` are made of.
    pub fn guarded() -> Self {
        Self { minus_zero: -0.0, one: 1.0, ..Self::default() }
    }
}

/// A job's read-only tables.
pub struct Tables {
    /// Everything that does not differ between dispatches.
    pub params: Params,
    pub observations: Vec<Observation>,
    pub step_terms: Vec<StepTerms>,
    pub thresholds: Vec<u32>,
    pub cholesky: Vec<[f32; 4]>,
    pub mixing: Vec<[f32; 4]>,
    pub sources: Vec<Source>,
    pub asset_terms: Vec<AssetTerms>,
    pub curves: Vec<CurveTerms>,
    pub rows: Vec<Row>,
    /// Levels by horizon, and where those of each horizon are.
    pub levels: Vec<u32>,
    pub level_ranges: Vec<Range<u32>>,
}

impl Tables {
    /// The tables of a job, from the numbers that the CPU engine uses in f32.
    pub fn new(job: &Job) -> Self {
        let model = Model::<f32>::new(job);
        let mut tables = Self {
            params: params(job, &model),
            observations: Vec::new(),
            step_terms: Vec::new(),
            thresholds: Vec::new(),
            cholesky: squares(&model.cholesky, job.assets),
            mixing: model.mixing.iter().flatten().copied().collect(),
            sources: model.sources.iter().map(source).collect(),
            asset_terms: asset_terms(&model),
            curves: model.curves.iter().map(curve).collect(),
            rows: rows(&model),
            levels: Vec::new(),
            level_ranges: Vec::new(),
        };
        for horizon in 0..job.horizons.len() {
            let start = tables.levels.len() as u32;
            let of_horizon = (0..job.levels.len()).filter(|&level| job.levels[level].horizon == horizon);
            tables.levels.extend(of_horizon.map(|level| level as u32));
            tables.level_ranges.push(start..tables.levels.len() as u32);
        }
        for steps in &model.observations {
            tables.observations.push(Observation {
                step_end: steps.first_step + steps.steps,
                terms: tables.step_terms.len() as u32,
                thresholds: tables.thresholds.len() as u32,
                threshold_count: steps.jump_thresholds.len() as u32,
            });
            tables.step_terms.extend(steps.terms.chunks(4).map(|four| StepTerms {
                drift: of_four(four, |t| t.drift),
                sd: of_four(four, |t| t.sd),
                decay: of_four(four, |t| t.decay),
                level_on_spot: of_four(four, |t| t.level_on_spot),
                level_alone: of_four(four, |t| t.level_alone),
                reversion: of_four(four, |t| t.reversion),
                basis_sd: of_four(four, |t| t.basis_sd),
            }));
            tables.thresholds.extend(&steps.jump_thresholds);
        }
        tables
    }
}

/// The accounts of one horizon, those with most holdings first.
pub fn holders(netting: &Netting) -> Vec<Holder> {
    let mut first_pair = 0;
    let holder = |(of, account): (&[u32], u32)| {
        let holder = Holder { account, first_pair, holdings: of[1] - of[0], padding: 0 };
        first_pair += holder.holdings.div_ceil(2);
        holder
    };
    let mut holders: Vec<Holder> = netting.starts.windows(2).zip(0..).map(holder).collect();
    holders.sort_by_key(|holder| std::cmp::Reverse(holder.holdings));
    holders
}

/// Holdings of one horizon in pairs; an account with an odd number has one more, which nobody reads.
pub fn pairs(netting: &Netting) -> Vec<Holding> {
    let holdings = holdings(netting);
    let mut pairs = Vec::with_capacity(holdings.len() + netting.starts.len());
    for of in netting.starts.windows(2) {
        pairs.extend(&holdings[of[0] as usize..of[1] as usize]);
        pairs.resize(pairs.len().next_multiple_of(2), Holding::default());
    }
    pairs
}

/// Holdings of one horizon.
fn holdings(netting: &Netting) -> Vec<Holding> {
    let entries = netting.row.iter().zip(&netting.quantity);
    entries.map(|(&row, &quantity)| Holding { row, quantity: <f32 as Real>::constant(quantity) }).collect()
}

/// Brackets `[account][level]`.
pub fn brackets(brackets: &[Bracket]) -> Vec<BracketTerms> {
    let terms = |b: &Bracket| BracketTerms {
        floor: b.floor,
        bins_per_loss: b.bins_per_loss,
        quanta_per_loss: b.quanta_per_loss,
        padding: 0.0,
    };
    brackets.iter().map(terms).collect()
}

fn params(job: &Job, model: &Model<f32>) -> Params {
    let mut flags = 0;
    if model.volatility_moves {
        flags |= flag::VOLATILITY_MOVES;
    }
    if model.basis_moves {
        flags |= flag::BASIS_MOVES;
    }
    Params {
        seed_low: model.seed[0],
        seed_high: model.seed[1],
        observations: model.observations.len() as u32,
        sources: model.sources.len() as u32,
        curves: model.curves.len() as u32,
        rows: model.rows.len() as u32,
        accounts: job.accounts() as u32,
        levels: job.levels.len() as u32,
        numeraire: model.numeraire.map_or(NONE, |(asset, _)| asset as u32),
        numeraire_inverse_spot: model.numeraire.map_or(0.0, |(_, inverse_spot)| inverse_spot),
        flags,
        ..Params::guarded()
    }
}

fn source(source: &crate::engine::model::Source<f32>) -> Source {
    let (law, up_threshold, first, second) = match source.law {
        Law::Merton { mean, sd } => (MERTON, 0, mean, sd),
        Law::Kou { up_threshold, up_mean, down_mean } => (KOU, up_threshold, up_mean, down_mean),
    };
    let asset = source.asset.map_or(NONE, |asset| asset as u32);
    Source { threshold: source.threshold, asset, law, up_threshold, first, second, ..Source::default() }
}

fn asset_terms(model: &Model<f32>) -> Vec<AssetTerms> {
    let terms = model.effects.chunks(4).zip(model.mixing_group.chunks(4)).map(|(four, groups)| {
        let mut mixing_group = [NONE; 4];
        for (to, group) in mixing_group.iter_mut().zip(groups) {
            *to = group.map_or(NONE, |group| group as u32);
        }
        AssetTerms {
            loading: of_four(four, |effect| effect.loading),
            common_shift: of_four(four, |effect| effect.common_shift),
            own_shift: of_four(four, |effect| effect.own_shift),
            mixing_group,
        }
    });
    terms.collect()
}

/// A number of each of up to four assets; zero where there is none.
fn of_four<T>(four: &[T], number: impl Fn(&T) -> f32) -> [f32; 4] {
    std::array::from_fn(|k| four.get(k).map_or(0.0, &number))
}

/// A lower factor, row-major `[assets][assets]`, by squares of four assets up to the diagonal: the columns
/// of each, and zeros beyond the last asset.
fn squares(cholesky: &[f32], assets: usize) -> Vec<[f32; 4]> {
    let at = |row: usize, column: usize| {
        if row < assets && column < assets { cholesky[row * assets + column] } else { 0.0 }
    };
    let fours = assets.div_ceil(4);
    let columns = (0..fours).flat_map(|four| (0..4 * (four + 1)).map(move |column| (four, column)));
    columns.map(|(four, column)| std::array::from_fn(|k| at(4 * four + k, column))).collect()
}

fn curve(curve: &ModelCurve<f32>) -> CurveTerms {
    CurveTerms {
        observation: curve.observation as u32,
        asset: curve.asset as u32,
        settlement: match curve.settlement {
            Settlement::Inverse => INVERSE,
            Settlement::Linear => LINEAR,
        },
        moves_volatility: u32::from(curve.volatility_factor.is_some()),
        basis_years: curve.basis_years,
        carry: curve.carry,
        volatility_factor: curve.volatility_factor.unwrap_or(0.0),
        padding: 0,
    }
}

fn rows(model: &Model<f32>) -> Vec<Row> {
    let mut rows: Vec<Row> = model.rows.iter().map(row).collect();
    for (index, curve) in model.curves.iter().enumerate() {
        for row in &mut rows[curve.rows.clone()] {
            row.curve = index as u32;
        }
    }
    rows
}

fn row(row: &ModelRow<f32>) -> Row {
    let linear = Row {
        kind: LINEAR_ROW,
        u: row.u,
        v: row.v,
        offset: row.offset,
        market_value: row.market_value,
        ..Row::default()
    };
    let Some(option) = &row.option else { return linear };
    let option_row = Row {
        sign: option.sign,
        forward: option.forward,
        strike: option.strike,
        log_moneyness: option.log_moneyness,
        base: option.base,
        ..linear
    };
    match &option.volatility {
        Volatility::Flat(spread) => Row {
            kind: FLAT_OPTION,
            variance_a: spread.half_root,
            variance_b: spread.minus_inverse_root,
            ..option_row
        },
        Volatility::Smile(variance) => Row {
            kind: SMILE_OPTION,
            variance_a: variance.a,
            variance_b: variance.b,
            variance_rho: variance.rho,
            variance_m: variance.m,
            variance_sigma_squared: variance.sigma_squared,
            ..option_row
        },
    }
}

#[cfg(test)]
impl Tables {
    /// The tables of a job without anything in it.
    pub fn empty() -> Self {
        Self {
            params: Params::default(),
            observations: Vec::new(),
            step_terms: Vec::new(),
            thresholds: Vec::new(),
            cholesky: Vec::new(),
            mixing: Vec::new(),
            sources: Vec::new(),
            asset_terms: Vec::new(),
            curves: Vec::new(),
            rows: Vec::new(),
            levels: Vec::new(),
            level_ranges: Vec::new(),
        }
    }
}

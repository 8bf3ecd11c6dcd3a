//! A job in the precision of the engine.

use crate::engine::job::{Curve, Job, JumpLaw, Observation};
use crate::engine::mixing::COEFFICIENTS;
use crate::instrument::Settlement;
use crate::instrument::black::{LEAST_VARIANCE, Spread, Variance};
use crate::numeric::{Float, Real};

/// Everything that the stages read, as scalars of precision `S`.
pub struct Model<S> {
    pub seed: [u32; 2],
    pub assets: usize,
    pub cholesky: Vec<S>,
    pub mixing_group: Vec<Option<usize>>,
    pub mixing: Vec<Vec<[S; COEFFICIENTS]>>,
    pub volatility_moves: bool,
    pub basis_moves: bool,
    pub sources: Vec<Source<S>>,
    pub effects: Vec<Effect<S>>,
    pub observations: Vec<Steps<S>>,
    pub curves: Vec<CurveTerms<S>>,
    pub rows: Vec<Row<S>>,
    /// Asset, and one over its price.
    pub numeraire: Option<(usize, S)>,
}

pub struct Steps<S> {
    pub steps: u32,
    pub first_step: u32,
    pub terms: Vec<Terms<S>>,
    pub jump_thresholds: Vec<u32>,
}

#[derive(Clone, Copy)]
pub struct Terms<S> {
    pub drift: S,
    pub sd: S,
    pub decay: S,
    pub level_on_spot: S,
    pub level_alone: S,
    pub reversion: S,
    pub basis_sd: S,
}

#[derive(Clone, Copy)]
pub struct Source<S> {
    pub threshold: u32,
    pub asset: Option<usize>,
    pub law: Law<S>,
}

#[derive(Clone, Copy)]
pub enum Law<S> {
    Merton { mean: S, sd: S },
    Kou { up_threshold: u32, up_mean: S, down_mean: S },
}

#[derive(Clone, Copy)]
pub struct Effect<S> {
    pub loading: S,
    pub common_shift: S,
    pub own_shift: S,
}

pub struct CurveTerms<S> {
    pub observation: usize,
    pub horizon: usize,
    pub asset: usize,
    pub settlement: Settlement,
    pub basis_years: S,
    pub carry: S,
    pub volatility_factor: Option<S>,
    pub rows: std::ops::Range<usize>,
}

#[derive(Clone, Copy)]
pub struct Row<S> {
    pub u: S,
    pub v: S,
    pub offset: S,
    pub market_value: S,
    pub option: Option<OptionRow<S>>,
}

#[derive(Clone, Copy)]
pub struct OptionRow<S> {
    pub sign: S,
    /// Forward and strike, times the sign.
    pub forward: S,
    pub strike: S,
    pub log_moneyness: S,
    pub volatility: Volatility<S>,
    pub base: S,
}

/// Total volatility of an option.
#[derive(Clone, Copy)]
pub enum Volatility<S> {
    /// The same on every path but for the shift of its level.
    Flat(Spread<S>),
    /// Read at the path's log-moneyness.
    Smile(Variance<S>),
}

impl<S: Float> Volatility<S> {
    /// A flat smile of a total variance.
    pub fn flat(sign: f64, variance: f64) -> Self {
        let Spread { half_root, minus_inverse_root } = Spread::new(sign, variance.max(LEAST_VARIANCE));
        let c = |x: f64| <S as Real>::constant(x);
        Self::Flat(Spread { half_root: c(half_root), minus_inverse_root: c(minus_inverse_root) })
    }

    fn new(sign: f64, variance: &Variance<f64>) -> Self {
        let c = |x: f64| <S as Real>::constant(x);
        if variance.b == 0.0 {
            return Self::flat(sign, variance.a);
        }
        Self::Smile(Variance {
            a: c(variance.a),
            b: c(variance.b),
            rho: c(variance.rho),
            m: c(variance.m),
            sigma_squared: c(variance.sigma_squared),
        })
    }
}

impl<S: Float> Model<S> {
    pub fn new(job: &Job) -> Self {
        let c = |x: f64| <S as Real>::constant(x);
        let sources = job.jump_sources.iter().map(|source| Source {
            threshold: source.threshold,
            asset: source.asset,
            law: match source.law {
                JumpLaw::Merton { mean, sd } => Law::Merton { mean: c(mean), sd: c(sd) },
                JumpLaw::Kou { up_threshold, up_mean, down_mean } => {
                    Law::Kou { up_threshold, up_mean: c(up_mean), down_mean: c(down_mean) }
                }
            },
        });
        let effects = job.jump_effects.iter().map(|effect| Effect {
            loading: c(effect.loading),
            common_shift: c(effect.common_shift),
            own_shift: c(effect.own_shift),
        });
        Self {
            seed: [job.seed as u32, (job.seed >> 32) as u32],
            assets: job.assets,
            cholesky: job.cholesky.iter().map(|&x| c(x)).collect(),
            mixing_group: job.mixing_group.clone(),
            mixing: job.mixing.iter().map(|table| table.rounded()).collect(),
            volatility_moves: job.volatility_moves,
            basis_moves: job.basis_moves,
            sources: sources.collect(),
            effects: effects.collect(),
            observations: job.observations.iter().map(steps).collect(),
            curves: job.curves.iter().map(curve).collect(),
            rows: job.rows.iter().map(row).collect(),
            numeraire: job.numeraire.map(|(asset, spot)| (asset, c(1.0 / spot))),
        }
    }
}

fn steps<S: Float>(observation: &Observation) -> Steps<S> {
    let c = |x: f64| <S as Real>::constant(x);
    let segment = &observation.segment;
    let terms = segment.terms.iter().map(|t| Terms {
        drift: c(t.drift),
        sd: c(t.sd),
        decay: c(t.decay),
        level_on_spot: c(t.level_on_spot),
        level_alone: c(t.level_alone),
        reversion: c(t.reversion),
        basis_sd: c(t.basis_sd),
    });
    Steps {
        steps: segment.steps,
        first_step: segment.first_step,
        terms: terms.collect(),
        jump_thresholds: segment.jump_thresholds.clone(),
    }
}

fn curve<S: Float>(curve: &Curve) -> CurveTerms<S> {
    let c = |x: f64| <S as Real>::constant(x);
    CurveTerms {
        observation: curve.observation,
        horizon: curve.horizon,
        asset: curve.point.asset,
        settlement: curve.point.settlement,
        basis_years: c(curve.point.basis_years),
        carry: c(curve.point.carry),
        volatility_factor: curve.point.volatility_factor.map(c),
        rows: curve.rows.clone(),
    }
}

fn row<S: Float>(row: &crate::engine::job::RowTerms) -> Row<S> {
    let c = |x: f64| <S as Real>::constant(x);
    Row {
        u: c(row.u),
        v: c(row.v),
        offset: c(row.offset),
        market_value: c(row.market_value),
        option: row.option.map(|option| OptionRow {
            sign: c(option.sign),
            forward: c(option.sign * option.forward),
            strike: c(option.sign * option.strike),
            log_moneyness: c(option.log_moneyness),
            volatility: Volatility::new(option.sign, &option.variance),
            base: c(option.base),
        }),
    }
}

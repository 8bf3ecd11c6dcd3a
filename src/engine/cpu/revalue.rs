//! Stage 2: profit of every row on a block of paths. The twin of `shaders/revalue.wgsl`.

use crate::engine::model::{CurveTerms, Model, Row, Volatility};
use crate::engine::{BLOCK, FACTORS};
use crate::instrument::Settlement;
use crate::instrument::black::{Spread, Variance, option_value};
use crate::numeric::{Lanes, Real};

/// Path quantities of a curve point, one group of lanes.
#[derive(Clone, Copy, Default)]
pub(super) struct Quantities<R> {
    /// Log return of the forward.
    pub g: R,
    pub u: R,
    pub v: R,
    /// Factor on total volatility, and one over it.
    pub level: R,
    pub inverse_level: R,
    /// `expm1` of the numeraire's log return, and one over its price on the path.
    pub numeraire: [R; 2],
}

/// Lanes with twice as many beside them.
///
/// An option's value is one long chain of operations: rows are revalued on two vectors at once, so that
/// one works while the other waits. The simulation keeps to one, whose state fits into registers.
pub trait Paired: Real {
    /// Twice the lanes.
    type Pair: Real<Scalar = Self::Scalar>;
}

impl Paired for Lanes<f32, 16> {
    type Pair = Lanes<f32, 32>;
}

impl Paired for Lanes<f64, 8> {
    type Pair = Lanes<f64, 16>;
}

/// Profit of one unit of every row of some curves, `pnl` is `[row][BLOCK]`.
#[inline(always)]
pub fn revalue<'m, R: Paired>(
    model: &'m Model<R::Scalar>,
    curves: impl IntoIterator<Item = &'m CurveTerms<R::Scalar>>,
    factors: &[R::Scalar],
    pnl: &mut [R::Scalar],
) {
    let per_observation = model.assets * FACTORS * BLOCK;
    for curve in curves {
        let factors = &factors[curve.observation * per_observation..][..per_observation];
        for group in 0..BLOCK / R::Pair::LANES {
            let start = group * R::Pair::LANES;
            let quantities = quantities::<R::Pair>(model, curve, factors, start);
            for row in curve.rows.clone() {
                let profit = profit(&model.rows[row], &quantities);
                let profit = match model.numeraire {
                    Some(_) => in_numeraire(profit, &model.rows[row], &quantities),
                    None => profit,
                };
                profit.store(&mut pnl[row * BLOCK + start..]);
            }
        }
    }
}

/// The quantities of the lanes from `start` on; `factors` are those of the curve's observation.
#[inline(always)]
pub(super) fn quantities<R: Real>(
    model: &Model<R::Scalar>,
    curve: &CurveTerms<R::Scalar>,
    factors: &[R::Scalar],
    start: usize,
) -> Quantities<R> {
    let factor = |asset: usize, k: usize| R::load(&factors[(asset * FACTORS + k) * BLOCK + start..]);
    let x = factor(curve.asset, 0);
    let basis_move = R::splat(curve.basis_years) * factor(curve.asset, 2) + R::splat(curve.carry);
    let g = x + basis_move;
    let (u, v) = match curve.settlement {
        Settlement::Linear => (g.expm1(), R::default()),
        Settlement::Inverse => (x.expm1(), (-basis_move).expm1()),
    };
    let mut quantities = Quantities { g, u, v, ..Quantities::default() };
    if let Some(volatility_factor) = curve.volatility_factor {
        let shift = R::splat(volatility_factor) * factor(curve.asset, 1);
        quantities.level = shift.exp();
        quantities.inverse_level = (-shift).exp();
    }
    if let Some((asset, inverse_spot)) = model.numeraire {
        let x = factor(asset, 0);
        quantities.numeraire = [x.expm1(), R::splat(inverse_spot) * (-x).exp()];
    }
    quantities
}

/// Profit of one unit in US dollars.
#[inline(always)]
pub(super) fn profit<R: Real>(row: &Row<R::Scalar>, q: &Quantities<R>) -> R {
    let linear = R::splat(row.u) * q.u + R::splat(row.v) * q.v;
    let linear = linear + R::splat(row.offset);
    let Some(option) = &row.option else { return linear };
    let k = R::splat(option.log_moneyness) - q.g;
    let forward = R::splat(option.forward) + R::splat(option.forward) * q.u;
    let strike = R::splat(option.strike) + R::splat(option.strike) * q.v;
    let spread = match &option.volatility {
        Volatility::Flat(spread) => Spread {
            half_root: R::splat(spread.half_root),
            minus_inverse_root: R::splat(spread.minus_inverse_root),
        },
        Volatility::Smile(variance) => Spread::new(R::splat(option.sign), splat(variance).at(k)),
    };
    let value = option_value(forward, strike, k, spread, q.level, q.inverse_level);
    linear + (value - R::splat(option.base))
}

#[inline(always)]
fn splat<R: Real>(variance: &Variance<R::Scalar>) -> Variance<R> {
    Variance {
        a: R::splat(variance.a),
        b: R::splat(variance.b),
        rho: R::splat(variance.rho),
        m: R::splat(variance.m),
        sigma_squared: R::splat(variance.sigma_squared),
    }
}

/// `((V + P)/S' - V/S)` for profit `P`, value now `V` and the numeraire's price `S`, `S'`.
#[inline(always)]
fn in_numeraire<R: Real>(profit: R, row: &Row<R::Scalar>, q: &Quantities<R>) -> R {
    let [growth, inverse_price] = q.numeraire;
    (profit - R::splat(row.market_value) * growth) * inverse_price
}

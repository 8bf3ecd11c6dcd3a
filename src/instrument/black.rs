//! Black-76 with total volatility, in the form that both engines and the base valuation share.
//!
//! The twin of `shaders/lib/pricing.wgsl`: the same operations in the same order.

use crate::numeric::Real;

/// Largest |d1|, |d2|: beyond it the normal tail (below 2e-33) cannot matter to any value, and
/// its products with prices stay clear of the subnormal numbers that a GPU may flush to zero.
const D_MAX: f64 = 12.0;

/// Least total variance: an option in its last moment is its payoff (a standard deviation of 1e-6
/// moves no strike), and f32 rounding of a thin slice cannot take it to zero.
pub const LEAST_VARIANCE: f64 = 1e-12;

/// A slice of implied total variance, scaled to the life that remains.
#[derive(Clone, Copy, Debug)]
pub struct Variance<R> {
    /// SVI `a` times remaining over full life.
    pub a: R,
    /// SVI `b`, likewise scaled.
    pub b: R,
    /// SVI `rho`.
    pub rho: R,
    /// SVI `m`.
    pub m: R,
    /// SVI `sigma` squared.
    pub sigma_squared: R,
}

impl<R: Real> Variance<R> {
    /// Total variance at log-moneyness `k = ln(K/F)`.
    #[inline(always)]
    pub fn at(&self, k: R) -> R {
        let d = k - self.m;
        let square = d * d + self.sigma_squared;
        let root = square * square.rsqrt();
        let skewed = self.rho * d + root;
        (self.a + self.b * skewed).max(R::constant(LEAST_VARIANCE))
    }
}

/// What d1 and d2 take of an option's total volatility.
#[derive(Clone, Copy, Debug)]
pub struct Spread<R> {
    /// Half of it, times the option's sign.
    pub half_root: R,
    /// Minus one over it, times the option's sign.
    pub minus_inverse_root: R,
}

impl<R: Real> Spread<R> {
    /// Of an option's total variance, above zero; `sign` is +1 for a call, -1 for a put.
    #[inline(always)]
    pub fn new(sign: R, variance: R) -> Self {
        let inverse_root = variance.rsqrt();
        Self {
            half_root: (variance * inverse_root) * (R::constant(0.5) * sign),
            minus_inverse_root: -(inverse_root * sign),
        }
    }
}

/// Undiscounted value of a European option on a forward.
///
/// * `forward`, `strike`: in the units that the value shall have (both may carry a weight), times
///   the option's sign.
/// * `k`: `ln(strike/forward)`.
/// * `spread`: before the shift of the volatility level.
/// * `level`, `inverse_level`: factor on total volatility, and one over it.
///
/// With the sign `s`, `phi = exp(-d1^2/2)` and the Mills-type ratio `R`, `F N(-|d1|) = F phi R(|d1|)`
/// and `K N(-|d2|) = F phi R(|d2|)`: one exponential serves both. The sign comes with the arguments:
/// `s F N(s d1) - s K N(s d2)`.
#[inline(always)]
pub fn option_value<R: Real>(
    forward: R,
    strike: R,
    k: R,
    spread: Spread<R>,
    level: R,
    inverse_level: R,
) -> R {
    let limit = R::constant(D_MAX);
    let centre = k * (spread.minus_inverse_root * inverse_level);
    let half = spread.half_root * level;
    let d1 = centre + half;
    let d2 = centre - half;
    let y1 = d1.abs().min(limit);
    let weight = forward * y1.bell();
    let (r1, r2) = R::mills_pair(y1, d2.abs().min(limit));
    let tail1 = weight * r1;
    let tail2 = weight * r2;
    let with_forward = d1.if_negative(tail1, forward - tail1);
    let with_strike = d2.if_negative(tail2, strike - tail2);
    with_forward - with_strike
}

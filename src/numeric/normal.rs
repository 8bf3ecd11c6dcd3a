//! The normal law: tail, distribution function, quantile and variates.

use super::exp_log::{TWO_POW_MINUS_32, exp_sum, half_open, log, neg_log_uniform};
use super::float::Float;
use super::trig::cos_sin_turn;

/// `t = 1 / (1 + p y)` maps all of `y >= 0` onto `(0, 1]`, and `R(y) / t` is smooth in it.
#[inline(always)]
pub(super) fn mills<T: Float>(y: T) -> T {
    let t = (T::constant(1.0) + T::TABLES.mills_p * y).recip();
    t * T::mills_variable(t).polynomial(T::TABLES.mills)
}

#[inline(always)]
pub(super) fn exp_neg_half_square<T: Float>(x: T) -> T {
    exp_neg_half_square_clamped(x.magnitude().min(T::TABLES.tail_max))
}

#[inline(always)]
pub(super) fn normal_cdf<T: Float>(x: T) -> T {
    let y = x.magnitude().min(T::TABLES.tail_max);
    let tail = exp_neg_half_square_clamped(y) * mills(y);
    x.if_negative(tail, T::constant(1.0) - tail)
}

#[inline(always)]
pub(super) fn normal_pair<T: Float>(radius: u32, angle: u32) -> (T, T) {
    let exponential = neg_log_uniform::<T>(radius);
    let r = (exponential + exponential).sqrt();
    let (cos, sin) = cos_sin_turn::<T>(angle);
    (r * cos, r * sin)
}

/// With `x = 1 - 2p` the quantile is `x` times a smooth function of
/// `sqrt(4 - ln(1 - x^2))`, over both the centre and the tail.
#[inline(always)]
pub(super) fn inverse_normal_cdf<T: Float>(word: u32) -> T {
    let lower = word ^ (word >> 31).wrapping_neg();
    let p = half_open::<T>(lower) * T::constant(TWO_POW_MINUS_32);
    let x = half_open::<T>(0x7FFF_FFFF - lower) * T::constant(2.0 * TWO_POW_MINUS_32);
    let product = (p * T::constant(4.0)) * (T::constant(1.0) - p);
    let root = (T::TABLES.quantile_shift - log(product)).sqrt();
    let z = x * (root - T::TABLES.quantile_centre).polynomial(T::TABLES.quantile);
    T::refine_quantile(z, p).flip_sign(!word)
}

/// One step of Halley's method on `N(-z) = p`; `f64` only, as the polynomial
/// already has the accuracy of `f32`. An error of 1e-6 falls to 1e-17.
#[inline(always)]
pub(super) fn halley_step(z: f64, p: f64) -> f64 {
    const SQRT_TWO_PI: f64 = 2.506_628_274_631_000_5;
    let newton = SQRT_TWO_PI * (mills(z) - p / exp_neg_half_square(z));
    z + newton / (1.0 - 0.5 * newton * z)
}

/// `y*y` as the exact square of the upper digits, and the rest as a correction of the exponent.
#[inline(always)]
fn exp_neg_half_square_clamped<T: Float>(y: T) -> T {
    let minus_half = T::constant(-0.5);
    let upper = y.upper_half();
    let rest = (y - upper) * (y + upper);
    exp_sum((upper * upper) * minus_half, rest * minus_half)
}

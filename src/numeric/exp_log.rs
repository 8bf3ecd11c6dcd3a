//! Exponentials and logarithms, and the uniforms they are taken of.

use super::float::Float;

#[inline(always)]
pub(super) fn exp<T: Float>(x: T) -> T {
    let (shifted, r) = reduce(clamp(x));
    (T::constant(1.0) + expm1_core(r)).scale_by(shifted)
}

/// `exp(high + low)` for a small correction `low`, without clamp.
#[inline(always)]
pub(super) fn exp_sum<T: Float>(high: T, low: T) -> T {
    let shifted = (high + low) * T::TABLES.log2_e + T::TABLES.shifter;
    let n = shifted - T::TABLES.shifter;
    let r = ((high - n * T::TABLES.ln2_high) - n * T::TABLES.ln2_low) + low;
    (T::constant(1.0) + expm1_core(r)).scale_by(shifted)
}

#[inline(always)]
pub(super) fn expm1<T: Float>(x: T) -> T {
    let (shifted, r) = reduce(clamp(x));
    let one = T::constant(1.0);
    let scale = one.scale_by(shifted);
    scale * expm1_core(r) + (scale - one)
}

#[inline(always)]
pub(super) fn log<T: Float>(x: T) -> T {
    let (m, k, _) = x.split();
    log_core(m - T::constant(1.0), k)
}

#[inline(always)]
pub(super) fn log1p<T: Float>(x: T) -> T {
    let one = T::constant(1.0);
    log_sum(one.max(x), one.min(x))
}

#[inline(always)]
pub(super) fn uniform<T: Float>(word: u32) -> T {
    (half_open::<T>(word) * T::constant(TWO_POW_MINUS_32)).min(T::TABLES.uniform_max)
}

#[inline(always)]
pub(super) fn neg_log_uniform<T: Float>(word: u32) -> T {
    // Above 1/2 the word is complemented and the sum is 1 - v, else 0 + u.
    let upper = word >> 31;
    let v = half_open::<T>(word ^ upper.wrapping_neg()) * T::constant(TWO_POW_MINUS_32);
    -log_sum(T::from_small(upper as i32), v.flip_sign(word))
}

pub(super) const TWO_POW_MINUS_32: f64 = 1.0 / 4_294_967_296.0;

/// `word + 0.5`, rounded once: both 16-bit halves convert exactly, as no GPU
/// need convert more than 24 bits exactly.
#[inline(always)]
pub(super) fn half_open<T: Float>(word: u32) -> T {
    let high = T::from_small((word >> 16) as i32) * T::constant(65_536.0);
    let low = T::from_small((word & 0xFFFF) as i32) + T::constant(0.5);
    high + low
}

#[inline(always)]
fn clamp<T: Float>(x: T) -> T {
    x.max(T::TABLES.exp_min).min(T::TABLES.exp_max)
}

/// `x = n ln 2 + r`: `n` in the last bits of the first number, and `|r| <= 0.347`.
#[inline(always)]
fn reduce<T: Float>(x: T) -> (T, T) {
    let shifted = x * T::TABLES.log2_e + T::TABLES.shifter;
    let n = shifted - T::TABLES.shifter;
    let r = (x - n * T::TABLES.ln2_high) - n * T::TABLES.ln2_low;
    (shifted, r)
}

#[inline(always)]
fn expm1_core<T: Float>(r: T) -> T {
    r + (r * r) * r.polynomial(T::TABLES.exp)
}

/// `ln(high + low)`, where `high` is 0 or at least as large as `low`, and the sum is positive.
#[inline(always)]
fn log_sum<T: Float>(high: T, low: T) -> T {
    let sum = high + low;
    let lost = low - (sum - high);
    let (m, k, inverse_scale) = sum.split();
    log_core((m - T::constant(1.0)) + lost * inverse_scale, k)
}

/// `ln(1 + f) + k ln 2` for `sqrt(1/2) - 1 <= f <= sqrt(2) - 1`.
#[inline(always)]
fn log_core<T: Float>(f: T, k: T) -> T {
    let square = f * f;
    let cubic = (square * f) * f.polynomial(T::TABLES.log);
    let curve = cubic - square * T::constant(0.5);
    let small = f + (curve + k * T::TABLES.ln2_low);
    k * T::TABLES.ln2_high + small
}

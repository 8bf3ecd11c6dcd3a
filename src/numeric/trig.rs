//! Cosine and sine of a fraction of a turn, straight from the random integer.

use super::float::Float;

#[inline(always)]
pub(super) fn cos_sin_turn<T: Float>(word: u32) -> (T, T) {
    let quadrant = word.wrapping_add(0x2000_0000) >> 30;
    let rest = word.wrapping_sub(quadrant << 30) as i32;
    // Both parts convert exactly; the sum, within an eighth of a turn, is rounded once.
    let high = T::from_small(rest >> 15) * T::constant(32_768.0);
    let low = T::from_small(rest & 0x7FFF) + T::constant(0.5);
    let turn = (high + low) * T::constant(super::exp_log::TWO_POW_MINUS_32);
    let square = turn * turn;
    let sin = turn * square.polynomial(T::TABLES.sin);
    let cos = T::constant(1.0) + square * square.polynomial(T::TABLES.cos);
    let swap = T::from_small(-((quadrant & 1) as i32));
    let c = swap.if_negative(sin, cos);
    let s = swap.if_negative(cos, sin);
    (c.flip_sign((quadrant + 1) << 30), s.flip_sign(quadrant << 30))
}

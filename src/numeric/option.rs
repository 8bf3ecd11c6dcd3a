//! What an option's value takes of the normal law, in `f32`: the shortest forms that its accuracy
//! allows, with the terms of each polynomial in pairs, so that few wait for one another.

use super::float::Float;

/// `-log2(e) / 2`.
const MINUS_HALF_LOG2_E: f32 = -0.721_347_5;
/// 1.5 * 2^23: adding it rounds to an integer.
const SHIFTER: f32 = 12_582_912.0;
/// `(2^f - 1) / f` for `|f| <= 1/2`, by the Remez exchange: error 1.9e-9 relative to `2^f`.
const EXP2: [f32; 6] =
    [0.693_147_2, 0.240_226_46, 0.055_503_286, 0.009_618_489, 0.001_339_993_1, 0.000_153_457_89];

/// `R(y) = P(y) / Q(y)`, a weighted minimax fit with `P(0) = 1/2` and `Q(0) = 1`: error 1.5e-9
/// relative for `y <= 6`, 2.9e-7 for `y <= 13`. Options of a hedged book err alike, so that a fit
/// must be far better than a rounding.
const TAIL_P: [f32; 4] = [0.418_707_4, 0.169_020_04, 0.035_915_084, 0.003_433_375_4];
const TAIL_Q: [f32; 5] = [1.635_299_4, 1.142_819_2, 0.431_985_97, 0.090_041_35, 0.008_605_822];

#[inline(always)]
pub(super) fn bell(x: f32) -> f32 {
    let t = (x * x) * MINUS_HALF_LOG2_E;
    let shifted = t + SHIFTER;
    let f = t - (shifted - SHIFTER);
    let square = f * f;
    let low = EXP2[0] + EXP2[1] * f;
    let middle = EXP2[2] + EXP2[3] * f;
    let high = EXP2[4] + EXP2[5] * f;
    (1.0 + f * (low + square * (middle + square * high))).scale_by(shifted)
}

#[inline(always)]
pub(super) fn tail_pair(y1: f32, y2: f32) -> (f32, f32) {
    let (p1, q1) = tail_parts(y1);
    let (p2, q2) = tail_parts(y2);
    let both = (q1 * q2).reciprocal();
    (p1 * (q2 * both), p2 * (q1 * both))
}

/// Numerator and denominator.
#[inline(always)]
fn tail_parts(y: f32) -> (f32, f32) {
    let square = y * y;
    let fourth = square * square;
    let p = (0.5 + TAIL_P[0] * y) + square * (TAIL_P[1] + TAIL_P[2] * y) + fourth * TAIL_P[3];
    let q =
        (1.0 + TAIL_Q[0] * y) + square * (TAIL_Q[1] + TAIL_Q[2] * y) + fourth * (TAIL_Q[3] + TAIL_Q[4] * y);
    (p, q)
}

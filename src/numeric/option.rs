//! What an option's value takes of the normal law, in `f32`: the shortest forms that its accuracy
//! allows, with the terms of each polynomial in pairs, so that few wait for one another.

use super::float::Float;

/// `-log2(e) / 2`.
const MINUS_HALF_LOG2_E: f32 = -0.721_347_5;
/// 1.5 * 2^23: adding it rounds to an integer.
const SHIFTER: f32 = 12_582_912.0;
/// `2^f` for `|f| <= 1/2`, by the Remez exchange: error 7.5e-8 relative.
const EXP2: [f32; 6] = [1.000_000_1, 0.693_146_94, 0.240_221_2, 0.055_507_13, 0.009_675_542, 0.001_327_648_9];

/// `R(y) = P(y) / Q(y)`, a weighted minimax fit: error 8.1e-8 relative for `y <= 5`, 2.5e-7 for
/// `y <= 7`, 2.1e-5 for `y <= 13`. `Q` starts with 1.
const TAIL_P: [f32; 4] = [0.499_999_97, 0.338_574_2, 0.106_564_47, 0.014_084_025];
const TAIL_Q: [f32; 4] = [1.475_028_2, 0.890_074_4, 0.266_634_3, 0.035_320_394];

#[inline(always)]
pub(super) fn bell(x: f32) -> f32 {
    let t = (x * x) * MINUS_HALF_LOG2_E;
    let shifted = t + SHIFTER;
    let f = t - (shifted - SHIFTER);
    let square = f * f;
    let low = EXP2[0] + EXP2[1] * f;
    let middle = EXP2[2] + EXP2[3] * f;
    let high = EXP2[4] + EXP2[5] * f;
    (low + square * (middle + square * high)).scale_by(shifted)
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
    let p = (TAIL_P[0] + TAIL_P[1] * y) + square * (TAIL_P[2] + TAIL_P[3] * y);
    let high = (TAIL_Q[1] + TAIL_Q[2] * y) + square * TAIL_Q[3];
    let q = (1.0 + TAIL_Q[0] * y) + square * high;
    (p, q)
}

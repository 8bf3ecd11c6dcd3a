//! What an option's value takes of the normal law: the shortest forms that its accuracy allows, with
//! the terms of each polynomial in groups, so that few wait for one another.

use super::float::{Float, even_odd};

/// `-log2(e) / 2`.
const MINUS_HALF_LOG2_E: f64 = -0.721_347_520_444_481_7;

/// `(2^f - 1) / f` for `|f| <= 1/2`, by the Remez exchange: error 1.9e-9 relative to `2^f`.
const EXP2: [f32; 6] =
    [0.693_147_2, 0.240_226_46, 0.055_503_286, 0.009_618_489, 0.001_339_993_1, 0.000_153_457_89];

/// `R(y) = P(y) / Q(y)`, a weighted minimax fit with `P(0) = 1/2` and `Q(0) = 1`: error 1.5e-9
/// relative for `y <= 6`, 2.9e-7 for `y <= 13`. Options of a hedged book err alike, so that a fit
/// must be far better than a rounding.
const TAIL_P: [f32; 4] = [0.418_707_4, 0.169_020_04, 0.035_915_084, 0.003_433_375_4];
const TAIL_Q: [f32; 5] = [1.635_299_4, 1.142_819_2, 0.431_985_97, 0.090_041_35, 0.008_605_822];

/// The same in `f64`, by a weighted least squares fit in 50-digit arithmetic: error 3.4e-18 relative
/// to `2^f`.
const EXP2_F64: [f64; 11] = [
    0.693_147_180_559_945_3,
    0.240_226_506_959_101_3,
    0.055_504_108_664_820_084,
    0.009_618_129_107_594_12,
    0.001_333_355_814_677_444_7,
    0.000_154_035_304_571_126_75,
    1.525_273_349_329_328_2e-5,
    1.321_543_528_235_095_3e-6,
    1.017_819_951_250_612_3e-7,
    7.073_783_194_882_759e-9,
    4.434_779_538_156_929e-10,
];

/// The same in `f64`: error 1.1e-18 relative for `y <= 13`.
const TAIL_P_F64: [f64; 10] = [
    0.5,
    0.734_454_798_689_212_5,
    0.537_027_025_640_919_4,
    0.249_541_248_661_959_98,
    0.080_248_518_489_014_63,
    0.018_418_445_262_867_202,
    0.003_012_512_639_064_47,
    0.000_339_151_673_035_058_34,
    2.396_613_572_645_678e-5,
    8.176_115_859_827_919e-7,
];
const TAIL_Q_F64: [f64; 11] = [
    1.0,
    2.266_794_158_181_290_3,
    2.382_694_112_612_825,
    1.532_761_784_070_446_4,
    0.669_996_964_014_596_3,
    0.208_584_214_662_512_26,
    0.047_014_228_768_848_955,
    0.007_611_323_359_969_908,
    0.000_852_176_626_787_885_2,
    6.007_419_334_792_313e-5,
    2.049_448_319_919_068_3e-6,
];

#[inline(always)]
pub(super) fn bell(x: f32) -> f32 {
    let (f, shifted) = exponent(x);
    let square = f * f;
    let low = EXP2[0] + EXP2[1] * f;
    let middle = EXP2[2] + EXP2[3] * f;
    let high = EXP2[4] + EXP2[5] * f;
    (1.0 + f * (low + square * (middle + square * high))).scale_by(shifted)
}

#[inline(always)]
pub(super) fn bell_f64(x: f64) -> f64 {
    let (f, shifted) = exponent(x);
    (1.0 + f * even_odd(f, &EXP2_F64)).scale_by(shifted)
}

/// `exp(-x*x/2) = 2^(n + f)`: `f`, and `n` in the last bits of the second number.
#[inline(always)]
fn exponent<T: Float>(x: T) -> (T, T) {
    let t = (x * x) * T::constant(MINUS_HALF_LOG2_E);
    let shifted = t + T::TABLES.shifter;
    (t - (shifted - T::TABLES.shifter), shifted)
}

#[inline(always)]
pub(super) fn tail_pair<T: Float>(y1: T, y2: T, parts: impl Fn(T) -> (T, T)) -> (T, T) {
    let (p1, q1) = parts(y1);
    let (p2, q2) = parts(y2);
    let both = (q1 * q2).recip();
    (p1 * (q2 * both), p2 * (q1 * both))
}

/// Numerator and denominator.
#[inline(always)]
pub(super) fn tail_parts(y: f32) -> (f32, f32) {
    let square = y * y;
    let fourth = square * square;
    let p = (0.5 + TAIL_P[0] * y) + square * (TAIL_P[1] + TAIL_P[2] * y) + fourth * TAIL_P[3];
    let q =
        (1.0 + TAIL_Q[0] * y) + square * (TAIL_Q[1] + TAIL_Q[2] * y) + fourth * (TAIL_Q[3] + TAIL_Q[4] * y);
    (p, q)
}

/// Numerator and denominator in `f64`.
#[inline(always)]
pub(super) fn tail_parts_f64(y: f64) -> (f64, f64) {
    (even_odd(y, &TAIL_P_F64), even_odd(y, &TAIL_Q_F64))
}

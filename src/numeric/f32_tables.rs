//! Tables for `f32`: minimax fits by the Remez exchange in 45-digit arithmetic,
//! rounded to `f32`. Each names the error of the unrounded polynomial.

use super::float::Tables;

pub(super) const TABLES: Tables<f32> = Tables {
    shifter: 12_582_912.0,
    log2_e: std::f32::consts::LOG2_E,
    ln2_high: 0.693_359_4,
    ln2_low: -0.000_212_194_44,
    exp_min: -86.0,
    exp_max: 88.0,
    exp: &EXP,
    log: &LOG,
    sin: &SIN,
    cos: &COS,
    mills_p: 0.343_75,
    mills: &MILLS,
    quantile_shift: 4.0,
    quantile_centre: 3.527_350_4,
    quantile: &QUANTILE,
    tail_max: 13.0,
    uniform_max: 1.0 - f32::EPSILON / 2.0,
};

/// `|r| <= 0.348`: error 3.2e-9 relative to `e^r`.
const EXP: [f32; 5] = [0.499_999_94, 0.166_665_18, 0.041_668_415, 0.008_369, 0.001_381_4];

/// `sqrt(1/2) - 1 <= f <= sqrt(2) - 1`: error 7.6e-10 relative.
const LOG: [f32; 9] = [
    0.333_333_13,
    -0.250_000_1,
    0.200_021_18,
    -0.166_680_05,
    0.142_195_7,
    -0.124_054_216,
    0.118_878_65,
    -0.116_765_3,
    0.067_483_58,
];

/// `|x| <= 1/8`: error 1.2e-9 absolute.
const SIN: [f32; 4] = [6.283_185, -41.341_63, 81.588_13, -75.240_05];

/// `|x| <= 1/8`: error 5.4e-11 absolute.
const COS: [f32; 4] = [-19.739_208, 64.939_32, -85.443_74, 59.245_964];

/// In `t`: error 1.9e-8 relative on `0 <= y <= 13.5`.
const MILLS: [f32; 9] = [
    0.137_118_73,
    0.137_559_92,
    0.116_603_14,
    0.113_240_115,
    -0.040_780_842,
    0.193_209_02,
    -0.273_848_44,
    0.144_946_4,
    -0.028_048_04,
];

/// `2^-33 <= p <= 1/2`: error 1.7e-7 relative.
const QUANTILE: [f32; 15] = [
    3.872_762_4,
    1.716_295_7,
    -0.090_377_99,
    0.019_063_61,
    0.008_254_835,
    -0.014_924_55,
    0.011_691_854,
    -0.006_187_547,
    0.000_163_591_66,
    0.003_449_998_8,
    -0.001_853_905_3,
    -0.000_594_230_54,
    0.000_553_628_95,
    0.000_034_511_115,
    -0.000_055_396_005,
];

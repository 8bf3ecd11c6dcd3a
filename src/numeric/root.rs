//! Reciprocal and roots in `f32` without division: an integer first guess, one
//! cubic step whose coefficients were fitted with the guess (relative error
//! 2.6e-5 left), and one Newton step.

/// Integer minus bits is a first guess of the reciprocal; fitted together with the cubic on all mantissas.
const RECIP_GUESS: u32 = 0x7EEC_DB7D;
const RECIP: [f32; 3] = [0.999_978_67, 0.998_782_96, 1.096_017_2];
const RSQRT_GUESS: u32 = 0x5F31_E291;
const RSQRT: [f32; 3] = [0.999_995_1, 0.498_303_13, 0.427_172_65];

#[inline(always)]
pub(super) fn recip(x: f32) -> f32 {
    let guess = f32::from_bits(RECIP_GUESS.wrapping_sub(x.to_bits()));
    let miss = 1.0 - x * guess;
    let better = guess * (RECIP[0] + miss * (RECIP[1] + miss * RECIP[2]));
    better + better * (1.0 - x * better)
}

#[inline(always)]
pub(super) fn rsqrt(x: f32) -> f32 {
    let guess = f32::from_bits(RSQRT_GUESS.wrapping_sub(x.to_bits() >> 1));
    let miss = 1.0 - (x * guess) * guess;
    let better = guess * (RSQRT[0] + miss * (RSQRT[1] + miss * RSQRT[2]));
    let half = better * 0.5;
    better + half * (1.0 - (x * better) * better)
}

#[inline(always)]
pub(super) fn sqrt(x: f32) -> f32 {
    x * rsqrt(x)
}

// Elementary functions of + - * and integer operations. The twin of src/numeric/root.rs,
// src/numeric/exp_log.rs and src/numeric/trig.rs with the tables of src/numeric/f32_tables.rs;
// domains and errors are stated in src/numeric/real.rs. Several names hide a built-in function,
// whose accuracy is the device's own.

// Bits of 1 and of the square root of 1/2.
const ONE: u32 = 0x3F800000u;
const SQRT_HALF: u32 = 0x3F3504F3u;
// 1.5 * 2^23: adding it rounds to an integer, in the last bits of the sum.
const SHIFTER: f32 = 12582912.0;
const LOG2_E: f32 = 1.44269504;
// ln 2 with so few digits that its product with any exponent is exact, and the rest.
const LN2_HIGH: f32 = 0.6933594;
const LN2_LOW: f32 = -0.00021219444;
const TWO_POW_MINUS_32: f32 = 2.3283064365386963e-10;
const SIGN: u32 = 0x80000000u;

fn recip(x: f32) -> f32 {
    let guess = bitcast<f32>(0x7EECDB7Du - bitcast<u32>(x));
    let miss = 1.0 - mul(x, guess);
    let better = mul(guess, 0.99997867 + mul(miss, 0.99878296 + mul(miss, 1.0960172)));
    return better + mul(better, 1.0 - mul(x, better));
}

fn rsqrt(x: f32) -> f32 {
    let guess = bitcast<f32>(0x5F31E291u - (bitcast<u32>(x) >> 1u));
    let miss = 1.0 - mul(mul(x, guess), guess);
    let better = mul(guess, 0.9999951 + mul(miss, 0.49830313 + mul(miss, 0.42717265)));
    let half = mul(better, 0.5);
    return better + mul(half, 1.0 - mul(mul(x, better), better));
}

fn sqrt(x: f32) -> f32 {
    return mul(x, rsqrt(x));
}

/// `x * 2^n`, where `n` is the integer in the last bits of `shifted`.
fn scale_by(x: f32, shifted: f32) -> f32 {
    return bitcast<f32>(bitcast<u32>(x) + (bitcast<u32>(shifted) << 23u));
}

/// `e^r - 1` for `|r| <= 0.348`.
fn expm1_core(r: f32) -> f32 {
    let p = 0.49999994 + mul(r, 0.16666518 + mul(r, 0.041668415 + mul(r, 0.008369 + mul(r, 0.0013814))));
    return add(r, mul(mul(r, r), p));
}

/// `x = n ln 2 + r`: `n` in the last bits of the first number, and `r`.
fn reduce(x: f32) -> vec2<f32> {
    let shifted = add(mul(x, LOG2_E), SHIFTER);
    let n = add(shifted, -SHIFTER);
    let r = add(add(x, -mul(n, LN2_HIGH)), -mul(n, LN2_LOW));
    return vec2<f32>(shifted, r);
}

fn clamp_exponent(x: f32) -> f32 {
    let low = select(-86.0, x, x > -86.0);
    return select(88.0, low, low < 88.0);
}

fn exp(x: f32) -> f32 {
    let s = reduce(clamp_exponent(x));
    return scale_by(add(1.0, expm1_core(s.y)), s.x);
}

fn expm1(x: f32) -> f32 {
    let s = reduce(clamp_exponent(x));
    let scale = scale_by(1.0, s.x);
    return add(mul(scale, expm1_core(s.y)), add(scale, -1.0));
}

/// `(word + 0.5) * 2^-32`, inside (0, 1).
fn unit_uniform(word: u32) -> f32 {
    let u = mul(half_open(word), TWO_POW_MINUS_32);
    return select(0.99999994, u, u < 0.99999994);
}

/// `word + 0.5`, rounded once.
fn half_open(word: u32) -> f32 {
    let high = mul(f32(word >> 16u), 65536.0);
    let low = f32(word & 0xFFFFu) + 0.5;
    return add(high, low);
}

/// `ln(1 + f) + k ln 2`.
fn log_core(f: f32, k: f32) -> f32 {
    let square = mul(f, f);
    let p = 0.33333313 + mul(f, -0.2500001 + mul(f, 0.20002118 + mul(f, -0.16668005 + mul(f, 0.1421957
        + mul(f, -0.124054216 + mul(f, 0.11887865 + mul(f, -0.1167653 + mul(f, 0.06748358))))))));
    let cubic = mul(mul(square, f), p);
    let curve = add(cubic, -mul(square, 0.5));
    let small = add(f, add(curve, mul(k, LN2_LOW)));
    return mul(k, LN2_HIGH) + small;
}

/// `ln(high + low)`, where `high` is 0 or at least as large as `low`, and the sum is positive.
fn log_sum(high: f32, low: f32) -> f32 {
    let sum = add(high, low);
    let lost = add(low, -add(sum, -high));
    let bits = bitcast<u32>(sum) + (ONE - SQRT_HALF);
    let exponent = bits >> 23u;
    let m = bitcast<f32>((bits & 0x007FFFFFu) + SQRT_HALF);
    let k = f32(i32(exponent) - 127);
    let inverse = bitcast<f32>((254u - exponent) << 23u);
    return log_core(add(m, -1.0) + mul(lost, inverse), k);
}

/// `-ln((word + 0.5) * 2^-32)`, accurate at both ends.
fn neg_log_uniform(word: u32) -> f32 {
    let upper = word >> 31u;
    let v = mul(half_open(word ^ (0u - upper)), TWO_POW_MINUS_32);
    return -log_sum(f32(upper), bitcast<f32>(bitcast<u32>(v) ^ (word & SIGN)));
}

/// Cosine and sine of `2 pi (word + 0.5) * 2^-32`.
fn cos_sin_turn(word: u32) -> vec2<f32> {
    let quadrant = (word + 0x20000000u) >> 30u;
    let rest = bitcast<i32>(word - (quadrant << 30u));
    let high = mul(f32(rest >> 15u), 32768.0);
    let low = f32(rest & 0x7FFF) + 0.5;
    let turn = mul(add(high, low), TWO_POW_MINUS_32);
    let s2 = mul(turn, turn);
    let sin = mul(turn, 6.283185 + mul(s2, -41.34163 + mul(s2, 81.58813 + mul(s2, -75.24005))));
    let cos = 1.0 + mul(s2, -19.739208 + mul(s2, 64.93932 + mul(s2, -85.44374 + mul(s2, 59.245964))));
    let swap = (quadrant & 1u) != 0u;
    let c = select(cos, sin, swap);
    let s = select(sin, cos, swap);
    return vec2<f32>(bitcast<f32>(bitcast<u32>(c) ^ (((quadrant + 1u) << 30u) & SIGN)),
        bitcast<f32>(bitcast<u32>(s) ^ ((quadrant << 30u) & SIGN)));
}

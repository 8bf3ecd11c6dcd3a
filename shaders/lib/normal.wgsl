// The normal law: variates and the scaled tail. The twin of src/numeric/normal.rs and
// src/numeric/option.rs.

/// Two independent standard normals (Box-Muller): radius from the first word, angle from the second.
fn normal_pair(radius: u32, angle: u32) -> vec2<f32> {
    let e = neg_log_uniform(radius);
    let r = sqrt(e + e);
    let cs = cos_sin_turn(angle);
    return vec2<f32>(mul(r, cs.x), mul(r, cs.y));
}

/// `exp(-x*x/2)` for `|x| <= 13`.
fn bell(x: f32) -> f32 {
    let t = mul(mul(x, x), -0.7213475);
    let shifted = add(t, SHIFTER);
    let f = add(t, -add(shifted, -SHIFTER));
    let square = mul(f, f);
    let low = add(0.6931472, mul(0.24022646, f));
    let middle = add(0.055503286, mul(0.009618489, f));
    let high = add(0.0013399931, mul(0.00015345789, f));
    return scale_by(add(1.0, mul(f, add(low, mul(square, add(middle, mul(square, high)))))), shifted);
}

/// Numerator and denominator of `R(y)` for `y <= 13`.
fn tail_parts(y: f32) -> vec2<f32> {
    let square = mul(y, y);
    let fourth = mul(square, square);
    let p_low = add(add(0.5, mul(0.4187074, y)), mul(square, add(0.16902004, mul(0.035915084, y))));
    let p = add(p_low, mul(fourth, 0.0034333754));
    let q_low = add(add(1.0, mul(1.6352994, y)), mul(square, add(1.1428192, mul(0.43198597, y))));
    let q = add(q_low, mul(fourth, add(0.09004135, mul(0.008605822, y))));
    return vec2<f32>(p, q);
}

/// `R(y) = N(-y) exp(y*y/2)` of two arguments for the price of one reciprocal.
fn mills_pair(y1: f32, y2: f32) -> vec2<f32> {
    let a = tail_parts(y1);
    let b = tail_parts(y2);
    let both = recip(mul(a.y, b.y));
    return vec2<f32>(mul(a.x, mul(b.y, both)), mul(b.x, mul(a.y, both)));
}

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
    let low = add(1.0000001, mul(0.69314694, f));
    let middle = add(0.2402212, mul(0.05550713, f));
    let high = add(0.009675542, mul(0.0013276489, f));
    return scale_by(add(low, mul(square, add(middle, mul(square, high)))), shifted);
}

/// Numerator and denominator of `R(y)` for `y <= 13`.
fn tail_parts(y: f32) -> vec2<f32> {
    let square = mul(y, y);
    let p = add(add(0.49999997, mul(0.3385742, y)), mul(square, add(0.10656447, mul(0.014084025, y))));
    let high = add(add(0.8900744, mul(0.2666343, y)), mul(square, 0.035320394));
    let q = add(add(1.0, mul(1.4750282, y)), mul(square, high));
    return vec2<f32>(p, q);
}

/// `R(y) = N(-y) exp(y*y/2)` of two arguments for the price of one reciprocal.
fn mills_pair(y1: f32, y2: f32) -> vec2<f32> {
    let a = tail_parts(y1);
    let b = tail_parts(y2);
    let both = recip(mul(a.y, b.y));
    return vec2<f32>(mul(a.x, mul(b.y, both)), mul(b.x, mul(a.y, both)));
}

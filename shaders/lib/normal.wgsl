// The normal law: variates and the scaled tail. The twin of src/numeric/normal.rs.

/// Two independent standard normals (Box-Muller): radius from the first word, angle from the second.
fn normal_pair(radius: u32, angle: u32) -> vec2<f32> {
    let e = neg_log_uniform(radius);
    let r = sqrt(e + e);
    let cs = cos_sin_turn(angle);
    return vec2<f32>(mul(r, cs.x), mul(r, cs.y));
}

/// `R(y)` from `t = 1 / (1 + p y)`.
fn mills_of(t: f32) -> f32 {
    let p = 0.13711873 + mul(t, 0.13755992 + mul(t, 0.11660314 + mul(t, 0.113240115 + mul(t, -0.040780842
        + mul(t, 0.19320902 + mul(t, -0.27384844 + mul(t, 0.1449464 + mul(t, -0.02804804))))))));
    return mul(t, p);
}

/// `R(y) = N(-y) exp(y*y/2)` of two arguments for the price of one reciprocal.
fn mills_pair(y1: f32, y2: f32) -> vec2<f32> {
    let a = 1.0 + mul(0.34375, y1);
    let b = 1.0 + mul(0.34375, y2);
    let both = recip(mul(a, b));
    return vec2<f32>(mills_of(mul(both, b)), mills_of(mul(both, a)));
}

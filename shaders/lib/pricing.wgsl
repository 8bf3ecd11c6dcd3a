// Black-76 with total volatility. The twin of src/instrument/black.rs.

const D_MAX: f32 = 12.0;
const LEAST_VARIANCE: f32 = 1e-12;

/// Total variance of a row's slice at log-moneyness `k = ln(K/F)`.
fn total_variance(row: Row, k: f32) -> f32 {
    let d = k - row.variance_m;
    let square = mul(d, d) + row.variance_sigma_squared;
    let root = mul(square, rsqrt(square));
    let skewed = mul(row.variance_rho, d) + root;
    let variance = row.variance_a + mul(row.variance_b, skewed);
    return select(LEAST_VARIANCE, variance, variance > LEAST_VARIANCE);
}

fn clamp_d(d: f32) -> f32 {
    let low = select(D_MAX, d, d < D_MAX);
    return select(-D_MAX, low, low > -D_MAX);
}

/// Undiscounted value of a European option on a forward; the arguments are explained at the twin.
fn option_value(
    sign: f32,
    forward: f32,
    strike: f32,
    k: f32,
    variance: f32,
    level: f32,
    inverse_level: f32,
) -> f32 {
    let inverse_root = rsqrt(variance);
    let s = mul(mul(variance, inverse_root), level);
    let inverse_s = mul(inverse_root, inverse_level);
    let centre = -mul(k, inverse_s);
    let half_s = mul(0.5, s);
    let d1 = clamp_d(centre + half_s);
    let d2 = clamp_d(centre - half_s);
    let square = mul(d1, d1);
    let weight = mul(forward, exp(-mul(0.5, square)));
    let r = mills_pair(abs(d1), abs(d2));
    let tail1 = mul(weight, r.x);
    let tail2 = mul(weight, r.y);
    let with_forward = select(add(forward, -tail1), tail1, sign * d1 < 0.0);
    let with_strike = select(add(strike, -tail2), tail2, sign * d2 < 0.0);
    return mul(sign, add(with_forward, -with_strike));
}

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

/// Half the total volatility, and minus one over it, both times the option's sign.
fn spread_of(row: Row, k: f32) -> vec2<f32> {
    if row.kind == FLAT_OPTION {
        return vec2<f32>(row.variance_a, row.variance_b);
    }
    let variance = total_variance(row, k);
    let inverse_root = rsqrt(variance);
    return vec2<f32>(mul(mul(variance, inverse_root), 0.5 * row.sign), -mul(inverse_root, row.sign));
}

fn clamp_magnitude(d: f32) -> f32 {
    let y = abs(d);
    return select(D_MAX, y, y < D_MAX);
}

/// Undiscounted value of a European option on a forward; the arguments are explained at the twin.
fn option_value(forward: f32, strike: f32, k: f32, spread: vec2<f32>, level: f32, inverse_level: f32) -> f32 {
    let centre = mul(k, mul(spread.y, inverse_level));
    let half = mul(spread.x, level);
    let d1 = add(centre, half);
    let d2 = add(centre, -half);
    let y1 = clamp_magnitude(d1);
    let weight = mul(forward, bell(y1));
    let r = mills_pair(y1, clamp_magnitude(d2));
    let tail1 = mul(weight, r.x);
    let tail2 = mul(weight, r.y);
    let with_forward = select(add(forward, -tail1), tail1, d1 < 0.0);
    let with_strike = select(add(strike, -tail2), tail2, d2 < 0.0);
    return add(with_forward, -with_strike);
}

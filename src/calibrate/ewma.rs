//! Exponentially weighted variance (RiskMetrics 1996).

/// The decay of RiskMetrics for daily returns.
pub const DECAY: f64 = 0.94;

/// Filtered variances: entry `t` uses the returns up to and including `t`, so it is the forecast for
/// `t + 1`. `s_0 = r_0^2`, `s_t = decay s_{t-1} + (1 - decay) r_t^2`; a NaN return leaves the variance
/// as it is (NaN before the first return). `decay` in [0, 1).
pub fn variances(returns: &[f64], decay: f64) -> Vec<f64> {
    let mut variance = f64::NAN;
    let next = |r: &f64| {
        if r.is_finite() {
            variance = updated(variance, *r, decay);
        }
        variance
    };
    returns.iter().map(next).collect()
}

/// One step of the recursion.
pub fn updated(variance: f64, log_return: f64, decay: f64) -> f64 {
    let square = log_return * log_return;
    if variance.is_finite() { decay * variance + (1.0 - decay) * square } else { square }
}

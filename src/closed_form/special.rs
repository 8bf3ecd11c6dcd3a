//! Normal and Student-t functions with accurate tails, and one-dimensional root finding.

use statrs::function::{beta::beta_reg, erf::erfc_inv, gamma::ln_gamma};
use std::f64::consts::{PI, SQRT_2};

/// Chebyshev coefficients in `t = (x - 3.75) / (x + 3.75)` of `(1 + 2x) exp(x^2) erfc(x)`, the form
/// of Shepherd & Laframboise (1981), computed here in 50 digits; the first dropped is below 1e-17.
#[rustfmt::skip]
const SCALED_ERFC: [f64; 25] = [
    1.1775789345674017,
    -0.004590054580646478,
    -0.08424913336651792,
    0.05920993999819189,
    -0.026658668435305753,
    0.009074997670705265,
    -0.002413163540417608,
    0.0004907758365258086,
    -6.916973302501207e-05,
    4.13902798607301e-06,
    7.74038306619849e-07,
    -2.1886401049234397e-07,
    1.076499946567091e-08,
    4.521959811218287e-09,
    -7.754400208831351e-10,
    -6.318088340886684e-11,
    2.86879501093067e-11,
    1.9455868545777347e-13,
    -9.65469674843344e-13,
    3.25254814814874e-14,
    3.3478119482868056e-14,
    -1.864562880419313e-15,
    -1.2507950530688648e-15,
    7.418235256624044e-17,
    5.068148904796111e-17,
];

/// Complementary error function `erfc(x)`, relative error below 1e-15 up to underflow at `x` = 26.
///
/// Not statrs', whose `erfc` has a relative error of 1e-10 (version 0.19.1): too coarse for a
/// yardstick.
pub fn erfc(x: f64) -> f64 {
    if x < 0.0 {
        return 2.0 - erfc(-x);
    }
    if x > 27.3 {
        return 0.0;
    }
    let t = (x - 3.75) / (x + 3.75);
    let (mut one, mut two) = (0.0, 0.0);
    for coefficient in SCALED_ERFC.iter().skip(1).rev() {
        (one, two) = (2.0 * t * one - two + coefficient, one);
    }
    let scaled = (t * one - two + SCALED_ERFC[0]) / (1.0 + 2.0 * x);
    // The square in two parts: rounding x^2 alone would cost x^2 units in the last place.
    let head = (x * 64.0).round() / 64.0;
    let rest = (x - head) * (x + head);
    scaled * (-head * head).exp() * (-rest).exp()
}

/// Standard normal density `exp(-x^2/2) / sqrt(2 pi)`.
pub fn normal_density(x: f64) -> f64 {
    (-0.5 * x * x).exp() / (2.0 * PI).sqrt()
}

/// Standard normal `P(Z <= x) = erfc(-x / sqrt 2) / 2`; relative accuracy also far in the lower tail.
///
/// ```
/// assert!((shortfall::closed_form::special::normal_cdf(-1.959963984540054) - 0.025).abs() < 1e-15);
/// ```
pub fn normal_cdf(x: f64) -> f64 {
    0.5 * erfc(-x / SQRT_2)
}

/// Standard normal quantile: the `z` with `P(Z > z) = tail`, for `tail` in (0, 1); NaN outside.
///
/// The quantile of confidence `alpha` is `normal_upper_quantile(1 - alpha)`. One Newton step on
/// `erfc` removes what error the rational start has.
pub fn normal_upper_quantile(tail: f64) -> f64 {
    if !(tail > 0.0 && tail < 1.0) {
        return f64::NAN;
    }
    let start = SQRT_2 * erfc_inv(2.0 * tail);
    let density = normal_density(start);
    if density > 0.0 { start + (normal_cdf(-start) - tail) / density } else { start }
}

/// Density of Student's t with `nu` degrees of freedom and unit scale (variance `nu / (nu - 2)`);
/// relative error about 1e-15 times `nu`, at least 1e-14.
pub fn student_density(x: f64, nu: f64) -> f64 {
    let log_norm = ln_gamma(0.5 * (nu + 1.0)) - ln_gamma(0.5 * nu) - 0.5 * (nu * PI).ln();
    (log_norm - 0.5 * (nu + 1.0) * (x * x / nu).ln_1p()).exp()
}

/// `P(T > x)` of Student's t with unit scale: `I_{nu/(nu+x^2)}(nu/2, 1/2) / 2` for `x >= 0`.
pub fn student_survival(x: f64, nu: f64) -> f64 {
    // The complement is taken near the centre only, where it does not cancel.
    let two_sided = if x.abs() < 0.5 {
        1.0 - beta_reg(0.5, 0.5 * nu, x * x / (nu + x * x))
    } else {
        beta_reg(0.5 * nu, 0.5, nu / (nu + x * x))
    };
    if x >= 0.0 { 0.5 * two_sided } else { 1.0 - 0.5 * two_sided }
}

/// Student-t quantile with unit scale: the `x` with `P(T > x) = tail`, for `tail` in (0, 1); NaN outside.
pub fn student_upper_quantile(tail: f64, nu: f64) -> f64 {
    if !(tail > 0.0 && tail < 1.0 && nu > 0.0) {
        return f64::NAN;
    }
    if tail > 0.5 {
        return -student_upper_quantile(1.0 - tail, nu);
    }
    let mut high = 1.0;
    while student_survival(high, nu) > tail && high < f64::MAX / 4.0 {
        high *= 2.0;
    }
    let root = bisect(0.0, high, |x| student_survival(x, nu) > tail);
    let density = student_density(root, nu);
    if density > 0.0 { root + (student_survival(root, nu) - tail) / density } else { root }
}

/// The two inner points of what golden sections leave of `[low, high]` after so many steps, ascending, each
/// with its value: each step keeps the 0.618 of the interval that holds the lower of the two, the left one
/// where they are equal. A function that falls to one minimum and rises from it has that between their
/// neighbours.
///
/// # Errors
/// What the function could not tell.
pub fn golden_section<T, E>(
    (mut low, mut high): (f64, f64),
    steps: usize,
    mut value: impl FnMut(f64) -> Result<T, E>,
    height: impl Fn(&T) -> f64,
) -> Result<[(f64, T); 2], E> {
    /// 1 / golden ratio.
    const GOLDEN: f64 = 0.618_033_988_749_894_8;
    let inner = |low: f64, high: f64| [high - GOLDEN * (high - low), low + GOLDEN * (high - low)];
    let [mut a, mut b] = inner(low, high);
    let (mut at_a, mut at_b) = (value(a)?, value(b)?);
    for _ in 0..steps {
        if height(&at_a) <= height(&at_b) {
            (high, b, at_b) = (b, a, at_a);
            a = inner(low, high)[0];
            at_a = value(a)?;
        } else {
            (low, a, at_a) = (a, b, at_b);
            b = inner(low, high)[1];
            at_b = value(b)?;
        }
    }
    Ok([(a, at_a), (b, at_b)])
}

/// The boundary in `[low, high]` between `stays(x) == true` (below) and `false` (above).
///
/// Halves until neighbouring floating-point numbers are reached; returns the upper neighbour, so
/// that a step function gives the first point at which it no longer holds.
pub fn bisect(low: f64, high: f64, mut stays: impl FnMut(f64) -> bool) -> f64 {
    let (mut low, mut high) = (low, high);
    loop {
        let middle = low + 0.5 * (high - low);
        if !(middle > low && middle < high) {
            return high;
        }
        if stays(middle) { low = middle } else { high = middle }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_sections_enclose_the_lowest_point() {
        for lowest in [0.0, 0.3, 1.0] {
            let value = |x: f64| Ok::<f64, ()>((x - lowest).abs());
            let [(a, at_a), (b, at_b)] = golden_section((0.0, 1.0), 30, value, |value| *value).unwrap();
            // What 30 steps leave, 0.618^30.
            assert!(a < b && at_a.min(at_b) < 1e-6, "{a} {b} around {lowest}");
        }
        let refuses = |x: f64| if x > 0.7 { Err("too far") } else { Ok(-x) };
        assert_eq!(golden_section((0.0, 1.0), 30, refuses, |value| *value), Err("too far"));
    }
}

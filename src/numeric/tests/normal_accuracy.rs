//! The normal law against an independent reference in `f64` and 40-digit constants.
//!
//! The reference takes the Mills ratio from Laplace's continued fraction, and near 0 from the
//! series of the distribution function; both lose a few units of 2^-53, some 1e-15 relative.

use super::accuracy::cos_sin;
use super::measure::{Claim, Unit, both_signs, holds, sweep_f32, sweep_f64, words, worst};
use crate::numeric::Real;

const INVERSE_SQRT_TAU: f64 = 0.398_942_280_401_432_7;
const SQRT_TAU: f64 = 2.506_628_274_631_000_5;
const CDF: &str = include_str!("../../../tests/data/normal_cdf.csv");
const QUANTILES: &str = include_str!("../../../tests/data/normal_quantile.csv");

/// `N(-y) exp(y*y/2)`. From 0.6 on the fraction's error after `n` terms falls as
/// `exp(-2 y sqrt(2 n))`: below 1e-17 with 400 / y^2 of them, and 40 more where y is large.
fn mills(y: f64) -> f64 {
    if y < 0.6 {
        let (mut term, mut sum, mut odd) = (y, y, 1.0);
        while term > 1e-18 * sum {
            odd += 2.0;
            term *= y * y / odd;
            sum += term;
        }
        return 0.5 * (0.5 * y * y).exp() - sum * INVERSE_SQRT_TAU;
    }
    let terms = (400.0 / (y * y)).ceil() as u32 + 40;
    let fraction = (1..=terms).rev().fold(y, |below, k| y + f64::from(k) / below);
    INVERSE_SQRT_TAU / fraction
}

/// `exp(-x*x/2)` with the square in two exact parts and a small rest.
fn exp_neg_half_square(x: f64) -> f64 {
    let head = (x * 1024.0).round() / 1024.0;
    let rest = (x - head) * (x + head);
    (-0.5 * head * head).exp() * (-0.5 * rest).exp()
}

fn normal_cdf(x: f64) -> f64 {
    let tail = exp_neg_half_square(x) * mills(x.abs());
    if x < 0.0 { tail } else { 1.0 - tail }
}

fn relative(name: &'static str, most: f64) -> Claim {
    Claim { name, most, unit: Unit::Relative }
}

fn absolute(name: &'static str, most: f64) -> Claim {
    Claim { name, most, unit: Unit::Absolute }
}

/// Rows of two numbers below a comment and a header.
fn rows(file: &str) -> Vec<(f64, f64)> {
    let rows = file.lines().filter(|line| !line.starts_with('#')).skip(1);
    let parsed = rows.map(|row| {
        let (x, y) = row.split_once(',').expect("two fields");
        (x.parse().expect("a number"), y.parse().expect("a number"))
    });
    let rows: Vec<_> = parsed.collect();
    assert!(rows.len() > 5);
    rows
}

#[test]
fn the_reference_meets_the_constants() {
    for (x, cdf) in rows(CDF) {
        assert!((normal_cdf(x) / cdf - 1.0).abs() < 4e-15, "{x}");
        // Negative control: an argument off by 0.001 is seen; at 8 it moves the last digits alone.
        assert!(x == 8.0 || (normal_cdf(x + 0.001) / cdf - 1.0).abs() > 1e-6, "{x}");
    }
    // Both forms of the Mills ratio agree where they meet.
    let (below, above) = (mills(0.6 - 1e-12), mills(0.6));
    assert!((below / above - 1.0).abs() < 3e-12, "{below} {above}");
}

#[test]
fn the_distribution_function_meets_the_constants() {
    for (x, cdf) in rows(CDF) {
        let got: f64 = Real::normal_cdf(x);
        assert!((got / cdf - 1.0).abs() < 1e-14, "{x}: {got}");
        let single: f32 = Real::normal_cdf(x as f32);
        if x > -13.0 {
            // The decimal argument's rounding to f32, 2^-25 of it, moves a tail by up to x^2 2^-25.
            let moved = x * x * f64::from(f32::EPSILON) / 4.0;
            assert!((f64::from(single) / cdf - 1.0).abs() < 6e-7 + moved, "{x}: {single}");
        }
    }
}

#[test]
fn mills_ratios() {
    let single = |y: f64| f64::from(<f32 as Real>::mills(y as f32));
    let domain = both_signs(Vec::new(), sweep_f32(f32::MIN_POSITIVE, 13.0));
    holds(&relative("mills f32", 5e-7), &domain, single, mills);
    let beyond = sweep_f32(13.0, 1e30);
    holds(&relative("mills f32 beyond 13", 1e-3), &beyond, single, mills);
    let domain = both_signs(Vec::new(), sweep_f64(1e-20, 38.0));
    holds(&relative("mills f64", 1e-14), &domain, Real::mills, mills);
    holds(&relative("mills f64 beyond 38", 1e-3), &sweep_f64(38.0, 1e30), Real::mills, mills);
}

/// The claim grows with `x*x`, so it is held of errors divided by `2 + x*x`.
#[test]
fn bells() {
    let scaled = |got: f64, x: f64| 1.0 + (got / exp_neg_half_square(x) - 1.0) / (2.0 + x * x);
    let single = |x: f64| scaled(<f32 as Real>::bell(x as f32).into(), x);
    let domain = both_signs(sweep_f32(f32::MIN_POSITIVE, 13.0), sweep_f32(f32::MIN_POSITIVE, 13.0));
    holds(&absolute("bell f32", 1.2e-7), &domain, single, |_| 1.0);
    let double = |x: f64| scaled(Real::bell(x), x);
    // Beside 1 the error itself is rounded to 2.2e-16.
    holds(&absolute("bell f64", 2e-16 + f64::EPSILON), &sweep_f64(1e-20, 13.0), double, |_| 1.0);
}

#[test]
fn pairs_of_mills_ratios() {
    let domain = sweep_f32(f32::MIN_POSITIVE, 13.0);
    for other in [0.0, 0.3, 5.0, 13.0] {
        let pair = |y: f64| <f32 as Real>::mills_pair(y as f32, other);
        holds(&relative("mills_pair f32, first", 7e-7), &domain, |y| pair(y).0.into(), mills);
        holds(
            &relative("mills_pair f32, second", 7e-7),
            &domain,
            |y| pair(y).1.into(),
            |_| mills(other.into()),
        );
        let pair = |y: f64| <f64 as Real>::mills_pair(y, other.into());
        holds(&relative("mills_pair f64, first", 1e-14), &domain, |y| pair(y).0, mills);
        holds(&relative("mills_pair f64, second", 1e-14), &domain, |y| pair(y).1, |_| mills(other.into()));
    }
}

#[test]
fn bell_curves_and_distribution_functions() {
    let least = f32::MIN_POSITIVE;
    let domain = both_signs(sweep_f32(least, 13.0), sweep_f32(least, 13.0));
    let got = |x: f64| f64::from(<f32 as Real>::exp_neg_half_square(x as f32));
    holds(&relative("exp_neg_half_square f32", 1.5e-7), &domain, got, exp_neg_half_square);
    let got = |x: f64| f64::from(<f32 as Real>::normal_cdf(x as f32));
    holds(&relative("normal_cdf f32", 6e-7), &domain, got, normal_cdf);
    let domain = both_signs(sweep_f64(1e-20, 37.0), sweep_f64(1e-20, 37.0));
    // The reference's two exponentials, their product and its rest: 4e-16 more.
    let claim = relative("exp_neg_half_square f64", 4e-16 + 4e-16);
    holds(&claim, &domain, Real::exp_neg_half_square, exp_neg_half_square);
    holds(&relative("normal_cdf f64", 1e-14), &domain, Real::normal_cdf, normal_cdf);
    for beyond in [13.5f32, 1e30] {
        assert_eq!(Real::normal_cdf(-beyond), <f32 as Real>::normal_cdf(-13.0));
        assert_eq!(<f32 as Real>::normal_cdf(beyond), 1.0);
    }
}

/// Distance of `z` from the quantile of the word, by one Newton step of the reference; from the
/// tail's side, where nothing cancels.
fn quantile_error(z: f64, word: u32) -> f64 {
    let tail = (f64::from(word.min(!word)) + 0.5) / 4_294_967_296.0;
    let y = if word < !word { -z } else { z };
    SQRT_TAU * (mills(y.abs()) - tail / exp_neg_half_square(y))
}

#[test]
fn quantiles() {
    let error = |word: f64| 1.0 + quantile_error(Real::inverse_normal_cdf(word as u32), word as u32);
    // 1 + the error costs 1.1e-16, the reference at most 2.5e-15 (2.5 times 1/2 of 1e-15 relative, doubled).
    holds(&absolute("inverse_normal_cdf f64", 1e-14 + 2.6e-15), &words(), error, |_| 1.0);
    let single = |word: f64| f64::from(<f32 as Real>::inverse_normal_cdf(word as u32));
    let error = |word: f64| 1.0 + quantile_error(single(word), word as u32);
    holds(&absolute("inverse_normal_cdf f32", 2e-6), &words(), error, |_| 1.0);
    // Negative control: a quantile a hundred thousandth off.
    let off = |word: f64| 1.0 + quantile_error(single(word) + 1e-5, word as u32);
    assert!(worst(Unit::Absolute, &words(), off, |_| 1.0).0 > 2e-6);
}

#[test]
fn quantiles_meet_the_constants() {
    let mut met = 0;
    for (p, z) in rows(QUANTILES).into_iter().filter(|(p, _)| (0.004..0.996).contains(p)) {
        let word = (p * 4_294_967_296.0) as u32;
        let u: f64 = Real::uniform(word);
        let got: f64 = Real::inverse_normal_cdf(word);
        // `u` is within 2^-33 of `p`: the slope there is exact to 1e-16 in these quantiles.
        let slope = SQRT_TAU / exp_neg_half_square(z);
        let moved = z + (u - p) * slope;
        assert!((got - moved).abs() < 2e-14, "{p}: {got} {moved}");
        assert!((<f64 as Real>::inverse_normal_cdf(word + 1) - moved).abs() > 2e-14, "negative control");
        met += 1;
    }
    assert!(met > 10);
}

#[test]
fn pairs_of_normals() {
    // Radius and angle from one word: both edges, and everything between them.
    let right = |word: f64, angle: f64| {
        let word = word as u32;
        let u = |word: u32| (f64::from(word) + 0.5) / 4_294_967_296.0;
        let e = if word >> 31 == 0 { -u(word).ln() } else { -(-u(!word)).ln_1p() };
        let (cos, sin) = cos_sin(angle);
        ((2.0 * e).sqrt() * cos, (2.0 * e).sqrt() * sin)
    };
    let angle = |word: f64| (word as u32).wrapping_mul(0x9E37_79B9).rotate_left(7);
    let got = |w: f64| <f32 as Real>::normal_pair(w as u32, angle(w));
    let right = |w: f64| right(w, angle(w).into());
    holds(&absolute("normal_pair f32, cosine", 1.2e-6), &words(), |w| got(w).0.into(), |w| right(w).0);
    holds(&absolute("normal_pair f32, sine", 1.2e-6), &words(), |w| got(w).1.into(), |w| right(w).1);
    let got = |w: f64| <f64 as Real>::normal_pair(w as u32, angle(w));
    holds(&absolute("normal_pair f64, cosine", 3e-15), &words(), |w| got(w).0, |w| right(w).0);
    holds(&absolute("normal_pair f64, sine", 3e-15), &words(), |w| got(w).1, |w| right(w).1);
}

//! Elementary functions against `std` in `f64`.
//!
//! The engine's claims stand at [`Real`]. Where the reference is `std` in the same precision, its
//! own error is added: up to 1 ulp, which every common C library keeps for these functions.

#![expect(
    clippy::disallowed_methods,
    reason = "exact residuals want a fused product; nothing here reaches a figure"
)]

use super::measure::{Claim, Unit, both_signs, holds, sweep_f32, sweep_f64, words};
use crate::numeric::Real;

const STD_ULP: f64 = 1.0;
/// Largest arguments of the reciprocal: where nothing on the way is subnormal, and where it ends.
const TWO_100: f64 = 1_267_650_600_228_229_401_496_703_205_376.0;
const TWO_125: f64 = 42_535_295_865_117_307_932_921_825_928_971_026_432.0;

fn ulp32(name: &'static str, most: f64) -> Claim {
    Claim { name, most, unit: Unit::Ulp32 }
}

fn ulp64(name: &'static str, most: f64) -> Claim {
    Claim { name, most: most + STD_ULP, unit: Unit::Ulp64 }
}

fn f32_of(function: fn(f32) -> f32) -> impl Fn(f64) -> f64 {
    move |x| f64::from(function(x as f32))
}

#[test]
fn reciprocal_and_roots_in_f32() {
    let (least, most) = (f32::MIN_POSITIVE, f32::MAX);
    let domain = sweep_f32((1.0 / TWO_125) as f32, TWO_100 as f32);
    holds(&ulp32("recip f32", 1.5), &domain, f32_of(Real::recip), |x| 1.0 / x);
    let large = sweep_f32(TWO_100 as f32, TWO_125 as f32);
    holds(&ulp32("recip f32 beyond 2^100", 2.0), &large, f32_of(Real::recip), |x| 1.0 / x);
    let normal = sweep_f32(least, most);
    holds(&ulp32("rsqrt f32", 1.5), &normal, f32_of(Real::rsqrt), |x| 1.0 / x.sqrt());
    holds(&ulp32("sqrt f32", 2.1), &normal, f32_of(Real::sqrt), f64::sqrt);
    // Every mantissa of the two binades that make up the whole of the algorithm.
    let mantissas: Vec<f64> =
        (0x3F80_0000..0x4080_0000_u32).step_by(3).map(|bits| f32::from_bits(bits).into()).collect();
    holds(&ulp32("recip f32, a third of all mantissas", 1.5), &mantissas, f32_of(Real::recip), |x| 1.0 / x);
    holds(&ulp32("rsqrt f32, a third of all mantissas", 1.5), &mantissas, f32_of(Real::rsqrt), |x| {
        1.0 / x.sqrt()
    });
    assert_eq!(<f32 as Real>::sqrt(0.0), 0.0);
}

/// Residuals in fused arithmetic, which are exact: a correctly rounded `r` of `1 / x` has
/// `|x r - 1| <= 2^-53`, one of `sqrt(x)` has `|r r - x| <= 2^-52 x (1 + 2^-52)`, and `1 / sqrt(x)` of two
/// roundings has `|x r r - 1| <= 2^-51`.
#[test]
fn reciprocal_and_roots_in_f64() {
    const HALF_ULP: f64 = f64::EPSILON / 2.0;
    let claim = |name, most| Claim { name, most, unit: Unit::Absolute };
    let domain = sweep_f64(1.0 / TWO_125, TWO_125);
    let residual = |x: f64| 1.0 + x.mul_add(Real::recip(x), -1.0) / HALF_ULP;
    holds(&claim("recip f64 residual", 1.0), &domain, residual, |_| 1.0);
    let domain = sweep_f64(1e-290, 1e290);
    let residual = |x: f64| {
        let root: f64 = Real::sqrt(x);
        1.0 + root.mul_add(root, -x) / x / (2.0 * HALF_ULP)
    };
    holds(&claim("sqrt f64 residual", 1.000_001), &domain, residual, |_| 1.0);
    let residual = |x: f64| {
        let r: f64 = Real::rsqrt(x);
        let product = x * r;
        let rest = x.mul_add(r, -product);
        1.0 + (product.mul_add(r, -1.0) + rest * r) / (4.0 * HALF_ULP)
    };
    holds(&claim("rsqrt f64 residual", 1.0), &domain, residual, |_| 1.0);
}

#[test]
fn exponentials() {
    let least = f32::MIN_POSITIVE;
    let domain = both_signs(sweep_f32(least, 86.0), sweep_f32(least, 88.0));
    holds(&ulp32("exp f32", 1.0), &domain, f32_of(Real::exp), f64::exp);
    holds(&ulp32("expm1 f32", 2.0), &domain, f32_of(Real::expm1), f64::exp_m1);
    let least = f64::MIN_POSITIVE;
    let domain = both_signs(sweep_f64(least, 708.0), sweep_f64(least, 709.0));
    holds(&ulp64("exp f64", 1.0), &domain, Real::exp, f64::exp);
    holds(&ulp64("expm1 f64", 2.0), &domain, Real::expm1, f64::exp_m1);
}

#[test]
fn arguments_of_exponentials_are_clamped() {
    for beyond in [86.1, 1e3, f64::from(f32::MAX)] {
        let beyond = beyond as f32;
        let exp: fn(f32) -> f32 = Real::exp;
        assert_eq!(exp(-beyond).to_bits(), exp(-86.0).to_bits());
        assert_eq!(exp(beyond.max(88.1)).to_bits(), exp(88.0).to_bits());
    }
    for beyond in [709.1, 1e6, f64::MAX] {
        let exp: fn(f64) -> f64 = Real::exp;
        assert_eq!(exp(-beyond).to_bits(), exp(-708.0).to_bits());
        assert_eq!(exp(beyond).to_bits(), exp(709.0).to_bits());
    }
    assert!(<f32 as Real>::exp(-1e30) >= f32::MIN_POSITIVE && <f64 as Real>::exp(1e300).is_finite());
}

#[test]
fn logarithms() {
    let normal = sweep_f32(f32::MIN_POSITIVE, f32::MAX);
    holds(&ulp32("log f32", 1.0), &normal, f32_of(Real::log), f64::ln);
    let around_one = sweep_f32(0.5, 2.0);
    holds(&ulp32("log f32 around 1", 1.0), &around_one, f32_of(Real::log), f64::ln);
    let above = || sweep_f32(f32::MIN_POSITIVE, TWO_125 as f32);
    let below = || sweep_f32(f32::MIN_POSITIVE, 1.0 - f32::EPSILON / 2.0);
    holds(&ulp32("log1p f32", 1.5), &both_signs(below(), above()), f32_of(Real::log1p), f64::ln_1p);
    let normal = sweep_f64(f64::MIN_POSITIVE, f64::MAX / 2.0);
    holds(&ulp64("log f64", 1.0), &normal, Real::log, f64::ln);
    holds(&ulp64("log f64 around 1", 1.0), &sweep_f64(0.5, 2.0), Real::log, f64::ln);
    let above = sweep_f64(f64::MIN_POSITIVE, TWO_125);
    let below = sweep_f64(f64::MIN_POSITIVE, 1.0 - f64::EPSILON / 2.0);
    holds(&ulp64("log1p f64", 1.5), &both_signs(below, above), Real::log1p, f64::ln_1p);
}

#[test]
fn uniforms() {
    let right = |word: f64| (word + 0.5) / 4_294_967_296.0;
    for word in words() {
        let u: f64 = Real::uniform(word as u32);
        assert_eq!(u.to_bits(), right(word).to_bits());
        let u: f32 = Real::uniform(word as u32);
        let rounded = (right(word) as f32).min(1.0 - f32::EPSILON / 2.0);
        assert_eq!(u.to_bits(), rounded.to_bits());
        assert!(u > 0.0 && u < 1.0);
        assert_ne!(
            u.to_bits(),
            <f32 as Real>::uniform(word as u32 ^ 0x4000_0000).to_bits(),
            "negative control"
        );
    }
}

/// `-ln u`, through `1 - u` where `u` is above 1/2, as both are exact.
fn exponential(word: f64) -> f64 {
    let word = word as u32;
    let u = |word: u32| (f64::from(word) + 0.5) / 4_294_967_296.0;
    if word >> 31 == 0 { -u(word).ln() } else { -(-u(!word)).ln_1p() }
}

#[test]
fn exponential_variates() {
    let got = |word: f64| f64::from(<f32 as Real>::neg_log_uniform(word as u32));
    holds(&ulp32("neg_log_uniform f32", 2.0), &words(), got, exponential);
    let got = |word: f64| <f64 as Real>::neg_log_uniform(word as u32);
    holds(&ulp64("neg_log_uniform f64", 2.0), &words(), got, exponential);
    let ends = [u32::MAX, 0].map(<f32 as Real>::neg_log_uniform);
    assert!((1.16e-10..1.17e-10).contains(&ends[0]) && (22.87..22.88).contains(&ends[1]), "{ends:?}");
}

/// Cosine and sine of a turn in `f64`, with 2 pi in two parts.
pub fn cos_sin(word: f64) -> (f64, f64) {
    const TAU_REST: f64 = 2.449_293_598_294_706_4e-16;
    let eighths = (word + 0.5) / 4_294_967_296.0;
    // Both differences are exact.
    let quarter = (eighths * 4.0).round();
    let rest = eighths - quarter / 4.0;
    let angle = rest * std::f64::consts::TAU;
    let low = rest.mul_add(std::f64::consts::TAU, -angle) + rest * TAU_REST;
    let (sin, cos) = angle.sin_cos();
    let (sin, cos) = (sin + low * cos, cos - low * sin);
    match quarter as u32 % 4 {
        0 => (cos, sin),
        1 => (-sin, cos),
        2 => (-cos, -sin),
        _ => (sin, -cos),
    }
}

#[test]
fn cosines_and_sines() {
    let claim = |name, most| Claim { name, most, unit: Unit::Absolute };
    let got = |word: f64| <f32 as Real>::cos_sin_turn(word as u32);
    holds(&claim("cos f32", 1.5e-7), &words(), |w| got(w).0.into(), |w| cos_sin(w).0);
    holds(&claim("sin f32", 1.5e-7), &words(), |w| got(w).1.into(), |w| cos_sin(w).1);
    let got = |word: f64| <f64 as Real>::cos_sin_turn(word as u32);
    // The reference adds one rounding near 1, 1.1e-16.
    holds(&claim("cos f64", 3e-16 + 1.2e-16), &words(), |w| got(w).0, |w| cos_sin(w).0);
    holds(&claim("sin f64", 3e-16 + 1.2e-16), &words(), |w| got(w).1, |w| cos_sin(w).1);
    // Negative control: an angle that is one word off by a part in 10^6 is seen.
    let off = |w: f64| got((w + 4295.0).min(4_294_967_295.0)).1;
    assert!(super::measure::worst(Unit::Absolute, &words(), off, |w| cos_sin(w).1).0 > 1e-6);
}

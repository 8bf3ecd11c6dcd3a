//! Normal variates: symmetry, reach, moments and tails.

use super::measure::words;
use crate::numeric::{Real, philox4x32_10};

/// Draws of a sample, and standard errors that an estimate may be off.
const DRAWS: usize = 1 << 22;
const STANDARD_ERRORS: f64 = 5.0;
const KEY: [u32; 2] = [0x5EED, 0];

#[test]
fn complementing_a_word_negates_its_quantile() {
    for word in words() {
        let word = word as u32;
        let (z, mirrored): (f32, f32) = (Real::inverse_normal_cdf(word), Real::inverse_normal_cdf(!word));
        assert_eq!(z.to_bits(), (-mirrored).to_bits());
        assert_eq!(z < 0.0, word >> 31 == 0);
        let (z, mirrored): (f64, f64) = (Real::inverse_normal_cdf(word), Real::inverse_normal_cdf(!word));
        assert_eq!(z.to_bits(), (-mirrored).to_bits());
    }
    // Negative control: the next word is not the mirror.
    assert_ne!(<f64 as Real>::inverse_normal_cdf(7), -<f64 as Real>::inverse_normal_cdf(!8));
}

#[test]
fn pairs_are_symmetric_in_the_angle() {
    for word in words() {
        let angle = word as u32;
        let radius = angle.wrapping_mul(0x9E37_79B9);
        let bits = |(cos, sin): (f32, f32)| (cos.to_bits(), sin.to_bits());
        let (cos, sin) = <f32 as Real>::normal_pair(radius, angle);
        assert_eq!(bits(<f32 as Real>::normal_pair(radius, !angle)), bits((cos, -sin)));
        assert_eq!(bits(<f32 as Real>::normal_pair(radius, angle ^ 0x8000_0000)), bits((-cos, -sin)));
        assert_ne!(bits(<f32 as Real>::normal_pair(radius, angle)), bits((cos, -sin)), "negative control");
    }
}

#[test]
fn both_tails_are_reached() {
    // The smallest word gives radius sqrt(66 ln 2) = 6.76370...; angles lead to all four ends.
    const LONGEST: f32 = 6.763_7;
    let ends: [f32; 4] = [
        Real::normal_pair(0, 0),
        Real::normal_pair(0, 0x8000_0000),
        <f32 as Real>::normal_pair(0, 0x4000_0000),
        <f32 as Real>::normal_pair(0, 0xC000_0000),
    ]
    .map(|(cos, sin): (f32, f32)| if cos.abs() > sin.abs() { cos } else { sin });
    for (z, sign) in ends.into_iter().zip([1.0, -1.0, 1.0, -1.0]) {
        assert!((z * sign - LONGEST).abs() < 1e-4, "{ends:?}");
    }
    // N(-6.3379...) = 2^-33.
    let ends: [f32; 2] = [Real::inverse_normal_cdf(0), Real::inverse_normal_cdf(u32::MAX)];
    assert!(ends[0] == -ends[1] && (6.33..6.35).contains(&ends[1]), "{ends:?}");
    // Neighbouring small words are different draws, and in order.
    for word in 0..1000 {
        let z: fn(u32) -> f32 = Real::inverse_normal_cdf;
        assert!(z(word) < z(word + 1));
        assert!(<f32 as Real>::neg_log_uniform(word) > Real::neg_log_uniform(word + 1));
    }
}

/// A sample of `f32` normals from the counters of one stream.
fn sample(of_block: impl Fn([u32; 4]) -> [f32; 4]) -> Vec<f32> {
    (0..DRAWS as u32 / 4).flat_map(|i| of_block(philox4x32_10([i, 0, 0, 0], KEY))).collect()
}

fn pairs([a, b, c, d]: [u32; 4]) -> [f32; 4] {
    let (first, second) = (f32::normal_pair(a, b), f32::normal_pair(c, d));
    [first.0, first.1, second.0, second.1]
}

fn quantiles(words: [u32; 4]) -> [f32; 4] {
    words.map(f32::inverse_normal_cdf)
}

/// The first statistic that is off by more than five standard errors.
fn oddity(sample: &[f32]) -> Option<String> {
    let n = sample.len() as f64;
    let off = |name: String, estimate: f64, truth: f64, variance: f64| {
        let errors = (estimate - truth) / (variance / n).sqrt();
        (!(errors.abs() <= STANDARD_ERRORS)).then(|| format!("{name}: {errors} standard errors"))
    };
    // E z^(2k) = 1 * 3 * ... * (2k - 1).
    let even = |power: u32| (1..power).step_by(2).map(f64::from).product::<f64>();
    for power in 1..=6u32 {
        let mean = sample.iter().map(|&z| f64::from(z).powi(power as i32)).sum::<f64>() / n;
        let truth = if power % 2 == 0 { even(power) } else { 0.0 };
        if let Some(odd) = off(format!("moment {power}"), mean, truth, even(2 * power) - truth * truth) {
            return Some(odd);
        }
    }
    // N(-2), N(-3), N(-4), N(-5).
    let tails = [
        (2.0, 0.022_750_131_948_179_21),
        (3.0, 0.001_349_898_031_630_094_6),
        (4.0, 3.167_124_183_311_992e-5),
        (5.0, 2.866_515_718_791_939e-7),
    ];
    for (beyond, p) in tails {
        for sign in [1.0, -1.0] {
            let count = sample.iter().filter(|&&z| z * sign > beyond).count() as f64;
            if let Some(odd) = off(format!("tail beyond {}", beyond * sign), count / n, p, p * (1.0 - p)) {
                return Some(odd);
            }
        }
    }
    None
}

#[test]
fn moments_and_tails_are_normal() {
    let drawn = sample(pairs);
    assert_eq!(oddity(&drawn), None);
    assert_eq!(oddity(&sample(quantiles)), None);
    // Both of a pair are uncorrelated, and so are their squares.
    for power in [1, 2] {
        let centre = f64::from(power - 1);
        let products = drawn
            .chunks(2)
            .map(|z| (f64::from(z[0]).powi(power) - centre) * (f64::from(z[1]).powi(power) - centre));
        let n = (DRAWS / 2) as f64;
        let errors = products.sum::<f64>() / n.sqrt() / f64::from(power);
        assert!(errors.abs() <= STANDARD_ERRORS, "power {power}: {errors} standard errors");
    }
    // Negative controls: a wider law, a shifted one, and one without its far tail.
    let spoilt = |spoil: fn(f32) -> f32| drawn.iter().map(|&z| spoil(z)).collect::<Vec<_>>();
    assert!(oddity(&spoilt(|z| z * 1.005)).is_some());
    assert!(oddity(&spoilt(|z| z + 0.004)).is_some());
    assert!(oddity(&spoilt(|z| z.clamp(-3.999, 3.999))).is_some());
}

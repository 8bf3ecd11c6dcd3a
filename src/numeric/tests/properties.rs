//! Laws that hold at every argument.

use proptest::prelude::*;

use crate::numeric::Real;

/// `log` of `exp(x)`: 1 ulp of `exp` is an absolute 2^-23 or 2^-52 of `x`, and `log` adds 1 ulp of `x`.
const ROUND_TRIP_ULPS: f64 = 1.0;
/// `x recip(x)`: 2 ulp of the reciprocal are at most 2^-22; the product is taken in `f64`.
const PRODUCT_ULPS: f64 = 2.0;
/// `N(x) + N(-x)`: the tail's rounding in `1 - tail`, and the sum's.
const SUM_ULPS: f64 = 1.0;

/// The same cases each time.
fn settings() -> ProptestConfig {
    ProptestConfig {
        cases: 20_000,
        rng_seed: proptest::test_runner::RngSeed::Fixed(7),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

fn single() -> f64 {
    f64::from(f32::EPSILON)
}

proptest! {
    #![proptest_config(settings())]

    #[test]
    fn exp_is_monotone(x in -90.0f32..90.0, step in 1u32..200) {
        let next = f32::from_bits(x.to_bits() + step);
        let (low, high) = if x < next { (x, next) } else { (next, x) };
        prop_assert!(<f32 as Real>::exp(low) <= Real::exp(high));
        // Negative control: a step the other way is seen where it is far enough to change a bit.
        prop_assert!(!(<f32 as Real>::exp(x.clamp(-85.0, 87.0) + 0.001) <= Real::exp(x.clamp(-85.0, 87.0))));
    }

    #[test]
    fn log_undoes_exp(x in -85.0f64..85.0) {
        let single_x = x as f32;
        let back = Real::log(<f32 as Real>::exp(single_x));
        let most = ROUND_TRIP_ULPS * single() * (1.0 + f64::from(single_x.abs()));
        prop_assert!((f64::from(back) - f64::from(single_x)).abs() <= most);
        let back = Real::log(<f64 as Real>::exp(x));
        let most = ROUND_TRIP_ULPS * f64::EPSILON * (1.0 + x.abs());
        prop_assert!((back - x).abs() <= most);
        prop_assert!(!((back + 3.0 * most - x).abs() <= most), "negative control");
    }

    #[test]
    fn a_reciprocal_times_its_number_is_one(bits in (2u32 << 23)..(252u32 << 23)) {
        let x = f32::from_bits(bits);
        let off = |r: f32| (f64::from(x) * f64::from(r) - 1.0).abs();
        let reciprocal = <f32 as Real>::recip(x);
        prop_assert!(off(reciprocal) <= PRODUCT_ULPS * single());
        prop_assert!(off(f32::from_bits(reciprocal.to_bits() + 8)) > PRODUCT_ULPS * single(), "negative control");
    }

    #[test]
    fn both_tails_make_one(x in -40.0f64..40.0) {
        let sum = |x: f32| f64::from(<f32 as Real>::normal_cdf(x)) + f64::from(<f32 as Real>::normal_cdf(-x));
        prop_assert!((sum(x as f32) - 1.0).abs() <= SUM_ULPS * single());
        let sum: f64 = <f64 as Real>::normal_cdf(x) + <f64 as Real>::normal_cdf(-x);
        prop_assert!((sum - 1.0).abs() <= SUM_ULPS * f64::EPSILON);
    }
}
